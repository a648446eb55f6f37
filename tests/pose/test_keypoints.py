"""Keypoints are found on every usual rig, where its bones are, left on the left."""

import numpy as np
import pytest
from human_rig import bones, human_shot
from synthetic import make_shot

from ani3d_formats.errors import Ani3DError
from ani3dhuman.pose.bone_names import BoneName, find_joints, parse_bone_name
from ani3dhuman.pose.keypoints import BODY_KEYPOINTS, FROM_HEAD, KEYPOINTS, map_keypoints

JOINT_OF = {
    "shoulder": "upperarm", "elbow": "lowerarm", "wrist": "hand",
    "hip": "upperleg", "knee": "lowerleg", "ankle": "foot",
}  # fmt: skip


def split(name):
    """Plain name -> (stem, side letter or "", finger level or "")."""
    stem, _, side = name.partition(".")
    level = stem[-1] if stem[-1].isdigit() else ""
    return stem.removesuffix(level) if level else stem, side, level


def words(side, table, finger, centre):
    """A naming scheme as a function: `table` names bones, `side` and `finger` and `centre` put names together."""

    def rename(plain):
        stem, letter, level = split(plain)
        if level:
            return side(letter, finger(stem, level))
        name = table.get(stem, stem)
        return side(letter, name) if letter else centre(name)

    return rename


MIXAMO = {
    "hips": "Hips", "spine": "Spine", "neck": "Neck", "head": "Head", "clavicle": "Shoulder", "upperarm": "Arm",
    "lowerarm": "ForeArm", "hand": "Hand", "upperleg": "UpLeg", "lowerleg": "Leg", "foot": "Foot", "toes": "ToeBase",
}  # fmt: skip
RIGIFY = {
    "hips": "spine", "spine": "spine.003", "neck": "spine.004", "head": "spine.006", "clavicle": "shoulder",
    "upperarm": "upper_arm", "lowerarm": "forearm", "upperleg": "thigh", "lowerleg": "shin", "toes": "toe",
}  # fmt: skip
MAKEHUMAN = {
    "hips": "root", "spine": "spine03", "neck": "neck01", "clavicle": "shoulder01", "upperarm": "upperarm01",
    "lowerarm": "lowerarm01", "hand": "wrist", "upperleg": "upperleg01", "lowerleg": "lowerleg01", "toes": "toe1-1",
}  # fmt: skip
UNITY = {
    "clavicle": "Shoulder", "upperarm": "UpperArm", "lowerarm": "LowerArm", "hand": "Hand", "upperleg": "UpperLeg",
    "lowerleg": "LowerLeg", "foot": "Foot", "toes": "Toes",
}  # fmt: skip
SMPLX = {
    "hips": "pelvis", "spine": "spine3", "clavicle": "collar", "upperarm": "shoulder", "lowerarm": "elbow",
    "hand": "wrist", "upperleg": "hip", "lowerleg": "knee", "foot": "ankle", "toes": "foot",
}  # fmt: skip
ARP = {
    "hips": "root", "spine": "spine_03", "clavicle": "shoulder", "upperarm": "arm_twist", "lowerarm": "forearm_stretch",
    "upperleg": "thigh_twist", "lowerleg": "leg_stretch", "toes": "toes_01",
}  # fmt: skip
UNREAL = {"spine": "spine_03", "neck": "neck_01", "upperleg": "thigh", "lowerleg": "calf", "toes": "ball"}
DAZ8 = {
    "hips": "hip", "spine": "chestUpper", "neck": "neckLower", "head": "head", "clavicle": "Collar",
    "upperarm": "ShldrBend", "lowerarm": "ForearmBend", "hand": "Hand", "upperleg": "ThighBend", "lowerleg": "Shin",
    "foot": "Foot", "toes": "Toe",
}  # fmt: skip
DAZ9 = {"clavicle": "shoulder", "lowerarm": "forearm", "upperleg": "thigh", "lowerleg": "shin", "neck": "neck1"}
CC = {
    "clavicle": "Clavicle", "upperarm": "Upperarm", "lowerarm": "Forearm", "hand": "Hand", "upperleg": "Thigh",
    "lowerleg": "Calf", "foot": "Foot", "toes": "ToeBase",
}  # fmt: skip
MID = {"middle": "Mid"}
LONG = {"L": "Left", "R": "Right"}
PHALANX = {"1": "Proximal", "2": "Intermediate", "3": "Distal"}
LITTLE = {"pinky": "Little"}


def numbered(name):
    """With a serial number of its own, as glTF files of Sketchfab have."""
    serials = numbered.__dict__.setdefault("serials", {})
    return f"{name}_{serials.setdefault(name, len(serials) + 1):02d}"


