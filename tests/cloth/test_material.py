"""A fabric's numbers mean the same on every mesh: mass, bending, stretch and rubbing do not depend on its spacing."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import Delaunay

from ani3dhuman.cloth.constraints import Constraints
from ani3dhuman.cloth.fabrics import FABRICS
from ani3dhuman.cloth.simulate import simulate
from benchmarks.fabrics.laboratory import drape
from benchmarks.fabrics.specimens import disc_of_rings, disc_unstructured

FPS = 24.0


def grid(columns, rows, spacing):
    """A flat sheet of squares, halved alternately: vertices, faces."""
    x, y = np.meshgrid(np.arange(columns + 1) * spacing, np.arange(rows + 1) * spacing)
    a = (np.arange(rows)[:, None] * (columns + 1) + np.arange(columns)).ravel()
    b, c, d = a + 1, a + columns + 2, a + columns + 1
    even = (np.add.outer(np.arange(rows), np.arange(columns)).ravel() % 2 == 0)[:, None]
    first = np.where(even, np.stack([a, b, c], 1), np.stack([a, b, d], 1))
    second = np.where(even, np.stack([a, c, d], 1), np.stack([b, c, d], 1))
    return np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], 1), np.concatenate([first, second])


def scattered(columns, rows, spacing):
    """The same sheet of unstructured triangles."""
    points, _ = grid(columns, rows, spacing)
    moved = points[:, :2] + np.random.default_rng(0).uniform(-0.3, 0.3, (len(points), 2)) * spacing
    return np.column_stack([moved, 0 * points[:, 0]]), Delaunay(moved).simplices


@pytest.mark.parametrize("make", [grid, scattered])
@pytest.mark.parametrize("spacing", [0.005, 0.03])
def test_a_sheet_bent_to_a_cylinder_stores_what_a_plate_does(make, spacing):
    points, faces = make(20, 20, spacing)
    constraints = Constraints.of_mesh(faces, points, np.zeros(len(points)))
    area = np.linalg.norm(np.cross(*(points[faces[:, k]] - points[faces[:, 0]] for k in (1, 2))), axis=1).sum() / 2
    assert constraints.material.sizes.sum() == pytest.approx(area, rel=0.01)
    stored = []
    for angle in np.linspace(0, np.pi, 12, endpoint=False):
        height = 0.5 * (points[:, :2] @ [np.cos(angle), np.sin(angle)]) ** 2  # curvature 1/m
        bends = (constraints.hinge_weights * height[constraints.hinges]).sum(1)
        stored.append((constraints.material.bend * bends**2).sum() / area)
    assert np.mean(stored) == pytest.approx(1, abs=0.12)
    assert min(stored) > 0.7 and max(stored) < 1.3


@pytest.mark.parametrize("spacing", [0.02, 0.04])
def test_a_hanging_strip_stretches_by_its_weight_whatever_its_spacing(spacing):
    """By density x gravity x length / (2 x stiffness), the strip's diagonals included."""
    points, faces = grid(round(0.12 / spacing), round(0.48 / spacing), spacing)
    points = points[:, [0, 2, 1]] * [1, 1, -1]
    pins = (points[:, 2] == 0).astype(np.float32)
    fabric = replace(FABRICS["cotton"], stretch=60.0, air=0.5, preroll=0, substeps=300)
    hung = simulate(np.repeat(points[None].astype(np.float32), 24, 0), faces, points, pins, None, FPS, fabric)[-1]
    stretch = -hung[:, 2].min() / 0.48 - 1
    whole = fabric.density * 9.81 * 0.48 / 2 / fabric.stretch
    assert 0.6 * whole < stretch < whole, (stretch, whole)


@pytest.mark.parametrize("degrees", [0, 45])
@pytest.mark.parametrize("wide", [1.0, 1.5])
def test_quads_cut_in_two_bend_alike_along_their_sides_and_across(degrees, wide):
    points, faces = grid(20, 20, 0.01)
    points = points * [wide, 1, 1]
    constraints = Constraints.of_mesh(faces, points, np.zeros(len(points)))
    height = 0.5 * (points[:, :2] @ [np.cos(np.radians(degrees)), np.sin(np.radians(degrees))]) ** 2
    bends = (constraints.hinge_weights * height[constraints.hinges]).sum(1)
    stored = (constraints.material.bend * constraints.material.even * bends**2).sum() / (0.2 * 0.2 * wide)
    assert stored == pytest.approx(1, abs=0.12)


def test_the_stretch_of_an_exact_fabric_is_that_of_its_sheet_on_fine_and_on_coarse_meshes():
    """With the substeps that it takes of itself; passes alone would make 5 mm ten times as soft as 20 mm.

    What a pass adds is overrated where it is most of the compliance, as neighbours move in the same pass: fine cloth is
    half as stiff again as coarse cloth.
    """
    stretch = []
    for spacing in (0.005, 0.01, 0.02):
        points, faces = grid(round(0.12 / spacing), round(0.24 / spacing), spacing)
        points = points[:, [0, 2, 1]] * [1, 1, -1]
        fabric = replace(FABRICS["cotton"], air=0.5, preroll=0)
        still = np.repeat(points[None].astype(np.float32), 36, 0)
        hung = simulate(still, faces, points, (points[:, 2] == 0).astype(np.float32), None, FPS, fabric)[-1]
        stretch.append(-hung[:, 2].min() / 0.24 - 1)
    assert stretch[0] == pytest.approx(stretch[1], rel=0.05) and stretch[0] < stretch[2] < 1.6 * stretch[0], stretch


def test_silk_drapes_alike_on_rings_and_unstructured_triangles_of_10_and_30_mm():
    """A ring of 6 cm is two cells wide at 30 mm; before cells gave way and hinges heeded their spacing it had 76 %."""
    found = [
        drape(*mesh(s), FABRICS["silk"]).coefficient
        for mesh in (disc_of_rings, disc_unstructured)
        for s in (0.01, 0.03)
    ]
    assert np.ptp(found) < 5, found


def test_slivers_weigh_something_and_bend_no_more_than_others():
    points, faces = grid(6, 6, 0.02)
    points[8] = points[9] + [-1e-7, 0, 0]  # two nearly in the same place
    material = Constraints.of_mesh(faces, points, np.zeros(len(points))).material
    assert all(np.isfinite(values).all() and (values > 0).all() for values in (material.sizes, material.stretch))
    assert np.isfinite(material.bend).all() and (material.bend > 0).all()


@pytest.mark.parametrize(("density", "air"), [(0.1, 1.0), (0.3, 3.0), (0.1, 2.0)])
def test_loose_cloth_falls_at_the_speed_at_which_air_carries_its_weight(density, air):
    points, faces = grid(8, 8, 0.02)
    fabric = replace(FABRICS["silk"], density=density, air=air, preroll=0)
    still = np.repeat(points[None].astype(np.float32), 30, 0)
    fell = simulate(still, faces, points, np.zeros(len(points)), None, FPS, fabric)
    speed = (fell[-2, :, 2] - fell[-1, :, 2]) * FPS
    np.testing.assert_allclose(speed, 9.81 * density / air, rtol=0.02)
