"""What a column of the embedding atlas means, and how its files are named.

The widths and their order are those of the public dataset card: 424 embedding columns in ten blocks, 23 label
columns over nine classes. Three labels a class, best first; one for sex and cell culture.
"""

import re
from dataclasses import dataclass
from itertools import pairwise

from helpers.errors import PartError

OTHER = "other"
CELL_TYPE, TISSUE, DISEASE, AGE_GROUP = "cell_type", "tissue", "disease", "age_group"
ASSAY, ETHNICITY, SEX, ORGANISM, CULTURE = "assay", "ethnicity", "sex", "organism", "cell_culture"

CLASSES = (CELL_TYPE, TISSUE, DISEASE, AGE_GROUP, ASSAY, ETHNICITY, SEX, ORGANISM, CULTURE)
BLOCK_WIDTHS = {
    OTHER: 256,
    CELL_TYPE: 64,
    TISSUE: 32,
    DISEASE: 32,
    AGE_GROUP: 8,
    ASSAY: 12,
    ETHNICITY: 8,
    SEX: 2,
    ORGANISM: 8,
    CULTURE: 2,
}
LABELS_OF = {name: 1 if name in (SEX, CULTURE) else 3 for name in CLASSES}
RANKED = tuple(name for name in CLASSES if LABELS_OF[name] == 3)


def _slices(widths: dict[str, int]) -> dict[str, slice]:
    ends = [0]
    for width in widths.values():
        ends.append(ends[-1] + width)
    return {name: slice(*bounds) for name, bounds in zip(widths, pairwise(ends), strict=True)}


BLOCKS = _slices(BLOCK_WIDTHS)
LABELS = _slices(LABELS_OF)
EMBEDDING_WIDTH = sum(BLOCK_WIDTHS.values())
LABEL_WIDTH = sum(LABELS_OF.values())
LABEL_WIDTHS = (LABEL_WIDTH, LABEL_WIDTH - 1)
LABEL_COLUMNS = tuple(
    name if rank == 0 else f"{name}_{rank + 1}" for name in CLASSES for rank in range(LABELS_OF[name])
)

# The card's own names of the classes, and other spellings seen in decoders and tables of predictions.
ALIASES = {
    "cell_type_ontology_term_id": CELL_TYPE,
    "tissue_ontology_term_id": TISSUE,
    "disease_ontology_term_id": DISEASE,
    "age": AGE_GROUP,
    "age_group": AGE_GROUP,
    "development_stage_ontology_term_id": AGE_GROUP,
    "simplified_dev_stage": AGE_GROUP,
    "assay_ontology_term_id": ASSAY,
    "self_reported_ethnicity_ontology_term_id": ETHNICITY,
    "self_reported_ethnicity": ETHNICITY,
    "sex_ontology_term_id": SEX,
    "organism_ontology_term_id": ORGANISM,
    "culture": CULTURE,
}

EMBEDDINGS, TOP3, SCORES = "embs", "top3", "scores"
KINDS = (EMBEDDINGS, TOP3, SCORES)
# np.save given a name that ends in .npz appends .npy: such files exist, and so do renamed ones.
SUFFIXES = (".npz", ".npz.npy", ".npy")

_STEM = re.compile(r"step_(?P<step>\d+)_(?P<model>.*?)_predict_part_(?P<subset>\d+)_(?P<device>\d+)")
_FILE = re.compile(rf"(?P<stem>.+)_(?P<kind>{'|'.join(KINDS)})(?P<suffix>\.npz\.npy|\.npz|\.npy)")


@dataclass(frozen=True, order=True)
class PartName:
    """Name of one part: ``step_[RUN]_[MODEL]_predict_part_[SUBSET]_[GPU]``.

    Attributes
    ----------
    step
        The run's counter (the trainer's global step).
    subset
        Counter of the part within one process.
    device
        Number of the process (GPU) that wrote it.
    model
        Model name between the two underscores; empty in the published files.

    Examples
    --------
    >>> PartName(0, 17, 3).stem
    'step_0__predict_part_17_3'
    """

    step: int
    subset: int
    device: int
    model: str = ""

    @property
    def stem(self) -> str:
        """The name without kind and suffix."""
        return f"step_{self.step}_{self.model}_predict_part_{self.subset}_{self.device}"

    def file(self, kind: str, *, suffix: str = ".npz") -> str:
        """Name of the file of one kind: embs, top3 or scores."""
        return f"{self.stem}_{kind}{suffix}"


def parse_stem(stem: str) -> PartName:
    """Read a part's name.

    Raises
    ------
    PartError
        If the name is not of the published form.

    Examples
    --------
    >>> parse_stem("step_2__predict_part_5_1")
    PartName(step=2, subset=5, device=1, model='')
    """
    match = _STEM.fullmatch(stem)
    if match is None:
        msg = f"{stem!r} is not step_[RUN]__predict_part_[SUBSET]_[GPU]."
        raise PartError(msg)
    return PartName(int(match["step"]), int(match["subset"]), int(match["device"]), match["model"])


def split_file_name(name: str) -> tuple[str, str] | None:
    """Split a file name into stem and kind; none if it is not a file of a part.

    Examples
    --------
    >>> split_file_name("step_0__predict_part_5_1_top3.npz.npy")
    ('step_0__predict_part_5_1', 'top3')
    """
    match = _FILE.fullmatch(name)
    return None if match is None else (match["stem"], match["kind"])


def class_name(name: str) -> str | None:
    """Return the short name of a class from any of its spellings; none if it is not one.

    Examples
    --------
    >>> class_name("pred_self_reported_ethnicity")
    'ethnicity'
    """
    bare = name.removeprefix("pred_")
    return bare if bare in CLASSES else ALIASES.get(bare)


def label_columns(width: int) -> tuple[str, ...]:
    """Return the names of the label columns of an array of `width` columns.

    Raises
    ------
    PartError
        If the width is neither 23 nor 22.
    """
    if width not in LABEL_WIDTHS:
        msg = f"{width} label columns; expected {LABEL_WIDTH}, or {LABEL_WIDTH - 1} without {CULTURE}."
        raise PartError(msg)
    return LABEL_COLUMNS[:width]


def missing_classes(width: int) -> tuple[str, ...]:
    """Return the classes of which an array of `width` label columns holds nothing.

    Examples
    --------
    >>> missing_classes(22)
    ('cell_culture',)
    """
    held = label_columns(width)
    return tuple(name for name in CLASSES if name not in held)


def column(name: str) -> int:
    """Return the position of a label column such as ``"tissue"`` or ``"tissue_2"``.

    Raises
    ------
    PartError
        If there is no such column.
    """
    if name not in LABEL_COLUMNS:
        msg = f"{name!r} is not a label column. There are: {', '.join(LABEL_COLUMNS)}."
        raise PartError(msg)
    return LABEL_COLUMNS.index(name)
