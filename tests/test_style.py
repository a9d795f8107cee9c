import io

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from helpers import style


@pytest.fixture
def fresh_settings():
    with mpl.rc_context():
        yield


def test_no_font_is_smaller_than_nine_points(fresh_settings):
    style.apply()
    sizes = [
        value
        for key, value in mpl.rcParams.items()
        if (key.endswith("size") and "font" in key) or key.endswith("labelsize")
    ]
    assert min(size for size in sizes if isinstance(size, float)) >= 9


def test_a_picture_is_opaque_white_and_small(fresh_settings):
    style.apply()
    figure, axes = plt.subplots()
    rng = np.random.default_rng(1)
    axes.scatter(*rng.normal(size=(2, 20_000)), s=2, rasterized=True)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    data, pixels = stream.getvalue(), plt.imread(io.BytesIO(stream.getvalue()), format="png")
    plt.close(figure)
    assert len(data) < 500_000
    assert pixels.shape[2] == 3 or np.all(pixels[..., 3] == 1)
    assert np.all(pixels[0, 0, :3] == 1)


@pytest.mark.parametrize("table", ["ASSAY", "SEX", "GROUP"])
def test_pairs_differ_in_color_and_in_marker(table):
    colors, markers = getattr(style, f"{table}_COLOR"), getattr(style, f"{table}_MARKER")
    assert set(colors) == set(markers)
    assert len(set(colors.values())) == len(colors)
    assert len(set(markers.values())) == len(markers)
