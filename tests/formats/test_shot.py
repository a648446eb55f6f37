"""The shot file: what goes in comes out, and every fault is named."""

import json

import numpy as np
import pytest
from synthetic import make_arrays, make_shot

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot
from ani3dhuman.rigid import pose_rigid


def test_saved_and_loaded_shot_is_the_same(tmp_path):
    shot = make_shot()
    shot.save(tmp_path / "shot.npz")
    again = Shot.load(tmp_path / "shot.npz")
    assert again.meta == shot.meta
    for name, array in shot.to_arrays().items():
        np.testing.assert_array_equal(again.to_arrays()[name], array)


def test_skinning_transforms_are_identity_in_the_bind_pose():
    arrays = make_arrays(2)
    arrays["bone_pose"][:] = arrays["bone_rest"]
    np.testing.assert_allclose(
        Shot.from_arrays(arrays).skinning_transforms(), np.tile(np.eye(4), (2, 3, 1, 1)), atol=1e-6
    )


def with_meta(**changes):
    arrays = make_arrays()
    arrays["meta"] = np.array(json.dumps({**json.loads(str(arrays["meta"])), **changes}))
    return arrays


def with_array(name, change):
    arrays = make_arrays()
    arrays[name] = np.array(arrays[name])
    replaced = change(arrays[name])
    arrays[name] = arrays[name] if replaced is None else replaced
    return arrays


def with_preserve_volume(value, arrays=None):
    arrays = arrays or make_arrays()
    meta = json.loads(str(arrays["meta"]))
    meta["objects"][1]["preserve_volume"] = value
    return {**arrays, "meta": np.array(json.dumps(meta))}


def put(index, value):
    def change(array):
        array[index] = value

    return change


FAULTS = {
    "missing_array": ({k: v for k, v in make_arrays().items() if k != "faces"}, "faces"),
    "no_frames": (with_meta(frame_end=0), "1..0"),
    "version": (with_meta(version=99), "99"),
    "schema": (with_meta(schema="something"), "something"),
    "not_finite": (with_array("vertices", put((3, 1), np.nan)), "vertices"),
    "bad_array": (with_array("vertices", lambda a: a[:, :2]), "vertices"),
    "bad_index": (with_array("faces", put((0, 0), 10**6)), "faces"),
    "no_faces": ({**with_array("faces", lambda a: a[:0]), "face_uvs": np.zeros((0, 3, 2), np.float32),
                  "face_materials": np.zeros(0, np.int32)}, "no faces"),
    "no_area": (with_array("faces", lambda a: a[:, [0, 1, 0]]), "no area"),
    "unweighted_vertices": (with_array("weight_values", put(105, 0)), "'Skirt'"),
    "flat_rest_bone": (with_array("bone_rest", put((1, slice(0, 3), 0), 0.0)), "'chest' has size zero"),
    "bad_meta": (with_preserve_volume("yes"), "meta.objects[1].preserve_volume is 'yes'; expected true or false"),
    "bad_camera": (with_array("viewmats", put((0, 0, 0), 2.0)), "camera"),
}  # fmt: skip


@pytest.mark.parametrize("code", FAULTS)
def test_a_fault_gives_one_clear_error(code):
    arrays, said = FAULTS[code]
    with pytest.raises(Ani3DError) as caught:
        Shot.from_arrays(arrays)
    assert caught.value.code == f"shot.{code}"
    assert said in caught.value.message
    assert caught.value.hint


ODD_BONES = {
    "scaled": np.diag([1.5, 1.5, 1.5, 1]),
    "stretched": np.diag([0.2, 3.0, 1.0, 1]),
    "sheared": np.eye(4) + np.eye(4, k=1) * [0, 0.8, 0.8, 0],
    "mirrored": np.diag([-1.0, 1, 1, 1]),
    "flattened": np.diag([1.0, 0, 1, 1]),
    "vanished": np.diag([0.0, 0, 0, 1]),
}


@pytest.mark.parametrize("how", ODD_BONES)
@pytest.mark.parametrize("keeps_volume", [False, True])
def test_bones_may_be_of_any_shape(how, keeps_volume):
    shot = Shot.from_arrays(with_preserve_volume(keeps_volume, with_array("bone_pose", lambda a: a @ ODD_BONES[how])))
    posed = pose_rigid(shot, Progress("rigid", shot.frames))
    assert np.isfinite(posed).all()
    own = shot["bone_pose"] @ np.linalg.inv(shot["bone_rest"])
    for t, v in ((0, 30), (5, 77)):  # of the body, which blends linearly
        blended = np.einsum("b,bij->ij", shot["weight_values"][v], own[t])  # the influences are bones 0, 1, 2
        np.testing.assert_allclose(posed[t, v], (blended @ np.append(shot["vertices"][v], 1))[:3], atol=1e-5)


