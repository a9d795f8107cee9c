"""Ways to split cells into training and test: by whole donors, which is honest, or by cells, which leaks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from helpers.errors import DesignError

Split = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Plan:
    """A named list of (training, test) row numbers.

    Attributes
    ----------
    name
        What the split respects.
    honest
        Whether no donor stands on both sides of any fold.
    folds
        Row numbers of training and test, one pair a fold.
    """

    name: str
    honest: bool
    folds: tuple[Split, ...]

    def __iter__(self) -> Iterator[Split]:
        """Iterate over the folds."""
        return iter(self.folds)


def by_donor(donors: Sequence[str], *, n_folds: int | None = None, seed: int = 0) -> Plan:
    """Split by whole donors: leave one donor out, or `n_folds` groups of donors.

    Parameters
    ----------
    donors
        Donor of each row.
    n_folds
        Groups of donors; one donor a fold if none. Donors are dealt largest first to the smallest fold.
    seed
        Breaks ties between donors of equal size.

    Raises
    ------
    DesignError
        If there are fewer donors than folds, or fewer than three.
    """
    labels = np.asarray(donors).astype(str)
    names, counts = np.unique(labels, return_counts=True)
    wanted = len(names) if n_folds is None else n_folds
    if len(names) < max(3, wanted):
        msg = f"{len(names)} donor(s) cannot fill {max(3, wanted)} folds: prediction across donors needs at least three."
        raise DesignError(msg)
    order = np.lexsort((np.random.default_rng(seed).random(len(names)), -counts))
    load, home = np.zeros(wanted), {}
    for place in order:
        fold = int(np.argmin(load))
        home[names[place]] = fold
        load[fold] += counts[place]
    fold_of = np.array([home[name] for name in labels])
    return Plan("whole donors left out", honest=True, folds=_folds(fold_of, wanted))


def by_cell(n_rows: int, *, n_folds: int = 5, seed: int = 0) -> Plan:
    """Split rows at random, donors on both sides: the leak that honest splits are shown against."""
    fold_of = np.random.default_rng(seed).permutation(np.arange(n_rows) % n_folds)
    return Plan("random cells left out (leaks donors)", honest=False, folds=_folds(fold_of, n_folds))


def across(groups: Sequence[str], *, train: str, test: str, donors: Sequence[str] | None = None) -> Plan:
    """Train on one group (an assay, say) and test on another, once.

    Parameters
    ----------
    groups
        Group of each row.
    train, test
        Which group is trained on and which is tested.
    donors
        Donor of each row: the plan is honest only if no donor gave rows of both groups, and not if nobody can tell.
    """
    labels = np.asarray(groups).astype(str)
    pair = (np.flatnonzero(labels == train), np.flatnonzero(labels == test))
    for name, rows in zip((train, test), pair, strict=True):
        if not len(rows):
            msg = f"no row is {name!r}; found {', '.join(sorted(set(labels)))}."
            raise DesignError(msg)
    people = None if donors is None else np.asarray(donors).astype(str)
    apart = people is not None and not set(people[pair[0]]) & set(people[pair[1]])
    return Plan(f"{train} to {test}", honest=apart, folds=(pair,))


def _folds(fold_of: np.ndarray, n_folds: int) -> tuple[Split, ...]:
    return tuple(
        (np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)) for fold in range(n_folds)
    )
