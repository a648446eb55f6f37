"""Control nodes: they carry bare points exactly in rigid motion, closely in bending, and swing as a skirt."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from ani3dhuman.errors import Ani3DError, Cancelled
from ani3dhuman.motion.binding import matrix_to_quat
from ani3dhuman.motion.cloth_kernels import point_normals
from ani3dhuman.motion.control_nodes import ControlNodes, farthest_points
from ani3dhuman.motion.point_cloth import body_of_points, simulate_points
from ani3dhuman.motion.point_surface import faces_of_points
from ani3dhuman.progress import Progress

HUMAN = Path(__file__).resolve().parents[2] / "examples" / "demo" / "human.npz"


def sheet(count, rng, width=0.6, height=0.4):
    return np.stack([rng.uniform(0, width, count), np.zeros(count), rng.uniform(0, height, count)], 1)


def cone(count, rng, top, bottom, radii):
    """Points on a cone about the z axis between two heights."""
    share, angle = rng.uniform(0, 1, count), rng.uniform(0, 2 * np.pi, count)
    radius = radii[0] + (radii[1] - radii[0]) * share
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), top + (bottom - top) * share], 1)


@pytest.fixture(scope="module")
def cloud():
    return cone(4000, np.random.default_rng(0), 1.1, 0.5, (0.16, 0.4))


def test_nodes_lie_evenly_and_on_the_points(cloud):
    chosen = farthest_points(cloud, 300)
    assert len(np.unique(chosen)) == 300
    gap = np.linalg.norm(cloud[chosen][:, None] - cloud[chosen][None], axis=2)
    gap[np.diag_indices(300)] = np.inf
    reach = np.linalg.norm(cloud[:, None] - cloud[chosen][None], axis=2).min(1)
    assert gap.min() >= reach.max(), "no point is farther from the nodes than they are from each other"


@pytest.mark.parametrize("flat", [False, True])
def test_a_rigid_motion_carries_points_and_turns_exactly(cloud, flat):
    points = sheet(3000, np.random.default_rng(1)) if flat else cloud
    nodes = ControlNodes.from_points(points, 300)
    R, offset = Rotation.from_euler("xyz", [0.7, -1.9, 2.6]), np.array([1.0, -2.0, 0.5])
    means, turns = nodes.deform(R.apply(nodes.rest) + offset)
    np.testing.assert_allclose(means, R.apply(points) + offset, atol=1e-5)
    expected = R.as_quat(scalar_first=True)
    assert np.abs(np.abs(turns @ expected) - 1).max() < 1e-5


def test_points_of_a_sheet_follow_when_it_is_bent():
    points = sheet(6000, np.random.default_rng(2))
    nodes = ControlNodes.from_points(points, 400)
    radius = 0.15  # rolled over a cylinder of 30 cm diameter

    def rolled(x):
        angle = x[:, 0] / radius
        return np.stack([radius * np.sin(angle), radius * (1 - np.cos(angle)), x[:, 2]], 1), angle

    means, turns = nodes.deform(rolled(nodes.rest)[0])
    expected, angle = rolled(points)
    error = np.linalg.norm(means - expected, axis=1)
    assert error.max() < 0.004 and error.mean() < 0.001, (error.max(), error.mean())
    matrices = Rotation.from_euler("z", angle[:, None]).as_matrix()
    quats = matrix_to_quat(torch.from_numpy(matrices)).numpy()
    off = 2 * np.degrees(np.arccos(np.clip(np.abs((quats * turns).sum(1)), 0, 1)))
    assert np.percentile(off, 99) < 8, "degrees; a node spans 8 degrees of the roll"


def test_layers_that_nearly_touch_are_not_joined():
    rng = np.random.default_rng(3)
    one = sheet(9000, rng)
    one = one[farthest_points(one, 3000)]
    two = np.concatenate([one, one + np.array([0, 0.03, 0])])
    nodes = ControlNodes.from_points(two, 500)  # 31 mm apart, the layers 30 mm
    layer = nodes.rest[:, 1] > 0.015
    assert (layer[nodes.edges[:, 0]] == layer[nodes.edges[:, 1]]).all()
    assert len(nodes.edges) > 3 * len(nodes.rest)
    used = nodes.weights > 0
    assert (layer[nodes.carriers] == (two[:, 1] > 0.015)[:, None])[used].all()


def test_a_body_of_points_faces_outwards():
    rng = np.random.default_rng(4)
    points = rng.normal(size=(1500, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    points = points[farthest_points(points, 400)]
    a, b, c = (points[faces_of_points(points)[:, k]] for k in range(3))
    assert ((np.cross(b - a, c - a) * (a + b + c)).sum(1) > 0).all()


def test_the_side_of_a_human_is_known_from_points_alone():
    with np.load(HUMAN) as file:
        quads = file["quads"][file["parts"] == 0].astype(int)
        used, compact = np.unique(quads, return_inverse=True)
        skin, quads = file["vertices"][used], compact.reshape(-1, 4)
    normals = point_normals(skin, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]))
    chosen = farthest_points(skin, 2000)
    faces = faces_of_points(skin[chosen])
    a, b, c = (skin[chosen][faces[:, k]] for k in range(3))
    right = (np.cross(b - a, c - a) * normals[chosen][faces[:, 0]]).sum(1) > 0
    assert right.mean() > 0.98, "fingers and toes may have no triangles, but hardly any wrong ones"
    assert len(np.unique(faces[:, 0])) > 0.85 * len(chosen)


def test_a_skirt_of_bare_points_swings_over_a_body_of_points(cloud):
    rng = np.random.default_rng(5)
    frames = 30
    leg = cone(3000, rng, 1.15, 0.3, (0.11, 0.09))
    travel = np.array([[0.05 * min(t, 15), 0, 0] for t in range(frames)])
    pins = np.clip((cloud[:, 2] - 1.02) / 0.03, 0, 1)
    body = body_of_points((leg[None] + travel[:, None]).astype(np.float32), leg, 800)
    skinned = (cloud[None] + travel[:, None]).astype(np.float32)
    means, turns = simulate_points(skinned, cloud, pins, body, 24.0, nodes=500)
    assert np.isfinite(means).all()
    np.testing.assert_allclose(np.linalg.norm(turns, axis=2), 1, atol=1e-5)
    np.testing.assert_array_equal(means[:, pins == 1], skinned[:, pins == 1])
    hem = cloud[:, 2] < 0.56
    swing = means[:, hem, 0].mean(1) - travel[:, 0]
    assert swing[16:22].max() > swing[14] + 0.02, "the hem goes on when the walk has stopped"
    assert np.abs(means - skinned).max() < 0.5
    away = np.hypot(means[..., 0] - travel[:, None, 0], means[..., 1])
    depth = 0.11 - 0.02 * (1.15 - means[..., 2]) / 0.85 - away
    assert np.percentile(depth, 99) < 0.003, "metres under the leg's surface"
    again, _ = simulate_points(skinned, cloud, pins, body, 24.0, nodes=500)
    np.testing.assert_array_equal(means, again)


def test_bad_points_get_one_clear_error(cloud):
    with pytest.raises(Ani3DError, match="different points"):
        ControlNodes.from_points(np.zeros((50, 3)), 20)
    broken = cloud.copy()
    broken[7, 1] = np.nan
    with pytest.raises(Ani3DError, match="cannot be made"):
        ControlNodes.from_points(broken, 100)
    with pytest.raises(Ani3DError, match="not finite"):
        simulate_points(broken[None], cloud, np.zeros(len(cloud)), None, 24.0)


def test_cancelling_stops_before_the_first_frame(cloud):
    progress = Progress("cloth", 4, should_cancel=lambda: True)
    with pytest.raises(Cancelled):
        simulate_points(
            np.repeat(cloud[None], 4, 0), cloud, np.zeros(len(cloud)), None, 24.0, nodes=256, progress=progress
        )
    assert progress.step == 0
