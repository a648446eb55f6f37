"""Results as sequences of files and as USD, opened again by readers that are not ours."""

from __future__ import annotations

import json
import struct
import time
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from some_splats import differences, some_splats
from synthetic import make_shot

from ani3d_formats.errors import Ani3DError, Cancelled
from ani3d_formats.frames import CacheWriter, FrameCache, write_cache
from ani3d_formats.gaussians import GaussianFrames
from ani3d_formats.progress import Progress
from ani3dhuman.cli import main
from ani3dhuman.splats import sog_writer
from ani3dhuman.splats.formats import read_splats, write_splats
from ani3dhuman.splats.sequences import convert_files, write_sequence
from ani3dhuman.splats.splats import OWN_COLORS, Splats
from ani3dhuman.splats.usd import write_usd

FIRST, FRAMES = 5, 4
ORIGIN = (1000.0, 2.0, 3.0)


@pytest.fixture
def shot():
    return make_shot(frames=FRAMES)


@pytest.fixture
def cache(tmp_path, shot) -> FrameCache:
    """A result of the synthetic character that walks along x, 10 cm a frame; scales and colours stand still."""
    one = some_splats(50, 0)
    step = np.arange(FRAMES, dtype=np.float32)[:, None, None] * np.float32([0.1, 0, 0])
    gaussians = GaussianFrames(
        one.means + step,
        np.repeat(one.quats[None], FRAMES, 0),
        np.broadcast_to(one.scales, (FRAMES, 50, 3)),
        one.opacities,
        np.broadcast_to(np.clip(one.colors, 0, 1), (FRAMES, 50, 3)),
    )
    meshes = {item.name: shot["vertices"][item.rows] + step for item in shot.meta.objects}
    path = write_cache(
        tmp_path / "walk.ani3d", gaussians, fps=24, frame_start=shot.meta.frame_start, meshes=meshes, origin=ORIGIN
    )
    return FrameCache.open(path)


def all_frames(cache: FrameCache) -> range:
    return range(cache.manifest.frame_start, cache.manifest.frame_end + 1)


def test_a_sequence_has_a_file_a_frame(tmp_path, cache):
    files = write_sequence(cache, tmp_path / "out", "ply", all_frames(cache))
    start = cache.manifest.frame_start
    assert [file.name for file in files] == [f"walk.{start + k:04d}.ply" for k in range(FRAMES)]
    assert sorted((tmp_path / "out").iterdir()) == files
    for file, frame in zip(files, all_frames(cache), strict=True):
        found = differences(read_splats(file), Splats.of_frame(cache.frame(frame)))
        assert max(found["means"], found["opacities"], found["dc"]) < 1e-6


