"""What we write readers of others open, and what they write we: splat-transform, Khronos' validator, Blender, trimesh.

gsply and usd-core are in `test_splat_formats` and `test_splat_exports`, meshes in Blender in `tests/pipeline`.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import trimesh
from some_splats import some_splats
from synthetic import make_shot

from ani3d_formats.frames import FrameCache, write_cache
from ani3d_formats.gaussians import GaussianFrames
from ani3d_formats.shot import Shot
from ani3d_formats.skinning import skin
from ani3dhuman.pipeline.bake import bake
from ani3dhuman.splats.formats import write_splats
from benchmarks.formats.natives import reads_right
from benchmarks.formats.others import exchange, install, wrong_in
from benchmarks.formats.round_trip import BLENDERS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def peers(tmp_path_factory) -> Path:
    """A folder with the packages of others, from the npm registry."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("Node.js is not here: splat-transform and Khronos' validator were not asked")
    folder = tmp_path_factory.mktemp("peers")
    if not install(folder):
        pytest.skip("the npm registry does not answer: splat-transform and Khronos' validator were not asked")
    return folder


@pytest.fixture(scope="module")
def result(tmp_path_factory) -> tuple[FrameCache, Shot]:
    """A character whose skirt swings, and its shot."""
    shot = make_shot(6)
    moved = skin(shot["vertices"], shot["weight_indices"], shot["weight_values"], shot.skinning_transforms())
    meshes = {item.name: moved[:, item.rows].copy() for item in shot.meta.objects}
    meshes["Skirt"] += 0.02 * np.sin(np.arange(6, dtype=np.float32))[:, None, None]
    one = np.zeros((6, 1, 3), np.float32)
    gaussians = GaussianFrames(one, one[..., :1] + np.eye(1, 4, dtype=np.float32), one + 1, np.ones(1, np.float32), one)
    path = tmp_path_factory.mktemp("result") / "she.ani3d"
    return FrameCache.open(write_cache(path, gaussians, fps=24, frame_start=1, meshes=meshes)), shot


def test_splat_transform_and_the_gltf_validator_open_ours_and_we_theirs(peers, capsys):
    found = exchange(peers, some_splats(700, 3))
    assert found["exchanges"] == 12 and not found["exchanges_failed"], capsys.readouterr().out


@pytest.mark.parametrize(("bones", "gaussians"), [(6, False), (None, False), (6, True)])
def test_the_gltf_validator_finds_nothing_wrong_in_a_rigged_character(peers, result, tmp_path, bones, gaussians):
    bake(tmp_path / "a.glb", *result, range(1, 7), bones, gaussians=gaussians)
    assert wrong_in(peers, tmp_path / "a.glb") == []


@pytest.mark.parametrize("version", BLENDERS)
def test_blender_opens_ply_and_spz(tmp_path, version):
    python = ROOT / BLENDERS[version] / "bin" / "python"
    if not python.exists():
        pytest.skip(f"Blender {version.replace('_', '.')} is not here: its importers were not tried")
    assert reads_right(python, tmp_path, some_splats(700, 3))


ASK = """
import sys, bpy
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_scene.gltf(filepath=sys.argv[1])
for item in bpy.data.objects:
    rigged = any(m.type == "ARMATURE" for m in item.modifiers)
    print("object", item.name, item.type, len(item.data.vertices) if item.type == "MESH" else 0, rigged)
print("clips", len(bpy.data.actions))
"""


def test_blender_and_trimesh_open_a_character_with_its_gaussians(result, tmp_path):
    cache, shot = result
    bake(tmp_path / "a.glb", cache, shot, range(1, 7), 6, gaussians=True)
    scene = trimesh.load_scene(tmp_path / "a.glb")
    assert len(scene.geometry["Gaussians"].vertices) == 1 and len(scene.geometry) == len(shot.meta.objects) + 1
    python = ROOT / BLENDERS["5_0"] / "bin" / "python"
    if not python.exists():
        pytest.skip("Blender 5.0 is not here: trimesh alone opened the file")
    done = subprocess.run([str(python), "-c", ASK, str(tmp_path / "a.glb")], capture_output=True, text=True)
    said = [line.split() for line in done.stdout.splitlines()]
    rows = {line[1]: line[2:] for line in said if line[:1] == ["object"]}
    assert rows["Gaussians"] == ["MESH", "1", "True"], done.stderr
    assert all(rows[item.name][2] == "True" for item in shot.meta.objects) and ["clips", "1"] in said


def test_trimesh_opens_a_rigged_character_and_a_ply(result, tmp_path):
    cache, shot = result
    bake(tmp_path / "a.glb", cache, shot, range(1, 7), None)
    scene = trimesh.load_scene(tmp_path / "a.glb")
    rows = {item.name: item.rows for item in shot.meta.objects}
    y_up = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    for name, points in cache.meshes().items():
        (mesh,) = (mesh for key, mesh in scene.geometry.items() if key.partition(".")[0] == name)
        rest = points.vertices[0] if name == "Skirt" else shot["vertices"][rows[name]]
        apart = np.linalg.norm(np.asarray(mesh.vertices)[:, None] - (rest @ y_up.T)[None], axis=2)
        assert max(apart.min(0).max(), apart.min(1).max()) < 1e-6, name
    splats = some_splats()
    write_splats(tmp_path / "a.ply", splats, "z-up")
    assert np.array_equal(np.float32(trimesh.load(tmp_path / "a.ply").vertices), splats.means)
