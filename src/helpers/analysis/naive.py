"""The test over cells that treats each cell as a replicate: kept only to show beside the donors what it gets wrong."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import scanpy as sc
import scipy.sparse as sp
from anndata import AnnData
from scipy import stats

from helpers import names
from helpers.analysis import schemas
from helpers.errors import DesignError, TableError
from helpers.facts import study

# X genes that differ between the sexes: XIST with its antisense, and genes that escape inactivation
# (Tukiainen et al. 2017, doi:10.1038/nature24265). The Y genes come from the table of genes.
X_GENES = ("XIST", "TSIX", "RPS4X", "KDM6A", "EIF1AX", "ZFX", "DDX3X", "KDM5C", "JPX")
_GENES_AT_A_TIME = 500
_GROUP = "age_group"


def list_sex_genes() -> list[str]:
    """Return the genes that tell the sexes apart: those of the Y chromosome and `X_GENES`."""
    return [*study.genes().filter(pl.col("chromosome") == "Y")["symbol"].unique().sort(), *X_GENES]


def choose_cells(
    adata: AnnData,
    *,
    cell_type: str,
    assay: str,
    level: str = names.LEVEL0,
    genes: Sequence[str] | None = None,
    donors: Sequence[str] | None = None,
) -> AnnData:
    """Choose the cells and genes of a comparison.

    Parameters
    ----------
    adata
        Cells x genes, log-normalized values in ``X``.
    cell_type, assay, level
        Which cells.
    genes
        Genes to keep, all if none.
    donors
        Donors to keep, all if none: those of the donor-level test, so that both see the same people.

    Raises
    ------
    TableError
        If no cell is left.
    """
    chosen = (adata.obs[level].astype(str) == cell_type) & (adata.obs[names.ASSAY].astype(str) == assay)
    if donors is not None:
        chosen &= adata.obs[names.DONOR].astype(str).isin(list(donors))
    if not chosen.any():
        msg = f"no cell is {cell_type!r} in {assay!r}. Choose a pair that the atlas has."
        raise TableError(msg)
    columns = slice(None) if genes is None else adata.var_names.get_indexer(list(genes))
    return adata[chosen.to_numpy(), columns].copy()


def compare_sex_genes(naive: pl.DataFrame, donors: pl.DataFrame) -> pl.DataFrame:
    """Look up the genes of sex in both lists.

    Parameters
    ----------
    naive, donors
        Tables `schemas.CELL_LEVEL` and `schemas.AGE_DE`, smallest p first.

    Returns
    -------
    gene, rank and q in the list over cells, change and q in the list over donors (missing where not tested there).
    """
    ranked = naive.with_row_index("rank_cells", offset=1).filter(pl.col("gene").is_in(list_sex_genes()))
    over_donors = donors.select("gene", change_donors="log2_change", q_donors="q")
    columns = [
        "gene",
        "rank_cells",
        pl.col("log2_change").alias("change_cells"),
        pl.col("q").alias("q_cells"),
    ]
    return ranked.select(columns).join(over_donors, on="gene", how="left", maintain_order="left")


def keep_expressed(cells: AnnData, *, share: float = 0.02) -> AnnData:
    """Keep the genes that a share of the cells expresses.

    Parameters
    ----------
    cells
        Cells x genes.
    share
        Smallest share of cells with a value above zero.
    """
    expressing = np.asarray((cells.X > 0).sum(axis=0)).ravel()
    return cells[:, expressing >= share * cells.n_obs].copy()


def cell_level_de(cells: AnnData, *, groups: dict[str, str]) -> pl.DataFrame:
    """Compare old with young cells by Wilcoxon's test, as if each cell were a replicate.

    Cells of one donor share that donor's sex, hospital days and chemistry, so the p-values are wrong [1]_: for
    comparison only.

    Parameters
    ----------
    cells
        Cells of one type and assay x genes, log-normalized values in ``X``.
    groups
        Young or old, by donor; cells of other donors are left out.

    Returns
    -------
    Table `schemas.CELL_LEVEL`, smallest p first.

    Raises
    ------
    DesignError
        If the cells are not of two groups.

    References
    ----------
    .. [1] Zimmerman, Espeland and Langefeld (2021), Nature Communications, doi:10.1038/s41467-021-21038-1
    """
    group = cells.obs[names.DONOR].astype(str).map(groups)
    used = group.isin([names.YOUNG, names.OLD]).to_numpy()
    sizes = group[used].value_counts()
    if len(sizes) < 2 or sizes.min() < 2:
        msg = f"a comparison of cells needs young and old ones; found {sizes.to_dict() or 'none'}."
        raise DesignError(msg)
    compared = AnnData(
        cells.X[used], obs=group[used].astype("category").to_frame(_GROUP), var=cells.var[[]].copy()
    )
    compared.uns["log1p"] = {"base": None}
    sc.tl.rank_genes_groups(
        compared, _GROUP, groups=[names.OLD], reference=names.YOUNG, method="wilcoxon", tie_correct=True
    )
    found = sc.get.rank_genes_groups_df(compared, group=names.OLD)
    table = pl.DataFrame(
        {
            "gene": found["names"].astype(str).to_numpy(dtype=object).astype(str),
            "log2_change": found["logfoldchanges"].to_numpy(np.float64),
            "score": found["scores"].to_numpy(np.float64),
            "p": found["pvals"].to_numpy(np.float64),
            "q": found["pvals_adj"].to_numpy(np.float64),
        }
    )
    return schemas.CELL_LEVEL.check(table).sort("p", pl.col("score").abs(), descending=[False, True])


def rank_by_donor(cells: AnnData) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rank the cells once for every gene and sum the ranks over each donor.

    Ranks do not depend on age, so that Wilcoxon's test for any labels of donors is a sum over donors.

    Parameters
    ----------
    cells
        Cells of one type and assay x genes.

    Returns
    -------
    Donor codes in order, rank sums (donors x genes), and the tie-corrected variance factor of each gene.
    """
    donors = cells.obs[names.DONOR].astype(str).to_numpy()
    codes, member = np.unique(donors, return_inverse=True)
    indicator = sp.csr_matrix((np.ones(len(member)), (member, np.arange(len(member)))))
    sums = np.empty((len(codes), cells.n_vars))
    ties = np.empty(cells.n_vars)
    values = sp.csc_matrix(cells.X)
    n = cells.n_obs
    for start in range(0, cells.n_vars, _GENES_AT_A_TIME):
        block = values[:, start : start + _GENES_AT_A_TIME].toarray()
        ranks = stats.rankdata(block, axis=0)
        sums[:, start : start + block.shape[1]] = indicator @ ranks
        # the variance of mid-ranks over all cells holds the tie correction
        ties[start : start + block.shape[1]] = ((ranks - (n + 1) / 2) ** 2).sum(axis=0) / (n * (n - 1))
    return codes, sums, ties


def compare_donors(sums: np.ndarray, ties: np.ndarray, sizes: np.ndarray, is_old: np.ndarray) -> np.ndarray:
    """Return two-sided Wilcoxon p-values over cells for one or more labelings of the donors.

    Parameters
    ----------
    sums, ties
        From `rank_by_donor`; all its donors take part.
    sizes
        Cells of each donor.
    is_old
        Labelings x donors.

    Returns
    -------
    Labelings x genes.
    """
    n = sizes.sum()
    n_old = is_old.astype(float) @ sizes
    expected = n_old * (n + 1) / 2
    spread = np.sqrt(np.outer(n_old * (n - n_old), ties))
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (is_old.astype(float) @ sums - expected[:, None]) / spread
    return np.where(spread > 0, 2 * stats.norm.sf(np.abs(z)), 1.0)
