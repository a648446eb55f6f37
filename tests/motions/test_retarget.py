"""Motions of other programs on our rigs, against answers known by construction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from human_rig import human_shot
from motion_files import figure, shot_of, with_turns, write_bvh, write_glb
from scipy.spatial.transform import Rotation

from ani3d_formats.errors import Ani3DError
from ani3d_formats.shot import Shot
from ani3dhuman import cli
from ani3dhuman.motions.bvh import read_bvh
from ani3dhuman.motions.files import read_motion
from ani3dhuman.motions.gltf import read_gltf_motion
from ani3dhuman.motions.retarget import retarget
from ani3dhuman.motions.smpl import joint_names, read_smpl_motion

MOVING = figure()


def unreal(name: str) -> str:
    stem, _, side = name.partition(".")
    level = stem[-1] if stem[-1].isdigit() else ""
    plain = {"hips": "pelvis", "spine": "spine_03", "neck": "neck_01", "upperleg": "thigh", "lowerleg": "calf",
             "toes": "ball"}.get(stem, stem.removesuffix(level))  # fmt: skip
    return plain + (f"_0{level}" if level else "") + (f"_{side.lower()}" if side else "")


def mixamo(name: str) -> str:
    stem, _, side = name.partition(".")
    level = stem[-1] if stem[-1].isdigit() else ""
    plain = {"clavicle": "Shoulder", "upperarm": "Arm", "lowerarm": "ForeArm", "upperleg": "UpLeg", "lowerleg": "Leg",
             "toes": "ToeBase"}.get(stem, stem.removesuffix(level).title())  # fmt: skip
    long = {"L": "Left", "R": "Right", "": ""}[side]
    return f"mixamorig:{long}{'Hand' if level else ''}{plain}{level}"


def smpl(name: str) -> str:
    stem, _, side = name.partition(".")
    plain = {
        "hips": "pelvis",
        "spine": "spine3",
        "clavicle": "collar",
        "upperarm": "shoulder",
        "lowerarm": "elbow",
        "hand": "wrist",
        "upperleg": "hip",
        "lowerleg": "knee",
        "foot": "ankle",
        "toes": "foot",
    }.get(stem, stem)
    return {"L": "left_", "R": "right_", "": ""}[side] + plain


def test_the_same_skeleton_moves_exactly_as_the_file_says(tmp_path):
    shot = shot_of(MOVING)
    for motion in (
        read_bvh(write_bvh(tmp_path / "a.bvh", MOVING)),
        read_gltf_motion(write_glb(tmp_path / "a.glb", MOVING)),
    ):
        moved = retarget(motion, shot)
        np.testing.assert_allclose(moved.bone_pose, shot["bone_pose"], atol=2e-5)
        assert moved.mapped == shot.meta.bones


@pytest.mark.parametrize("target", [mixamo, unreal, smpl])
def test_other_names_and_sizes_give_the_same_motion_to_scale(tmp_path, target):
    shot = shot_of(MOVING, target, scale=1.7)
    motion = read_bvh(write_bvh(tmp_path / "a.bvh", MOVING, mixamo if target is unreal else unreal, unit=39.37))
    moved = retarget(motion, shot)
    assert moved.scale == pytest.approx(1.7 / 39.37, rel=1e-5)
    np.testing.assert_allclose(moved.bone_pose, shot["bone_pose"], atol=1e-4)


def at_rest_as_a_t(figure):
    """The figure with its arms straight out at rest."""
    rest = figure.rest.copy()
    for sign, side in ((1, "L"), (-1, "R")):
        reach = 0.17
        for name in ("upperarm", "lowerarm", "hand"):
            rest[figure.names.index(f"{name}.{side}")] = sign * reach, 0, 1.4
            reach += 0.27
    return replace(figure, rest=rest)


def way(pose, shot, bone, tip):
    first, second = (shot.meta.bones.index(name) for name in (bone, tip))
    along = pose[:, second, :3, 3] - pose[:, first, :3, 3]
    return along / np.linalg.norm(along, axis=1, keepdims=True)


def test_a_t_pose_at_rest_moves_an_a_pose_to_where_its_own_limbs_point(tmp_path):
    turns = Rotation.from_rotvec(np.random.default_rng(1).normal(0, 0.6, (5, 3))).as_matrix()
    moving = with_turns(
        at_rest_as_a_t(figure(5, fingers=False)), {"upperarm.L": turns, "spine": turns, "lowerarm.R": turns}
    )
    shot = human_shot(fingers=False)
    pose = retarget(read_bvh(write_bvh(tmp_path / "t.bvh", moving)), shot, contact=False).bone_pose
    _, places = moving.posed()
    for bone, tip in (("upperarm.L", "lowerarm.L"), ("lowerarm.L", "hand.L"), ("lowerarm.R", "hand.R")):
        a, b = (places[:, moving.names.index(name)] for name in (bone, tip))
        expected = (b - a) / np.linalg.norm(b - a, axis=1, keepdims=True)
        np.testing.assert_allclose(way(pose, shot, bone, tip), expected, atol=1e-5)


def walker(frames=24):
    """Someone whose left foot stands while the hips go ahead over it: the leg is solved for."""
    base = figure(1, 0, fingers=False)
    rest = dict(zip(base.names, base.rest, strict=True))
    a, b = (
        np.linalg.norm(rest[f"{y}.L"] - rest[f"{x}.L"]) for x, y in (("upperleg", "lowerleg"), ("lowerleg", "foot"))
    )
    hips = base.rest[0] + np.stack([0 * np.arange(frames), np.linspace(0.15, -0.15, frames), np.full(frames, -0.1)], 1)
    thigh, shin = [], []
    for t in range(frames):
        hip = rest["upperleg.L"] - base.rest[0] + hips[t]
        way = rest["foot.L"] - hip
        d = np.linalg.norm(way)
        side = np.cross(way / d, [1.0, 0, 0])
        along = (a * a + d * d - b * b) / (2 * d)
        knee = hip + way / d * along - side * np.sqrt(a * a - along**2) * np.sign(side[1])
        first = Rotation.align_vectors((knee - hip)[None], (rest["lowerleg.L"] - rest["upperleg.L"])[None])[0]
        second = Rotation.align_vectors((rest["foot.L"] - knee)[None], (rest["foot.L"] - rest["lowerleg.L"])[None])[0]
        thigh.append(first.as_matrix())
        shin.append((first.inv() * second).as_matrix())
    return with_turns(base, {"upperleg.L": np.array(thigh), "lowerleg.L": np.array(shin)}, hips)


def with_other_knees(shot: Shot) -> Shot:
    """The same leg length, but the knees 8 cm higher and the hips wider."""
    rest = shot["bone_rest"].copy()
    for sign, side in ((1, "L"), (-1, "R")):
        names = [shot.meta.bones.index(f"{name}.{side}") for name in ("upperleg", "lowerleg", "foot", "toes")]
        rest[names, 0, 3] += 0.03 * sign
        rest[names[1], 2, 3] += 0.08
    return Shot(shot.meta, {**shot.arrays, "bone_rest": rest, "bone_pose": np.repeat(rest[None], shot.frames, 0)})


def test_a_foot_that_stands_in_the_file_stands_on_other_legs(tmp_path):
    motion = read_bvh(write_bvh(tmp_path / "walk.bvh", walker()))
    shot = with_other_knees(human_shot(fingers=False))
    foot = shot.meta.bones.index("foot.L")
    slide = {}
    for contact in (False, True):
        moved = retarget(motion, shot, contact=contact)
        slide[contact] = np.ptp(moved.bone_pose[:, foot, :3, 3], axis=0).max()
        assert (moved.standing > 20) == contact
    assert slide[True] < 1e-3 < 0.01 < slide[False]
    shin = shot.meta.bones.index("lowerleg.L")
    lengths = np.linalg.norm(moved.bone_pose[:, foot, :3, 3] - moved.bone_pose[:, shin, :3, 3], axis=1)
    assert np.ptp(lengths) < 1e-5


def test_it_begins_where_the_shot_begins_and_faces_the_same_way(tmp_path):
    turn = np.repeat(Rotation.from_euler("z", 70, degrees=True).as_matrix()[None], 4, 0)
    motion = read_bvh(
        write_bvh(tmp_path / "a.bvh", with_turns(figure(4), {"hips": turn}, np.full((4, 3), (3, 2, 0.95))))
    )
    shot = human_shot(turn=0.5)
    here, there = (retarget(motion, shot, at_start=start).bone_pose for start in (True, False))
    np.testing.assert_allclose(here[0], shot["bone_pose"][0], atol=1e-4)
    np.testing.assert_allclose(there[0, 0, :2, 3], (3, 2), atol=1e-4)


def test_amass_poses_bend_what_they_name(tmp_path):
    names = joint_names(52)
    poses = np.zeros((30, 52, 3))
    poses[:, 0] = np.pi / 2, 0, 0  # the file's world is Z up, the body at rest Y up
    poses[:, names.index("left_shoulder"), 2] = -np.pi / 2
    poses[:, names.index("right_elbow"), 1] = np.pi / 2
    trans = np.stack([np.zeros(30), -np.linspace(0, 0.8, 30), np.full(30, 0.9)], 1)
    path = tmp_path / "amass.npz"
    np.savez(
        path,
        poses=poses.reshape(30, -1),
        trans=trans,
        mocap_framerate=np.array(60.0),
        gender=np.array("female", object),
    )
    shot = human_shot()
    moved = retarget(read_smpl_motion(path), shot)
    pose = moved.bone_pose
    assert len(pose) == 12  # 29/60 s at 24 a second
    np.testing.assert_allclose(way(pose, shot, "upperarm.L", "lowerarm.L")[3], (0, 0, -1), atol=1e-5)
    np.testing.assert_allclose(way(pose, shot, "upperarm.R", "lowerarm.R")[3], (-1, 0, 0), atol=1e-5)
    np.testing.assert_allclose(way(pose, shot, "lowerarm.R", "hand.R")[3], (0, -1, 0), atol=1e-5)
    hips = pose[:, shot.meta.bones.index("hips"), :3, 3]
    assert hips[-1, 1] - hips[0, 1] == pytest.approx(-0.8 * 27.5 / 29 * moved.scale, rel=1e-3)


def test_the_command_writes_a_shot_that_holds_what_else_moves(tmp_path, capsys):
    shot = shot_of(MOVING)
    shot.save(tmp_path / "shot.npz")
    write_bvh(tmp_path / "long.bvh", figure(15, seed=3), fps=24)
    arguments = ["import", str(tmp_path / "long.bvh"), "--onto", str(tmp_path / "shot.npz"), "-o"]
    assert cli.main([*arguments, str(tmp_path / "new.npz"), "--follow"]) == 0
    new = Shot.load(tmp_path / "new.npz")
    assert (new.frames, new.meta.frame_start, new.meta.frame_end) == (15, 1, 15)
    assert "15 frames at 24 a second" in capsys.readouterr().out
    apart = new.cameras.positions() - new["bone_pose"][:, :, :3, 3].mean(1)
    held = np.minimum(np.arange(15), shot.frames - 1)
    before = shot.cameras.positions()[held] - shot["bone_pose"][held][:, :, :3, 3].mean(1)
    np.testing.assert_allclose(apart[:, :2], before[:, :2], atol=1e-4)
    assert cli.main([*arguments, str(tmp_path / "new.what")]) == 1
    assert "cli.syntax" in capsys.readouterr().err


def test_what_cannot_be_used_is_told(tmp_path):
    for name, data in (("a.npz", b"no archive"), ("a.glb", b"nothing" * 9), ("a.txt", b""), ("b.bvh", b"HIERARCHY")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(Ani3DError) as caught:
            read_motion(tmp_path / name)
        assert caught.value.code in ("motion.file", "gltf.malformed") and caught.value.hint
    np.savez(tmp_path / "c.npz", poses=np.zeros((4, 7)))
    with pytest.raises(Ani3DError, match="7 numbers"):
        read_motion(tmp_path / "c.npz")
    with pytest.raises(Ani3DError, match="clip"):
        read_motion(write_glb(tmp_path / "d.glb", MOVING), clip="run")
    with pytest.raises(Ani3DError, match="cannot be read"):
        read_motion(Path(tmp_path / "none.fbx"))


BLENDER = Path(__file__).parents[2] / ".venv-blender" / "bin" / "python"


@pytest.mark.skipif(not BLENDER.exists(), reason="Blender reads FBX, and it is not here")
def test_fbx_comes_through_blender():
    moving, shot = figure(fingers=False), human_shot(fingers=False)
    motion = read_motion(Path(__file__).parent / "made_by_others" / "walk.fbx", blender=str(BLENDER))
    pose = retarget(motion, shot, contact=False, at_start=False).bone_pose
    places = moving.posed()[1][:, [moving.names.index(name) for name in shot.meta.bones]]
    np.testing.assert_allclose(pose[..., :2, 3], places[..., :2], atol=2e-5)
    np.testing.assert_allclose(np.diff(pose[..., 2, 3], axis=0), np.diff(places[..., 2], axis=0), atol=2e-5)
