"""The trained distance and FLIP: zero for equals, growing with the error, equal to the packages they come from."""

import importlib.util

import cv2
import flip_evaluator
import numpy as np
import pytest
from patterns import noisy, texture

from ani3d_formats.errors import Ani3DError
from ani3dhuman.metrics.identity import face_distance
from ani3dhuman.metrics.perceptual import chosen_frames, flip, flip_map, perceptual_distance
from ani3dhuman.similarity.lpips import load_perceptual

TRUTH = np.stack([noisy(texture(80, 96, 3 * t), 0.1, t) for t in range(3)])


def blurred(sigma: float) -> np.ndarray:
    return np.stack([cv2.GaussianBlur(p, (0, 0), sigma) for p in TRUTH])


def test_equal_pictures_are_at_distance_zero():
    assert perceptual_distance(TRUTH, TRUTH) == 0
    assert flip(TRUTH, TRUTH) == 0


def test_distances_grow_with_blur():
    for figure in (perceptual_distance, flip):
        near, middle, far = (figure(blurred(s), TRUTH) for s in (0.6, 1.2, 2.4))
        assert 0 < near < middle < far


def test_flip_is_the_packages_own():
    other = blurred(1.0)[0]
    _, mean, _ = flip_evaluator.evaluate(TRUTH[0], other, "LDR")
    assert flip_map(other, TRUTH[0]).shape == (80, 96)
    assert flip(other[None], TRUTH[:1]) == pytest.approx(mean, rel=1e-5)


def test_a_region_hears_little_of_what_lies_elsewhere():
    spoiled = TRUTH.copy()
    spoiled[:, 60:, :] = 0
    region = np.zeros(TRUTH.shape[:3], bool)
    region[:, :20, :40] = True
    below = np.zeros_like(region)
    below[:, 62:] = True
    for figure in (perceptual_distance, flip):
        assert figure(spoiled, TRUTH, region) < 0.05 * figure(spoiled, TRUTH, below)
        assert np.isnan(figure(spoiled, TRUTH, np.zeros_like(region)))


def test_every_frame_or_every_other():
    assert list(chosen_frames(48, 6)) == [3, 9, 15, 21, 27, 33, 39, 45]
    assert list(chosen_frames(3, 10)) == [1]
    assert list(chosen_frames(3, 1)) == [0, 1, 2]
    spoiled = TRUTH.copy()
    spoiled[1] = 0
    assert perceptual_distance(spoiled, TRUTH, every=3) == pytest.approx(3 * perceptual_distance(spoiled, TRUTH))


def test_the_face_is_judged_by_its_own_pixels():
    face = np.zeros(TRUTH.shape[:3], bool)
    face[:2, 10:30, 40:56] = True
    elsewhere, changed = TRUTH.copy(), TRUTH.copy()
    elsewhere[:, 60:] = 0
    changed[:, 12:24, 44:52] = 0
    assert face_distance(TRUTH, TRUTH, face) == 0
    assert face_distance(elsewhere, TRUTH, face) == 0
    assert face_distance(changed, TRUTH, face) > 0.01
    assert np.isnan(face_distance(changed, TRUTH, np.zeros_like(face)))


def test_missing_weights_say_how_to_get_them(monkeypatch):
    for module in ("metrics.perceptual", "similarity.lpips"):
        monkeypatch.setattr(f"ani3dhuman.{module}.find_spec", lambda name: None)
    load_perceptual.cache_clear()
    for figure in (perceptual_distance, flip):
        with pytest.raises(Ani3DError) as caught:
            figure(TRUTH, TRUTH)
        assert caught.value.code == "metrics.weights"
        assert "ani3dhuman[metrics]" in caught.value.hint
    assert importlib.util.find_spec("stlpips_pytorch") is not None
