"""Counts, means and covariances that can be merged without loss."""

from dataclasses import dataclass, field

import numpy as np

from helpers.scprint import layout


@dataclass
class Moments:
    """Count, mean and centered cross-products within each block, in double precision.

    Attributes
    ----------
    count
        Cells seen.
    mean
        Mean of each of the 424 columns.
    products
        Sum of products of deviations, one square matrix a block.
    """

    count: int = 0
    mean: np.ndarray = field(default_factory=lambda: np.zeros(layout.EMBEDDING_WIDTH))
    products: dict[str, np.ndarray] = field(
        default_factory=lambda: {name: np.zeros((w, w)) for name, w in layout.BLOCK_WIDTHS.items()}
    )

    def add(self, rows: np.ndarray) -> None:
        """Take in rows: cells x 424, float32."""
        if not len(rows):
            return
        ones = np.ones(len(rows), np.float32)
        near = (ones @ rows) / np.float32(len(rows))
        centered = rows - near
        # the mean in single precision is not the mean; the products are, to their own precision
        left = (ones @ centered).astype(np.float64) / len(rows)
        products = {}
        for name, columns in layout.BLOCKS.items():
            part = centered[:, columns]
            products[name] = (part.T @ part).astype(np.float64)
        found = Moments(len(rows), near + left, products)
        if self.count:
            self.merge(found)
        else:
            self.count, self.mean, self.products = found.count, found.mean, found.products

    def merge(self, other: "Moments") -> None:
        """Take in another set of moments (Chan, Golub and LeVeque 1983, doi:10.1080/00031305.1983.10483115)."""
        if not other.count:
            return
        total = self.count + other.count
        apart = other.mean - self.mean
        weight = self.count * other.count / total
        for name, columns in layout.BLOCKS.items():
            step = apart[columns]
            self.products[name] = self.products[name] + other.products[name] + weight * np.outer(step, step)
        self.mean = self.mean + apart * (other.count / total)
        self.count = total

    def covariance(self, block: str) -> np.ndarray:
        """Covariance of the columns of one block; NaN where fewer than two cells were seen."""
        scale = self.count - 1 if self.count > 1 else np.nan
        return self.products[block] / scale
