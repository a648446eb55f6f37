"""Linear blend skinning against its definition."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from synthetic import make_shot

from ani3d_formats.skinning import blended_rotations, skin


def test_skinning_equals_the_weighted_sum_of_transformed_points():
    shot = make_shot(5)
    posed = skin(shot["vertices"], shot["weight_indices"], shot["weight_values"], shot.skinning_transforms())
    homogeneous = np.concatenate([shot["vertices"], np.ones((len(shot["vertices"]), 1))], 1)
    for t, v in ((0, 3), (4, 150), (2, 290)):
        expected = sum(
            w * (shot["bone_pose"][t, b] @ np.linalg.inv(shot["bone_rest"][b]) @ homogeneous[v])[:3]
            for b, w in zip(shot["weight_indices"][v], shot["weight_values"][v], strict=True)
        )
        np.testing.assert_allclose(posed[t, v], expected, atol=1e-5)


def test_blended_rotations_are_rotations_and_exact_for_one_bone():
    shot = make_shot(4)
    transforms = shot.skinning_transforms()
    rotations = blended_rotations(shot["weight_indices"], shot["weight_values"], transforms)
    np.testing.assert_allclose(
        rotations @ rotations.swapaxes(-1, -2), np.broadcast_to(np.eye(3), rotations.shape), atol=1e-5
    )
    np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-5)
    hip_only = int(np.argmax(shot["weight_values"][:, 0]))
    np.testing.assert_allclose(rotations[3, hip_only], transforms[3, 0, :3, :3], atol=1e-5)


TURNS = Rotation.random(40, random_state=3).as_matrix()
STRETCHES = {
    "stretched": np.diag([0.3, 2.0, 1.1]),
    "sheared": np.array([[1.0, 0.4, 0.1], [0.4, 1.2, 0.3], [0.1, 0.3, 0.9]]),
    "mirrored": -np.diag([1.0, 1.0, 1.0]),
    "mirrored and stretched": -np.diag([0.3, 2.0, 1.1]),
    "flattened": np.diag([1.0, 0.0, 0.7]),
    "small": 1e-6 * np.diag([0.3, 2.0, 1.1]),
}


def rotations_of(matrices: np.ndarray) -> np.ndarray:
    """`blended_rotations` of vertices that follow one bone each."""
    transforms = np.tile(np.eye(4), (1, len(matrices), 1, 1))
    transforms[0, :, :3, :3] = matrices
    return blended_rotations(np.arange(len(matrices))[:, None], np.ones((len(matrices), 1)), transforms)[0]


@pytest.mark.parametrize("how", STRETCHES)
def test_the_rotation_is_that_of_the_polar_decomposition(how):
    """A symmetric stretch before a turn is the polar decomposition; mirrored ones are turned, then point-reflected."""
    np.testing.assert_allclose(rotations_of(TURNS @ STRETCHES[how]), TURNS, atol=2e-5)


@pytest.mark.parametrize("sizes", [(1, 0, 0), (0, 0, 0)])
def test_a_transform_to_a_line_or_a_point_has_a_rotation(sizes):
    rotations = rotations_of(TURNS @ np.diag(sizes))
    np.testing.assert_allclose(rotations @ rotations.swapaxes(-1, -2), np.tile(np.eye(3), (40, 1, 1)), atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-5)
    np.testing.assert_allclose(rotations[:, :, 0] * sizes[0], TURNS[:, :, 0] * sizes[0], atol=1e-5)


def test_a_mirrored_bone_turns_smoothly():
    """Nearly even mirrored transforms a little apart have rotations a little apart, whatever the rounding."""
    rng = np.random.default_rng(0)
    noisy = np.diag([-1.0, 1.0, 1.0]) + 1e-4 * rng.normal(size=(200, 3, 3))
    np.testing.assert_allclose(rotations_of(noisy), np.tile(np.diag([1.0, -1.0, -1.0]), (200, 1, 1)), atol=1e-3)
