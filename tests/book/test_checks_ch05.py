"""Each checker of chapter 05 against the right answer and typical wrong ones."""

import pytest

from helpers.book import checks


def sentence(values, n):
    return " ".join(symbol for _, symbol in sorted((-v, s) for s, v in values.items() if v > 0)[:n])


def decade(stage):
    if "decade" not in stage:
        return (62, 63)
    start = {"sixth": 50, "third": 20}[stage.split()[0]]
    return (start, start + 10)


def split(donors, test):
    held = [row for row, donor in enumerate(donors) if donor in test]
    return [row for row in range(len(donors)) if row not in held], held


@pytest.mark.parametrize(
    ("checker", "right"),
    [(checks.ch05_sentence, sentence), (checks.ch05_decade, decade), (checks.ch05_split, split)],
)
def test_the_right_answer_passes(checker, right):
    assert checker(right) is None


@pytest.mark.parametrize(
    ("checker", "wrong", "said"),
    [
        (
            checks.ch05_sentence,
            lambda v, n: " ".join(sorted(v, key=lambda s: (-v[s], s))[:n]),
            "not expressed",
        ),
        (
            checks.ch05_sentence,
            lambda v, n: " ".join(sorted((s for s in v if v[s]), key=lambda s: -v[s])[:n]),
            "alphabetical order",
        ),
        (
            checks.ch05_sentence,
            lambda v, n: " ".join(sorted((s for s in v if v[s]), key=lambda s: (v[s], s))[:n]),
            "highest value comes first",
        ),
        (checks.ch05_sentence, lambda v, _: sentence(v, 99), "with n = 2"),
        (checks.ch05_sentence, lambda v, n: sentence(v, n).split(), "one text"),
        (checks.ch05_sentence, lambda _v, _n: "nonsense", "yours is 'nonsense'"),
        (
            checks.ch05_decade,
            lambda s: tuple(x + 10 * ("decade" in s) for x in decade(s)),
            "first decade begins at birth",
        ),
        (checks.ch05_decade, lambda s: decade(s) if "decade" in s else (62, 62), "63, exclusive"),
        (checks.ch05_decade, lambda _: (0, 1), "means the bounds"),
        (checks.ch05_split, lambda d, t: split(d, t)[::-1], "wrong way round"),
        (checks.ch05_split, lambda _d, _t: ([0, 1, 2], [3, 4, 5]), "on both sides"),
        (checks.ch05_split, lambda _d, _t: ([0], [1, 4]), "on no side"),
        (checks.ch05_split, lambda _d, _t: 3, "two lists"),
    ],
)
def test_a_wrong_answer_is_told_what_is_wrong(checker, wrong, said):
    assert said in checker(wrong)
