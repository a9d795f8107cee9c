import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from helpers import names, style


def _luminance(color):
    channels = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return float(np.dot(channels, (0.2126, 0.7152, 0.0722)))


def _png_pixels(data):
    import io

    from matplotlib.image import imread

    return imread(io.BytesIO(data), format="png")


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
    figure, axes = style.new()
    rng = np.random.default_rng(1)
    axes.scatter(*rng.normal(size=(2, 20_000)), s=2, rasterized=True)
    data = style.picture(figure)
    pixels = _png_pixels(data)
    assert len(data) < 500_000
    assert pixels.shape[2] == 3 or np.all(pixels[..., 3] == 1)
    assert np.all(pixels[0, 0, :3] == 1)


def test_settings_of_the_process_do_not_change_a_figure_made_by_new():
    figure, axes = style.new(rows=2, columns=1, sharex=True)
    assert isinstance(figure, Figure)
    assert axes.shape == (2,)
    assert figure.get_facecolor() == (1, 1, 1, 1)


def test_age_colors_darken_with_age():
    light = [_luminance(style.AGE_COLOR[group]) for group in names.AGE_GROUPS]
    assert light == sorted(light, reverse=True)
    assert len(set(style.AGE_MARKER.values())) == len(names.AGE_GROUPS)


@pytest.mark.parametrize("table", ["ASSAY", "SEX", "GROUP"])
def test_pairs_differ_in_color_and_in_marker(table):
    colors, markers = getattr(style, f"{table}_COLOR"), getattr(style, f"{table}_MARKER")
    assert set(colors) == set(markers)
    assert len(set(colors.values())) == len(colors)
    assert len(set(markers.values())) == len(markers)


def test_fifty_six_labels_have_fifty_six_pairs_of_color_and_marker():
    pairs = style.markers_of([f"label {i}" for i in range(56)])
    assert len(set(pairs.values())) == 56
