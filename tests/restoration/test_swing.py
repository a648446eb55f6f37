"""Offsets of a prior do not take from the swing of the coarse layer; what they do besides stays."""

from dataclasses import replace

import numpy as np
import pytest
from small_clip import small_clip

from ani3d_formats.regions import GARMENT
from ani3dhuman.restoration.compact.swing import keep_swing


@pytest.fixture(scope="module")
def swaying():
    """A clip whose free garment sways by 5 cm, and the sway (T,V,3)."""
    clip = small_clip()
    free = (clip.vertex_regions == GARMENT) * clip.freedom
    sway = 0.05 * np.sin(np.arange(clip.frames))[:, None, None] * free[:, None] * np.float32([1, 0.5, 0])
    return replace(clip, vertices=(clip.rigid_vertices + sway).astype(np.float32)), sway, free > 0


def swing_of(vertices, free):
    own = vertices[:, free]
    return float(np.sqrt(((own - own.mean(0)) ** 2).sum(-1).mean()))


def test_what_shrinks_the_swing_is_left_out(swaying):
    clip, sway, free = swaying
    rng = np.random.default_rng(0)
    folds = 0.002 * rng.standard_normal(sway.shape) * free[:, None]
    offsets, before = folds - 0.4 * sway, swing_of(sway, free)
    assert swing_of(sway + offsets, free) < 0.7 * before
    kept = keep_swing(clip, offsets)
    assert swing_of(sway + kept, free) == pytest.approx(before, rel=0.02)
    off = (kept - folds)[:, clip.freedom == 1]
    assert np.abs(off - off.mean(0)).max() < 0.001, "what else they say stays"


def test_what_adds_to_it_and_what_is_another_motion_stays(swaying):
    clip, sway, free = swaying
    more = 0.3 * sway
    np.testing.assert_array_equal(keep_swing(clip, more), more.astype(np.float32))
    lift = 0.02 * free[:, None] * np.float32([0, 0, 1])  # a place that is another, in all frames the same
    still = np.broadcast_to(lift, sway.shape)
    np.testing.assert_allclose(keep_swing(clip, still), still, atol=1e-6)


def test_body_and_held_cloth_get_nothing(swaying):
    clip, sway, free = swaying
    kept = keep_swing(clip, -0.5 * sway)
    assert np.abs(kept[:, free]).max() > 0 and not kept[:, clip.freedom == 0].any()
