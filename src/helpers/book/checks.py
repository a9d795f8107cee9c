"""Checkers of the exercises: ``ch01_dense`` checks the exercise ``"01.dense"``; None is right, else what is wrong."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from helpers.facts import study
from helpers.facts.signatures import signatures

__all__: list[str] = []  # found by the names of exercises; no page lists them


def _told(found: Any, right: Any, wrong: Mapping[Any, str], other: str, within: float = 1e-6) -> str | None:
    """Return None for the right number, the sentence of a typical wrong one, or the sentence for any other."""
    if np.allclose(found, right, rtol=within, atol=1e-9):
        return None
    typical = (words for value, words in wrong.items() if np.allclose(found, value, rtol=within, atol=1e-9))
    return next(typical, other)


def ch01_dense(answer: Callable[[int, int], float]) -> str | None:
    """Check a function that gives the size of a dense float32 table in GiB."""
    found = float(answer(1024, 1024 * 1024))
    wrong = {
        8: "float32 takes four bytes a value; your function counts eight.",
        2**32 / 1e9: "that is gigabytes, powers of ten; a gibibyte is two to the power of thirty bytes.",
    }
    return _told(found, 4, wrong, f"1,024 cells of 1,048,576 genes take 4 GiB, your function says {found:g}.")


def ch01_bins(answer: Any) -> str | None:
    """Check the set of age bins that are one donor each."""
    right = {"15-20", "20-25", "50-55", "55-60"}
    given = set(answer) if np.iterable(answer) else {None}
    if not all(isinstance(name, str) for name in given):
        return "give the bins as a set of texts such as {'15-20'}."
    if extra := sorted(given - right):
        return f"{extra[0]} is not a bin of one single donor: count the rows of the donor table in it."
    if right - given:
        return f"{len(right - given)} more bin(s) hold one donor only; bins of few cells count as well."
    return None


def ch01_align(answer: Callable[[int, int, list[str]], bool]) -> str | None:
    """Check a test of whether two tables can be aligned by position."""
    cases = [
        ((2, 2, ["a", "b"]), True, "two rows, two rows, two different barcodes: these can be aligned."),
        ((2, 3, ["a", "b"]), False, "tables of two and three rows cannot be aligned by position."),
        ((2, 2, ["a", "a"]), False, "a barcode that occurs twice shows that rows were repeated."),
        ((2, 2, ["a"]), False, "fewer barcodes than rows: one row has none."),
    ]
    return next((message for case, right, message in cases if bool(answer(*case)) is not right), None)


def ch02_rule(answer: Callable[[list[float], float], list[bool]]) -> str | None:
    """Check a rule that keeps cells unless they lie too many MADs below the median."""
    # median 100, median absolute deviation 10; 70 lies on the bound itself, which either sign may keep
    values = [60.0, 85.0, 90.0, 100.0, 110.0, 110.0, 1000.0]
    kept = [bool(keep) for keep in answer(values, 3)]
    if len(kept) != len(values):
        return "give one truth value for each value."
    if not kept[-1]:
        return "a cell far above the median is not removed by a rule on the lower side."
    if kept[0]:
        return "60 lies four deviations below the median of 100 and must go (the deviation is the median distance, 10)."
    if not all(kept[1:]):
        return "only the first cell lies more than three deviations below; use the median distance, not the standard deviation."
    return None


def ch02_counts(answer: Callable[[list[float]], list[int]]) -> str | None:
    """Check a function that turns released values of one cell into whole counts."""
    truth = [1, 2, 7, 1]
    # in single precision, as released: only rounding gives whole counts back
    released = [float(np.float32(math.log1p(count * 10_000 / 1234))) for count in truth]
    found = [float(value) for value in answer(released)]
    if found == truth:
        return None
    if len(found) != len(truth):
        return "give one count for each value."
    if np.allclose(found, truth, rtol=0, atol=0.01):
        return "nearly: counts are whole, so round after dividing (np.rint)."
    if np.allclose(found, np.divide(released, released[0]), rtol=0, atol=0.5):
        return "undo the logarithm first (np.expm1), then divide by the smallest."
    return f"counts 1, 2, 7, 1 came back as {', '.join(f'{value:g}' for value in found)}."


def ch02_corner(answer: Any) -> str | None:
    """Check the empty corner of the design in single cells."""
    if not isinstance(answer, tuple) or len(answer) != 2:
        return 'give a tuple of age bin and sex, such as ("old", "M").'
    age, sex = answer
    if age in ("F", "M"):
        return 'the order is age bin first, then sex, as in ("old", "M").'
    if age not in ("young", "old") or sex not in ("F", "M"):
        return 'write the age bin as "young" or "old" and the sex as "F" or "M", as the table of donors does.'
    if answer != ("young", "F"):
        return f"donors with single cells who are {age} and {sex} exist; name the pair that none of them is."
    return None


def ch03_effective(answer: Callable[[float, float], float]) -> str | None:
    """Check the number of independent cells that a donor is worth."""
    if not math.isclose(answer(1000, 0), 1000):
        return "cells that do not correlate are all independent: effective(1000, 0) is 1000."
    if not math.isclose(answer(1, 0.3), 1):
        return "one cell is one cell, whatever the correlation: effective(1, 0.3) is 1; look at n - 1."
    found, inflation = float(answer(1000, 0.1)), 1 + 999 * 0.1
    multiplied = "the correlation makes the mean less precise: divide by the inflation, do not multiply."
    other = f"effective(1000, 0.1) came back as {found:g}; divide n by 1 + (n - 1) * icc."
    return _told(found, 1000 / inflation, {1000 * inflation: multiplied}, other)


def ch03_smallest(answer: Callable[[int, int], float]) -> str | None:
    """Check the smallest p-value of an exact permutation test."""
    found = float(answer(5, 3))
    wrong = {
        1 / math.factorial(8): "orders within a group do not matter: count who is old, not who comes first.",
        1
        / 2
        ** 8: "the numbers of young and old are fixed: count the ways to choose the old, not all labelings.",
        56: "that is the number of ways to say who is old; p is one of them.",
        2 / 56: "that counts both sides; one-sided, only the observed choice is as extreme.",
        0: "the observed labeling is one of the permutations: divide one by their number.",
    }
    other = f"5 young and 3 old gave {found:g}; there are 56 ways to say who is old."
    fault = _told(found, 1 / 56, wrong, other)
    if fault is None and not math.isclose(answer(6, 7), 1 / math.comb(13, 6)):
        return "right for 5 against 3, but not for 6 against 7."
    return fault


def ch04_ways(answer: Callable[[list[int], list[int]], tuple[float, float]]) -> str | None:
    """Check the pooled share and the mean of the donors' shares."""
    pooled, mean = (float(value) for value in answer([90, 1, 2], [10, 3, 6]))
    if math.isclose(pooled, mean, abs_tol=1e-9):
        return "both numbers are the same: one pools the nuclei, the other gives each donor one vote."
    order = "the two are in the wrong order: the pooled share comes first."
    added = f"93 of 112 nuclei are slow, so the pooled share is 0.830, not {pooled:.3f}: add up first, then divide."
    divided = f"the donors' shares are 0.9, 0.25 and 0.25, their mean 0.467, not {mean:.3f}: divide first, then average."
    return _told(pooled, 93 / 112, {1.4 / 3: order}, added) or _told(mean, 1.4 / 3, {}, divided)


