"""What counts as skeletal muscle by name, and the broad groups to which two ways of naming cells are brought."""

import re

_TISSUE = re.compile(
    r"skeletal muscle|gastrocnemius|vastus|quadriceps|soleus|tibialis|rectus (abdominis|femoris)|gluteus|"
    r"bicep|tricep|deltoid|diaphragm|intercostal muscle|semitendinosus|muscle of (leg|arm|limb|trunk|back|pelvi)|"
    r"hindlimb muscle|forelimb muscle|muscle tissue|muscle organ",
    re.IGNORECASE,
)
_NOT_TISSUE = re.compile(r"smooth muscle|cardiac muscle|heart|tendon", re.IGNORECASE)
_TYPE = re.compile(
    r"skeletal muscle|(fast|slow) muscle cell|type I+[ab]? muscle|muscle satellite|myotube|"
    r"(extrafusal|intrafusal) muscle fiber",
    re.IGNORECASE,
)

FIBER, STEM, FIBROBLAST, TENDON = "muscle fiber", "muscle stem cell", "fibroblast", "tendon cell"
FAT, NERVE, SMOOTH, VESSEL = "fat cell", "nerve sheath", "smooth muscle and pericyte", "endothelium"
LYMPHOID, MYELOID, MAST, RED, ELSE = "lymphocyte", "myeloid cell", "mast cell", "red blood cell", "other"
GROUPS = (FIBER, STEM, FIBROBLAST, TENDON, FAT, NERVE, SMOOTH, VESSEL, LYMPHOID, MYELOID, MAST, RED, ELSE)

# the first pattern that fits decides
_BY_NAME = tuple(
    (group, re.compile(pattern, re.IGNORECASE))
    for group, pattern in (
        (ELSE, r"cardiac (muscle|pacemaker)|cardiac myocyte|cardiomyocyte|perineuronal"),
        (STEM, r"satellite (stem )?cell|myoblast|skeletal muscle stem"),
        (SMOOTH, r"smooth muscle|pericyte|mural"),
        (FIBER, r"skeletal muscle (fiber|cell)|(fast|slow) muscle|muscle fiber|myotube|type I+[ab]? muscle"),
        (TENDON, r"tendon|tenocyte"),
        (FAT, r"adipocyte|fat cell"),
        (FIBROBLAST, r"fibroblast|fibro/adipogenic|mesenchymal"),
        (NERVE, r"schwann|perineurial|endoneurial"),
        (VESSEL, r"endotheli"),
        (MAST, r"mast cell"),
        (RED, r"erythro(cyte|blast)|red blood"),
        (
            LYMPHOID,
            r"\b(T|B|NK) cell|T-helper|lymphocyte|pre-B|natural killer|plasma cell|plasmablast|thymocyte|innate lymph",
        ),
        (MYELOID, r"monocyte|macrophage|microgli|dendritic|neutrophil|eosinophil|basophil|myeloid|kupffer"),
    )
)

# the 36 labels of the muscle atlas
ATLAS_GROUPS = {
    **dict.fromkeys(
        ("MF-I", "MF-II", "MF-Isc(fg)", "MF-IIsc(fg)", "MF-Isn(fg)", "MF-IIsn(fg)", "Hyb", "Specialised MF"),
        FIBER,
    ),
    "MuSC": STEM,
    "FB": FIBROBLAST,
    "Tenocyte": TENDON,
    "Adipocyte": FAT,
    **dict.fromkeys(("mSchwann", "nmSchwann", "PnFB", "EnFB"), NERVE),
    **dict.fromkeys(("SMC", "Pericyte"), SMOOTH),
    **dict.fromkeys(("ArtEC", "CapEC", "VenEC", "LymphEC"), VESSEL),
    **dict.fromkeys(("T-cell", "NK-cell", "B-cell", "B-plasma"), LYMPHOID),
    **dict.fromkeys(("Monocyte", "Macrophage", "cDC1", "cDC2", "pDC", "Neutrophil", "Eosinophil"), MYELOID),
    "Mast": MAST,
    "RBC": RED,
    "Mesothelium": ELSE,
}


def is_muscle_tissue(label: str) -> bool:
    """Say whether a tissue is skeletal muscle, by its name.

    Examples
    --------
    >>> is_muscle_tissue("gastrocnemius"), is_muscle_tissue("tendon of semitendinosus")
    (True, False)
    """
    return bool(_TISSUE.search(label)) and not _NOT_TISSUE.search(label)


def is_muscle_type(label: str) -> bool:
    """Say whether a cell type is one of skeletal muscle, by its name.

    Examples
    --------
    >>> is_muscle_type("fast muscle cell"), is_muscle_type("aortic smooth muscle cell")
    (True, False)
    """
    return bool(_TYPE.search(label))


def broad_group(cell_type: str) -> str:
    """Bring a cell type of the embedding atlas to a broad group.

    Examples
    --------
    >>> broad_group("skeletal muscle satellite stem cell"), broad_group("podocyte")
    ('muscle stem cell', 'other')
    """
    return next((group for group, pattern in _BY_NAME if pattern.search(cell_type)), ELSE)
