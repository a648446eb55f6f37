"""The frame cache: what is written is read back bit for bit, and every kind of damage has its own error."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ani3d_formats import frames
from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import CacheWriter, FrameCache, write_cache
from ani3d_formats.gaussians import SH_C0, GaussianFrames
from ani3d_formats.progress import Progress

T, N, V = 5, 37, 11


@pytest.fixture
def gaussians() -> GaussianFrames:
    rng = np.random.default_rng(3)
    quats = rng.normal(size=(T, N, 4)).astype(np.float32)
    return GaussianFrames(
        means=rng.normal(size=(T, N, 3)).astype(np.float32),
        quats=quats / np.linalg.norm(quats, axis=-1, keepdims=True),
        scales=np.broadcast_to(rng.uniform(0.01, 0.02, (N, 3)).astype(np.float32), (T, N, 3)),
        opacities=rng.uniform(size=N).astype(np.float32),
        colors=rng.uniform(size=(T, N, 3)).astype(np.float32),
    )


@pytest.fixture
def meshes() -> dict[str, np.ndarray]:
    return {"Body": np.random.default_rng(4).normal(size=(T, V, 3)).astype(np.float32)}


@pytest.fixture
def cache(tmp_path: Path, gaussians: GaussianFrames, meshes: dict[str, np.ndarray]) -> Path:
    made_by = {"made by": "a test"}
    return write_cache(tmp_path / "walk.ani3d", gaussians, fps=24, frame_start=10, meshes=meshes, provenance=made_by)


def code_of(call, *arguments) -> str:
    with pytest.raises(Ani3DError) as caught:
        call(*arguments)
    assert caught.value.message and caught.value.hint
    return caught.value.code


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def test_round_trip_is_exact(cache, gaussians, meshes):
    opened = FrameCache.open(cache)
    opened.verify()
    for t in range(T):
        frame = opened.frame(10 + t)
        assert frame["position"].tobytes() == gaussians.means[t].tobytes()
        assert frame["rotation"].tobytes() == gaussians.quats[t].tobytes()
        assert frame["scale"].tobytes() == gaussians.scales[t].tobytes()
        assert np.allclose(frame["radiance:base"][:, :3] * SH_C0 + 0.5, gaussians.colors[t], atol=1e-6)
        assert frame["radiance:base"][:, 3].tobytes() == gaussians.opacities.tobytes()
    assert opened.meshes()["Body"].vertices.tobytes() == meshes["Body"].tobytes()
    assert opened.meshes()["Body"].start == 10
    assert opened.manifest.provenance == {"made by": "a test"}


def test_opacities_that_change_are_stored_for_each_frame(gaussians, tmp_path):
    fading = replace(
        gaussians,
        opacities=np.linspace(1, 0, T, dtype=np.float32)[:, None] * gaussians.opacities,
        colors=np.broadcast_to(gaussians.colors[0], gaussians.colors.shape),
    )
    opened = FrameCache.open(write_cache(tmp_path / "fading.ani3d", fading, fps=24, frame_start=1))
    for t in range(T):
        assert opened.frame(1 + t)["radiance:base"][:, 3].tobytes() == fading.opacities[t].tobytes()
    steady = replace(fading, opacities=np.broadcast_to(fading.opacities[0], fading.opacities.shape))
    opened = FrameCache.open(write_cache(tmp_path / "steady.ani3d", steady, fps=24, frame_start=1))
    assert opened.arrays["radiance:base"].shape == (N, 4), "stored once, though given for every frame"
    assert opened.gaussians(1, T).opacities.shape == (N,)


def test_half_precision_is_read_as_float32_within_its_last_digit(gaussians, tmp_path):
    half = frozenset({"rotation", "scale"})
    head = {"count": N, "frame_start": 10, "frame_end": 9 + T, "fps": 24.0, "half": half}
    rotations, scales = gaussians.quats, np.full((N, 3), 1e-4, np.float32)
    scales[0] = 1e6  # as of a scene in micrometres: more than half precision can hold
    with CacheWriter(tmp_path / "half.ani3d", **head) as writer:
        writer.static("scale", scales)
        for t in range(T):
            writer.frame({"position": gaussians.means[t], "rotation": rotations[t]})
    opened = FrameCache.open(tmp_path / "half.ani3d")
    assert {entry.name: entry.dtype for entry in opened.manifest.attributes} == {
        "position": "<f4",
        "rotation": "<f2",
        "scale": "<f2",
    }
    assert (tmp_path / "half.ani3d" / "rotation.npy").stat().st_size < T * N * 4 * 2 + 200
    frame = opened.frame(12)
    assert {values.dtype for values in frame.values()} == {np.dtype(np.float32)}
    assert np.array_equal(frame["position"], gaussians.means[2])
    assert np.allclose(frame["rotation"], rotations[2], rtol=2**-11, atol=1e-7)
    assert np.allclose(frame["scale"][1:], 1e-4, rtol=2**-11)
    assert np.isfinite(frame["scale"]).all()
    opened.verify()


def test_static_attributes_are_stored_once(cache):
    opened = FrameCache.open(cache)
    assert opened.arrays["scale"].shape == (N, 3)
    assert opened.arrays["radiance:base"].shape == (T, N, 4)
    assert isinstance(opened.arrays["position"], np.memmap)
    stored = {entry.name: entry.static for entry in opened.manifest.attributes}
    assert stored == {"scale": True, "position": False, "rotation": False, "radiance:base": False}


def test_files_are_plain_numpy_and_json(cache, gaussians):
    manifest = json.loads((cache / "manifest.json").read_text())
    assert (manifest["schema"], manifest["version"]) == ("ani3dhuman.cache", 1)
    assert (manifest["frame_start"], manifest["frame_end"], manifest["count"]) == (10, 14, N)
    files = {entry["name"]: entry["file"] for entry in manifest["attributes"]}
    assert files["radiance:base"] == "radiance_base.npy"
    assert np.array_equal(np.load(cache / files["position"]), gaussians.means)
    assert manifest["meshes"][0]["object"] == "Body" and manifest["meshes"][0]["file"] == "Body.pc2"


def test_frame_outside_range(cache):
    assert code_of(FrameCache.open(cache).frame, 15) == "cache.frame"


def test_no_cache(tmp_path):
    assert code_of(FrameCache.open, tmp_path / "nothing.ani3d") == "cache.missing"


def test_missing_file(cache):
    (cache / "position.npy").unlink()
    assert code_of(FrameCache.open, cache) == "cache.file_missing"


@pytest.mark.parametrize("name", ["position.npy", "scale.npy", "Body.pc2"])
def test_cut_file(cache, name):
    data = (cache / name).read_bytes()
    (cache / name).write_bytes(data[:-1])
    assert code_of(FrameCache.open, cache) == "cache.cut"


def test_changed_file_is_found_by_its_hash(cache):
    data = bytearray((cache / "rotation.npy").read_bytes())
    data[-1] ^= 1
    (cache / "rotation.npy").write_bytes(data)
    assert code_of(FrameCache.open(cache).verify) == "cache.corrupt"


def change_manifest(cache: Path, **entries: object) -> None:
    manifest = json.loads((cache / "manifest.json").read_text())
    (cache / "manifest.json").write_text(json.dumps({**manifest, **entries}))


def test_other_version(cache):
    change_manifest(cache, version=2)
    assert code_of(FrameCache.open, cache) == "cache.version"


@pytest.mark.parametrize("entries", [{"count": N + 1}, {"frame_end": 20}, {"attributes": [{}]}, {"fps": None}])
def test_contradicting_manifest(cache, entries):
    change_manifest(cache, **entries)
    assert code_of(FrameCache.open, cache) == "cache.malformed"


def test_manifest_cut_in_the_middle(cache):
    text = (cache / "manifest.json").read_text()
    (cache / "manifest.json").write_text(text[: len(text) // 2])
    assert code_of(FrameCache.open, cache) == "cache.malformed"


@pytest.mark.parametrize("name", ["../secret.npy", "/etc/passwd", "a\\b.npy", ".."])
def test_file_names_cannot_leave_the_folder(cache, name):
    manifest = json.loads((cache / "manifest.json").read_text())
    manifest["attributes"][0]["file"] = name
    change_manifest(cache, attributes=manifest["attributes"])
    assert code_of(FrameCache.open, cache) == "cache.malformed"


def test_array_that_is_not_what_the_manifest_says(cache):
    size = (cache / "scale.npy").stat().st_size
    np.save(cache / "scale.npy", np.zeros((3, N), np.float32))
    assert (cache / "scale.npy").stat().st_size == size
    assert code_of(FrameCache.open, cache) == "cache.malformed"


def open_full(name: str):
    """An `open` that gives the kernel's always-full device for files called `name`."""

    def opener(path, mode="r", **options):
        return open("/dev/full" if Path(path).name == name else path, mode, **options)

    return opener