def camel(letter, name):
    return f"{LONG[letter].lower()}{name}"


SCHEMES = {
    "plain, as in the demo": lambda plain: plain,
    "Mixamo": words(
        lambda s, n: f"mixamorig:{LONG[s]}{n}", MIXAMO, lambda f, l: f"Hand{f.title()}{l}", "mixamorig:{}".format
    ),
    "Mixamo, second import": words(
        lambda s, n: f"mixamorig5:{LONG[s]}{n}", MIXAMO, lambda f, l: f"Hand{f.title()}{l}", "mixamorig5:{}".format
    ),
    "Mixamo without namespace": words(lambda s, n: LONG[s] + n, MIXAMO, lambda f, l: f"Hand{f.title()}{l}", str),
    "Rigify, deforming": words(
        lambda s, n: f"DEF-{n}.{s}",
        RIGIFY,
        lambda f, l: f"thumb.0{l}" if f == "thumb" else f"f_{f}.0{l}",
        "DEF-{}".format,
    ),
    "Rigify, metarig": words(
        lambda s, n: f"{n}.{s}", RIGIFY, lambda f, l: f"thumb.0{l}" if f == "thumb" else f"f_{f}.0{l}", str
    ),
    "MakeHuman default": words(
        lambda s, n: f"{n}.{s}",
        MAKEHUMAN,
        lambda f, l: f"finger{('thumb', 'index', 'middle', 'ring', 'pinky').index(f) + 1}-{l}",
        str,
    ),
    "VRM 0, Unity": words(camel, UNITY, lambda f, l: f"{LITTLE.get(f, f.title())}{PHALANX[l]}", str),
    "VRM 1": words(
        camel,
        UNITY,
        lambda f, l: (
            f"Thumb{('Metacarpal', 'Proximal', 'Distal')[int(l) - 1]}"
            if f == "thumb"
            else f"{LITTLE.get(f, f.title())}{PHALANX[l]}"
        ),
        str,
    ),
    "VRoid": words(
        lambda s, n: f"J_Bip_{s}_{n}",
        UNITY,
        lambda f, l: f"{LITTLE.get(f, f.title())}{l}",
        lambda n: f"J_Bip_C_{n.title()}",
    ),
    "SMPL-X": words(lambda s, n: f"{LONG[s].lower()}_{n}", SMPLX, lambda f, l: f"{f}{l}", str),
    "SMPL": words(lambda s, n: f"{s}_{n.title()}", SMPLX, lambda f, l: f"{f}{l}", str.title),
    "Auto-Rig Pro": words(lambda s, n: f"{n}.{s.lower()}", ARP, lambda f, l: f"c_{f}{l}", "{}.x".format),
    "Unreal": words(lambda s, n: f"{n}_{s.lower()}", UNREAL, lambda f, l: f"{f}_0{l}", str),
    "3ds Max Biped": words(
        lambda s, n: f"Bip01 {s} {n}",
        {"upperarm": "UpperArm", "lowerarm": "Forearm", "upperleg": "Thigh", "lowerleg": "Calf", "toes": "Toe0"},
        lambda f, l: f"{f.title()}{l}",
        "Bip01 {}".format,
    ),
    "Daz Genesis 8": words(lambda s, n: s.lower() + n, DAZ8, lambda f, l: f"{f.title()}{l}", str),
    "Daz Genesis 9": words(lambda s, n: f"{s.lower()}_{n}", DAZ9, lambda f, l: f"{f}{l}", str),
    "MB-Lab": words(lambda s, n: f"{n}_{s}", UNREAL, lambda f, l: f"{f}0{l}", str),
    "Character Creator": words(
        lambda s, n: f"CC_Base_{s}_{n}",
        CC,
        lambda f, l: f"{MID.get(f, f.title())}{l}",
        lambda n: f"CC_Base_{n.title()}",
    ),
    "Source": words(
        lambda s, n: f"ValveBiped.Bip01_{s}_{n}",
        {"upperarm": "UpperArm", "lowerarm": "Forearm", "upperleg": "Thigh", "lowerleg": "Calf", "toes": "Toe0"},
        lambda f, l: f"{f.title()}{l}",
        lambda n: f"ValveBiped.Bip01_{n.title()}1",
    ),
    "Godot humanoid": words(
        lambda s, n: LONG[s] + n,
        UNITY,
        lambda f, l: (
            f"Thumb{('Metacarpal', 'Proximal', 'Distal')[int(l) - 1]}"
            if f == "thumb"
            else f"{LITTLE.get(f, f.title())}{PHALANX[l]}"
        ),
        str.title,
    ),
    "Godot mannequin": words(
        lambda s, n: f"{n}.{s.lower()}", RIGIFY, lambda f, l: f"thumb.0{l}" if f == "thumb" else f"f_{f}.0{l}", str
    ),
    "Mixamo from Sketchfab": lambda plain: numbered(SCHEMES["Mixamo"](plain)),
}  # fmt: skip


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_naming_scheme_gives_all_sixty_keypoints(scheme):
    shot = human_shot(rename=SCHEMES[scheme])
    found = map_keypoints(shot)
    truth, points = bones(), dict(zip(KEYPOINTS, found.positions(shot["bone_rest"]), strict=True))
    assert found.is_human and found.missing == ()
    for side, letter in (("left", "L"), ("right", "R")):
        for joint, bone in JOINT_OF.items():
            np.testing.assert_allclose(points[f"{side}_{joint}"], truth[f"{bone}.{letter}"][0], atol=1e-5)
        for ours, theirs in (("thumb", "thumb"), ("index", "index"), ("little", "pinky")):
            np.testing.assert_allclose(points[f"{side}_hand_{ours}1"], truth[f"{theirs}1.{letter}"][0], atol=1e-5)
            np.testing.assert_allclose(points[f"{side}_hand_{ours}4"], truth[f"{theirs}3.{letter}"][1], atol=1e-5)
    np.testing.assert_allclose(points["neck"], [0, 0, 1.4], atol=1e-5)


