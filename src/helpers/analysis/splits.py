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
    home = _deal(names, counts, wanted, seed)
    fold_of = np.array([home[name] for name in labels])
    return Plan("whole donors left out", honest=True, folds=_folds(fold_of, wanted))


def by_cell(n_rows: int, *, n_folds: int = 5, seed: int = 0) -> Plan:
    """Split rows at random, donors on both sides: the leak that honest splits are shown against."""
    fold_of = np.random.default_rng(seed).permutation(np.arange(n_rows) % n_folds)
    return Plan("random cells left out (leaks donors)", honest=False, folds=_folds(fold_of, n_folds))


def across(
    groups: Sequence[str], donors: Sequence[str], *, train: str, test: str, n_folds: int = 4, seed: int = 0
) -> Plan:
    """Train on one group (an assay, say) and test on another, with the tested donors left out of the training.

    The donors of the tested group are dealt into folds. A donor with rows of one group alone is only trained on, or
    only tested.

    Parameters
    ----------
    groups
        Group of each row. Rows of other groups stay out.
    donors
        Donor of each row.
    train, test
        Which group is trained on and which is tested.
    n_folds
        Groups of donors; as many as there are donors to test where these are fewer.
    seed
        As for `by_donor`.

    Raises
    ------
    DesignError
        If a group has no rows, fewer than three donors can be tested, or leaving a fold out leaves none to train on.
    """
    labels, people = np.asarray(groups).astype(str), np.asarray(donors).astype(str)
    for name in (train, test):
        if not (labels == name).any():
            msg = f"no row is {name!r}; found {', '.join(sorted(set(labels)))}."
            raise DesignError(msg)
    names, counts = np.unique(people[labels == test], return_counts=True)
    if len(names) < 3:
        msg = f"{len(names)} donor(s) with {test}: transfer to donors left out needs at least three."
        raise DesignError(msg)
    wanted = min(n_folds, len(names))
    home = _deal(names, counts, wanted, seed)
    fold_of = np.array([home.get(name, -1) for name in people])
    folds = tuple(
        (
            np.flatnonzero((labels == train) & (fold_of != fold)),
            np.flatnonzero((labels == test) & (fold_of == fold)),
        )
        for fold in range(wanted)
    )
    if not all(len(known) for known, _ in folds):
        msg = (
            f"with a fold of donors left out no {train} are left to train on: take more folds than {wanted}."
        )
        raise DesignError(msg)
    return Plan(f"{train} to {test}, whole donors left out", honest=True, folds=folds)


def _deal(names: np.ndarray, counts: np.ndarray, n_folds: int, seed: int) -> dict[str, int]:
    """Deal donors to folds, largest first to the smallest fold."""
    order = np.lexsort((np.random.default_rng(seed).random(len(names)), -counts))
    load, home = np.zeros(n_folds), {}
    for place in order:
        fold = int(np.argmin(load))
        home[names[place]] = fold
        load[fold] += counts[place]
    return home


def _folds(fold_of: np.ndarray, n_folds: int) -> tuple[Split, ...]:
    return tuple(
        (np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)) for fold in range(n_folds)
    )