def ch04_smallest(answer: Any) -> str | None:
    """Check the smallest p of five young against seven old donors."""
    wrong = {
        2 / 792: "unequal groups have no mirror image: only the observed choice itself is as extreme.",
        0: "p is never zero: the observed arrangement always counts.",
        792: "that is the number of arrangements; p is one of them.",
    }
    other = "there are as many arrangements as ways to choose five of twelve; the observed is one of them."
    return _told(float(answer), 1 / 792, wrong, other, within=0.01)


def ch04_nuclei(answer: Any) -> str | None:
    """Check the donors who have nuclei but no cells."""
    table = study.donors()
    without = set(table.filter(table["cells_10X_version"].is_null())["DonorID"])
    found = set(answer)
    if found == set(table["DonorID"]) - without:
        return "these are the donors with cells; asked are those without."
    if missing := sorted(without - found):
        return f"{len(missing)} donors without cells are missing, among them {missing[0]}."
    if extra := sorted(found - without):
        return f"{extra[0]} has cells; keep only donors without a chemistry for cells."
    return None


def ch05_sentence(answer: Callable[[Mapping[str, float], int], str]) -> str | None:
    """Check a cell written as words."""
    values = {"TTN": 0.0, "MYH7": 3.0, "CKM": 3.0, "ACTA1": 5.0, "ENSA": 1.0}
    found, short = answer(dict(values), 10), answer(dict(values), 2)
    if not isinstance(found, str):
        return "return one text: the symbols joined by spaces."
    if "TTN" in found.split():
        return "TTN has the value zero: a gene that is not expressed is not a word of the cell."
    if found == "ACTA1 MYH7 CKM ENSA":
        return "CKM and MYH7 have the same value: put equal values in alphabetical order, not in the order of the input."
    if found.startswith("ENSA"):
        return "the highest value comes first; yours begins with the lowest."
    if found != "ACTA1 CKM MYH7 ENSA":
        return f"the sentence is 'ACTA1 CKM MYH7 ENSA', yours is {found!r}."
    return None if short == "ACTA1 CKM" else f"with n = 2 the sentence is 'ACTA1 CKM', yours is {short!r}."


