"""What a column of the embedding atlas means, and how its files are named, as the public dataset card has it."""

import re
from itertools import accumulate, pairwise

WIDTHS = {
    "other": 256,
    "cell_type": 64,
    "tissue": 32,
    "disease": 32,
    "age_group": 8,
    "assay": 12,
    "ethnicity": 8,
    "sex": 2,
    "organism": 8,
    "cell_culture": 2,
}
CLASSES = tuple(WIDTHS)[1:]
LABELS_OF = {name: 1 if name in ("sex", "cell_culture") else 3 for name in CLASSES}
RANKED = tuple(name for name in CLASSES if LABELS_OF[name] == 3)


def _slices(widths: dict[str, int]) -> dict[str, slice]:
    ends = accumulate(widths.values(), initial=0)
    return {name: slice(*bounds) for name, bounds in zip(widths, pairwise(ends), strict=True)}


BLOCKS = _slices(WIDTHS)
LABELS = _slices(LABELS_OF)
EMBEDDING_COLUMNS = [(name, number) for name, width in WIDTHS.items() for number in range(width)]
EMBEDDING_WIDTH = len(EMBEDDING_COLUMNS)
CLASS_OF = {f"{name}_{n}" if n > 1 else name: name for name in CLASSES for n in range(1, LABELS_OF[name] + 1)}
LABEL_COLUMNS = tuple(CLASS_OF)
LABEL_WIDTH = len(LABEL_COLUMNS)
SCORE_COLUMNS = tuple(f"{name}_score" for name in LABEL_COLUMNS)
# a runner-up this close to the best is reported as a second choice by the model itself
NEAR = 0.15

# The card's own names of the classes, and other spellings seen in decoders and tables of predictions.
ALIASES = dict.fromkeys(("age", "development_stage", "simplified_dev_stage"), "age_group")
ALIASES |= {"self_reported_ethnicity": "ethnicity", "culture": "cell_culture"}

EMBEDDINGS, TOP3, SCORES = "embs", "top3", "scores"
KINDS = (EMBEDDINGS, TOP3, SCORES)
COLUMNS = {EMBEDDINGS: (EMBEDDING_WIDTH,), **dict.fromkeys((TOP3, SCORES), (LABEL_WIDTH, LABEL_WIDTH - 1))}

# np.save given a name that ends in .npz appends .npy: such files exist, and so do renamed ones
FILE_NAME = re.compile(rf"(?P<stem>.+)_(?P<kind>{'|'.join(KINDS)})(\.npz\.npy|\.npz|\.npy)")


def order_of(stem: str) -> list[str | int]:
    """Return what parts are sorted by: the numbers in a name (run, subset, device) as numbers, the rest as text."""
    return [int(piece) if piece.isdecimal() else piece for piece in re.split(r"(\d+)", stem)]


def class_name(name: str) -> str | None:
    """Return the short name of a class from any of its spellings; none if it is not one."""
    bare = name.removeprefix("pred_").removesuffix("_ontology_term_id")
    return bare if bare in CLASSES else ALIASES.get(bare)
