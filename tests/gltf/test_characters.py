"""Characters as glTF: out and in again, and files as other programs write them."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from human_rig import human_arrays
from synthetic import make_shot

from ani3d_formats.errors import Ani3DError
from ani3d_formats.shot import Shot
from ani3d_formats.skinning import skin
from ani3dhuman import cli
from ani3dhuman.gltf.animation import sampled
from ani3dhuman.gltf.export_character import Bones, meshes_of, write_rigged
from ani3dhuman.gltf.import_character import read_character
from ani3dhuman.gltf.writer import GlbWriter


def posed(shot: Shot) -> np.ndarray:
    return skin(shot["vertices"], shot["weight_indices"], shot["weight_values"], shot.skinning_transforms())


def written(path, shot):
    write_rigged(path, meshes_of(shot), Bones.of(shot), shot.meta.materials, shot.textures)
    return path


def corners(shot, vertices, name):
    """(T,F,3,3) corners of an object's faces, which no order of vertices changes."""
    item = next(each for each in shot.meta.objects if each.name == name)
    own = (shot["faces"] >= item.vertex_start).all(1) & (shot["faces"] < item.rows.stop).all(1)
    return vertices[:, shot["faces"][own]], shot["face_uvs"][own]


def test_a_shot_comes_back_from_gltf_as_it_was(tmp_path):
    shot = make_shot(5)
    back = read_character(written(tmp_path / "a.glb", shot), fps=24, regions={"cloth": "garment", "Hair": "hair"})
    assert back.frames == 5 and back.meta.bones == shot.meta.bones
    np.testing.assert_array_equal(back["bone_parents"], shot["bone_parents"])
    before, after = posed(shot), posed(back)
    for item in shot.meta.objects:
        (a, uv), (b, back_uv) = corners(shot, before, item.name), corners(back, after, item.name)
        np.testing.assert_allclose(b, a, atol=2e-6)
        np.testing.assert_allclose(back_uv, uv, atol=1e-6)
    # the tube's first column of vertices has two UVs and stays one vertex
    assert len(back["vertices"]) == len(shot["vertices"])
    np.testing.assert_array_equal(back.textures[0], shot.textures[0])
    assert [m.name for m in back.meta.materials] == ["skin", "cloth"]
    assert set(back["region_ids"][back.meta.objects[1].rows]) == {3}
    assert set(back["region_ids"][back.meta.objects[2].rows]) == {2}


def test_bones_point_at_their_children_and_carry_no_size(tmp_path):
    arrays = human_arrays()
    arrays["bone_rest"] = arrays["bone_rest"].copy()
    arrays["bone_rest"][:, :3, :3] *= 0.01  # as rigs in centimetres have
    arrays["bone_pose"] = arrays["bone_pose"].copy()
    arrays["bone_pose"][..., :3, :3] *= 0.01
    arrays["bone_parents"] = np.arange(-1, len(arrays["bone_parents"]) - 1, dtype=np.int32)
    shot = Shot.from_arrays(arrays)
    back = read_character(written(tmp_path / "a.glb", shot), fps=24)
    np.testing.assert_allclose(np.linalg.norm(back["bone_rest"][:, :3, :3], axis=1), 1, atol=1e-5)
    heads = back["bone_rest"][:, :3, 3]
    ways = heads[1:] - heads[:-1]
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    np.testing.assert_allclose(back["bone_rest"][:-1, :3, 1], ways, atol=1e-4)
    np.testing.assert_allclose(corners(back, posed(back), "Body")[0], corners(shot, posed(shot), "Body")[0], atol=1e-4)


def scene(primitive_mode=4, parent_scale=1.0, alpha="OPAQUE"):
    """A triangle or two under a node that turns a quarter about the vertical in one second; no skin."""
    glb = GlbWriter()
    points = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1.0]])
    primitive = {"attributes": {"POSITION": glb.add(points, bounds=True)}, "mode": primitive_mode, "material": 0}
    if primitive_mode == 4:
        primitive["indices"] = glb.add(np.array([0, 1, 2, 2, 1, 3], np.uint8), target=34963)
    half = np.sqrt(0.5)
    sampler = {
        "input": glb.add(np.array([0.0, 1.0]), target=None, bounds=True),
        "output": glb.add(np.array([[0, 0, 0, 1], [0, half, 0, half]]), target=None),
    }
    glb.document |= {
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "up", "scale": [parent_scale] * 3, "children": [1]}, {"name": "thing", "mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "materials": [{"alphaMode": alpha, "pbrMetallicRoughness": {"baseColorFactor": [0.5, 1, 1, 0.25]}}],
        "animations": [
            {"samplers": [sampler], "channels": [{"sampler": 0, "target": {"node": 1, "path": "rotation"}}]}
        ],
    }
    return glb