def test_helper_bones_are_not_joints():
    names = [
        "upper_arm_fk.L", "MCH-upper_arm_parent.L", "DEF-upper_arm.L.001", "DEF-upper_arm.L", "upperarm_twist_01_l",
        "DEF-thigh.R", "thigh_ik_target.R", "hand_ik.L", "c_foot_fk.l", "palm.01.L", "HeadTop_End", "shoulder.L",
    ]  # fmt: skip
    joints = find_joints(names)
    assert joints == {"left_shoulder": 3, "right_hip": 5}


def test_serial_numbers_are_no_part_of_names_unless_all_have_one():
    parts = ["Root", "Spine01", "Head", "RightUpperArm", "RightForeArm", "LeftUpperArm", "LeftHand", "Tail01", "Tail02"]
    fox = ["_rootJoint", *(f"b_{name}_{number:02d}" for number, name in enumerate(parts))]
    assert find_joints(fox) == {
        "head": 3, "right_shoulder": 4, "right_elbow": 5, "left_shoulder": 6, "left_wrist": 7,
    }  # fmt: skip
    some = ["upperarm_l", "upperarm_twist_01", "spine_01", "spine_02", "hand_l"]
    assert find_joints(some) == {"left_shoulder": 0, "left_wrist": 4}


def test_names_are_taken_apart():
    assert parse_bone_name("mixamorig:LeftForeArm").stem == "forearm"
    assert parse_bone_name("DEF-f_index.01.L").numbers == (1,)
    assert parse_bone_name("leftupperarm") == BoneName(("upperarm",), "left", ())
    assert parse_bone_name("legs").side is None, "a word that starts with l is no left"


def test_the_neck_is_between_the_shoulders_and_follows_them():
    shot = human_shot()
    found = map_keypoints(shot)
    moved = found.positions(shot["bone_pose"][1])
    np.testing.assert_allclose(moved[1], (moved[2] + moved[5]) / 2, atol=1e-6)
    still = found.positions(shot["bone_pose"][0])
    np.testing.assert_allclose(moved - still, np.broadcast_to([0.1, 0, 0], (60, 3)), atol=1e-5)


def test_the_face_is_placed_by_the_stated_proportions_whatever_the_bone_rolls():
    shot = human_shot()
    points = map_keypoints(shot).positions(shot["bone_rest"])
    head, length = np.array([0, -0.02, 1.6]), 0.18
    np.testing.assert_allclose(points[0], head + length * np.array([0, -FROM_HEAD["nose"][0], 0]), atol=1e-5)
    right_eye, left_eye, right_ear, left_ear = points[14:18]
    assert left_eye[0] > 0.02 and left_ear[0] > left_eye[0] and right_ear[0] < right_eye[0] < 0
    assert points[0, 1] < left_eye[1] < left_ear[1], "nose before eyes before ears"


def test_eye_bones_say_where_the_eyes_are():
    eyes = {f"eye.{s}": (np.array([x, -0.1, 1.66]), np.array([x, -0.13, 1.66])) for s, x in (("L", 0.03), ("R", -0.03))}
    shot = human_shot(extra=eyes)
    points = map_keypoints(shot).positions(shot["bone_rest"])
    np.testing.assert_allclose(points[15], [0.03, -0.109, 1.66], atol=1e-4)
    assert -0.16 < points[0, 1] < -0.13 and 1.6 < points[0, 2] < 1.66, "the nose hangs below the eyes and sticks out"


