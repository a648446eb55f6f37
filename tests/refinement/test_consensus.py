"""Consensus of samples: one is itself, several are averaged, more count for more, weighted by visibility."""

from __future__ import annotations

import numpy as np
import pytest

from ani3d_formats.camera import CameraPath
from ani3d_formats.errors import Ani3DError
from ani3dhuman.refinement import RestoredView
from ani3dhuman.refinement.consensus import Consensus

BASE = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
CAMERAS = CameraPath(np.tile(np.eye(4), (2, 1, 1)), np.tile(np.eye(3), (2, 1, 1)), 1, 1)


def sample(offset: np.ndarray, visibility: np.ndarray | None = None) -> RestoredView:
    blank = np.zeros((2, 1, 1, 3), np.float32)
    vertices = (BASE + offset).astype(np.float32)
    return RestoredView(CAMERAS, blank, blank[..., 0], blank[:, 0], vertices=vertices, visibility=visibility)


def test_a_single_sample_is_itself_whatever_it_saw():
    offset = np.random.default_rng(1).normal(size=BASE.shape)
    for visibility in (None, np.linspace(0, 1, 10, dtype=np.float16).reshape(2, 5)):
        agreed = Consensus.none(BASE).joined([sample(offset, visibility)])
        np.testing.assert_allclose(agreed.vertices, BASE + offset, atol=2e-6)


def test_without_samples_it_is_the_base():
    pictures_only = RestoredView(CAMERAS, np.zeros((2, 1, 1, 3), np.float32), np.zeros((2, 1, 1)), np.zeros((2, 5, 3)))
    assert Consensus.none(BASE).joined([pictures_only]).vertices.tobytes() == BASE.tobytes()


def test_what_samples_say_against_each_other_falls_out():
    agreed = Consensus.none(BASE).joined([sample(np.float32([0.1, 0, 0])), sample(np.float32([-0.1, 0, 0]))])
    np.testing.assert_allclose(agreed.vertices, BASE, atol=1e-6)


def test_the_more_say_the_same_the_further_they_are_followed():
    way = np.float32([0, 0.1, 0])
    lengths = []
    known = Consensus.none(BASE)
    for _ in range(8):
        known = known.joined([sample(way)])
        lengths.append(float((known.vertices - BASE)[..., 1].mean() / 0.1))
    assert lengths[0] == pytest.approx(1, abs=1e-4)
    assert lengths == sorted(lengths) and lengths[-1] < 1.8
    assert known.samples == 8


def test_who_sees_a_vertex_speaks_for_it():
    left, right = np.float32([-0.1, 0, 0]), np.float32([0.1, 0, 0])
    visibility = np.zeros((2, 5), np.float32)
    visibility[:, :2] = 1  # the first camera sees two vertices, the second the others
    agreed = Consensus.none(BASE).joined([sample(left, visibility), sample(right, 1 - visibility)])
    moved = (agreed.vertices - BASE)[..., 0]
    assert (moved[:, :2] < -0.08).all() and (moved[:, 2:] > 0.08).all()


def test_sight_of_no_mesh_is_refused():
    blank = np.zeros((2, 1, 1, 3), np.float32)
    with pytest.raises(Ani3DError) as caught:
        RestoredView(CAMERAS, blank, blank[..., 0], blank[:, 0], visibility=np.zeros((2, 5)))
    assert caught.value.code == "refinement.shape"