def test_a_stopped_sequence_leaves_what_was_there(tmp_path, cache):
    write_sequence(cache, tmp_path / "out", "spz", all_frames(cache))
    before = {file: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    stopped = Progress("export", FRAMES, should_cancel=lambda: True)
    with pytest.raises(Cancelled):
        write_sequence(cache, tmp_path / "out", "spz", all_frames(cache), progress=stopped)
    assert {file: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before


def test_a_folder_of_files_is_converted_whole_or_not_at_all(tmp_path, cache, capsys):
    write_sequence(cache, tmp_path / "in", "ply", all_frames(cache))
    (tmp_path / "in" / "notes.txt").write_text("no Gaussians")
    assert run("convert", tmp_path / "in", tmp_path / "out", "--format", "spz") == 0
    assert f"{FRAMES * 50} Gaussians in {FRAMES} files" in capsys.readouterr().out
    made = sorted((tmp_path / "out").iterdir())
    assert [file.name for file in made] == [f"walk.{frame:04d}.spz" for frame in all_frames(cache)]
    moved = [read_splats(file).means[:, 0].mean() for file in made]
    np.testing.assert_allclose(np.diff(moved), 0.1, atol=1e-3)

    next((tmp_path / "in").glob("*.ply")).write_bytes(b"ply")
    assert run("convert", tmp_path / "in", tmp_path / "other", "--format", "spz") == 1
    assert "is not a sound PLY" in capsys.readouterr().err
    assert not list((tmp_path / "other").iterdir())


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["a.ply", "b.ply", "out"], "--format is missing"),
        (["a.ply", "a.spz", "out", "--format", "splat"], "Two of the files would become a.splat"),
        (["a.ply", "out", "--format", "usdc"], "is read, not written"),
        (["empty", "out", "--format", "ply"], "holds no file of Gaussians"),
    ],
)
def test_what_cannot_be_converted_is_said(tmp_path, capsys, words, text, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for name in ("a.ply", "b.ply", "a.spz"):
        write_splats(tmp_path / name, some_splats(5))
    assert run("convert", *words) == 1
    assert text in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_long_conversion_stops_within_a_file(tmp_path, monkeypatch):
    """Asked to stop while its only file is made, a conversion leaves nothing, and what stood there stays."""
    monkeypatch.setattr(sog_writer, "MOST_ENTRIES", 100)
    monkeypatch.setattr(sog_writer, "FEWER", 50)
    write_splats(tmp_path / "a.ply", some_splats(700, 1))
    (tmp_path / "a.sog").write_bytes(b"what stood there")
    begun, given = Event(), sog_writer._nearest

    def slow(rows, entries):
        begun.set()
        for _ in range(1000):
            time.sleep(0.01)
            yield b""
        return (yield from given(rows, entries))

    monkeypatch.setattr(sog_writer, "_nearest", slow)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(Cancelled):
        convert_files([tmp_path / "a.ply"], [tmp_path / "a.sog"], progress=Progress("a", 2, should_cancel=begun.is_set))
    assert sorted(tmp_path.iterdir()) == before and (tmp_path / "a.sog").read_bytes() == b"what stood there"


def test_names_of_frames_sort_and_say_minus(tmp_path, cache):
    from ani3dhuman.splats.sequences import sequence_names

    assert sequence_names(cache, ".ply", range(-2, 1)) == ["walk.-0002.ply", "walk.-0001.ply", "walk.0000.ply"]


def test_usd_says_what_the_cache_holds(tmp_path, cache, shot):
    usd = pytest.importorskip("pxr.Usd")
    from pxr import UsdGeom, UsdVol

    path = write_usd(tmp_path / "walk.usdc", cache, all_frames(cache), shot)
    stage = usd.Stage.Open(str(path))
    assert UsdGeom.GetStageUpAxis(stage) == "Z" and UsdGeom.GetStageMetersPerUnit(stage) == 1
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (all_frames(cache)[0], all_frames(cache)[-1])
    field = UsdVol.ParticleField3DGaussianSplat(stage.GetPrimAtPath("/Character/Gaussians"))
    for frame in all_frames(cache):
        held = cache.frame(frame)
        assert np.array_equal(field.GetPositionsAttr().Get(frame), held["position"])
        assert np.array_equal(field.GetScalesAttr().Get(frame), held["scale"])
        assert np.array_equal(field.GetOpacitiesAttr().Get(frame), held["radiance:base"][:, 3])
        quats = np.array([(q.GetReal(), *q.GetImaginary()) for q in field.GetOrientationsAttr().Get(frame)])
        np.testing.assert_allclose(quats, held["rotation"], atol=1e-6)
    assert field.GetScalesAttr().GetNumTimeSamples() == 0  # they stand still
    world = UsdGeom.Xformable(stage.GetDefaultPrim()).ComputeLocalToWorldTransform(usd.TimeCode.Default())
    assert tuple(world.ExtractTranslation()) == ORIGIN


def test_usd_gaussians_come_back_to_the_bit(tmp_path, cache, shot):
    pytest.importorskip("pxr.Usd")
    own = some_splats(50, 2)
    with CacheWriter(tmp_path / "b.ani3d", count=50, frame_start=FIRST, frame_end=FIRST, fps=24) as writer:
        held = cache.frame(cache.manifest.frame_start)
        writer.static(OWN_COLORS, own.sh.reshape(50, -1))
        writer.frame({name: held[name] for name in ("position", "rotation", "scale", "radiance:base")})
    opened = FrameCache.open(tmp_path / "b.ani3d")
    back = read_splats(write_usd(tmp_path / "b.usdc", opened, range(FIRST, FIRST + 1)))
    true = Splats.of_frame(opened.frame(FIRST))
    assert back.degree == 2
    for name in ("means", "scales", "opacities", "sh"):
        assert np.array_equal(getattr(back, name), getattr(true, name)), name
    np.testing.assert_allclose(back.quats, true.quats, atol=1e-6)


CLIPS = 'clips = { dictionary default = { string templateAssetPath = "../x.#.usda" } }'
IN_A_VARIANT = f"""#usda 1.0
def "A" (
    variants = {{ string v = "far" }}
    prepend variantSets = "v"
)
{{
    variantSet "v" = {{
        "far" (
            {CLIPS}
        ) {{
        }}
    }}
}}
"""
REFERS = """#usda 1.0
( subLayers = [@{}@] )
"""


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({"a.usda": REFERS.format("b.usda"), "b.usda": REFERS.format("a.usda")}, "refers to itself by way of a.usda"),
        ({"a.usda": REFERS.format("a.usda")}, "refers to itself"),
        ({"a.usda": REFERS.format("../out.usda"), "../out.usda": "#usda 1.0"}, "outside of its folder"),
        ({"a.usda": REFERS.format("/etc/passwd")}, "outside of its folder"),
        ({"a.usda": REFERS.format("none.usda")}, "which is not there"),
        ({"a.usda": f'#usda 1.0\ndef "A" ( {CLIPS} ) {{}}'}, "/A refers to value clips"),
        ({"a.usda": REFERS.format("b.usda"), "b.usda": IN_A_VARIANT}, "refers to value clips"),
        ({"a.usda": "#usda 1.0\ndef Mesh {"}, "not a sound USD"),
        ({"a.usda": "#usda 1.0"}, "no prim in it"),
    ],
)
def test_usd_that_refers_in_circles_or_elsewhere_is_refused(tmp_path, texts, said):
    pytest.importorskip("pxr.Usd")
    folder = tmp_path / "in"
    folder.mkdir()
    for name, text in texts.items():
        (folder / name).write_text(text)
    with pytest.raises(Ani3DError, match=said) as refused:
        read_splats(folder / "a.usda")
    assert refused.value.code == "splats.malformed"


