"""The pose is drawn where the camera says, in OpenPose's colours; what is hidden goes as an estimator loses it."""

import colorsys
import json

import numpy as np
import pytest
from human_rig import human_shot
from synthetic import make_arrays, make_shot

from ani3d_formats.errors import Ani3DError
from ani3d_formats.shot import Shot
from ani3dhuman.pose.drawing import COLORS, LIMBS, PoseStyle, draw_pose
from ani3dhuman.pose.keypoints import BODY_KEYPOINTS, FACE_KEYPOINTS, KEYPOINTS, map_keypoints
from ani3dhuman.pose.occlusion import occluded
from ani3dhuman.pose.skeleton import draw_skeleton
from ani3dhuman.pose.video import pose_video
from ani3dhuman.rendering.layers import LayerRender

BLUE = (0, 0, 255)


def scene(**options):
    shot = human_shot(**options)
    return shot, map_keypoints(shot)


def draw(shot, found, frame=0, style=None, **pictures):
    return draw_pose(found, shot["bone_pose"][frame], shot.cameras, frame, style=style, **pictures)


def where(shot, found, name, frame=0):
    points = found.positions(shot["bone_pose"][frame])
    pixels, depths = shot.cameras.project(points, frame)
    return pixels[KEYPOINTS.index(name)], depths[KEYPOINTS.index(name)]


def disc_centre(picture, color):
    rows, columns = np.nonzero((picture == color).all(-1))
    return np.array([columns.mean() + 0.5, rows.mean() + 0.5])


def has(picture, color):
    return bool((picture == color).all(-1).any())


def test_the_layout_is_openpose():
    wheel = [tuple(round(255 * c) for c in colorsys.hsv_to_rgb(k / 18, 1, 1)) for k in range(18)]
    assert all(np.abs(np.subtract(a, b)).max() <= 1 for a, b in zip(COLORS, wheel, strict=True)), "18 hues"
    named = [(BODY_KEYPOINTS[a], BODY_KEYPOINTS[b]) for a, b in LIMBS]
    assert named[:2] == [("neck", "right_shoulder"), ("neck", "left_shoulder")]
    assert named[2] == ("right_shoulder", "right_elbow") and named[10] == ("left_hip", "left_knee")
    assert named[12:] == [
        ("neck", "nose"),
        *(("nose", "right_eye"), ("right_eye", "right_ear")),
        *(("nose", "left_eye"), ("left_eye", "left_ear")),
    ]


@pytest.mark.parametrize("frame", [0, 1])
def test_joints_are_where_the_camera_sees_them(frame):
    shot, found = scene(fingers=False)
    picture = draw(shot, found, frame)
    for k, name in enumerate(BODY_KEYPOINTS[1:14], start=1):
        assert np.abs(disc_centre(picture, COLORS[k]) - where(shot, found, name, frame)[0]).max() < 1, name


@pytest.mark.parametrize(("turn", "left_is_right_in_the_picture"), [(0.0, True), (np.pi, False)])
def test_left_is_the_characters_left(turn, left_is_right_in_the_picture):
    shot, found = scene(fingers=False, turn=turn)
    picture = draw(shot, found, style=PoseStyle(occlusion="keep"))
    right_wrist, left_wrist = disc_centre(picture, COLORS[4]), disc_centre(picture, COLORS[7])
    assert COLORS[4] == (170, 255, 0) and COLORS[7] == (0, 255, 85), "right arm warm, left arm green"
    assert (left_wrist[0] > right_wrist[0]) == left_is_right_in_the_picture


def test_limbs_are_darkened_ellipses():
    shot, found = scene(fingers=False)
    picture = draw(shot, found)
    a, b = where(shot, found, "right_elbow")[0], where(shot, found, "right_wrist")[0]
    middle, along = (a + b) / 2, (b - a) / np.linalg.norm(b - a)
    across = np.array([-along[1], along[0]])
    limb = tuple(int(0.6 * c) for c in COLORS[3])

    def at(point):
        return tuple(picture[int(point[1]), int(point[0])])

    assert at(middle) == limb and at(middle + 2 * across) == limb, "half thickness is 3 pixels at this size"
    assert at(middle + 5 * across) == (0, 0, 0)
    assert at(b - along * 4 + 2.5 * across) != limb, "thinner towards the joint"


def test_hands_have_running_hues_and_blue_dots():
    shot, found = scene(size=(1536, 2048))
    with_hands = draw(shot, found, style=PoseStyle(width=1))
    without = draw(shot, found, style=PoseStyle(width=1, hands=False))
    for name in ("left_hand_thumb4", "right_hand_little4", "left_hand_index1"):
        x, y = where(shot, found, name)[0]
        assert tuple(with_hands[int(y), int(x)]) == BLUE and tuple(without[int(y), int(x)]) != BLUE
    for first, second, line in (("thumb3", "thumb4", 3), ("little3", "little4", 19)):
        a, b = (where(shot, found, f"left_hand_{name}")[0] for name in (first, second))
        x, y = (a + b) / 2
        hue = [255 * c for c in colorsys.hsv_to_rgb(line / 20, 1, 1)]
        assert np.abs(with_hands[int(y), int(x)] - hue).max() <= 1, "the hue runs over the 20 lines of a hand"


def test_a_rig_without_fingers_gets_no_hands():
    shot, found = scene(fingers=False)
    np.testing.assert_array_equal(draw(shot, found), draw(shot, found, style=PoseStyle(hands=False)))


def test_face_landmarks_are_white_dots_on_their_vertices():
    shot = human_shot(size=(1536, 2048))
    found = map_keypoints(shot, landmarks=np.arange(68))
    vertices = shot["vertices"]
    picture = draw(shot, found, vertices=vertices)
    pixels, _ = shot.cameras.project(vertices[found.landmarks], 0)
    assert all((picture[int(y), int(x)] == 255).all() for x, y in pixels)
    assert not has(draw(shot, found, vertices=vertices, style=PoseStyle(landmarks=False)), (255, 255, 255))