def ch05_decade(answer: Callable[[str], Sequence[float]]) -> str | None:
    """Check bounds in years from a life stage."""
    birth = "the first decade begins at birth, with zero."
    year = "somebody of 62 is anywhere between 62 and 63: the upper bound is 63, exclusive."
    for stage, right, typical, words in (
        ("sixth decade stage", (50, 60), (60, 70), f"the sixth decade stage begins at 50: {birth}"),
        ("third decade stage", (20, 30), (30, 40), f"the third decade stage begins at 20: {birth}"),
        ("62-year-old stage", (62, 63), (62, 62), year),
    ):
        found = tuple(answer(stage))
        if found != right:
            return (
                words
                if found == typical
                else f"{stage!r} means the bounds {right}, your function says {found}."
            )
    return None


def ch05_split(answer: Callable[[list[str], list[str]], tuple[list[int], list[int]]]) -> str | None:
    """Check a split of cells by donor."""
    donors = ["A", "B", "A", "C", "B", "A"]
    return _split_fault(answer(list(donors), ["B"]), donors, held_out="B")


def _split_fault(parts: Any, donors: list[str], *, held_out: str) -> str | None:
    """Say what is wrong with the rows of train and test."""
    if not isinstance(parts, tuple | list) or len(parts) != 2:
        return "return two lists: the rows of train and the rows of test."
    train, test = (sorted(int(row) for row in part) for part in parts)
    right = [row for row, donor in enumerate(donors) if donor == held_out]
    others = [row for row, donor in enumerate(donors) if donor != held_out]
    if (train, test) == (others, right):
        return None
    if (train, test) == (right, others):
        return "the two lists are the wrong way round: train first, then test."
    both = {donors[row] for row in train} & {donors[row] for row in test}
    if both:
        return f"donor {min(both)} is on both sides: the model would be tested on somebody it has met."
    return "some rows are on no side: each cell goes where its donor goes."


def ch06_sigmoid(answer: Callable[[pl.DataFrame], pl.DataFrame]) -> str | None:
    """Check a function that keeps the rows in which both labels are at least as likely as not."""
    close = "a negative score is a probability below one half, however close the two scores are."
    strong = "the labels have a classifier each: a strong first label takes nothing from the second."
    cases = [
        (0.9, 0.8, True, "both scores are positive, so both probabilities are above one half."),
        (0.9, -0.1, False, close),
        (3.0, 0.1, True, strong),
        (0.0, 0.0, True, "the sigmoid of zero is one half, and one half is enough."),
        (-1.0, -1.0, False, "two equal negative scores are two labels that the model does not believe."),
    ]
    scores = pl.DataFrame([case[:2] for case in cases], schema=["first", "second"], orient="row")
    kept = answer(scores)
    if isinstance(kept, pl.LazyFrame):
        kept = kept.collect()
    if not isinstance(kept, pl.DataFrame) or not {"first", "second"} <= set(kept.columns):
        return "return the rows that are kept, as a frame with the columns first and second."
    rows = set(kept.select("first", "second").iter_rows())
    return next((message for *case, right, message in cases if (tuple(case) in rows) is not right), None)


