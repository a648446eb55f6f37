"""The shot file: what goes in comes out, and every fault is named."""

import json

import numpy as np
import pytest
from synthetic import make_arrays, make_shot

from ani3d_formats.errors import Ani3DError
from ani3d_formats.shot import Shot


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
    "unweighted_vertices": (with_array("weight_values", put(105, 0)), "'Skirt'"),
    "non_uniform_bone_scale": (
        with_array("bone_pose", put((2, 1, slice(0, 3), 0), 3.0)),
        "'chest' is scaled unevenly at frame 3",
    ),
    "bad_meta": (with_preserve_volume("yes"), "meta.objects[1].preserve_volume is 'yes'; expected true or false"),
    "mirrored_bone": (
        with_preserve_volume(True, with_array("bone_pose", lambda a: a @ np.diag([-1.0, -1, -1, 1]))),
        "'hips' is mirrored at frame 1, and 'Skirt'",
    ),
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


def test_a_mirrored_bone_is_allowed_where_no_volume_is_preserved():
    arrays = with_array("bone_pose", lambda a: a @ np.diag([-1.0, -1, -1, 1]))
    assert not Shot.from_arrays(arrays).preserve_volume.any()
    marked = with_preserve_volume(True)
    marked["bone_pose"] = np.array(marked["bone_pose"])
    marked["bone_pose"][:, 2] = arrays["bone_pose"][:, 2]  # the head holds nothing of the skirt
    assert Shot.from_arrays(marked).preserve_volume.any()


def test_uniform_bone_scale_is_allowed():
    arrays = make_arrays()
    arrays["bone_pose"][:, 1, :3, :3] *= 1.5
    Shot.from_arrays(arrays)


def test_a_missing_and_a_cut_file_are_named(tmp_path):
    with pytest.raises(Ani3DError, match="no shot file"):
        Shot.load(tmp_path / "nothing.npz")
    make_shot().save(tmp_path / "cut.npz")
    data = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(data[: len(data) // 2])
    with pytest.raises(Ani3DError) as caught:
        Shot.load(tmp_path / "cut.npz")
    assert caught.value.code == "shot.file_broken"