def wall(shot, metres):
    """A wall across the picture, so many metres in front of the camera."""
    size = (shot.cameras.height, shot.cameras.width)
    return {"depth": np.full(size, metres, np.float16), "alpha": np.ones(size, np.float16)}


def test_hidden_joints_follow_the_style():
    shot, found = scene()
    _, depth = where(shot, found, "left_wrist")
    in_front, behind = wall(shot, depth - 0.6), wall(shot, depth + 0.6)
    full = draw(shot, found)
    np.testing.assert_array_equal(draw(shot, found, **behind), full)
    np.testing.assert_array_equal(draw(shot, found, style=PoseStyle(occlusion="keep"), **in_front), full)
    assert not draw(shot, found, style=PoseStyle(occlusion="drop"), **in_front).any()
    dim = draw(shot, found, style=PoseStyle(occlusion="dim", hidden_brightness=0.5), **in_front)
    assert 0 < dim.max() <= 128
    estimate = draw(shot, found, **in_front)
    assert has(estimate, COLORS[7]) and has(estimate, COLORS[13]), "an estimator goes on predicting limbs"
    assert not any(has(estimate, COLORS[k]) for k in FACE_KEYPOINTS), "but no face from behind"
    np.testing.assert_array_equal(estimate, draw(shot, found, style=PoseStyle(hands=False), **in_front))


def test_a_joint_inside_its_own_limb_is_not_hidden():
    shot, found = scene()
    k = KEYPOINTS.index("left_knee")
    pixel, depth = where(shot, found, "left_knee")
    size = (shot.cameras.height, shot.cameras.width)
    for margin, expected in ((0.9, False), (1.1, True)):
        surface = np.full(size, depth - margin * found.radii[k])
        hidden = occluded(pixel[None], depth[None], found.radii[k : k + 1], surface, None, size)
        assert hidden[0] == expected


def test_nothing_hides_outside_the_picture_or_behind_thin_air():
    size = (40, 30)
    pixels, depths, radii = np.array([[-5.0, 10.0], [10.0, 10.0]]), np.array([3.0, 3.0]), np.full(2, 0.05)
    near, faint = np.full(size, 1.0), np.full(size, 0.4)
    assert not occluded(pixels, depths, radii, near, faint, size).any()
    assert occluded(pixels, depths, radii, near, None, size).tolist() == [False, True]


def test_what_is_behind_the_camera_is_left_out():
    shot, found = scene()
    behind = shot["bone_pose"][0].copy()
    behind[:, 1, 3] -= 10
    assert not draw_pose(found, behind, shot.cameras, 0).any()


def test_channel_order_and_width_can_be_chosen():
    shot, found = scene()
    rgb, bgr = draw(shot, found), draw(shot, found, style=PoseStyle(channel_order="bgr"))
    np.testing.assert_array_equal(rgb, bgr[..., ::-1])
    assert (draw(shot, found, style=PoseStyle(width=8)) > 0).sum() > 1.5 * (rgb > 0).sum()


def test_a_clip_of_a_human_and_of_something_else():
    shot, found = scene()
    np.testing.assert_array_equal(pose_video(shot, found, shot.cameras)[1], draw(shot, found, 1))
    other = make_shot(2)
    plain = pose_video(other, map_keypoints(other), other.cameras)
    one = draw_skeleton(other["bone_pose"][1], other["bone_lengths"], other["bone_parents"], other.cameras, 1)
    np.testing.assert_array_equal(plain[1], one)


def test_the_skeleton_of_something_else_is_its_bones_alone():
    """Neither objects among the bones nor a scale in the bones' matrices show."""
    other, mixed = make_shot(2), make_arrays(2)
    meta = json.loads(str(mixed["meta"]))
    mixed["meta"] = np.array(json.dumps({**meta, "bones": [*meta["bones"], "object:Sword"]}))
    for name in ("bone_rest", "bone_pose", "bone_lengths", "bone_parents"):
        last = mixed[name][:, -1:] if name == "bone_pose" else mixed[name][-1:]
        mixed[name] = np.concatenate(
            [mixed[name], last + 0.3 if name == "bone_lengths" else last], int(name == "bone_pose")
        )
    mixed["bone_rest"][:, :3, :3] *= 0.01
    mixed["bone_pose"][:, :, :3, :3] *= 0.01
    shot = Shot.from_arrays(mixed)
    drawn, plain = (pose_video(each, map_keypoints(each), each.cameras) for each in (shot, other))
    assert plain.any()
    np.testing.assert_array_equal(drawn, plain)


def test_a_clip_takes_depth_from_its_layer():
    shot, found = scene()
    front = wall(shot, 1.0)
    stack = {name: np.stack([values] * 2) for name, values in front.items()}
    layer = LayerRender(np.zeros((*stack["depth"].shape, 3), np.uint8), preserve=stack["alpha"], **stack)
    np.testing.assert_array_equal(pose_video(shot, found, shot.cameras, layer)[0], draw(shot, found, **front))


def test_bad_pictures_and_styles_are_refused():
    shot, found = scene()
    with pytest.raises(Ani3DError, match=r"depth picture is \(4, 4\)"):
        draw(shot, found, depth=np.ones((4, 4)))
    for wrong in ({"occlusion": "guess"}, {"channel_order": "grb"}, {"width": 0}, {"hidden_brightness": 2}):
        with pytest.raises(Ani3DError) as caught:
            PoseStyle(**wrong)
        assert caught.value.code == "pose.style"
