"""A result baked to bones, in a GLB that our reader opens again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from synthetic import make_shot

from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import FrameCache, write_cache
from ani3d_formats.gaussians import GaussianFrames
from ani3d_formats.skinning import blended_transforms, skin
from ani3dhuman.avatar import avatar_from_shot
from ani3dhuman.gltf.document import Document
from ani3dhuman.gltf.import_character import read_character
from ani3dhuman.gltf.skeleton import Y_TO_Z
from ani3dhuman.pipeline.bake import bake
from ani3dhuman.splats.formats import read_splats


def test_bones_of_its_own_move_cloth_as_closely_as_is_said(tmp_path):
    shot = make_shot(6)
    moved = skin(shot["vertices"], shot["weight_indices"], shot["weight_values"], shot.skinning_transforms())
    meshes = {item.name: moved[:, item.rows].copy() for item in shot.meta.objects}
    height = meshes["Skirt"][..., 2:]
    meshes["Skirt"] += 0.1 * (1.1 - height) * np.sin(np.arange(6))[:, None, None] * np.array([1, 0, 0], np.float32)
    one = np.zeros((6, 1, 3), np.float32)
    gaussians = GaussianFrames(one, one[..., :1] + np.eye(1, 4, dtype=np.float32), one + 1, np.ones(1, np.float32), one)
    cache = FrameCache.open(write_cache(tmp_path / "a.ani3d", gaussians, fps=24, frame_start=1, meshes=meshes))
    errors = bake(tmp_path / "a.glb", cache, shot, range(1, 7), 6)
    assert errors["Body"][1] < 1e-5 and 0 < errors["Skirt"][0] < 0.004 and errors["Skirt"][1] < 0.02
    back = read_character(tmp_path / "a.glb", fps=24)
    posed = skin(back["vertices"], back["weight_indices"], back["weight_values"], back.skinning_transforms())
    for item in back.meta.objects:
        own = posed[:, item.rows]
        spread = np.abs(own - meshes[item.name]).max() if own.shape == meshes[item.name].shape else np.inf
        assert spread < errors[item.name][1] + 1e-4
    assert bake(tmp_path / "keys.glb", cache, shot, range(1, 7), None)["Skirt"] == (0, 0)
    document = Document.read(tmp_path / "keys.glb")
    skirt = next(mesh for mesh in document.rows("meshes") if mesh["name"] == "Skirt")["primitives"][0]
    first = document.accessor(skirt["attributes"]["POSITION"])
    assert len(skirt["targets"]) == 5
    for t, target in enumerate(skirt["targets"], 1):
        points = (first + document.accessor(target["POSITION"])) @ Y_TO_Z[:3, :3].T
        apart = np.linalg.norm(points[:, None] - meshes["Skirt"][t][None], axis=2).min(1)
        assert apart.max() < 1e-6
    clip = document.rows("animations")[0]
    (channel,) = (each for each in clip["channels"] if each["target"]["path"] == "weights")
    weights = document.accessor(clip["samplers"][channel["sampler"]]["output"]).reshape(6, 5)
    assert np.array_equal(weights[1:], np.eye(5)) and not weights[0].any()
    with pytest.raises(Ani3DError, match="no frames"):
        bake(tmp_path / "b.glb", cache, shot, range(1, 8), 6)


def test_gaussians_go_with_the_bones_of_what_they_lie_on(tmp_path):
    """One file has both: read back and moved by its own skin, they are where the result has them, turns too."""
    shot = make_shot(6)
    moved = skin(shot["vertices"], shot["weight_indices"], shot["weight_values"], shot.skinning_transforms())
    skirt = next(item.rows for item in shot.meta.objects if item.name == "Skirt")
    moved[:, skirt] += 0.05 * np.sin(np.arange(6, dtype=np.float32))[:, None, None] * np.float32([0, 1, 0])
    avatar = avatar_from_shot(shot, 900)
    means, quats = avatar.pose(moved)
    gaussians = GaussianFrames(
        means, quats, np.tile(avatar.scales, (6, 1, 1)), avatar.opacities, np.tile(avatar.albedo, (6, 1, 1))
    )
    meshes = {item.name: moved[:, item.rows] for item in shot.meta.objects}
    cache = FrameCache.open(write_cache(tmp_path / "a.ani3d", gaussians, fps=24, frame_start=1, meshes=meshes))
    rms, worst = bake(tmp_path / "a.glb", cache, shot, range(2, 7), 8, gaussians=True)["Gaussians"]
    assert 0 < rms < 0.004 and worst < 0.03
    document, back = Document.read(tmp_path / "a.glb"), read_character(tmp_path / "a.glb", fps=24)
    assert [item.name for item in back.meta.objects] == [item.name for item in shot.meta.objects]
    (primitive,) = next(mesh for mesh in document.rows("meshes") if mesh["name"] == "Gaussians")["primitives"]
    own = {
        name: document.accessor(number, whole=name == "JOINTS_0") for name, number in primitive["attributes"].items()
    }
    assert len(own["POSITION"]) == avatar.count
    nodes = [document.rows("nodes")[joint]["name"] for joint in document.rows("skins")[0]["joints"]]
    joints = np.array([back.meta.bones.index(name) for name in nodes])[own["JOINTS_0"]]
    points, transforms = own["POSITION"] @ Y_TO_Z[:3, :3].T, back.skinning_transforms()
    shown = skin(points.astype(np.float32), joints, own["WEIGHTS_0"], transforms)
    apart = np.linalg.norm(shown - means[1:], axis=2)
    assert apart.max() < worst + 1e-4 and np.sqrt(np.mean(apart**2)) == pytest.approx(rms, abs=1e-4)
    assert apart[0].max() < 1e-5  # the first frame is exact
    read = read_splats(tmp_path / "a.glb")
    blended = blended_transforms(joints, own["WEIGHTS_0"], transforms[0])[:, :, :3].astype(float)
    U, _, Vt = np.linalg.svd(blended)
    turned = Rotation.from_matrix(U @ Vt) * Rotation.from_quat(read.quats[:, [1, 2, 3, 0]])
    wanted = Rotation.from_quat(quats[1][:, [1, 2, 3, 0]])
    assert np.percentile((turned.inv() * wanted).magnitude(), 99) < 0.01
    with pytest.raises(Ani3DError, match="do not follow shape keys"):
        bake(tmp_path / "b.glb", cache, shot, range(2, 7), None, gaussians=True)