def test_changed_bytes_in_headers_are_refused_or_read(cache):
    random_place = random.Random(0)
    for path in sorted(cache.iterdir()):
        data = path.read_bytes()
        for _ in range(60):
            changed = bytearray(data)
            for _ in range(random_place.choice([1, 3])):
                changed[random_place.randrange(min(len(data), 128))] = random_place.randrange(256)
            path.write_bytes(changed)
            try:
                FrameCache.open(cache).meshes()
            except Ani3DError as error:
                assert error.code.startswith(("cache.", "pc2.")) and error.hint
        path.write_bytes(data)


@pytest.mark.parametrize("name", ["position.npy", "scale.npy", "manifest.json"])
def test_full_disk_keeps_the_older_cache(cache, gaussians, monkeypatch, name):
    before = {path.name: path.read_bytes() for path in cache.iterdir()}
    monkeypatch.setattr(frames, "open", open_full(name), raising=False)
    with pytest.raises(Ani3DError) as caught:
        write_cache(cache, gaussians, fps=24, frame_start=10)
    assert caught.value.code == "disk.full"
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == before
    assert leftovers(cache.parent) == []


def test_cancel_keeps_the_older_cache(cache, gaussians):
    progress = Progress("cache", T, should_cancel=lambda: progress.step == 2)
    assert code_of(lambda: write_cache(cache, gaussians, fps=30, frame_start=1, progress=progress)) == "cancelled"
    assert FrameCache.open(cache).manifest.fps == 24
    assert leftovers(cache.parent) == []


