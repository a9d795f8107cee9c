"""Expression levels of marker genes: molecules per 10,000 in a lineage, a type or a subtype.

Genes and where they are high: the study's public notebooks (facts.study.markers and the authors' dot plots); the
levels are set so that mean log-normalized values come near the published ones. A more special label overrides.
"""

import polars as pl

from helpers.facts import study

ELSEWHERE = 0.03  # a marker's level outside the labels that name it
DEFAULT = 8.0
LEVELS = {
    "myonuclei": "TTN:60 NEB:40 DMD:25 RYR1:8 TRDN:15 MYBPC1:25 PDE4DIP:10 FBXO32:6 PPARGC1A:6 FOXO1:3 FOXO3:4 "
    "VEGFA:2 ACTA1:15 CKM:10 DES:3 OBSCN:6 MYOM1:6 TRIM63:3 PGK1:1.5 CAPN3:10 TPM1:10 NRAP:3 TXNIP:4 MB:3",
    "fragments": "ACTA1:150 CKM:60 TPM2:120 MB:50 TTN:8 NEB:8 DES:12 GAPDH:25 PKM:6 ENO3:10 PGAM2:6 PFKM:3 HK1:1.2 "
    "TPI1:4 PGK1:4 GPI:2 ALDOA:4 SLC25A4:12 COX6A2:20 TCAP:25 MYL1:30 EEF1A2:6 CRYAB:20 HSPB6:6 ANKRD2:4 TRDN:3",
    "MF-I": "MYH7:25 TNNT1:20 TNNC1:8 TPM3:15 MYH7B:6 ATP2A2:15 MYH1:0.5 MYH2:1 TNNT3:1 ATP2A1:0.6 MYBPC2:0.4",
    "MF-II": "MYH1:20 MYH2:20 TNNT3:20 ATP2A1:12 MYBPC2:8 MYH7:0.7 TNNT1:1 ATP2A2:1.5 TNNC2:8 MYLK2:4",
    "Hyb": "MYH7:9 TNNT1:8 TPM3:8 ATP2A2:6 MYH1:8 MYH2:10 TNNT3:8 ATP2A1:5 MYBPC2:3",
    "Specialised MF": "MYH7:3 MYH2:4 TNNT1:4 TNNT3:4",
    "MF-Isc(fg)": "TNNT1:150 TNNC1:140 MYH7:45 TPM3:30 MYL2:90 MYL3:40 MYH1:1 MYH2:2 TNNT3:5 TPM1:8 ALDOA:3",
    "MF-Isn(fg)": "TNNT1:120 TNNC1:110 MYH7:60 TPM3:30 MYL2:60 MYL3:30 TNNT3:4 TPM1:8",
    "MF-IIsc(fg)": "TNNT3:150 TPM1:140 MYH1:25 MYH2:30 MYLPF:90 TNNC2:60 ATP2A1:15 PVALB:6 TNNT1:5 MYH7:1 ALDOA:12",
    "MF-IIsn(fg)": "TNNT3:120 TPM1:110 MYH1:40 MYH2:45 MYLPF:60 TNNC2:40 ATP2A1:15 TNNT1:4",
    "I-OTU+TNF+": "OTUD1:10 TNFRSF12A:6 RUNX1:3",
    "II-OTU+TNF+": "OTUD1:10 TNFRSF12A:6 RUNX1:3",
    "I-FAM": "FAM189A2:10",
    "II-FAM": "FAM189A2:10",
    "NMJ": "ACHE:8 CHRNE:5 COLQ:4 NCAM1:3 ETV5:3",
    "NMJ_accessory": "NCAM1:8 SORBS2:8",
    "MTJ": "COL22A1:25 MAML2:12 ANKRD1:3",
    "MF_type-RASA4+": "RASA4:8 HOOK2:5 MYOG:1 TPM1:20",
    "MF_type-MYH8+": "MYH8:30 MYH3:8 TNNT3:50 TPM1:20 MYOD1:1 MYOG:1.5",
    "MF_typeI-UCHL1(fg)": "UCHL1:10",
    "MF_typeII-UCHL1(fg)": "UCHL1:10",
    "MF_typeI-TNNT2(fg)": "TNNT2:25 MYOG:1",
    "MuSC": "PAX7:4 DLK1:10 MYF5:6 SPRY1:5 CHRDL2:6 APOC1:5 MYF6:1.5 NPPC:1 TSC22D3:4 DDIT4:2 EGFR:1 GPX3:4",
    "TNFRSF12A+MuSCs": "TNFRSF12A:8 NOP16:2 NPTX2:5 FNDC4:4 MT1A:8 MT2A:30 NNMT:15 NAMPT:8 PAX7:2",
    "ICAM1+MuSCs": "ICAM1:8 CXCL1:12 CXCL2:18 TNFAIP3:6 NFKBIZ:10 IRF1:8 IER3:10 PAX7:3",
    "MYOG+MuSCs": "MYOG:10 TNNI1:10 TNNT2:12 CKB:8 ACTC1:15 CLDN5:4 MYOD1:6 TUBA1B:15 PFN1:15 STMN1:10 PAX7:1",
    "stroma": "DCN:15 LUM:5 COL1A1:5 COL1A2:8 COL3A1:8 COL6A3:4 MGP:6",
    "FB": "PDGFRA:4 DCN:40 CFD:20 GSN:12 APOD:10 SMOC2:3 CXCL14:5 FN1:5 FGFR1:2.5",
    "Adv_FB": "PI16:8 CD55:6 FBN1:5 PCOLCE2:4",
    "Par_FB": "COL15A1:5 CXCL14:12 LPL:2",
    "EnFB": "ANGPTL7:20 NGFR:3 OSR2:2 SOX9:2 PDGFRA:2",
    "PnFB": "SLC22A3:8 ITGA6:5 NGFR:5 CLDN1:5 SLC2A1:4",
    "Endoneural_FB-CDH19+": "CDH19:8",
    "Endoneural_FB-TAC1+": "TAC1:10",
    "Tenocyte": "FMOD:15 TNMD:10 MKX:3 COMP:10 THBS4:8",
    "Mesothelium": "MSLN:20 ITLN1:30 UPK3B:8 KRT19:10",
    "Adipocyte": "ADIPOQ:20 PLIN1:15 PLIN4:10 LPL:8 DCN:2",
    "mSchwann": "MPZ:50 MBP:40 PMP22:15 PLP1:8 S100B:6",
    "nmSchwann": "CDH2:4 L1CAM:3 NGFR:4 S100B:10 CDH19:8 PLP1:6 A2M:6",
    "mural": "TAGLN:15 MYL9:15 RGS5:2 NOTCH3:5 CALD1:10 ALDOA:0.8",
    "SMC": "MYH11:20 ACTA2:60 PLN:8 RERGL:8 TAGLN:60 MYL9:30 ALDOA:1",
    "SMC-RAMP1+": "RAMP1:8 CNN1:8 CLU:12",
    "SMC-CCL2+": "ATF3:6 GADD45B:8 CCL2:30",
    "SMC-PC": "RGS5:15 IGFBP6:4",
    "Pericyte": "RGS5:40 ABCC9:6 STEAP4:5 APOD:8 NDUFA4L2:6 HIGD1B:5",
    "Pericyte-CCL26+": "CCL26:8 STEAP4:10 MGP:20",
    "Pericyte-CCL2+": "CCL2:25 SLC2A3:8",
    "mural-CXCL1+": "CXCL1:25 VCAM1:8 DLL1:3 COL3A1:20 ICAM1:6",
    "endothelium": "PECAM1:5 VWF:8 CLDN5:5 CDH5:3 EGFL7:6 ALDOA:0.5",
    "ArtEC": "HEY1:4 CLU:12 SEMA3G:6 GJA5:3 IGFBP3:6 A2M:18 FBLN5:4",
    "Arteriole-CCL2+": "CCL2:20 GADD45B:6",
    "CapEC": "CA4:5 LPL:4 RGCC:15 CD36:8 A2M:12 VWF:3",
    "Cap-Ven": "RGS5:4",
    "Cap-CCL2+": "CCL2:20 IRF1:6 CDKN1A:6",
    "VenEC": "ACKR1:50 SELE:3 PLVAP:8 RAMP3:4 A2M:6",
    "Vein-CCL2+": "SELE:20 ICAM1:8 RND1:4 CCL2:25 IRF1:6 CDKN1A:5",
    "LymphEC": "LYVE1:8 TFF3:10 PROX1:4 CCL21:20 A2M:1 ACKR1:2",
    "Vein-Lymph-CD8A+": "CD8A:6 CCL14:12 LYVE1:8 PROX1:3 TFF3:2",
    "lymphoid": "PTPRC:5 B2M:80 CD52:10 CORO1A:5 MALAT1:250",
    "T-cell": "CD3D:6 CD3E:5 IL7R:6 TRAC:6 CD2:4",
    "CD4+T": "CD40LG:2 CD4:1",
    "CD4+CD8+T-naive": "SELL:6 CCR7:5 LEF1:3 CD4:0.6 CD8A:0.8",
    "CD4+Treg": "FOXP3:4 CTLA4:5 CD27:4 IL2RA:3",
    "CD8+T": "CD8A:5 CD8B:4 IFNG:3",
    "CD8+T-CRTAM+": "CD8A:5 CD8B:3 CRTAM:4 PRF1:3 GZMB:4 GNLY:3 GZMK:5",
    "NK-cell": "NKG7:20 PRF1:8 GNLY:30 KLRD1:6 GZMB:8 CCL5:12",
    "CD16+NK": "FCGR3A:5 FGFBP2:8",
    "CD16-NK": "XCL1:8 XCL2:8 CD160:4 CRTAM:2 FCGR3A:0.3",
    "B-cell": "CD79A:8 MS4A1:6 CD74:60 HLA-DRA:20 CCR7:1",
    "B_naive": "TCL1A:8 IGHD:3",
    "B_memory": "CD27:2 CCR7:2",
    "B-plasma": "MZB1:20 JCHAIN:100 XBP1:15 CD79A:3 IGKC:300 IGHG1:150 CD27:3",
    "myeloid": "PTPRC:4 CD74:20 HLA-DRA:10 TYROBP:15 FCER1G:10 LYZ:10 ALDOA:0.6",
    "Monocyte": "CD14:4 VCAN:6 S100A8:60 S100A9:70 S100A12:12 FCN1:10 LYZ:60 CCR1:1.5",
    "CD16+Mono": "FCGR3A:12 LILRA5:4 LILRB2:4 CD14:0.5 S100A8:12 VCAN:0.5",
    "Macrophage": "CD163:6 C1QA:15 C1QB:15 F13A1:10 LYVE1:5 CD14:4 MRC1:6 SELENOP:20",
    "Mϕ_HLAIIhi": "APOE:30 APOC1:12 FABP5:6 FCGR3A:4 HLA-DRA:50 LYVE1:0.5",
    "Mϕ-LAM": "SPP1:60 TREM2:5 APOC1:25 FABP5:12 LYVE1:0.3",
    "cDC1": "XCR1:4 CLEC9A:6 LGALS2:10 HLA-DRA:60 CD74:120",
    "cDC2": "CCR1:1.2 CD1C:6 CLEC10A:8 FCER1A:8 CCR7:1 HLA-DRA:60 CD74:120",
    "pDC": "LILRA4:8 IL3RA:4 IRF7:10 CLEC4C:5 GZMB:15",
    "Neutrophil": "FCGR3B:20 CSF3R:12 SORL1:5 S100A8:120 S100A9:120 CXCR2:4 NAMPT:15",
    "MatNeu": "S100A12:20",
    "PreNeu": "LTF:40 LCN2:40 CAMP:25",
    "ProNeu": "AZU1:40 MPO:30 ELANE:25",
    "Eosinophil": "EPX:15 PRG2:25 CLC:40",
    "Mast": "TPSB2:60 MS4A2:6 TPSAB1:60 CPA3:20 KIT:5",
    "RBC": "HBA1:800 HBB:1500 HBA2:900 ALAS2:20",
}
CYCLING = ("Cyc-T", "Cyc-NK", "Cyc_B-cell", "Cyc-CD14+Mono", "Cyc_Plasma", "Cyc-cDC2")
LEVELS |= dict.fromkeys(CYCLING, "MKI67:5 TOP2A:4 TUBA1B:20 STMN1:15 H2AFZ:15 PCNA:3")
# Genes at one level in every type unless a label above says otherwise (a pair: cells, nuclei).
EVERYWHERE = {
    "MALAT1": (60, 250), "NEAT1": (4, 20), "B2M": (40, 4), "ACTB": (20, 1), "FTH1": (30, 1.5), "FTL": (20, 1),
    "EEF1A1": (40, 2), "TMSB4X": (30, 1), "GAPDH": (6, 0.3), "UBC": (8, 1), "RPS4X": (1.2, 1.2), "ALDOA": (0.3, 0),
    "XIST": (1.5, 4), "RPS4Y1": (0.2, 0.2), "DDX3Y": (0.8, 0.3), "UTY": (0.4, 1.2), "KDM5D": (0.4, 0.4),
    "EIF1AY": (0.7, 0.15), "USP9Y": (0.4, 0.7), "ZFY": (0.15, 0.3), "TTTY14": (0.1, 0.5), "NLGN4Y": (0.1, 0.5),
    "LINC00278": (0.15, 0.4), "TMSB4Y": (0.1, 0.05), "KDM6A": (0.4, 1.2), "EIF1AX": (0.8, 0.5), "ZFX": (0.4, 0.6),
    "DDX3X": (1.2, 0.8), "KDM5C": (0.4, 0.5), "JPX": (0.3, 0.5), "FGFR1": (0.6, 0.6), "ERBB2": (0.15, 0.15),
    "CDKN2A": (0.05, 0.03), "CDKN1A": (2, 0.8), "FKBP5": (1.5, 4), "ZBTB16": (0.8, 2), "TXNIP": (3, 2),
    "MT2A": (10, 1), "MT1X": (4, 0.5), "SAT1": (5, 1), "CCL2": (0.3, 0.1), "NFKBIZ": (1.2, 0.4),
    "TNFAIP3": (0.6, 0.3), "ICAM1": (0.2, 0.05), "CXCL8": (0.3, 0.05), "IL6": (0.2, 0.02),
    "GLUL": (3, 2), "KLF2": (2, 0.3), "PGK1": (1, 0.6), "HK1": (0.5, 0.5), "PKM": (2, 0.3), "TPI1": (1.5, 0.2),
}  # fmt: skip
BIOGENESIS = {"POLR1A": 0.15, "POLR1B": 0.06, "POLR1C": 0.15, "POLR1D": 1.2, "RPA3": 0.4}
BIOGENESIS_DEFAULT = 0.7
# The cytokine table names some types by their 2022 labels.
_NEW_LABELS = {"Mural": ("SMC-PC",), "NerveFB": ("EnFB", "PnFB")}


def list_levels() -> pl.DataFrame:
    """Return gene, label (lineage, level 0, 1 or 2) and molecules per 10,000 of every marker."""
    rows = {(gene, label): DEFAULT for label, gene in study.markers().rows()}
    for gene, label, value, _ in study.cytokine_directions().rows():
        for new in _NEW_LABELS.get(label, (label,)):
            rows[gene, new] = float(pl.Series([value]).exp()[0]) - 1.0
    for label, text in LEVELS.items():
        for item in text.split():
            gene, level = item.rsplit(":", 1)
            rows[gene, label] = float(level)
    return pl.DataFrame(
        [(g, lab, v) for (g, lab), v in rows.items()], schema=["gene", "label", "level"], orient="row"
    )