def ch06_pair(answer: Callable[[list[str]], dict[str, set[str]]]) -> str | None:
    """Check a function that pairs the files of parts by stem."""
    one, two = "step_0__predict_part_10_0", "step_0__predict_part_9_0"
    files = [f"{two}_scores.npz", f"{one}_top3.npz", f"{two}_embs.npz", f"{one}_embs.npz", f"{two}_top3.npz"]
    found = answer(list(files))
    if set(found) != {one, two}:
        return f"the stems are {one} and {two}; your function has {', '.join(sorted(map(str, found)))}."
    if set(found[two]) != {"embs", "top3", "scores"}:
        return f"{two} has all three files; your function has {', '.join(sorted(map(str, found[two])))}."
    if set(found[one]) != {"embs", "top3"}:
        return f"{one} has no scores file, and that has to show: a missing sibling is a fault."
    return None


def ch06_merge(answer: Callable[[int, float, int, float], tuple[int, float]]) -> str | None:
    """Check a function that merges two counts and means."""
    n, mean = answer(3, 1.0, 1, 5.0)
    plain = "that is the mean of the two means; the larger part has to count for more."
    other = f"three cells of mean 1 and one of 5 are four of mean 2; your function says {n} and {mean:g}."
    if fault := _told([n, mean], [4, 2], {(4, 3): plain}, other):
        return fault
    try:
        answer(0, 0.0, 0, 0.0)
    except ZeroDivisionError:
        return "two parts without cells must not end in a division by zero."
    return _told(answer(0, 0.0, 2, 7.0), [2, 7], {}, "an empty part must leave the other as it was.")


def ch07_score(answer: Callable[[dict[str, list[float]], list[str]], list[float]]) -> str | None:
    """Check a score that centers each gene before averaging."""
    table = {"A": [1.0, 3.0], "B": [10.0, 20.0], "C": [5.0, 0.0]}
    found = [float(value) for value in answer(table, ["A", "B"])]
    if len(found) != 2:
        return "two donors are in the table: return two scores."
    every = "only the genes that are asked for enter the score."
    wrong = {
        (5.5, 11.5): "center each gene on its own mean first, or the gene with the largest values decides.",
        (-7 / 6, 7 / 6): every,
        (16 / 3, 23 / 3): every,
    }
    other = f"for these donors the scores are -3 and 3, your function says {found[0]:g} and {found[1]:g}."
    return _told(found, [-3, 3], wrong, other)


def ch07_empirical(answer: Callable[[float, list[float]], float]) -> str | None:
    """Check a two-sided empirical p that counts the observed value."""
    found = float(answer(2.0, [-3.0, -1.0, 0.0, 1.0, 2.0]))
    wrong = {
        2 / 5: "count the observed value as a draw, or a p-value of zero becomes possible.",
        2 / 6: "two-sided: -3 is farther from zero than 2 is; compare absolute values, ties included.",
    }
    other = f"two of five draws are at least as far from zero, so p is 3 / 6; yours is {found:g}."
    return _told(found, 3 / 6, wrong, other)


def ch07_overlap(answer: Any) -> str | None:
    """Check the genes that two signatures share."""
    groups = {name: set(genes) for name, genes in signatures().group_by("signature").agg("gene").iter_rows()}
    right = groups["senescence"] & groups["inflammaging"]
    if not np.iterable(answer):
        return "give a set of gene names."
    given = set(answer)
    if given == groups["senescence"] | groups["inflammaging"]:
        return "that is the union: take the genes that are in both."
    if given != right:
        return f"{len(right)} genes are in both sets; you gave {len(given)}, of which {len(given & right)} are right."
    return None


def ch08_split(answer: Callable[[list[str], str], tuple[list[int], list[int]]]) -> str | None:
    """Check a split that leaves one whole donor out."""
    donors = ["A", "B", "A", "C", "B"]
    return _split_fault(answer(donors, "B"), donors, held_out="B")