def test_a_head_bone_of_absurd_length_is_not_believed():
    long = human_shot()
    long["bone_lengths"][list(long.meta.bones).index("head")] = 2.0
    nose = map_keypoints(long).positions(long["bone_rest"])[0]
    assert np.linalg.norm(nose - [0, -0.02, 1.6]) < 0.2


def test_missing_joints_are_reported_and_not_a_number():
    shot = human_shot(fingers=False)
    found = map_keypoints(shot)
    points = found.positions(shot["bone_rest"])
    assert found.is_human and len(found.missing) == 40 and "left_hand_thumb1" in found.missing
    assert np.isnan(points[KEYPOINTS.index("left_hand_thumb1")]).all()
    assert "left fingers" in found.describe() and "face landmarks" in found.describe()


def test_a_custom_map_goes_before_the_names():
    shot = human_shot(extra={"nose_tip": (np.array([0, -0.2, 1.62]), np.array([0, -0.25, 1.6]))})
    found = map_keypoints(shot, {"nose": ("nose_tip", "tail"), "left_ear": None, "left_wrist": "toes.L"})
    points = dict(zip(KEYPOINTS, found.positions(shot["bone_rest"]), strict=True))
    np.testing.assert_allclose(points["nose"], [0, -0.25, 1.6], atol=1e-5)
    np.testing.assert_allclose(points["left_wrist"], [0.13, -0.12, 0.03], atol=1e-5)
    assert found.missing == ("left_ear",)


def test_objects_among_the_bones_are_no_joints():
    here = (np.array([0, 0, 5.0]), np.array([0, 0, 6.0]))
    shot = human_shot(extra={"object:upperarm.L": here, "object:head": here, "object:index1.L": here})
    found, plain = map_keypoints(shot), map_keypoints(human_shot())
    np.testing.assert_allclose(found.positions(shot["bone_rest"]), plain.positions(human_shot()["bone_rest"]))
    with pytest.raises(Ani3DError, match=r"object:head") as caught:
        map_keypoints(shot, {"nose": "object:head"})
    assert caught.value.code == "keypoints.unknown_bone" and "object:" not in caught.value.hint


def test_an_armature_scaled_down_has_its_joints_where_they_are():
    """As Mixamo's are: the matrices hold a scale of 0.01, lengths are in metres all the same."""
    shot, small = human_shot(), human_shot()
    small["bone_rest"][:, :3, :3] *= 0.01
    found, plain = map_keypoints(small), map_keypoints(shot)
    np.testing.assert_allclose(found.positions(small["bone_rest"]), plain.positions(shot["bone_rest"]), atol=1e-5)
    np.testing.assert_allclose(found.radii, plain.radii, rtol=1e-5)


def test_rigs_of_other_beings_are_told_apart():
    assert not map_keypoints(make_shot(2)).is_human
    quadruped = human_shot()
    lying = np.array([[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]], np.float32)
    quadruped["bone_rest"][:] = lying @ quadruped["bone_rest"]
    found = map_keypoints(quadruped)
    assert not found.is_human and "not recognised" in found.describe()


def test_limb_radii_come_from_the_skin_not_from_the_skirt():
    shot = human_shot()
    hips = list(shot.meta.bones).index("hips")
    shot["weight_indices"][:], shot["bone_lengths"][hips] = hips, 1.0
    around = map_keypoints(shot, {"left_hip": "hips"}).radii[BODY_KEYPOINTS.index("left_hip")]
    assert 0.1 < around < 0.15, "the body is a tube of 14 cm, the skirt twice as wide"


@pytest.mark.parametrize(
    ("custom", "landmarks", "code"),
    [
        ({"left_tentacle": "head"}, None, "keypoints.unknown_keypoint"),
        ({"nose": "proboscis"}, None, "keypoints.unknown_bone"),
        ({"nose": ("head", "middle")}, None, "keypoints.unknown_bone"),
        (None, np.arange(5), "keypoints.landmarks"),
        (None, np.full(68, 10**6), "keypoints.landmarks"),
        (None, np.zeros(68), "keypoints.landmarks"),
    ],
)
def test_bad_maps_are_refused(custom, landmarks, code):
    with pytest.raises(Ani3DError) as caught:
        map_keypoints(human_shot(), custom, landmarks)
    assert caught.value.code == code and caught.value.hint
