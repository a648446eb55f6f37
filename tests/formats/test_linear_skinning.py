"""Linear blend skinning against its definition."""

import numpy as np
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