def test_usd_text_that_is_no_text_is_refused(tmp_path):
    pytest.importorskip("pxr.Usd")
    (tmp_path / "a.usda").write_bytes(b'#usda 1.0\ndef Mesh "\xb0\xff" {')  # its parser quotes the bytes
    with pytest.raises(Ani3DError, match="not a sound USD"):
        read_splats(tmp_path / "a.usda")


def test_usd_meshes_move_at_their_velocities(tmp_path, cache, shot):
    usd = pytest.importorskip("pxr.Usd")
    from pxr import UsdGeom

    stage = usd.Stage.Open(str(write_usd(tmp_path / "walk.usda", cache, all_frames(cache), shot)))
    meshes = {p.GetDisplayName(): UsdGeom.Mesh(p) for p in stage.Traverse() if p.IsA(UsdGeom.Mesh)}
    assert set(meshes) == {item.name for item in shot.meta.objects}
    faces = 0
    for item in shot.meta.objects:
        mesh, held = meshes[item.name], cache.meshes()[item.name].vertices
        for k, frame in enumerate(all_frames(cache)):
            assert np.array_equal(mesh.GetPointsAttr().Get(frame), held[k])
            np.testing.assert_allclose(mesh.GetVelocitiesAttr().Get(frame)[0], (2.4, 0, 0), atol=1e-4)
        faces += len(mesh.GetFaceVertexCountsAttr().Get())
        assert np.max(mesh.GetFaceVertexIndicesAttr().Get()) < item.vertex_count
    assert faces == len(shot["faces"])


def test_usd_camera_shows_points_at_the_shots_pixels(tmp_path, cache, shot):
    usd = pytest.importorskip("pxr.Usd")
    from pxr import Gf, UsdGeom

    stage = usd.Stage.Open(str(write_usd(tmp_path / "walk.usdc", cache, all_frames(cache), shot)))
    camera = UsdGeom.Camera(stage.GetPrimAtPath("/Character/Camera"))
    cameras, point = shot.cameras, np.array([0.1, 0.2, 1.1])
    for k, frame in enumerate(all_frames(cache)):
        seen = cameras.viewmats[k].astype(np.float64) @ [*point, 1]
        x, y = (cameras.Ks[k] @ seen[:3])[:2] / seen[2] / (cameras.width, cameras.height)
        film = camera.GetCamera(usd.TimeCode(frame)).frustum
        at = film.ComputeViewMatrix() * film.ComputeProjectionMatrix()
        clip = at.Transform(Gf.Vec3d(*(point + ORIGIN)))
        np.testing.assert_allclose(((clip[0] + 1) / 2, (1 - clip[1]) / 2), (x, y), atol=1e-4)


