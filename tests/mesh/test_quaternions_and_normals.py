"""Quaternions against SciPy, normals of a body."""

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from synthetic import make_shot

from ani3dhuman.mesh.kernels import point_normals
from ani3dhuman.mesh.quaternions import matrix_to_quat, quat_multiply
from ani3dhuman.mesh.topology import triangle_frames


def test_quaternions_match_scipy_for_any_angle():
    rotations = Rotation.random(200, random_state=1)
    half_turns = Rotation.from_rotvec(np.pi * np.eye(3))
    matrices = np.concatenate([rotations.as_matrix(), half_turns.as_matrix()])
    ours = matrix_to_quat(torch.from_numpy(matrices)).numpy()
    np.testing.assert_allclose(Rotation.from_quat(ours[:, [1, 2, 3, 0]]).as_matrix(), matrices, atol=1e-6)
    p, q = ours[:100], ours[100:200]
    product = quat_multiply(torch.from_numpy(p), torch.from_numpy(q)).numpy()
    np.testing.assert_allclose(
        Rotation.from_quat(product[:, [1, 2, 3, 0]]).as_matrix(), matrices[:100] @ matrices[100:200], atol=1e-6
    )


def test_normals_point_out_of_the_synthetic_body():
    shot = make_shot()
    faces = torch.from_numpy(shot["faces"].astype(np.int64))
    vertices = torch.from_numpy(shot["vertices"])
    normals = point_normals(shot["vertices"], shot["faces"])
    ring = slice(40, 60)
    assert ((normals[ring, :2] * shot["vertices"][ring, :2]).sum(1) > 0).all()
    frames = triangle_frames(vertices, faces)
    torch.testing.assert_close(torch.linalg.det(frames), torch.ones(len(faces)), atol=1e-4, rtol=1e-4)