def ch08_baseline(answer: Callable[[list[float]], float]) -> str | None:
    """Check the error of predicting each age as the mean of the others."""
    # the mean of the others is 50, 46.67, 40, 33.33; their median 50, 50, 30, 30; the mean of all is 42.5
    errors = np.array([30, 50 / 3, 10, 110 / 3])
    found = float(answer([20.0, 30.0, 50.0, 70.0]))
    wrong = {
        (30 + 20 + 20 + 40) / 4: "that predicts the median of the others; their mean is asked for.",
        17.5: "that mean includes the donor whose age is predicted: leave it out.",
        np.sqrt((errors**2).mean()): "that is the root of the mean square; asked is the mean absolute error.",
    }
    right = errors.mean()
    other = f"for ages 20, 30, 50 and 70 the error is {right:.4g} years, your function says {found:.4g}."
    return _told(found, right, wrong, other)


def ch08_macro(answer: Callable[[list[str], list[str]], float]) -> str | None:
    """Check recall averaged over classes with equal weight."""
    found = float(answer(["a"] * 8 + ["b"] * 2, ["a"] * 8 + ["a", "b"]))
    wrong = {
        0.9: "that is the share of all rows that are right (micro): average the classes, not the rows.",
        (8 / 9 + 1) / 2: "that is precision: divide by the rows that truly are in the class.",
    }
    return _told(found, 0.75, wrong, f"eight of eight and one of two make 0.75, yours is {found:g}.")


def ch09_purity(answer: Callable[[list[str], list[list[int]]], float]) -> str | None:
    """Check the share of neighbors that carry the cell's own label."""
    found = float(answer(["a", "a", "b", "b"], [[1, 2], [0, 2], [3, 0], [2, 1]]))
    wrong = {
        1: "every cell has *some* neighbor of its label; the share of all neighbors is asked for.",
        4: "that is a count: divide by the number of neighbors.",
    }
    other = f"half of these neighbors carry the cell's label; your function says {found:g}."
    return _told(found, 0.5, wrong, other)


def ch09_entropy(answer: Callable[[list[str]], float]) -> str | None:
    """Check the Shannon entropy of groups in natural units."""
    found, right = float(answer(["x", "x", "y", "y"])), math.log(2)
    wrong = {
        1: "that is in bits; natural units use the natural logarithm.",
        -right: "the sign is turned: shares are below one, so their logarithms are negative.",
    }
    other = f"two groups of equal size have entropy {right:.4g}; your function says {found:.4g}."
    alone = "one group alone has no entropy: zero."
    return _told(found, right, wrong, other) or _told(float(answer(["x", "x", "x"])), 0, {}, alone)


def ch09_jaccard(answer: Callable[[list[tuple[str, str]], list[tuple[str, str]]], float]) -> str | None:
    """Check the Jaccard index of two lists of undirected pairs."""
    found = float(answer([("A", "B"), ("C", "D")], [("B", "A"), ("E", "F")]))
    wrong = {
        0: "a pair is undirected: A with B is B with A.",
        1 / 2: "divide by the union of the two lists, not by the length of one.",
    }
    return _told(found, 1 / 3, wrong, f"one pair of three is shared; your function says {found:g}.")


def ch10_zeros(answer: Callable[[list[tuple[str, str]]], pl.DataFrame]) -> str | None:
    """Check a count by donor and type that keeps its zeros."""
    found = answer([("A", "T"), ("A", "T"), ("A", "B"), ("C", "T")])
    if lacking := sorted({"donor", "type", "n"} - set(found.columns)):
        return f"the table has no column {lacking[0]!r}; wanted are donor, type and n."
    counted = {(donor, kind): n for donor, kind, n in found.select("donor", "type", "n").rows()}
    if found.height > len(counted):
        return "some donor and type stand in two rows; one row each is wanted."
    if ("C", "B") not in counted:
        return "donor C has no B, and the table has no row for it: a zero is an observation, give it a row."
    if counted[("C", "B")] is None:
        return "donor C's count of B is null: nothing counted is zero, not unknown."
    for (donor, kind), n in {("A", "T"): 2, ("A", "B"): 1, ("C", "T"): 1, ("C", "B"): 0}.items():
        if counted.get((donor, kind)) != n:
            return f"donor {donor} has {n} of {kind}, not {counted.get((donor, kind))}."
    return None