def with_recorded(*numbers):
    """The synthetic shot whose objects of these numbers are recorded: they grow by 10 % a frame."""
    arrays = make_arrays()
    meta = json.loads(str(arrays["meta"]))
    rows = []
    for number in numbers:
        item = meta["objects"][number]
        item["motion"] = "recorded"
        rows += range(item["vertex_start"], item["vertex_start"] + item["vertex_count"])
    growth = 1 + 0.1 * np.arange(len(arrays["bone_pose"]))
    arrays["recorded_vertices"] = (growth[:, None, None] * arrays["vertices"][rows]).astype(np.float32)
    return {**arrays, "meta": np.array(json.dumps(meta))}, rows


def test_recorded_objects_move_as_they_were_recorded(tmp_path):
    arrays, rows = with_recorded(0, 2)
    Shot.from_arrays(arrays).save(tmp_path / "shot.npz")
    shot = Shot.load(tmp_path / "shot.npz")
    posed = pose_rigid(shot, Progress("rigid", shot.frames))
    np.testing.assert_array_equal(np.flatnonzero(shot.recorded), rows)
    np.testing.assert_allclose(posed[5, rows], 1.5 * shot["vertices"][rows], rtol=1e-6)
    plain = pose_rigid(make_shot(), Progress("rigid", shot.frames))
    np.testing.assert_array_equal(posed[:, ~shot.recorded], plain[:, ~shot.recorded])


@pytest.mark.parametrize("fault", ["missing", "unasked", "cut"])
def test_recorded_vertices_are_those_of_the_recorded_objects(fault):
    arrays, _ = with_recorded(1)
    if fault == "unasked":
        arrays["meta"] = make_arrays()["meta"]
    elif fault == "cut":
        arrays["recorded_vertices"] = arrays["recorded_vertices"][:, 1:]
    else:
        del arrays["recorded_vertices"]
    with pytest.raises(Ani3DError, match="recorded_vertices") as caught:
        Shot.from_arrays(arrays)
    assert caught.value.code == "shot.bad_meta"


def test_strands_are_ribbons():
    """The synthetic hair as 10 strands of 5 points; 2 * 10 * 5 vertices, as many as its tube has."""
    arrays, points = make_arrays(), 5
    meta = json.loads(str(arrays["meta"]))
    start = meta["objects"][2]["vertex_start"]
    first = [start + 2 * (s * points + p) for s in range(10) for p in range(points - 1)]
    ribbons = [face for a in first for face in ((a, a + 1, a + 2), (a + 1, a + 3, a + 2))]
    others = np.flatnonzero(arrays["faces"].max(1) < start)
    arrays["faces"] = np.concatenate([arrays["faces"][others], ribbons])
    arrays["face_uvs"] = np.zeros((len(arrays["faces"]), 3, 2), np.float32)
    arrays["face_materials"] = np.zeros(len(arrays["faces"]), np.int32)

    def read(strands, faces=arrays["faces"]):
        meta["objects"][2]["strands"] = strands
        return Shot.from_arrays({**arrays, "faces": faces, "meta": np.array(json.dumps(meta))})

    assert read(points).meta.objects[2].strands == points
    assert read(0).meta.objects[0].strands == 0
    swapped = np.array(arrays["faces"])
    swapped[-1] = (start, start + 1, start + 2 * points)  # from one strand to the next
    twice = np.array(arrays["faces"])
    twice[-1] = twice[-3]
    for strands, faces in ((7, arrays["faces"]), (10, arrays["faces"]), (points, swapped), (points, twice)):
        with pytest.raises(Ani3DError, match=r"meta.objects\[2\]") as caught:
            read(strands, faces)
        assert caught.value.code == "shot.bad_meta"


def test_a_shot_of_the_first_version_is_read():
    shot = Shot.from_arrays(with_meta(version=1))
    assert shot.meta.origin == (0, 0, 0) and not shot.recorded.any()
    assert {item.motion for item in shot.meta.objects} == {"skinned"}


def test_objects_among_the_bones_are_no_part_of_the_skeleton():
    meta = Shot.from_arrays(with_meta(bones=["hips", "object:Sword", "head"])).meta
    assert meta.skeleton == (0, 2)


def test_a_missing_and_a_cut_file_are_named(tmp_path):
    with pytest.raises(Ani3DError, match="no shot file"):
        Shot.load(tmp_path / "nothing.npz")
    make_shot().save(tmp_path / "cut.npz")
    data = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(data[: len(data) // 2])
    with pytest.raises(Ani3DError) as caught:
        Shot.load(tmp_path / "cut.npz")
    assert caught.value.code == "shot.file_broken"
