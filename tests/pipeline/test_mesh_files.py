"""Meshes of a result in other programs' files, and where they came from."""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from synthetic import make_shot

from ani3d_formats.frames import write_cache
from ani3d_formats.gaussians import GaussianFrames
from ani3d_formats.skinning import skin
from ani3dhuman import cli

ROOT = Path(__file__).parents[2]
BLENDER = ROOT / ".venv-blender" / "bin" / "python"
VERSIONS = ("-5.0.1", "-5.2.3", "-5.3.0")
READ = """
import bpy, sys, numpy as np
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.context.scene.render.fps = 24
if sys.argv[1].endswith(".abc"):
    bpy.ops.wm.alembic_import(filepath=sys.argv[1], as_background_job=False)
else:
    bpy.ops.wm.usd_import(filepath=sys.argv[1])
found = {}
for frame in (2, 3, 4):
    bpy.context.scene.frame_set(frame)
    depsgraph = bpy.context.evaluated_depsgraph_get()
    for item in bpy.data.objects:
        mesh = item.evaluated_get(depsgraph).to_mesh() if item.type == "MESH" else None
        if mesh:
            at = np.array(item.matrix_world)
            points = np.array([v.co for v in mesh.vertices])
            found[f"{item.name}/{frame}"] = points @ at[:3, :3].T + at[:3, 3]
            if "velocity" in mesh.attributes:
                speeds = np.array([v.vector for v in mesh.attributes["velocity"].data])
                found[f"{item.name}/{frame}/speed"] = speeds @ at[:3, :3].T
np.savez(sys.argv[2], **found)
"""


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("meshes")
    shot = make_shot(5)
    moved = skin(shot["vertices"], shot["weight_indices"], shot["weight_values"], shot.skinning_transforms())
    one = np.zeros((5, 1, 3), np.float32)
    gaussians = GaussianFrames(one, one[..., :1] + np.eye(1, 4, dtype=np.float32), one + 1, np.ones(1, np.float32), one)
    meshes = {item.name: moved[:, item.rows] for item in shot.meta.objects}
    path = write_cache(
        folder / "she.ani3d", gaussians, fps=24, frame_start=1, meshes=meshes, provenance={"prior": "none"}
    )
    shot.save(folder / "shot.npz")
    return path, meshes


def test_mdd_has_times_and_places_and_the_sidecar_says_where_they_came_from(result, tmp_path):
    path, meshes = result
    assert cli.main(["export", str(path), "-o", str(tmp_path / "out"), "--format", "mdd", "--frames", "2:4"]) == 0
    data = (tmp_path / "out" / "Skirt.mdd").read_bytes()
    frames, count = struct.unpack(">ii", data[:8])
    assert (frames, count) == (3, meshes["Skirt"].shape[1])
    np.testing.assert_allclose(np.frombuffer(data, ">f4", 3, 8), [0, 1 / 24, 2 / 24], rtol=1e-6)
    places = np.frombuffer(data, ">f4", -1, 20).reshape(3, -1, 3)
    np.testing.assert_array_equal(places, meshes["Skirt"][1:4])
    said = json.loads((tmp_path / "out.provenance.json").read_text())
    assert said["frames"] == [2, 4] and said["result"] == {"prior": "none"} and said["unit"] == "metre"
    assert len(said["source_manifest_sha256"]) == 64


@pytest.mark.parametrize("ending", ["abc", "usdc"])
@pytest.mark.parametrize("version", VERSIONS)
def test_meshes_come_back_into_blender_with_velocities(result, tmp_path, ending, version):
    python = ROOT / f".venv-blender{version}" / "bin" / "python"
    if not BLENDER.exists() or not python.exists():
        pytest.skip(f"Blender {version[1:]}, or the one that writes Alembic, is not here: its importers were not tried")
    path, meshes = result
    shot, out = path.parent / "shot.npz", tmp_path / f"she.{ending}"
    assert cli.main(["export", str(path), "-o", str(out), "--shot", str(shot), "--blender", str(BLENDER)]) == 0
    subprocess.run([str(python), "-c", READ, str(out), str(tmp_path / "read.npz")], check=True, capture_output=True)
    with np.load(tmp_path / "read.npz") as found:
        for name, points in meshes.items():
            for frame in (2, 3, 4):
                np.testing.assert_allclose(found[f"{name}/{frame}"], points[frame - 1], atol=1e-5)
        speed = (meshes["Hair"][3] - meshes["Hair"][1]) * 12
        np.testing.assert_allclose(found["Hair/3/speed"], speed, atol=1e-3)