def ch10_push(answer: Callable[[dict[str, int], dict[str, int], str, str], float]) -> str | None:
    """Check the log2 change of one type relative to another."""
    young = {"fragments": 100, "stem": 200, "fat": 700}
    old = {"fragments": 800, "stem": 200, "fat": 350}
    share = "that is the change of the share of all cells; divide by the reference type in each tissue."
    found, same = float(answer(young, old, "stem", "fat")), float(answer(young, old, "fragments", "stem"))
    wrong = {
        -1: "the change is old over young; yours is young over old.",
        math.log2(1000 / 1350): share,
        2: "that is a ratio, twofold; take its log2.",
    }
    other = f"stem cells stay and fat halves, so stem over fat doubles: log2 change 1, not {found:.3g}."
    fold = f"fragments over stem rise eightfold, log2 change 3, not {same:.3g}."
    return _told(found, 1, wrong, other) or _told(same, 3, {}, fold)


def ch11_offset(answer: Any) -> str | None:
    """Check the columns of the age block."""
    if np.shape(answer) != (2,):
        return "give two numbers: the first column of the block and the one after its last."
    wrong = {
        (384, 391): "391 is the last column of the block; give the one after it, as slices do.",
        (385, 393): "columns are counted from zero.",
    }
    other = "add the widths in front: 256 other, 64 cell type, 32 tissue, 32 disease; the block is 8 wide."
    return _told(answer, [384, 392], wrong, other)


def ch11_vote(answer: Callable[[np.ndarray, np.ndarray, np.ndarray], float]) -> str | None:
    """Check a function that lets neighbors vote on labels, held out by part."""
    chance = np.random.default_rng(5)
    part = np.repeat([f"part {number}" for number in range(6)], 40)
    side = np.tile(np.repeat([-1, 1], 20), 6)
    points = np.column_stack([np.repeat(8.0 * np.arange(6), 40), side]) + chance.normal(0, 0.1, (240, 2))
    # which side a label is on differs from part to part: neighbors of the own part know it, others do not
    own = np.where(side * np.repeat([1, 1, -1, 1, -1, -1], 40) > 0, "a", "b")
    own[chance.random(240) < 0.1] = "c"
    voted = cross_val_predict(KNeighborsClassifier(15), points, own, groups=part, cv=GroupKFold(3))
    truth, plain = balanced_accuracy_score(own, voted), (own == voted).mean()
    found = float(answer(points, own, part))
    if found > max(truth, plain) + 0.1:
        return "that is too good: neighbors of the cell's own part voted. Hold parts out with groups=part."
    micro = "that is the share of cells that are right; balanced accuracy weighs every label the same."
    other = f"the vote of 15 neighbors, three groups of parts, has a balanced accuracy of {truth:.3f}; yours says {found:.3f}."
    return _told(found, truth, {plain: micro}, other)


def ch11_purity(answer: Callable[[pl.DataFrame], float]) -> str | None:
    """Check the share of cells that carry the most common label of their cluster."""
    rows = [(0, 5, 90), (0, 6, 10), (1, 5, 6), (1, 7, 14)]
    found = float(answer(pl.DataFrame(rows, schema=["cluster", "cell_type", "cells"], orient="row")))
    mean = "that is the mean over clusters; every cell counts the same, so large clusters count for more."
    other = f"clusters of 90 and 10, and of 6 and 14, have a purity of 104 in 120; yours says {found:.3f}."
    return _told(found, 104 / 120, {0.8: mean}, other)


def ch12_exact(answer: Callable[[list[float], list[float]], float]) -> str | None:
    """Check an exact two-sided permutation p of the difference of means."""
    far, tied = float(answer([0.9, 0.8], [0.1, 0.2, 0.15])), float(answer([0.1, 0.2], [0.3, 0.0]))
    wrong = {
        0: "p is never zero: the observed arrangement is one of those you count.",
        0.2: "with groups of two and three no other choice is as extreme: count each choice of the young once.",
    }
    other = f"two of five are the highest: one choice in ten is as extreme, so p is 0.1, not {far:.3g}."
    tie = (
        f"the groups 0.1, 0.2 and 0.3, 0.0 have equal means, so every choice is as extreme and p is 1, not {tied:.3g}: "
        "compare with a small tolerance, 0.1 + 0.2 is not exactly 0.3."
    )
    return _told(far, 0.1, wrong, other) or _told(tied, 1, {}, tie)
