"""Surface binding against plain definitions."""

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from ani3dhuman.avatar.binding import STRETCH_RANGE, SurfaceBinding
from ani3dhuman.mesh.quaternions import matrix_to_quat, quat_multiply, quat_to_matrix
from ani3dhuman.mesh.topology import in_plane_shapes, triangle_frames


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


def turned_binding(count: int = 40, offsets: bool = False) -> SurfaceBinding:
    """Gaussians on the two triangles of `sheet`, each turned in its plane."""
    rng = np.random.default_rng(2)
    angle = rng.uniform(-np.pi, np.pi, count) / 2
    quats = np.stack([np.cos(angle), 0 * angle, 0 * angle, np.sin(angle)], 1)
    return SurfaceBinding(
        sheet()[1],
        torch.from_numpy(rng.integers(0, 2, count)),
        torch.from_numpy(rng.dirichlet([1, 1, 1], count)).float(),
        torch.from_numpy(quats).float(),
        torch.from_numpy(rng.uniform(-0.1, 0.1, count)).float() if offsets else None,
    )


def stretch_of(binding: SurfaceBinding, vertices: torch.Tensor) -> torch.Tensor:
    bind, faces = sheet()
    return binding.stretch(in_plane_shapes(vertices, faces), in_plane_shapes(bind, faces))


def test_gaussians_above_the_surface_keep_their_height():
    vertices, _ = sheet()
    binding = turned_binding(offsets=True)
    flat = SurfaceBinding(binding.faces, binding.triangle_ids, binding.barycentrics, binding.local_quats)
    means, quats = binding.pose(vertices)
    lifted = flat.means(vertices) + binding.normal_offsets[:, None] * torch.tensor([0.0, 0, 1])
    torch.testing.assert_close(means, lifted, atol=1e-6, rtol=0)
    torch.testing.assert_close(quats, flat.pose(vertices)[1], atol=0, rtol=0)
    R = torch.from_numpy(Rotation.from_rotvec([0.3, -1.2, 2.0]).as_matrix()).float()
    torch.testing.assert_close(binding.means(2 * vertices @ R.T) - flat.means(2 * vertices @ R.T),
                               (means - flat.means(vertices)) @ R.T, atol=1e-6, rtol=0)  # fmt: skip


def test_nothing_stretches_in_the_bind_pose_and_folding_does_not_count():
    vertices, _ = sheet()
    binding = turned_binding()
    assert (stretch_of(binding, vertices) == 1).all(), "exactly, so that pictures of it stay as they are"
    R = torch.from_numpy(Rotation.from_rotvec([0.3, -1.2, 2.0]).as_matrix()).float()
    folded = vertices @ R.T + 3
    normal = torch.linalg.cross(folded[1] - folded[0], folded[2] - folded[0])
    diagonal = (folded[2] - folded[0]) / 2**0.5
    middle, out = (folded[0] + folded[2]) / 2, folded[3] - (folded[0] + folded[2]) / 2
    folded[3] = middle + 0.6 * out + 0.8 * out.norm() * normal / normal.norm()
    assert abs(diagonal @ normal) < 1e-6
    torch.testing.assert_close(stretch_of(binding, folded), torch.ones(40, 3), atol=1e-5, rtol=0)


def test_scales_stretch_along_the_gaussians_own_axes():
    vertices, _ = sheet()
    binding = turned_binding()
    axes = quat_to_matrix(quat_multiply(matrix_to_quat(triangle_frames(vertices, binding.faces))[binding.triangle_ids],
                                        binding.local_quats))  # fmt: skip
    F = torch.diag(torch.tensor([1.7, 0.8, 1.0]))
    # the covariance of a round Gaussian after F, read along each axis, where the triangle's frame has not turned
    first = binding.triangle_ids == 0
    expected = (torch.einsum("ij,njk->nik", F, axes) ** 2).sum(1).sqrt()
    torch.testing.assert_close(stretch_of(binding, vertices @ F)[first], expected[first], atol=1e-5, rtol=0)
    torch.testing.assert_close(stretch_of(binding, 1.3 * vertices)[:, :2], torch.full((40, 2), 1.3))
    assert (stretch_of(binding, 1.3 * vertices)[:, 2] - 1).abs().max() < 1e-6, "thickness stays"


def test_torn_and_collapsed_triangles_stay_within_the_range():
    vertices, _ = sheet()
    binding = turned_binding()
    low, high = STRETCH_RANGE
    for factor, limit in ((50.0, high), (1e-3, low), (0.0, low)):
        stretched = stretch_of(binding, factor * vertices)[:, :2]
        torch.testing.assert_close(stretched, torch.full_like(stretched, limit))


def test_stretch_passes_gradients_to_the_vertices():
    vertices, faces = sheet()
    bind = in_plane_shapes(vertices.double(), faces)
    parts = turned_binding(5)
    binding = SurfaceBinding(faces, parts.triangle_ids, parts.barycentrics.double(), parts.local_quats.double())
    moved = vertices.double() + 0.1 * torch.randn(4, 3, generator=torch.manual_seed(3), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda v: binding.stretch(in_plane_shapes(v, faces), bind), moved.requires_grad_())
