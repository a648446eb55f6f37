"""Pins that begin in the body give way to it, so that what hangs on them can be outside."""

import numpy as np
import pytest
from synthetic import tube

from ani3dhuman.cloth.constraints import Constraints
from ani3dhuman.cloth.giving import SHARE, Giving
from ani3dhuman.cloth.kernels import Pose
from ani3dhuman.mesh.kernels import point_normals
from ani3dhuman.mesh.surface import Contacts, Obstacle

ROWS, EDGE, DEEP, RADIUS = 6, 0.01, 0.015, 0.05


def after(hair=True, other=None, deep=DEEP):
    """How far from the axis of a limb each row of a strip is held that begins `deep` in it, with three rows pinned."""
    limb, faces = tube(np.array([0.001, *np.full(9, RADIUS), 0.001]), np.linspace(0.5, -0.5, 11))
    if other is not None:
        limb, faces = np.concatenate([limb, limb + np.float32(other)]), np.concatenate([faces, faces + len(limb)])
    x, y, z = RADIUS - deep, EDGE * np.arange(2), -EDGE * np.arange(ROWS)
    strip = np.stack([np.full((ROWS, 2), x), *np.broadcast_arrays(y, z[:, None])], 2).reshape(-1, 3).astype(np.float32)
    faces_of_strip = np.concatenate([[(a, a + 1, a + 2), (a + 1, a + 3, a + 2)] for a in range(0, 2 * ROWS - 2, 2)])
    pins = np.repeat(np.arange(ROWS) < 3, 2).astype(np.float32)
    constraints = Constraints.of_mesh(faces_of_strip, strip, pins)
    contacts = Contacts(Obstacle(limb[None], faces), ~constraints.pinned)
    pose = Pose(strip, limb, point_normals(limb, faces))
    held = Giving(hair, contacts, constraints, strip, pose).given(pose).skin
    assert (held[8:] == strip[8:]).all()  # what is free goes by itself, but for the first row of a garment
    assert (held[6:8] == strip[6:8]).all() or not hair
    return np.linalg.norm(held[:, :2], axis=1).reshape(ROWS, 2), np.linalg.norm(strip[:, :2], axis=1).reshape(ROWS, 2)


def test_roots_beside_free_hair_are_held_no_deeper_than_its_edges_can_lead_out_of():
    held, before = after()
    np.testing.assert_array_equal(held[:2], before[:2])  # further in they stay as they are at rest
    assert (held[2] > before[2] + 0.005).all()
    assert (held[2] > np.cos(np.pi / 20) * RADIUS - SHARE * EDGE - 1e-4).all() and (held[2] < RADIUS).all()


@pytest.mark.parametrize("how", [{"hair": False}, {"other": (0.02, 0, 0)}])
def test_pins_of_garments_stay_and_so_do_roots_where_the_body_passes_through_itself(how):
    np.testing.assert_array_equal(*after(**how))


def test_pins_of_a_garment_that_begins_deep_in_the_body_come_out_with_its_first_free_row():
    held, before = after(hair=False, deep=0.028)
    assert (held[3] > np.cos(np.pi / 20) * RADIUS - 0.002).all(), "the free row is out"
    assert (held[2] > before[2] + 0.01).all() and (held[2] < held[3]).all()
    assert (np.diff(held[:, 0] - before[:, 0])[:3] > 0).all(), "each row less than the one below"


def test_a_band_that_is_a_little_in_the_skin_does_not_slide():
    np.testing.assert_array_equal(*after(hair=False, deep=0.005))
