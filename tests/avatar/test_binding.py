"""Surface binding against plain definitions."""

import torch
from scipy.spatial.transform import Rotation

from ani3dhuman.avatar.binding import SurfaceBinding
from ani3dhuman.mesh.quaternions import matrix_to_quat, quat_multiply


def sheet():
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    return vertices, torch.tensor([[0, 1, 2], [0, 2, 3]])


def test_bound_gaussians_follow_a_rigid_motion_exactly():
    vertices, faces = sheet()
    local = torch.nn.functional.normalize(torch.randn(5, 4, generator=torch.manual_seed(0)), dim=-1)
    barycentrics = torch.softmax(torch.randn(5, 3), dim=-1)
    binding = SurfaceBinding(faces, torch.tensor([0, 1, 0, 1, 1]), barycentrics, local)
    R = torch.from_numpy(Rotation.from_rotvec([0.3, -1.2, 2.0]).as_matrix()).float()
    offset = torch.tensor([3.0, -2.0, 0.5])
    means, quats = binding.pose(vertices)
    moved_means, moved_quats = binding.pose(vertices @ R.T + offset)
    torch.testing.assert_close(moved_means, means @ R.T + offset, atol=1e-5, rtol=1e-5)
    turned = quat_multiply(matrix_to_quat(R).expand(5, 4), quats)
    sign = (turned * moved_quats).sum(-1, keepdim=True).sign()
    torch.testing.assert_close(moved_quats, sign * turned, atol=1e-5, rtol=1e-5)


def test_compiled_poses_are_those_of_tensors_of_any_type():
    seed = torch.manual_seed(0)
    vertices = torch.randn(40, 3, generator=seed)
    faces = torch.stack([torch.randperm(40, generator=seed)[:3] for _ in range(60)])
    local = torch.nn.functional.normalize(torch.randn(200, 4, generator=seed), dim=-1)
    shares = torch.softmax(torch.randn(200, 3, generator=seed), dim=-1)
    ids = torch.randint(60, (200,), generator=seed)
    pulls = torch.randn(200, 3, generator=seed), torch.randn(200, 4, generator=seed)
    found = []
    for exact in (False, True):
        kind = torch.float64 if exact else torch.float32
        moved = vertices.to(kind, copy=True).requires_grad_()
        posed = SurfaceBinding(faces, ids, shares.to(kind), local.to(kind)).pose(moved)
        torch.autograd.backward(posed, tuple(pull.to(kind) for pull in pulls))
        found.append([*(part.detach().double() for part in posed), moved.grad.double() / moved.grad.abs().max()])
    for compiled, exact in zip(*found, strict=True):
        torch.testing.assert_close(compiled, exact, atol=2e-6, rtol=0)


def test_a_triangle_without_area_pulls_at_nothing():
    vertices, faces = sheet()
    vertices[3] = vertices[2]
    ids, shares, local = torch.tensor([1]), torch.full((1, 3), 1 / 3), torch.tensor([[1.0, 0, 0, 0]])
    means, quats = SurfaceBinding(faces, ids, shares, local).pose(vertices.requires_grad_())
    (means.sum() + quats.sum()).backward()
    assert torch.isfinite(quats).all() and torch.allclose(vertices.grad.sum(0), torch.ones(3))
    assert vertices.grad.abs().max() < 1


def test_binding_passes_gradients_to_the_vertices():
    vertices, faces = sheet()
    vertices = vertices.double().requires_grad_()
    binding = SurfaceBinding(
        faces,
        torch.tensor([0, 1]),
        torch.full((2, 3), 1 / 3).double(),
        torch.tensor([[1.0, 0, 0, 0]]).double().repeat(2, 1),
    )
    tilted = vertices.detach() + 0.1 * torch.randn(4, 3, generator=torch.manual_seed(3), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda v: binding.pose(v), tilted.requires_grad_())