def test_usd_skeleton_is_at_the_shots_pose(tmp_path, cache, shot):
    usd = pytest.importorskip("pxr.Usd")
    from pxr import UsdSkel

    stage = usd.Stage.Open(str(write_usd(tmp_path / "walk.usdc", cache, all_frames(cache), shot)))
    skeleton = UsdSkel.Cache().GetSkelQuery(UsdSkel.Skeleton(stage.GetPrimAtPath("/Character/Skeleton")))
    for k, frame in enumerate(all_frames(cache)):
        joints = skeleton.ComputeJointSkelTransforms(usd.TimeCode(frame))
        found = np.array([np.array(m).T for m in joints])
        np.testing.assert_allclose(found, shot["bone_pose"][k], atol=2e-3)


def test_usd_passes_the_checker(tmp_path, cache, shot):
    usd = pytest.importorskip("pxr.Usd")
    from pxr import UsdValidation

    stage = usd.Stage.Open(str(write_usd(tmp_path / "walk.usdc", cache, all_frames(cache), shot)))
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    found = UsdValidation.ValidationContext(validators).Validate(stage)
    assert len(validators) > 20 and [error.GetMessage() for error in found] == []


def test_usd_of_another_characters_shot_is_refused(tmp_path, cache, shot):
    pytest.importorskip("pxr")
    first = shot.meta.objects[0]
    other = replace(shot, meta=replace(shot.meta, objects=(replace(first, vertex_count=3), *shot.meta.objects[1:])))
    with pytest.raises(Ani3DError, match="Give the shot that the cache was made from") as refused:
        write_usd(tmp_path / "walk.usdc", cache, all_frames(cache), other)
    assert refused.value.code == "usd.shot" and not (tmp_path / "walk.usdc").exists()


def test_glb_holds_together_for_any_reader(tmp_path, cache):
    """Lengths and offsets as glTF 2.0 asks: chunks of whole words, views inside the buffer, bounds of positions."""
    file = write_sequence(cache, tmp_path / "out", "glb", all_frames(cache))[0]
    data = file.read_bytes()
    magic, version, length, text, kind = struct.unpack_from("<IIIII", data)
    assert (magic, version, length, kind) == (0x46546C67, 2, len(data), 0x4E4F534A) and text % 4 == 0
    document = json.loads(data[20 : 20 + text])
    binary = data[28 + text :]
    assert all(
        v["byteOffset"] + v["byteLength"] <= len(binary) and v["byteOffset"] % 4 == 0 for v in document["bufferViews"]
    )
    position = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]
    assert position["count"] == 50 and len(position["min"]) == 3


def run(*words: object) -> int:
    return main([str(word) for word in words])


def test_the_command_line_exports_converts_and_inspects(tmp_path, cache, capsys):
    assert run("export", cache.path, "-o", tmp_path / "out", "--format", "spz", "--frames", all_frames(cache)[0]) == 0
    assert "1 files" in capsys.readouterr().out
    (file,) = (tmp_path / "out").iterdir()
    assert run("convert", file, tmp_path / "a.ply", "--to-axes", "z-up") == 0
    assert "50 Gaussians" in capsys.readouterr().out
    assert run("inspect", tmp_path / "a.ply") == 0
    said = capsys.readouterr().out
    assert "PLY as 3DGS trainers write it, 50 Gaussians, colours of degree 0" in said


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--frames", "90:99"], "has no frames 90:99"),
        (["--format", "meta.json"], "is read, not written"),
        (["--format", "obj"], "no ending of a file of Gaussians"),
    ],
)
def test_the_command_line_says_what_is_wrong(tmp_path, cache, capsys, words, text):
    assert run("export", cache.path, "-o", tmp_path / "out", *words) == 1
    assert text in capsys.readouterr().err
    assert not (tmp_path / "out").exists() or not list(Path(tmp_path / "out").iterdir())
