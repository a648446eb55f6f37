"""Simulations that must be dropped are dropped, and a sound one is kept."""

from __future__ import annotations

import numpy as np
import pytest

from cloth_truth.checks import Figures, judge, measure
from cloth_truth.garments import GARMENT, Part, grid_quads

FRAMES, ROWS, COLUMNS = 7, 12, 24
RADIUS = 0.3


def tube(radius: float, rows: int = ROWS) -> np.ndarray:
    """(rows * COLUMNS, 3) rings from z = 0.6 down to 0."""
    angle = np.arange(COLUMNS) / COLUMNS * 2 * np.pi
    ring = np.stack([radius * np.sin(angle), -radius * np.cos(angle), 0 * angle], axis=1)
    return np.concatenate([ring + np.array([0, 0, z]) for z in np.linspace(0.6, 0, rows)])


@pytest.fixture
def scene():
    """A skirt two centimetres outside a post, both at rest."""
    skirt = tube(RADIUS)
    quads = grid_quads(ROWS, COLUMNS, closed=True)
    pins = (np.arange(len(skirt)) < COLUMNS).astype(float)
    part = Part("dress", GARMENT, skirt, quads, np.zeros((len(quads), 4, 2)), np.ones((len(skirt), 1)), pins)
    still = np.repeat(skirt[None], FRAMES, 0).astype(np.float32)
    post = np.repeat(tube(RADIUS - 0.02, 40)[None], FRAMES, 0).astype(np.float32)
    return part, still, post, grid_quads(40, COLUMNS, closed=True)


def figures(scene, truth: np.ndarray) -> Figures:
    part, still, post, quads = scene
    return measure([part], [truth], [still], post, quads)


def test_cloth_at_rest_is_kept(scene):
    assert judge(figures(scene, scene[1])) is None


def test_an_exploded_sequence_is_dropped(scene):
    rng = np.random.default_rng(0)
    truth = scene[1] + np.cumsum(rng.normal(0, 0.4, scene[1].shape), axis=0).astype(np.float32)
    assert "exploded" in judge(figures(scene, truth))
    truth[3, 5] = np.nan
    assert "not finite" in judge(figures(scene, truth))


def test_one_spike_is_enough(scene):
    truth = scene[1].copy()
    truth[4, -1] += [0.0, -0.5, 0.0]
    assert "spiked" in judge(figures(scene, truth))


def test_stretched_cloth_is_dropped(scene):
    truth = scene[1].copy()
    truth[..., 2] = 0.6 + (truth[..., 2] - 0.6) * 1.5
    assert "stretched" in judge(figures(scene, truth))


def test_cloth_inside_the_body_is_dropped(scene):
    truth = scene[1].copy()
    truth[-1, 2 * COLUMNS :, :2] *= (RADIUS - 0.035) / RADIUS  # 15 mm under the skin in the last frame
    found = figures(scene, truth)
    assert found.inside > 0.9
    assert "intersects the body" in judge(found)
    shallow = scene[1].copy()
    shallow[..., :2] *= (RADIUS - 0.022) / RADIUS  # 2 mm are within what a solver leaves
    assert judge(figures(scene, shallow)) is None
