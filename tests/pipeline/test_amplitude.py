"""Hem amplitude on motions whose answer is known."""

import numpy as np
import pytest
from synthetic import COLUMNS, make_shot

from ani3d_formats.skinning import skin
from ani3dhuman.pipeline.amplitude import carrier_bone, hem_vertices, motion_amplitude


@pytest.fixture(scope="module")
def shot():
    return make_shot(16)


@pytest.fixture(scope="module")
def pins(shot):
    pins = np.ones(len(shot["vertices"]))
    skirt = np.flatnonzero(shot["region_ids"] == 3)
    pins[skirt[2 * COLUMNS :]] = 0
    return pins


def test_the_hem_is_the_lowest_ring_and_the_hips_carry_it(shot, pins):
    hem = hem_vertices(shot, pins)
    assert len(hem) == COLUMNS
    np.testing.assert_allclose(shot["vertices"][hem, 2], 0.5, atol=1e-6)
    assert carrier_bone(shot, pins) == 0


def test_cloth_glued_to_the_carrier_does_not_move(shot, pins):
    indices = np.zeros((len(pins), 1), int)
    glued = skin(shot["vertices"], indices, np.ones((len(pins), 1)), shot.skinning_transforms())
    assert motion_amplitude(shot, glued, pins) == pytest.approx(0, abs=1e-3)


def test_a_known_swing_is_measured_in_centimetres(shot, pins):
    indices = np.zeros((len(pins), 1), int)
    moved = skin(shot["vertices"], indices, np.ones((len(pins), 1)), shot.skinning_transforms())
    moved[:, :, 2] += 0.1 * np.where(np.arange(16) % 2, 1, -1)[:, None]
    assert motion_amplitude(shot, moved, pins) == pytest.approx(10, abs=1e-2)


def test_a_character_without_a_garment_has_none(shot):
    assert motion_amplitude(shot, np.tile(shot["vertices"], (16, 1, 1)), np.ones(len(shot["vertices"]))) == 0
