"""Gaussians drawn nearer to the eye: the same in a picture, but for which of them covers which."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic import make_shot

from ani3d_formats.camera import CameraPath
from ani3d_formats.regions import BODY, GARMENT
from ani3dhuman.avatar.from_mesh import avatar_from_shot
from ani3dhuman.avatar.lifts import MOST, lifts_of, nearer
from ani3dhuman.avatar.posing import PosedAvatar
from ani3dhuman.rendering.draw import draw_tensors

GOLD, RED = [1.0, 0.8, 0.0], [1.0, 0.0, 0.0]


@pytest.fixture(scope="module")
def shot():
    return make_shot(1)


def camera(kind):
    view = np.array([[[1, 0, 0, 0.1], [0, 0.8, -0.6, 0.2], [0, 0.6, 0.8, 3], [0, 0, 0, 1]]], np.float32)
    focal = 60.0 if kind == "perspective" else 20.0
    K = np.array([[[focal, 0, 16], [0, focal, 16], [0, 0, 1]]], np.float32)
    return CameraPath(view, K, 32, 32, kind)


@pytest.mark.parametrize("kind", ["perspective", "orthographic"])
def test_a_lifted_gaussian_looks_the_same_and_covers_what_was_before_it(kind):
    cameras, two = camera(kind), torch.tensor([[0.0, 0.0, 0.0], [0.02, 0.01, 0.03]])
    turns, sizes = torch.tensor([[1.0, 0.2, 0.1, 0.0]]).repeat(2, 1), torch.tensor([[0.2, 0.1, 0.01]]).repeat(2, 1)
    solid, colors = torch.tensor([0.9, 0.9]), torch.tensor([GOLD, RED])

    def picture(lifts, which):
        means, scales = nearer(two, sizes, torch.tensor(lifts), torch.from_numpy(cameras.viewmats[0]), kind[0] == "o")
        parts = (means[which], turns[which], scales[which], solid[which])
        return draw_tensors(parts, colors[which], cameras, 0)[0].numpy()

    for each in ([0], [1]):
        np.testing.assert_allclose(picture([0.2, 0.2], each), picture([0.0, 0.0], each), atol=2e-3)
    first, second = picture([0.2, 0.0], [0, 1]), picture([0.0, 0.2], [0, 1])
    middle = np.s_[12:20, 12:20]
    assert first[middle][..., 1].max() > 2 * second[middle][..., 1].max()


def test_garments_are_lifted_no_further_than_half_way_to_the_next_layer(shot):
    avatar = avatar_from_shot(shot, 3000)
    lifts, height = lifts_of(avatar, shot["vertices"]), np.ptp(shot["vertices"], axis=0).max()
    worn = avatar.region_ids == GARMENT
    assert (lifts[~worn] == 0).all() and lifts[worn].max() > 0.9 * MOST * height
    assert (lifts >= 0).all() and (lifts <= MOST * height).all()
    points = avatar.within(shot["vertices"])
    for row in np.flatnonzero(worn)[::40]:
        apart = np.linalg.norm(points[~worn] - points[row], axis=1).min()
        assert lifts[row] <= max(apart / 2, 1e-6)


def test_of_a_character_without_garments_the_body_is_lifted(shot):
    avatar = avatar_from_shot(shot, 1000)
    bare = replace(avatar, region_ids=np.full(avatar.count, BODY))
    assert lifts_of(bare, shot["vertices"]).max() > 0


def test_pictures_are_drawn_lifted_and_what_is_stored_is_not(shot):
    avatar = avatar_from_shot(shot, 500)
    lifts = np.linspace(0, 0.01, avatar.count, dtype=np.float32)
    posed = PosedAvatar(replace(avatar, lifts=lifts), shot["vertices"][None], None, shot.cameras)
    plain = PosedAvatar(avatar, shot["vertices"][None], None, shot.cameras)
    assert torch.equal(posed.frame(0).means, plain.frame(0).means)
    eye = torch.from_numpy(shot.cameras.positions()[0].astype(np.float32))
    gone = (plain.drawn(0).means - eye).norm(dim=1) - (posed.drawn(0).means - eye).norm(dim=1)
    np.testing.assert_allclose(gone.numpy(), lifts, atol=1e-5)
