"""The labels that simulated parts draw from: a few dozen real terms of the public ontologies.

Identifiers and names of the Cell Ontology, Uberon, MONDO, the human developmental stages, EFO and PATO. Ethnicity
labels are given by name only.
"""

from helpers.scprint import layout
from helpers.scprint.labels import ORGANISMS, Decoder, Term

# cell type, name, index of its group: near ties are planted between types of one group
_CELL_TYPES = (
    ("CL:0000190", "fast muscle cell", "muscle"),
    ("CL:0000189", "slow muscle cell", "muscle"),
    ("CL:0008011", "skeletal muscle satellite stem cell", "muscle"),
    ("CL:0011027", "skeletal muscle fibroblast", "stroma"),
    ("CL:0009099", "fibro/adipogenic progenitor cell", "stroma"),
    ("CL:0000388", "tendon cell", "stroma"),
    ("CL:0000669", "pericyte", "vessel"),
    ("CL:2000059", "lung microvascular endothelial cell", "vessel"),
    ("CL:0002138", "endothelial cell of lymphatic vessel", "vessel"),
    ("CL:0000097", "mast cell", "immune"),
    ("CL:0000788", "naive B cell", "immune"),
    ("CL:0000786", "plasma cell", "immune"),
    ("CL:0002677", "naive regulatory T cell", "immune"),
    ("CL:0000860", "classical monocyte", "immune"),
    ("CL:0000583", "alveolar macrophage", "immune"),
    ("CL:0002062", "type I pneumocyte", "epithelium"),
    ("CL:0002063", "type II pneumocyte", "epithelium"),
    ("CL:0000653", "podocyte", "epithelium"),
    ("CL:1000342", "enterocyte of epithelium proper of ileum", "epithelium"),
    ("CL:0000169", "type B pancreatic cell", "epithelium"),
    ("CL:0000182", "hepatocyte", "epithelium"),
    ("CL:0000128", "oligodendrocyte", "nerve"),
    ("CL:0000129", "microglial cell", "nerve"),
    ("CL:0001031", "cerebellar granule cell", "nerve"),
    ("CL:0000216", "Sertoli cell", "gonad"),
    ("CL:0000501", "granulosa cell", "gonad"),
    ("CL:4023051", "vascular leptomeningeal cell (Mmus)", "nerve"),
)
_TISSUES = (
    ("UBERON:0001134", "skeletal muscle tissue", ("muscle", "stroma", "vessel", "immune")),
    ("UBERON:0001388", "gastrocnemius", ("muscle", "stroma", "vessel", "immune")),
    ("UBERON:0002299", "alveolus of lung", ("epithelium", "vessel", "immune", "stroma")),
    ("UBERON:0000178", "blood", ("immune",)),
    ("UBERON:0002106", "spleen", ("immune", "vessel")),
    ("UBERON:0001225", "cortex of kidney", ("epithelium", "vessel")),
    ("UBERON:0002116", "ileum", ("epithelium", "immune", "stroma")),
    ("UBERON:0001264", "pancreas", ("epithelium", "vessel")),
    ("UBERON:0002107", "liver", ("epithelium", "immune", "vessel")),
    ("UBERON:0000955", "brain", ("nerve", "vessel")),
    ("UBERON:0002037", "cerebellum", ("nerve",)),
    ("UBERON:0000473", "testis", ("gonad", "immune")),
    ("UBERON:0000992", "ovary", ("gonad", "stroma")),
    ("UBERON:0001013", "adipose tissue", ("stroma", "vessel", "immune")),
)
_DISEASES = (
    ("PATO:0000461", "normal"),
    ("MONDO:0005061", "lung adenocarcinoma"),
    ("MONDO:0004975", "Alzheimer disease"),
    ("MONDO:0005148", "type 2 diabetes mellitus"),
    ("MONDO:0005011", "Crohn disease"),
    ("MONDO:0100096", "COVID-19"),
    ("MONDO:0010679", "Duchenne muscular dystrophy"),
)
_AGES = (
    ("HsapDv:0000037", "fetal stage"),
    ("HsapDv:0000262", "newborn stage (0-28 days)"),
    ("HsapDv:0000265", "child stage (1-4 yo)"),
    ("HsapDv:0000271", "juvenile stage (5-14 yo)"),
    ("HsapDv:0000266", "young adult stage"),
    ("HsapDv:0000267", "middle aged stage"),
    ("HsapDv:0000272", "60-79 year-old stage"),
    ("HsapDv:0000095", "80 year-old and over stage"),
)
_ASSAYS = (
    ("EFO:0009899", "10x 3' v2"),
    ("EFO:0009922", "10x 3' v3"),
    ("EFO:0011025", "10x 5' v1"),
    ("EFO:0030059", "10x multiome"),
    ("EFO:0008931", "Smart-seq2"),
    ("EFO:0008722", "Drop-seq"),
)
_ETHNICITIES = ("British", "African American", "European American", "Han Chinese", "Korean", "Finnish")

CELL_GROUPS = tuple(group for _, _, group in _CELL_TYPES)
TISSUE_GROUPS = tuple(groups for _, _, groups in _TISSUES)
SIZES = {
    layout.CELL_TYPE: len(_CELL_TYPES),
    layout.TISSUE: len(_TISSUES),
    layout.DISEASE: len(_DISEASES),
    layout.AGE_GROUP: len(_AGES),
    layout.ASSAY: len(_ASSAYS),
    layout.ETHNICITY: len(_ETHNICITIES),
    layout.SEX: 2,
    layout.ORGANISM: len(ORGANISMS),
    layout.CULTURE: 2,
}


def decoder() -> Decoder:
    """Return the decoder of simulated parts."""
    listed = {
        layout.CELL_TYPE: [Term(*term[:2]) for term in _CELL_TYPES],
        layout.TISSUE: [Term(*term[:2]) for term in _TISSUES],
        layout.DISEASE: [Term(*term) for term in _DISEASES],
        layout.AGE_GROUP: [Term(*term) for term in _AGES],
        layout.ASSAY: [Term(*term) for term in _ASSAYS],
        layout.ETHNICITY: [Term("", name) for name in _ETHNICITIES],
        layout.SEX: [Term("PATO:0000383", "female"), Term("PATO:0000384", "male")],
        layout.ORGANISM: [Term(*ORGANISMS[code]) for code in sorted(ORGANISMS)],
        layout.CULTURE: [Term("", "False"), Term("", "True")],
    }
    return Decoder({name: dict(enumerate(terms)) for name, terms in listed.items()})


def ontology_terms() -> dict[str, dict[str, object]]:
    """Return the cell types under one parent each: the small ontology written beside simulated parts."""
    groups = dict.fromkeys(CELL_GROUPS)
    terms: dict[str, dict[str, object]] = {"group:cell": {"name": "cell", "parents": []}}
    terms |= {f"group:{group}": {"name": f"{group} cell", "parents": ["group:cell"]} for group in groups}
    for identifier, name, group in _CELL_TYPES:
        terms[identifier] = {"name": name, "parents": [f"group:{group}"]}
    return terms
