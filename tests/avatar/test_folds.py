"""Across a fold Gaussians are as narrow as keeps them in the surface; along it and elsewhere they stay."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from ani3d_formats.camera import CameraPath
from ani3dhuman.avatar import folds
from ani3dhuman.avatar.binding import SurfaceBinding
from ani3dhuman.avatar.folds import LEAST, REACH, bends_of, beyond_rest, outmost, room_beyond
from ani3dhuman.avatar.stretching import shapes_of
from ani3dhuman.mesh.topology import neighbours_of
from ani3dhuman.rendering.draw import draw_tensors

SIDE, STEP = 20, 0.1  # squares along a sheet, metres each; folded along its middle
PLACES = np.stack(np.meshgrid(np.arange(SIDE + 1), np.arange(SIDE + 1)), -1).reshape(-1, 2) * STEP
MIDDLE = SIDE * STEP / 2
CORNER = (np.arange(SIDE)[:, None] * (SIDE + 1) + np.arange(SIDE)).reshape(-1)
FACES = np.concatenate(
    [
        np.stack([CORNER, CORNER + 1, CORNER + SIDE + 1], 1),
        np.stack([CORNER + 1, CORNER + SIDE + 2, CORNER + SIDE + 1], 1),
    ]
)
OTHERS = torch.from_numpy(neighbours_of(FACES))
MOST = folds.OUT * SIDE * STEP  # metres


def folded(degrees: float) -> torch.Tensor:
    """The sheet with what is right of its middle turned down by an angle."""
    x, angle = PLACES[:, 0] - MIDDLE, np.radians(degrees)
    right = x > 0
    bent = np.stack([np.where(right, np.cos(angle) * x, x), PLACES[:, 1], np.where(right, -np.sin(angle) * x, 0)], 1)
    return torch.from_numpy(bent.astype(np.float32))


def bound(rest: float = 0.0, count: int = 4000) -> tuple[SurfaceBinding, torch.Tensor]:
    """Gaussians on the sheet, turned at random about its normals, and their scales; `rest` degrees are its own fold."""
    rng = np.random.default_rng(0)
    half = torch.from_numpy(rng.uniform(-3, 3, count).astype(np.float32))
    none = torch.zeros(count)
    faces = torch.from_numpy(FACES)
    binding = SurfaceBinding(
        faces,
        torch.from_numpy(rng.integers(0, len(FACES), count)),
        torch.from_numpy(rng.dirichlet(np.ones(3), count).astype(np.float32)),
        torch.stack([half.cos(), none, none, half.sin()], 1),
        rest_shapes=shapes_of(folded(rest), faces),
        rest_bends=bends_of(folded(rest), faces, OTHERS),
    )
    scales = torch.from_numpy(rng.uniform(0.02, 0.08, (count, 3)).astype(np.float32) * np.float32([1, 1, 0.02]))
    return binding, scales


def covariances(quats: torch.Tensor, scales: torch.Tensor) -> np.ndarray:
    axes = Rotation.from_quat(np.asarray(quats, float)[:, [1, 2, 3, 0]]).as_matrix() * np.asarray(scales)[:, None]
    return axes @ axes.transpose(0, 2, 1)


def test_triangles_know_those_beyond_their_edges():
    faces = np.array([[0, 1, 2], [2, 1, 3], [3, 1, 4], [1, 3, 5]])
    assert neighbours_of(faces).tolist() == [[-1, 1, -1], [0, -1, -1], [-1, -1, -1], [-1, -1, -1]]  # 1-3 has three
    assert neighbours_of(np.zeros((0, 3), int)).shape == (0, 3)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_bends_are_signed_angles(kind):
    for degrees in (50.0, -70.0):
        bends = np.degrees(bends_of(folded(degrees).to(kind), torch.from_numpy(FACES), OTHERS).numpy())
        assert sorted(set(np.round(bends[np.abs(bends) > 0.1], 2))) == [degrees]
        assert (np.abs(bends) > 0.1).sum() == 2 * SIDE  # the edges of the fold, from both sides
    given = torch.tensor([0.5, -0.5, 0.5, -0.5, 0.2]), torch.tensor([0.2, 0.2, 0.9, -0.9, -0.3])
    np.testing.assert_allclose(beyond_rest(*given), [0.3, 0.5, 0, 0, 0.2], rtol=1e-6)


def test_none_sticks_out_of_a_fold_and_along_it_all_keep_their_size():
    binding, scales = bound()
    bent = folded(90)
    means, quats = binding.pose(bent)
    turned, sizes = binding.narrow(bent, OTHERS, MOST, means, quats, scales)
    before, after = covariances(quats, scales), covariances(turned, sizes)
    assert binding.rest_shapes is not None
    out = outmost(binding.rest_shapes)
    assert out == pytest.approx(MOST, rel=1e-5)
    flat = means[:, 2].numpy() > -1e-6  # on the half that stays
    was, now = (np.sqrt(np.where(flat, each[:, 0, 0], each[:, 2, 2])) for each in (before, after))
    inside = -np.where(flat, means[:, 0], means[:, 2]).astype(float)  # distance to the fold
    touching = bends_of(bent, binding.faces, OTHERS)[binding.triangle_ids].amax(1).numpy() > 1
    held = touching & (now > 1.01 * LEAST * was)  # by their distance, not by the least size
    may = np.maximum(out, folds.SHARE * scales[:, :2].amax(1).numpy()) / np.sin(np.pi / 2 - folds.SLIGHT)
    assert held.sum() > 100 and ((REACH * was - inside) / may)[held].max() > 3
    assert ((REACH * now - inside) / may)[held].max() < 1.02
    np.testing.assert_allclose(after[touching][:, 1, 1], before[touching][:, 1, 1], rtol=1e-3)
    assert torch.equal(sizes[~touching], scales[~touching]) and torch.equal(turned[~touching], quats[~touching])
    assert torch.equal(sizes[:, 2], scales[:, 2])


def test_what_is_not_bent_further_than_at_rest_stays_to_the_bit():
    for rest, now in ((0, 0), (80, 80), (80, 30)):  # a sheet, a pleat, a pleat that opens
        binding, scales = bound(rest)
        turn = Rotation.from_rotvec([0.4, -1.0, 0.7]).as_matrix().T.astype(np.float32)
        moved = folded(now) @ torch.from_numpy(turn)
        means, quats = binding.pose(moved)
        turned, sizes = binding.narrow(moved, OTHERS, MOST, means, quats, scales)
        assert torch.equal(turned, quats) and torch.equal(sizes, scales)


def test_leaning_ones_strands_and_old_avatars_stay():
    binding, scales = bound()
    bent = folded(90)
    leaning = torch.from_numpy(Rotation.random(len(scales), rng=np.random.default_rng(1)).as_quat().astype(np.float32))
    assert binding.rest_shapes is not None
    for changed in (
        replace(binding, local_quats=leaning),
        replace(binding, rest_shapes=torch.zeros_like(binding.rest_shapes)),
        replace(binding, rest_bends=None),
    ):
        means, quats = changed.pose(bent)
        turned, sizes = changed.narrow(bent, OTHERS, MOST, means, quats, scales)
        assert torch.equal(turned, quats) and torch.equal(sizes, scales)


def test_torch_and_kernel_agree():
    binding, scales = bound()
    bent = folded(65)
    means, quats = binding.pose(bent)
    given = binding.local_quats, means.double(), quats.double(), scales.double()
    bends = beyond_rest(bends_of(bent.double(), binding.faces, OTHERS), torch.zeros(len(FACES), 3))
    corners = bent.double()[binding.faces[binding.triangle_ids]]
    room = room_beyond(bends)
    turns, sizes = folds._narrow_tensors(corners, room[binding.triangle_ids], 2e-3, *given)
    own = folds._narrow(
        *(part.numpy() for part in (bent, binding.faces, room.float(), binding.triangle_ids, given[0], means, quats)),
        scales.numpy(),
        2e-3,
    )
    assert (np.abs(own[1] - scales.numpy()) > 1e-4).any(1).sum() > 100
    whole = [covariances(part, size) for part, size in ((turns, sizes), (torch.from_numpy(own[0]), own[1]))]
    np.testing.assert_allclose(whole[0], whole[1], atol=2e-5 * float(scales.max()) ** 2)


def test_pictures_of_a_folded_sheet_end_where_it_does():
    binding, scales = bound(count=20_000)
    scales = scales.clamp(max=0.05)
    bent = folded(90)
    means, quats = binding.pose(bent)
    view = np.eye(4, dtype=np.float32)  # from behind the fold, along it: a gable with its ridge to the upper right
    view[:3, :3] = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    view[:3, 3] = [0.5, -0.5, 4]
    K = np.array([[150, 0, 100], [0, 150, 100], [0, 0, 1]], np.float32)
    camera = CameraPath(view[None], K[None], 200, 200)
    rows, columns = np.mgrid[:200, :200]
    outside = (rows + 0.5 < 79) | (columns + 0.5 > 121)  # a pixel beyond the nearest end of each half
    shown = []
    for turned, sizes in ((quats, scales), binding.narrow(bent, OTHERS, MOST, means, quats, scales)):
        _, alpha = draw_tensors([means, turned, sizes, torch.ones(len(means))], means[:, :1], camera, 0)
        shown.append(alpha.numpy())
    before, after = (alpha[outside].sum() for alpha in shown)
    assert after < 0.35 * before
    inside = shown[0] > 0.98
    assert shown[1][inside & ~outside].mean() > 0.97