@pytest.mark.parametrize("mode", [4, 5])
def test_a_mesh_without_skin_moves_as_its_node(tmp_path, mode):
    scene(mode, 2.0).write(tmp_path / "a.glb")
    shot = read_character(tmp_path / "a.glb", fps=2)
    assert shot.frames == 3 and shot.meta.bones == ("object:thing",)
    moved = posed(shot)
    np.testing.assert_allclose(moved[0], [[0, -2, 0], [2, -2, 0], [0, -2, 2], [2, -2, 2]], atol=1e-6)
    np.testing.assert_allclose(moved[2], [[2, 0, 0], [2, 2, 0], [2, 0, 2], [2, 2, 2]], atol=1e-5)
    normals = np.cross(*(moved[0][shot["faces"][:, k]] - moved[0][shot["faces"][:, 0]] for k in (1, 2)))
    np.testing.assert_allclose(normals / np.linalg.norm(normals, axis=1, keepdims=True), [[0, -1, 0]] * 2, atol=1e-6)
    assert shot.meta.materials[0].base_color == pytest.approx((0.5, 1, 1))
    _, depth = shot.cameras.project(moved[0], 0)
    assert (depth > 0).all()


def test_a_clear_colour_becomes_a_clear_texture(tmp_path):
    scene(alpha="BLEND").write(tmp_path / "a.glb")
    shot = read_character(tmp_path / "a.glb")
    assert shot.textures[shot.meta.materials[0].texture][0, 0].tolist() == [188, 255, 255, 64]


def test_keys_are_joined_as_gltf_says():
    keys, times = np.array([0.0, 1.0, 3.0]), np.array([-1, 0.5, 1, 2, 9])
    values = np.array([[0.0], [2.0], [6.0]])
    np.testing.assert_allclose(sampled(keys, values, "LINEAR", times, False)[:, 0], [0, 1, 2, 4, 6])
    np.testing.assert_allclose(sampled(keys, values, "STEP", times, False)[:, 0], [0, 0, 2, 2, 6])
    straight = np.array([[2.0, 0, 2], [2, 2, 2], [2, 6, 2]])  # in-tangent, value, out-tangent
    np.testing.assert_allclose(sampled(keys, straight, "CUBICSPLINE", times, False)[:, 0], [0, 1, 2, 4, 6])


def test_the_command_makes_a_shot(tmp_path, capsys):
    written(tmp_path / "she.glb", make_shot(3))
    command = ["import", str(tmp_path / "she.glb"), "-o", str(tmp_path / "she.npz")]
    assert cli.main([*command, "--region", "Skirt=garment"]) == 0
    assert Shot.load(tmp_path / "she.npz").frames == 3 and "3 bones" in capsys.readouterr().out
    assert cli.main([*command, "--region", "Shirt=garment"]) == 1
    assert "Skirt" in capsys.readouterr().err


def damage(document):
    yield lambda d: d["bufferViews"][0].update(byteLength=1 << 40)
    yield lambda d: d["accessors"][0].update(count=10**9)
    yield lambda d: d["nodes"][1].update(children=[0])
    yield lambda d: d["meshes"][0]["primitives"][0]["attributes"].update(POSITION=99)
    yield lambda d: d["buffers"][0].update(uri="../../etc/passwd")
    yield lambda d: d["nodes"][1].update(rotation=[0, 0, 0, 0])
    yield lambda d: d["animations"][0]["samplers"][0].update(input=0)
    yield lambda d: d.update(scene=5)


def test_files_that_cannot_be_are_refused(tmp_path):
    path = tmp_path / "a.glb"
    scene().write(path)
    data = path.read_bytes()
    length = struct.unpack("<I", data[12:16])[0]
    document = json.loads(data[20 : 20 + length])
    for change in damage(document):
        wrong = json.loads(json.dumps(document))
        change(wrong)
        text = json.dumps(wrong).encode()
        path.write_bytes(data[:12] + struct.pack("<I", len(text)) + data[16:20] + text + data[20 + length :])
        with pytest.raises(Ani3DError) as caught:
            read_character(path)
        assert caught.value.code == "gltf.malformed", change
    for cut in (0, 10, 40, len(data) - 30):
        path.write_bytes(data[:cut])
        with pytest.raises(Ani3DError, match="not sound"):
            read_character(path)
    with pytest.raises(Ani3DError, match="read"):
        read_character(tmp_path / "none.glb")
