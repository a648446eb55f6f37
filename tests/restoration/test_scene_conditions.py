"""Conditions of a clip: right kind, right size, nothing lost, and bad input said plainly."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from human_rig import human_shot
from synthetic import make_shot

from ani3d_formats.camera import CameraPath
from ani3d_formats.color import linear_to_srgb
from ani3d_formats.errors import Ani3DError
from ani3dhuman.avatar import avatar_from_shot
from ani3dhuman.pose.keypoints import map_keypoints
from ani3dhuman.pose.video import pose_video
from ani3dhuman.rendering.control_maps import depth_picture
from ani3dhuman.rendering.layers import LayerRender
from ani3dhuman.restoration.conditions.latent_mask import latent_mask
from ani3dhuman.restoration.conditions.reference import (
    canonical_reference,
    fit_reference,
    load_picture,
    portrait_camera,
)
from ani3dhuman.restoration.conditions.scene import NEGATIVE_PROMPT, scene_conditions

GREY = np.full(3, 0.5)
SIZE = (64, 48)


@pytest.fixture(scope="module")
def shot():
    return human_shot(size=(SIZE[1], SIZE[0]))


@pytest.fixture(scope="module")
def layer():
    """Two frames: the middle of the picture is a person 3 m away, upper half skin."""
    alpha = np.zeros((2, *SIZE), np.float16)
    alpha[:, 16:48, 16:32] = 1
    preserve = alpha.copy()
    preserve[:, 32:] = 0
    preserve[:, 16] *= 0.4
    rgb = np.full((2, *SIZE, 3), 90, np.uint8)
    rgb[1] = 120
    return LayerRender(rgb, alpha, 3 * alpha, preserve)


def test_each_kind_of_control(shot, layer):
    pose, depth, normal = (scene_conditions(shot, shot.cameras, layer, kind=k) for k in ("pose", "depth", "normal"))
    for made in (pose, depth, normal):
        assert made.control.shape == (2, *SIZE, 3) and made.control.dtype == np.uint8
    np.testing.assert_array_equal(pose.control, pose_video(shot, map_keypoints(shot), shot.cameras, layer))
    np.testing.assert_array_equal(depth.control, depth_picture(layer.depth, layer.alpha))
    assert (np.abs(normal.control.astype(int) - (128, 128, 255)) <= 1).all(), "a flat board faces the camera"
    assert pose.notes and "face landmarks" in pose.notes[0] and depth.notes == ()


def test_a_rig_of_another_being_is_drawn_and_said(layer):
    other = make_shot(2, width=SIZE[1], height=SIZE[0])
    made = scene_conditions(other, other.cameras, layer)
    assert made.control.any() and "not recognised" in made.notes[0]


def test_the_preserve_mask_is_hard_and_pools_to_latents(shot, layer):
    made = scene_conditions(shot, shot.cameras, layer, kind="depth")
    assert set(np.unique(made.preserve)) == {0, 1}
    assert made.preserve[:, 17:32, 16:32].all() and made.preserve.sum() == 2 * 15 * 16
    pooled = latent_mask(torch.from_numpy(made.preserve))
    assert pooled.shape == (2, 8, 6) and torch.equal(pooled[0], pooled[1])
    assert pooled[0, 2:4, 2:4].all() and pooled.sum() == 2 * 4
    assert latent_mask(torch.from_numpy(made.preserve), spatial=16).shape == (2, 4, 3)


def test_prompts(shot, layer):
    made = scene_conditions(shot, shot.cameras, layer, kind="depth")
    assert "clothes" in made.prompt and "hair" in made.prompt and made.negative_prompt == NEGATIVE_PROMPT
    own = scene_conditions(shot, shot.cameras, layer, kind="depth", prompt="  a dancer ", negative_prompt="")
    assert own.prompt == "a dancer" and own.negative_prompt == ""
    bare = human_shot(size=(SIZE[1], SIZE[0]))
    bare["region_ids"][:] = 0
    assert "swing" not in scene_conditions(bare, bare.cameras, layer, kind="depth").prompt


def test_the_reference_is_the_first_frame_or_the_users_picture(shot, layer, tmp_path):
    plain = scene_conditions(shot, shot.cameras, layer, kind="depth").reference
    np.testing.assert_array_equal(plain, layer.rgb[0])
    photo = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "me.png"), photo[..., ::-1])
    for given in (photo, tmp_path / "me.png", str(tmp_path / "me.png")):
        made = scene_conditions(shot, shot.cameras, layer, kind="depth", reference=given)
        np.testing.assert_array_equal(made.reference, photo)


@pytest.mark.parametrize(
    ("source", "target", "box"),
    [
        ((20, 10), (40, 40), (0, 10, 40, 30)),  # tall: twice the size, padded left and right
        ((10, 20), (40, 40), (10, 0, 30, 40)),  # wide: padded above and below
        ((30, 30), (15, 20), (0, 2, 15, 17)),  # smaller, odd padding to the right
        ((7, 7), (7, 7), (0, 0, 7, 7)),
    ],
)
def test_fitting_keeps_the_shape_in_the_middle(source, target, box):
    picture = np.full((*source, 3), (10, 200, 30), np.uint8)
    fitted = fit_reference(picture, target[1], target[0], np.array([1.0, 0.5, 0.0]))
    top, left, bottom, right = box
    assert fitted.shape == (*target, 3)
    assert (fitted[top:bottom, left:right] == (10, 200, 30)).all()
    fitted[top:bottom, left:right] = (255, 128, 0)
    assert (fitted == (255, 128, 0)).all(), "the rest is background"


def test_fitting_a_transparent_picture_shows_the_background():
    picture = np.zeros((8, 8, 4), np.uint8)
    picture[..., 0] = 200
    picture[:4, :, 3], picture[4:, :, 3] = 255, 51
    fitted = fit_reference(picture, 8, 8, GREY)
    assert (fitted[:4] == (200, 0, 0)).all() and (fitted[4:] == (round(0.2 * 200 + 0.8 * 128), 102, 102)).all()


def test_grey_and_transparent_files_can_be_read(tmp_path):
    grey, clear = np.full((4, 5), 7, np.uint8), np.full((4, 5, 4), (1, 2, 3, 4), np.uint8)
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    cv2.imwrite(str(tmp_path / "clear.png"), clear)
    assert (load_picture(tmp_path / "grey.png") == 7).all() and load_picture(tmp_path / "grey.png").shape == (4, 5, 3)
    assert (load_picture(tmp_path / "clear.png") == (3, 2, 1, 4)).all()


@pytest.mark.parametrize("kind", ["perspective", "orthographic"])
def test_the_portrait_shows_all_of_the_front(kind):
    shot = human_shot(size=(48, 96))
    shot = replace(shot, meta=replace(shot.meta, camera_type=kind))
    camera = portrait_camera(shot, np.array([0.0, -1.0, 0.1]), 48, 96)
    pixels, depths = camera.project(shot["vertices"], 0)
    assert (depths > 0.1).all() and (pixels > 0).all() and (pixels < [48, 96]).all()
    assert np.ptp(pixels[:, 1]) > 0.6 * 96, "and fills the picture"
    (left, nose, back), away = camera.project(np.array([[0.3, 0, 1.0], [0, -0.1, 1.0], [0, 0.1, 1.0]]), 0)
    assert left[0] > nose[0] and away[1] < away[2], "her left is on the picture's right: she faces the camera"
    assert np.allclose(nose[0], back[0], atol=1e-3)


def test_the_canonical_reference_is_drawn(shot):
    avatar = avatar_from_shot(shot, 2000)
    picture = canonical_reference(shot, avatar, map_keypoints(shot).forward, 48, 96)
    background = np.round(linear_to_srgb(shot["background"]) * 255)
    assert picture.shape == (96, 48, 3)
    assert (np.abs(picture[0, 0] - background) <= 1).all() and (np.abs(picture[48, 24] - background) > 20).any()


def test_bad_input_is_refused_with_a_hint(shot, layer, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "empty.png").touch()
    cv2.imwrite(str(tmp_path / "deep.png"), np.zeros((4, 4, 3), np.uint16))
    small = CameraPath(shot.cameras.viewmats, shot.cameras.Ks, 20, 20)
    cut = LayerRender(layer.rgb[:1], layer.alpha[:1], layer.depth[:1], layer.preserve[:1])
    cases = [
        ("conditions.kind", {"kind": "sketch"}),
        ("conditions.size", {"cameras": small}),
        ("conditions.size", {"layer": cut}),
        ("conditions.prompt", {"prompt": "  "}),
        ("conditions.reference", {"reference": tmp_path / "none.png"}),
        ("conditions.reference", {"reference": tmp_path / "broken.png"}),
        ("conditions.reference", {"reference": tmp_path / "empty.png"}),
        ("conditions.reference", {"reference": tmp_path / "deep.png"}),
        ("conditions.reference", {"reference": tmp_path}),
        ("conditions.reference", {"reference": np.zeros((4, 4))}),
        ("conditions.reference", {"reference": np.zeros((0, 4, 3), np.uint8)}),
    ]
    for code, changes in cases:
        with pytest.raises(Ani3DError) as caught:
            arguments = {"cameras": shot.cameras, "layer": layer, "kind": "depth", **changes}
            scene_conditions(shot, arguments.pop("cameras"), arguments.pop("layer"), **arguments)
        assert caught.value.code == code and caught.value.hint, code
    with pytest.raises(Ani3DError, match="multiples of 7"):
        latent_mask(torch.from_numpy(layer.preserve), spatial=7)
    with pytest.raises(Ani3DError, match="0 x 5"):
        fit_reference(layer.rgb[0], 0, 5, GREY)
