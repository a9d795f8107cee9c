import matplotlib as mpl
import pytest

from helpers import style


def test_no_font_is_smaller_than_nine_points():
    with mpl.rc_context():
        style.apply()
        sizes = [
            mpl.rcParams[key] for key in mpl.rcParams if key.endswith(("font.size", "fontsize", "labelsize"))
        ]
    assert min(size for size in sizes if isinstance(size, float)) >= 9


@pytest.mark.parametrize("table", ["ASSAY", "SEX", "GROUP"])
def test_pairs_differ_in_color_and_in_marker(table):
    colors, markers = getattr(style, f"{table}_COLOR"), getattr(style, f"{table}_MARKER")
    assert set(colors) == set(markers)
    assert len(set(colors.values())) == len(colors)
    assert len(set(markers.values())) == len(markers)
