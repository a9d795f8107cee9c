"""Checkers of the exercises of chapter 05."""

from collections.abc import Callable, Mapping, Sequence


def sentence(answer: Callable[[Mapping[str, float], int], str]) -> str | None:
    """Check a cell written as words."""
    values = {"TTN": 0.0, "MYH7": 3.0, "CKM": 3.0, "ACTA1": 5.0, "ENSA": 1.0}
    found = answer(dict(values), 10)
    if not isinstance(found, str):
        return "return one text: the symbols joined by spaces."
    if found == "ACTA1 CKM MYH7 ENSA":
        short = answer(dict(values), 2)
        return (
            None if short == "ACTA1 CKM" else f"with n = 2 the sentence is 'ACTA1 CKM', yours is {short!r}."
        )
    if "TTN" in found.split():
        return "TTN has the value zero: a gene that is not expressed is not a word of the cell."
    if found == "ACTA1 MYH7 CKM ENSA":
        return "CKM and MYH7 have the same value: put equal values in alphabetical order, not in the order of the input."
    if found.split()[:1] == ["ENSA"]:
        return "the highest value comes first; yours begins with the lowest."
    return f"the sentence is 'ACTA1 CKM MYH7 ENSA', yours is {found!r}."


def decade(answer: Callable[[str], Sequence[float]]) -> str | None:
    """Check bounds in years from a life stage."""
    for stage, right in (
        ("sixth decade stage", (50, 60)),
        ("third decade stage", (20, 30)),
        ("62-year-old stage", (62, 63)),
    ):
        found = tuple(answer(stage))
        if found == right:
            continue
        if "decade" in stage and found == (right[0] + 10, right[1] + 10):
            return f"the {stage} begins at {right[0]}: the first decade begins at birth, with zero."
        if "year" in stage and found == (62, 62):
            return "somebody of 62 is anywhere between 62 and 63: the upper bound is 63, exclusive."
        return f"{stage!r} means the bounds {right}, your function says {found}."
    return None


def split(answer: Callable[[list[str], list[str]], tuple[list[int], list[int]]]) -> str | None:
    """Check a split of cells by donor."""
    donors, test = ["A", "B", "A", "C", "B", "A"], ["B"]
    parts = answer(list(donors), list(test))
    if not isinstance(parts, tuple | list) or len(parts) != 2:
        return "return two lists: the rows of train and the rows of test."
    train, held = (sorted(int(row) for row in part) for part in parts)
    if (train, held) == ([0, 2, 3, 5], [1, 4]):
        return None
    if (train, held) == ([1, 4], [0, 2, 3, 5]):
        return "the two lists are the wrong way round: train first, then test."
    both = {donors[row] for row in train} & {donors[row] for row in held}
    if both:
        return f"donor {min(both)} is on both sides: the model would be tested on somebody it knows."
    return "some rows are on no side: each cell goes where its donor goes."