def test_new_cache_replaces_the_older_and_a_killed_writers_rest(cache, gaussians):
    rest = cache.with_name(f".{cache.name}.partial")
    rest.mkdir()
    (rest / "position.npy").write_bytes(b"half")
    write_cache(cache, gaussians, fps=30, frame_start=1)
    opened = FrameCache.open(cache)
    opened.verify()
    assert (opened.manifest.fps, opened.manifest.frame_end, opened.manifest.meshes) == (30, 5, ())
    assert leftovers(cache.parent) == []


def writer(tmp_path: Path) -> CacheWriter:
    return CacheWriter(tmp_path / "x.ani3d", count=N, frame_start=1, frame_end=2, fps=24)


def test_wrong_values_are_refused(tmp_path, gaussians):
    def write(*frame_values: np.ndarray) -> None:
        with writer(tmp_path) as out:
            for values in frame_values:
                out.frame({"position": values})

    good = gaussians.means[0]
    nan = good.copy()
    nan[3, 1] = np.nan
    for values in ([good], [good, good[:-1]], [good, nan], [good, good, good], [good, good[:, :2]]):
        assert code_of(write, *values) == "cache.values"
    assert list(tmp_path.iterdir()) == []
    write(good, good)
    FrameCache.open(tmp_path / "x.ani3d").verify()


def test_names_may_not_change_between_frames(tmp_path, gaussians):
    def write() -> None:
        with writer(tmp_path) as out:
            out.frame({"position": gaussians.means[0]})
            out.frame({"rotation": gaussians.quats[0]})

    assert code_of(write) == "cache.values"
