"""Takes: Blender's cloth over the rigid character under random motion; the file is as it was, finished takes stay."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import bpy
import numpy as np
import pytest
import rigs

FRAMES = 12


def pinned_character() -> bpy.types.Object:
    """The small character; the upper third of its skirt is pinned."""
    rig = rigs.character()
    skirt = bpy.data.objects["Skirt"]
    upper = [v.index for v in skirt.data.vertices if v.co.z > 0.55]
    skirt.vertex_groups.new(name="ani3d_pin").add(upper, 1.0, "REPLACE")
    return rig


def read_take(folder: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    with np.load(folder / "shot.npz", allow_pickle=False) as file:
        shot = dict(file)
    data = (folder / "truth.pc2").read_bytes()
    count, frames = np.frombuffer(data[16:20], "<i4")[0], np.frombuffer(data[28:32], "<i4")[0]
    assert data[:12] == b"POINTCACHE2\0" and np.frombuffer(data[20:24], "<f4")[0] == rigs.meta(shot)["frame_start"]
    return shot, np.frombuffer(data[32:], "<f4").reshape(frames, count, 3)


def state() -> dict[str, object]:
    """What of the file a user would see changed."""
    objects = {}
    for item in bpy.data.objects:
        modifiers = [(m.name, m.type, m.show_viewport, m.show_render) for m in item.modifiers]
        groups = [g.name for g in item.vertex_groups] if item.type == "MESH" else []
        objects[item.name] = (item.data.name, np.array(item.matrix_world).round(6).tolist(), modifiers, groups)
    rig = bpy.data.objects["Rig"]
    pose = {bone.name: (np.array(bone.matrix_basis).round(6).tolist(), bone.rotation_mode) for bone in rig.pose.bones}
    animation = rig.animation_data and (rig.animation_data.action, rig.animation_data.use_nla)
    data = {kind: sorted(block.name for block in getattr(bpy.data, kind)) for kind in ("meshes", "actions", "cameras")}
    scene = bpy.context.scene
    return {"objects": objects, "pose": pose, "animation": animation, "camera": scene.camera, **data} | {
        "frames": (scene.frame_current, scene.frame_start, scene.frame_end)
    }


def record(folder: Path, **options: object) -> None:
    bpy.ops.ani3d.record_takes(**{"folder": str(folder), "takes": 1, "frames": FRAMES, "seed": 1, **options})


def test_pinned_cloth_follows_the_rig_and_free_cloth_does_not(addon, tmp_path):
    pinned_character()
    bpy.ops.ani3d.bind_character()
    before = state()
    record(tmp_path, takes=2)
    assert state() == before
    poses = []
    for number in range(2):
        shot, truth = read_take(tmp_path / f"take_{number:04d}")
        rigid = np.stack([rigs.skinned(shot, t) for t in range(FRAMES)])
        assert truth.shape == rigid.shape and shot["viewmats"].shape == (FRAMES, 4, 4)
        away = np.linalg.norm(truth - rigid, axis=2)
        pins = shot["pin_weights"]
        assert away[:, pins != 0].max() < 1e-4  # the body, and pinned cloth
        assert away[:, pins == 0].mean() > 0.02
        assert np.abs(np.diff(shot["bone_pose"][:, 1], axis=0)).max() > 1e-3
        poses.append(shot["bone_pose"])
    assert np.abs(poses[0] - poses[1]).max() > 0.01


def test_a_second_run_does_nothing_and_the_seed_repeats(addon, tmp_path):
    pinned_character()
    record(tmp_path / "a")
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    assert len(files) == 2
    record(tmp_path / "a")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")} == files
    record(tmp_path / "b")
    first, again = read_take(tmp_path / "a" / "take_0000"), read_take(tmp_path / "b" / "take_0000")
    np.testing.assert_array_equal(first[0]["bone_pose"], again[0]["bone_pose"])
    np.testing.assert_allclose(first[1], again[1], atol=1e-3)


def test_an_unbound_still_character_without_camera(addon, tmp_path):
    rig = pinned_character()
    rig.animation_data_clear()
    bpy.data.objects.remove(bpy.context.scene.camera)
    rigs.select(None)
    record(tmp_path)
    shot, truth = read_take(tmp_path / "take_0000")
    assert bpy.context.scene.camera is None and rig.animation_data is None
    assert len(bpy.data.cameras) == 1  # the one that the removed object left
    local = truth @ shot["viewmats"][:, :3, :3].transpose(0, 2, 1) + shot["viewmats"][:, None, :3, 3]
    pixels = local @ shot["Ks"].transpose(0, 2, 1)
    pixels = pixels[..., :2] / pixels[..., 2:]
    seen = ((pixels > 0) & (pixels < [64, 96])).all(2)
    assert seen.mean() > 0.9


def test_the_files_own_cloth_is_used_and_left_alone(addon, tmp_path):
    pinned_character()
    skirt = bpy.data.objects["Skirt"]
    own = skirt.modifiers.new("Silk", "CLOTH")
    own.settings.vertex_group_mass = "ani3d_pin"
    own.settings.effector_weights.gravity = 0.0
    own.settings.air_damping = 0.0
    smooth = skirt.modifiers.new("Subdivision", "SUBSURF")
    bpy.ops.ani3d.bind_character()
    before = state()
    record(tmp_path / "light")
    assert state() == before and smooth.show_viewport
    own.settings.effector_weights.gravity = 1.0
    record(tmp_path / "heavy")
    (shot, light), (_, heavy) = (read_take(tmp_path / name / "take_0000") for name in ("light", "heavy"))
    free = shot["pin_weights"] == 0
    assert heavy[-1, free, 2].mean() < light[-1, free, 2].mean() - 0.005


def test_a_mesh_that_is_bound_to_the_cloth_follows_it(addon, tmp_path):
    """A Surface Deform modifier to a simulated mesh, as fine garments have over coarse ones."""
    rig = pinned_character()
    skirt = bpy.data.objects["Skirt"]
    lace = rigs.tube("Skirt lace", rig, 0.21, 0.1, 0.8, flare=0.2)
    bound = lace.modifiers.new("Follow", "SURFACE_DEFORM")
    bound.target = skirt
    skirt.modifiers.new("Cloth", "CLOTH").settings.vertex_group_mass = "ani3d_pin"
    with bpy.context.temp_override(object=lace, active_object=lace):
        bpy.ops.object.surfacedeform_bind(modifier="Follow")
    assert bound.is_bound
    bpy.ops.ani3d.bind_character()
    before = state()
    record(tmp_path)
    assert state() == before and bound.is_bound and bound.target == skirt
    shot, truth = read_take(tmp_path / "take_0000")
    assert [entry["name"] for entry in rigs.meta(shot)["objects"]] == ["Body", "Skirt", "Skirt lace"]
    apart = np.linalg.norm(truth[:, 216:] - truth[:, 108:216], axis=2)
    rigid = np.stack([rigs.skinned(shot, t) for t in range(FRAMES)])
    assert np.linalg.norm(truth - rigid, axis=2)[:, 108:].mean() > 0.02
    assert np.median(apart) == pytest.approx(0.01, abs=0.005)


def test_a_mesh_that_is_body_and_skirt_collides_with_itself(addon, tmp_path):
    """The body part of a mesh becomes a collider of its own for the take."""
    rigs.character()
    bpy.data.objects["Body"].name = "Plain"
    rigs.select(bpy.data.objects["Plain"])
    bpy.data.objects["Skirt"].select_set(True)
    bpy.ops.object.join()
    joined = bpy.data.objects["Plain"]
    joined.vertex_groups.new(name="ani3d_garment").add(list(range(108, 216)), 1.0, "REPLACE")
    joined.vertex_groups.new(name="ani3d_pin").add([i for i in range(108, 216) if i % 108 >= 72], 1.0, "REPLACE")
    before = set(bpy.data.objects)
    record(tmp_path)
    shot, truth = read_take(tmp_path / "take_0000")
    rigid = np.stack([rigs.skinned(shot, t) for t in range(FRAMES)])
    away = np.linalg.norm(truth - rigid, axis=2)
    assert away[:, :108].max() < 1e-4 and away[:, 108:180].mean() > 0.02
    assert set(bpy.data.objects) == before


def test_torn_cloth_is_dropped_and_counted(addon, part, tmp_path):
    pinned_character()
    skirt = bpy.data.objects["Skirt"]
    own = skirt.modifiers.new("Jelly", "CLOTH")
    own.settings.vertex_group_mass = "ani3d_pin"
    own.settings.tension_stiffness = own.settings.compression_stiffness = own.settings.shear_stiffness = 0.0
    own.settings.bending_stiffness, own.settings.mass = 0.0, 50.0
    own.settings.effector_weights.gravity = 50.0
    with pytest.raises(RuntimeError, match="All 1 takes were dropped"):
        record(tmp_path)
    assert "grow" in (tmp_path / "take_0000" / "dropped.txt").read_text()
    with pytest.raises(RuntimeError, match="All 1 takes were dropped"):
        record(tmp_path)


def test_errors_are_clear_and_leave_the_file_alone(addon, tmp_path):
    with pytest.raises(RuntimeError, match="No armature has meshes"):
        record(tmp_path)
    pinned_character()
    skirt = bpy.data.objects["Skirt"]
    skirt.modifiers.new("Subdivision", "SUBSURF")
    skirt.modifiers.new("Cloth", "CLOTH")
    bpy.ops.ani3d.bind_character()
    before = state()
    with pytest.raises(RuntimeError, match=r"modifiers of 'Skirt' make \d+ vertices of its 108"):
        record(tmp_path)
    assert state() == before
    next(part for part in bpy.context.scene.ani3d.parts if part.object == skirt).region = "body"
    with pytest.raises(RuntimeError, match="neither garment nor hair"):
        record(tmp_path)


def test_escape_stops_between_frames_and_restores(addon, part, tmp_path):
    """What the operator does when Escape is pressed: the generator is closed amid a take."""
    rig = pinned_character()
    bpy.ops.ani3d.bind_character()
    before = state()
    recording = part("takes.record")
    steps = recording.record(bpy.context, rig, recording.Takes(tmp_path, 1, FRAMES, 0), print)
    moments = [next(steps) for _ in range(30)]
    assert [m.done for m in moments] == list(range(1, 31)) and moments[-1].total == 36 + FRAMES
    assert state() != before
    steps.close()
    assert state() == before
    assert not list(tmp_path.rglob("*.npz"))


@pytest.mark.parametrize("mode", ["QUATERNION", "AXIS_ANGLE", "ZXY"])
def test_any_rotation_mode_moves_alike(addon, tmp_path, mode):
    """The file's action is read as rotations of whatever mode; so is what is keyed."""
    rig = pinned_character()
    rig.animation_data_clear()
    for bone in rig.pose.bones:
        bone.rotation_mode = mode
    record(tmp_path / mode)
    record_of = read_take(tmp_path / mode / "take_0000")[0]["bone_pose"]
    for bone in rig.pose.bones:
        bone.rotation_mode = "XYZ"
    record(tmp_path / "XYZ")
    np.testing.assert_allclose(record_of, read_take(tmp_path / "XYZ" / "take_0000")[0]["bone_pose"], atol=1e-5)


def test_the_script_that_the_command_runs(addon, extension_zip, tmp_path):
    """In a Blender of its own, with the installed extension: progress lines, takes, and one line for a problem."""
    pinned_character()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "small.blend"))
    script = Path(__file__).resolve().parents[2] / "ani3dhuman" / "training" / "in_blender.py"
    command = [sys.executable, str(script), "--", "--root", str(tmp_path), "--libraries", str(tmp_path)]
    command += ["--takes", "1", "--frames", str(FRAMES), "--seed", "0", "--folder", str(tmp_path / "takes"), "--blend"]
    done = subprocess.run([*command, str(tmp_path / "small.blend")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    steps = [json.loads(line[10:]) for line in done.stdout.splitlines() if line.startswith("@progress ")]
    assert steps[-1] == [36 + FRAMES, 36 + FRAMES]
    assert read_take(tmp_path / "takes" / "take_0000")[1].shape == (FRAMES, 216, 3)
    (tmp_path / "none.blend").write_bytes(b"no")
    done = subprocess.run([*command, str(tmp_path / "none.blend")], capture_output=True, text=True)
    assert done.returncode == 1 and "@problem " in done.stdout
