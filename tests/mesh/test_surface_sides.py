"""Which side of a surface a point is on, where its edges are sharp."""

import numpy as np
import pytest
import torch

from ani3dhuman.device import CPU
from ani3dhuman.mesh.surface import Obstacle
from ani3dhuman.mesh.surface_tensors import SurfaceTensors

CORNERS = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
QUADS = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
BOX = np.array([t for a, b, c, d in QUADS for t in ((a, b, c), (a, c, d))])


@pytest.mark.parametrize("tensors", [False, True])
def test_what_is_near_an_edge_or_a_corner_of_a_box_is_in_it(tensors):
    """Normals of its corners lean by 55 degrees from the sides: by these alone nothing there is in the box."""
    surface = Obstacle(CORNERS[None], BOX).at(0)
    rng = np.random.default_rng(0)
    sunk, far = 0.02, rng.uniform(0.03, 0.3, (60, 2))
    places = np.column_stack([np.full(60, 1 - sunk), 1 - far]).astype(np.float32) * rng.choice([-1, 1], (60, 3))
    places = np.take_along_axis(places, rng.permuted(np.tile(np.arange(3), (60, 1)), axis=1), 1).astype(np.float32)
    if tensors:
        height, away = (a.numpy() for a in SurfaceTensors.of(surface, CPU).heights(torch.from_numpy(places)))
    else:
        height, away = surface.heights(places)
    np.testing.assert_allclose(height, -sunk, atol=1e-5)
    out = places - height[:, None] * away
    np.testing.assert_allclose(np.abs(out).max(1), 1, atol=1e-5)
