"""Pictures say what their numbers mean, and converting them there and back changes nothing."""

import numpy as np
import pytest

from ani3d_formats.color import linear_to_srgb, srgb_to_linear
from ani3d_formats.errors import Ani3DError
from ani3dhuman.media.picture import Picture

DECLARATIONS = [(alpha, transfer) for alpha in ("premultiplied", "straight") for transfer in ("linear", "srgb")]


@pytest.fixture
def straight():
    """Random straight linear colours under random coverage, with a column of alpha 0 and one of alpha 1."""
    rgba = np.random.default_rng(0).random((6, 5, 4)).astype(np.float32)
    rgba[..., 3] = rgba[..., 3] * 0.9 + 0.1
    rgba[:, 0, 3], rgba[:, 1, 3] = 0, 1
    return Picture(rgba, "straight", "linear")


@pytest.mark.parametrize(("alpha", "transfer"), DECLARATIONS)
def test_every_declaration_goes_there_and_back(straight, alpha, transfer):
    back = straight.to(alpha, transfer).to("straight", "linear").rgba
    np.testing.assert_allclose(back[:, 1:], straight.rgba[:, 1:], atol=2e-6)
    np.testing.assert_array_equal(back[..., 3], straight.rgba[..., 3])


@pytest.mark.parametrize("transfer", ["linear", "srgb"])
def test_nothing_under_alpha_0_is_black_and_finite(straight, transfer):
    premultiplied = straight.to("premultiplied", transfer)
    assert (premultiplied.rgba[:, 0] == 0).all()
    assert (premultiplied.to("straight", transfer).rgba[:, 0] == 0).all()


def test_the_transfer_function_meets_straight_colours_and_premultiplying_comes_last():
    half = Picture(np.array([[[0.5, 0.25, 1.0, 0.5]]], np.float32), "straight", "linear")
    encoded = half.to("premultiplied", "srgb").rgba[0, 0]
    np.testing.assert_allclose(encoded[:3], 0.5 * linear_to_srgb(np.array([0.5, 0.25, 1.0])), atol=1e-6)
    assert encoded[3] == 0.5, "coverage has no transfer function"
    decoded = Picture(encoded[None, None], "premultiplied", "srgb").to("premultiplied", "linear").rgba[0, 0]
    np.testing.assert_allclose(decoded, [0.25, 0.125, 0.5, 0.5], atol=1e-6)
    wrong = srgb_to_linear(encoded[:3])
    assert np.abs(wrong - decoded[:3]).max() > 0.05, "decoding premultiplied colours is another thing"


def test_the_same_declaration_is_the_same_object(straight):
    assert straight.to("straight", "linear") is straight


def test_light_above_white_stays_in_linear_and_clips_in_srgb():
    bright = Picture(np.array([[[2.0, 0.5, 0.0, 1.0]]], np.float32), "straight", "linear")
    assert bright.to("premultiplied", "linear").rgba[0, 0, 0] == 2
    assert bright.to("straight", "srgb").rgba[0, 0, 0] == pytest.approx(1)


@pytest.mark.parametrize(
    ("rgba", "alpha", "transfer", "code"),
    [
        (np.zeros((2, 2, 4), np.float32), "associated", "linear", "picture.declared"),
        (np.zeros((2, 2, 4), np.float32), "straight", "gamma", "picture.declared"),
        (np.zeros((2, 2, 3), np.float32), "straight", "linear", "picture.shape"),
        (np.zeros((2, 2, 4), np.float64), "straight", "linear", "picture.shape"),
        (np.zeros((2, 4), np.float32), "straight", "linear", "picture.shape"),
    ],
)
def test_undeclared_pictures_are_refused(rgba, alpha, transfer, code):
    with pytest.raises(Ani3DError) as caught:
        Picture(rgba, alpha, transfer)
    assert caught.value.code == code and caught.value.hint


def test_converting_to_an_unknown_word_is_refused(straight):
    with pytest.raises(Ani3DError) as caught:
        straight.to("straight", "rec2020")
    assert caught.value.code == "picture.declared"
