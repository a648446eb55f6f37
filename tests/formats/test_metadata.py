"""Metadata is checked where it enters: whatever is wrong is refused with the field's name, and nothing else happens."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synthetic import make_arrays

from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import CacheWriter, FrameCache, write_cache
from ani3d_formats.gaussians import GaussianFrames
from ani3d_formats.manifest import parse
from ani3d_formats.names import child, is_file_name, safe_name
from ani3d_formats.shot import Shot

BAD_NAMES = (
    "", ".", "..", "../../x", "a/b", "a\\b", "/etc/passwd", "C:\\x", "c:x", "a\0b", "con", "NUL.txt", "Com1.a",
    "name.", "name ", " name", ".hidden", "what?", "line\nbreak", "x" * 300, "\ud800",
)  # fmt: skip
GOOD_NAMES = ("synthetic", "Änn", "a.b", "comet", "walk 01", "com", "x-y_z")


@cache
def arrays() -> dict[str, np.ndarray]:
    return make_arrays()


def meta_of(given: dict[str, np.ndarray]) -> dict[str, Any]:
    return json.loads(str(given["meta"]))


def shot_with(meta: Any) -> Shot:
    return Shot.from_arrays({**arrays(), "meta": np.array(json.dumps(meta))})


def changed(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    """`data` with `value` at `path`; the word "drop" takes the entry away."""
    copy = json.loads(json.dumps(data))
    place = copy
    for key in path[:-1]:
        place = place[key]
    if value == "drop":
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return copy


REFUSED = [
    *((("name",), name, "meta.name") for name in BAD_NAMES),
    *((("fps",), fps, "meta.fps") for fps in (0, -24, math.nan, math.inf, 1e9, 10**400, "24", None, True, [24.0])),
    *((("width",), width, "meta.width") for width in (0, -5, 10**6, 96.0, "96", None)),
    (("height",), 0, "meta.height"),
    (("camera_type",), "fisheye", "meta.camera_type"),
    (("bones",), [], "meta.bones"),
    (("bones",), ["hips", "chest"], "meta.bones"),
    (("bones", 1), 5, "meta.bones[1]"),
    (("objects",), [], "meta.objects"),
    (("objects",), {"Body": 1}, "meta.objects"),
    (("objects", 1, "vertex_start"), 99, "meta.objects[1].vertex_start"),
    (("objects", 2, "vertex_start"), 10**6, "meta.objects[2].vertex_start"),
    (("objects", 0, "vertex_start"), -1, "meta.objects[0].vertex_start"),
    (("objects", 2, "vertex_count"), 101, "meta.objects"),
    (("objects", 2, "vertex_count"), 0, "meta.objects[2].vertex_count"),
    (("objects", 2), "drop", "meta.objects"),
    (("objects", 1, "name"), "Body", "meta.objects[1].name"),
    (("objects", 1, "colour"), 3, "meta.objects[1]"),
    (("regions",), ["garment", "hair", "face", "body"], "meta.regions"),
    (("regions",), ["body", "face", "hair", "shoes"], "meta.regions"),
    (("frame_end",), 0, "meta.frame_end"),
    (("frame_start",), 1.5, "meta.frame_start"),
    (("frame_end",), 10**12, "meta.frame_end"),
    *(((name,), "drop", f"meta.{name}") for name in ("name", "fps", "width", "bones", "objects", "materials")),
    (("materials", 1, "texture"), 1, "meta.materials[1].texture"),
    (("materials", 1, "texture"), -2, "meta.materials[1].texture"),
    (("materials", 0, "base_color"), [0.1, math.nan, 0.2], "meta.materials[0].base_color[1]"),
    (("materials", 0, "base_color"), [0.1, 0.2], "meta.materials[0].base_color"),
    (("materials", 0), None, "meta.materials[0]"),
    (("source",), ["Blender"], "meta.source"),
    (("speed",), 1, "'speed'"),
    (("objects", 1, "motion"), "simulated", "meta.objects[1].motion"),
    (("objects", 1, "motion"), "recorded", "recorded_vertices"),
    *((("objects", 1, "strands"), points, "meta.objects[1].strands") for points in (-1, 1, 2.0, True, 10**400)),
    (("objects", 1, "strands"), 3, "meta.objects[1].vertex_count"),
    (("objects", 1, "strands"), 2, "meta.objects[1].strands"),
    (("objects", 1, "fabric"), None, "meta.objects[1].fabric"),
    *((("origin",), place, "meta.origin") for place in (None, [1, 2], [0, math.nan, 0], "home")),
]


@pytest.mark.parametrize(("path", "value", "field"), REFUSED)
def test_a_wrong_entry_is_refused_with_its_name(path: tuple[Any, ...], value: Any, field: str) -> None:
    with pytest.raises(Ani3DError) as caught:
        shot_with(changed(meta_of(arrays()), path, value))
    assert caught.value.code in ("shot.bad_meta", "shot.no_frames", "shot.bad_index")
    assert field in caught.value.message and caught.value.hint


def test_entries_with_defaults_may_be_missing() -> None:
    meta = meta_of(arrays())
    for name in ("camera_type", "regions"):
        meta = changed(meta, (name,), "drop")
    shot = shot_with(changed(meta, ("materials", 0, "texture"), "drop"))
    assert shot.meta.camera_type == "perspective" and shot.meta.materials[0].texture == -1
    assert shot.meta.regions == ("body", "face", "hair", "garment")


def test_names_of_files() -> None:
    assert [name for name in BAD_NAMES if is_file_name(name)] == []
    assert [name for name in GOOD_NAMES if not is_file_name(name)] == []
    assert child(Path("out"), "walk.ani3d") == Path("out/walk.ani3d")
    with pytest.raises(Ani3DError, match=r"\.\./\.\./x"):
        child(Path("out"), "../../x.ani3d")


ARTISTS_NAMES = (
    "Body/1", "Body:1", "Body.", "Body", "body", "BODY ", " Body", "身体", "スカート",
    "体" * 84, "体" * 83 + "b", "CON",
    "NUL.txt", "nul", "B" * 250, "B" * 249 + "C", "a\"b'c", "a|b?c*", "a\nb", "a b", "...", "Äpfel",
    "A\u0308pfel", "\u200b", "कुर्ता",
    "COM¹", "🧥", "Straße", "STRASSE", "Body_2", "x" * 59 + "é",
)  # fmt: skip


def test_every_name_becomes_a_safe_one_of_its_own() -> None:
    given: list[str] = []
    for name in ARTISTS_NAMES:
        given.append(safe_name(name, given))
    assert [name for name in given if not is_file_name(name) or len(name.encode()) > 70] == []
    assert len({name.casefold() for name in given}) == len(ARTISTS_NAMES)
    assert given == [safe_name(name, given[:number]) for number, name in enumerate(ARTISTS_NAMES)]
    for name in GOOD_NAMES:
        assert safe_name(name) == name


@pytest.mark.parametrize(
    ("name", "taken", "safe"),
    [
        ("Body", (), "Body"),
        ("body", ("Body",), "body_2"),
        ("Body", ("body", "BODY_2"), "Body_3"),
        ("Body/1", (), "Body_1"),
        ("身体", (), "身体"),
        ("कुर्ता", (), "कुर्ता"),
        ("A\u0308pfel", (), "Äpfel"),
        ("Äpfel", ("a\u0308PFEL",), "Äpfel_2"),
        ("CON", (), "_CON"),
        ("NUL.txt", (), "_NUL.txt"),
        ("..", (), "__"),
        ("", (), "_"),
        (".hidden", (), "_hidden"),
        ("Body. ", (), "Body._"),
        ("体" * 84, (), "体" * 20),
        ("B" * 250, ("b" * 60,), "B" * 60 + "_2"),
    ],
)
def test_a_safe_name_is_readable(name: str, taken: tuple[str, ...], safe: str) -> None:
    assert safe_name(name, taken) == safe


@given(st.text(max_size=300), st.lists(st.text(max_size=5), max_size=3))
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_any_text_becomes_a_safe_name(name: str, taken: list[str]) -> None:
    safe = safe_name(name, taken)
    assert is_file_name(safe) and safe.casefold() not in {other.casefold() for other in taken}


def gaussians() -> GaussianFrames:
    ones = np.ones((2, 3, 3), np.float32)
    return GaussianFrames(ones, np.ones((2, 3, 4), np.float32), ones, np.ones(3, np.float32), ones)


def test_a_cache_stays_in_its_folder(tmp_path: Path) -> None:
    """Whatever objects are called, their files lie in the cache, visible, each its own."""
    names = ("../../x", "..", "a/b", "a:b", "A_b", ".hidden", "con", "x" * 300, "\0", *ARTISTS_NAMES)
    meshes = {name: np.full((2, 4, 3), k, np.float32) for k, name in enumerate(names)}
    path = write_cache(tmp_path / "walk.ani3d", gaussians(), fps=24, frame_start=1, meshes=meshes)
    opened = FrameCache.open(path)
    assert [path.name for path in tmp_path.iterdir()] == ["walk.ani3d"]
    assert len({entry.file.casefold() for entry in opened.manifest.meshes}) == len(names)
    assert all(is_file_name(entry.file) for entry in opened.manifest.meshes)
    assert {name: float(mesh.vertices[0, 0, 0]) for name, mesh in opened.meshes().items()} == {
        name: float(k) for k, name in enumerate(names)
    }


def test_a_cache_says_what_its_places_are_relative_to(tmp_path: Path) -> None:
    path = write_cache(tmp_path / "walk.ani3d", gaussians(), fps=24, frame_start=1, origin=(1000.0, -20.0, 0.0))
    assert FrameCache.open(path).manifest.origin == (1000, -20, 0)
    old = changed(manifest(), ("origin",), "drop")
    assert parse(json.dumps(old), Path("walk.ani3d")).origin == (0, 0, 0)


def test_a_cache_refuses_names_that_would_leave_its_folder(tmp_path: Path) -> None:
    for name in ("..", "con.ani3d", ".hidden"):
        with pytest.raises(Ani3DError) as caught:
            write_cache(tmp_path / name, gaussians(), fps=24, frame_start=1)
        assert caught.value.code == "cache.name" and name in caught.value.message
    for name in ("../../x", "", "..", "a\\b"):
        writer = CacheWriter(tmp_path / "walk.ani3d", count=3, frame_start=1, frame_end=1, fps=24)
        with pytest.raises(Ani3DError) as caught, writer:
            writer.frame({name: np.ones((3, 3), np.float32)})
        assert caught.value.code == "cache.name"
    assert list(tmp_path.iterdir()) == []


def manifest() -> dict[str, Any]:
    array = {"name": "position", "file": "position.npy", "dtype": "<f4", "shape": [2, 3, 3], "static": False}
    return {
        "schema": "ani3dhuman.cache", "version": 1, "fps": 24.0, "frame_start": 1, "frame_end": 2, "count": 3,
        "attributes": [{**array, "bytes": 200, "sha256": "0" * 64}],
        "meshes": [{"object": "Body", "file": "Body.pc2", "bytes": 56, "sha256": "0" * 64}],
        "provenance": {"settings": {"a": [1, 2]}},
        "origin": [1000.0, -20.0, 0.0],
    }  # fmt: skip


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all entries of `data`."""
    entries = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [inner for key, value in entries for inner in ((*path, key), *places(value, (*path, key)))]


garbage = st.recursive(
    st.sampled_from(
        [
            None,
            True,
            -1,
            0,
            3,
            2**63,
            10**400,
            1e308,
            -0.5,
            math.nan,
            math.inf,
            "",
            "..",
            "../../x",
            "a\0",
            "\ud800",
            "drop",
        ]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "x", "0"]), inner, max_size=3),
    max_leaves=4,
)
quick = settings(
    max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@st.composite
def damaged(draw: st.DrawFn, whole: dict[str, Any]) -> Any:
    """`whole` with one to three entries changed or dropped."""
    data: Any = whole
    for _ in range(draw(st.integers(1, 3))):
        known = places(data)
        data = changed(data, draw(st.sampled_from(known)), draw(garbage)) if known else data
    return data


def named(error: Ani3DError, start: str) -> bool:
    """Whether an error has a code of that family, and says which entry or which array is wrong."""
    return error.code.startswith(start) and ("meta" in error.message or "manifest" in error.message)


def whole_meta() -> dict[str, Any]:
    """A meta with all that is optional."""
    meta = meta_of(arrays())
    for item in meta["objects"]:
        item |= {"motion": "skinned", "strands": 0, "fabric": "silk", "preserve_volume": True}
    return {**meta, "origin": [1000.0, -20.0, 0.0]}


@quick
@given(damaged(whole_meta()))
def test_a_damaged_meta_gives_a_shot_or_an_error_with_the_field(meta: Any) -> None:
    try:
        shot = shot_with(meta)
    except Ani3DError as error:
        loose = (
            "shot.schema",
            "shot.version",
            "shot.bad_index",
            "shot.bad_array",
        )  # these name schema, version, arrays
        assert error.code in loose or named(error, "shot.")
    else:
        assert is_file_name(shot.name) and 0 < shot.meta.fps < math.inf
        assert shot_with(json.loads(str(shot.to_arrays()["meta"]))).meta == shot.meta


@quick
@given(damaged(manifest()))
def test_a_damaged_manifest_is_read_or_refused_with_the_field(data: Any) -> None:
    try:
        found = parse(json.dumps(data), Path("walk.ani3d"))
    except Ani3DError as error:
        assert error.code == "cache.version" or named(error, "cache.")
    else:
        assert found.count >= 1 and found.frames >= 1
        assert all("/" not in entry.file for entry in found.entries)


@pytest.mark.parametrize("text", ["", "[]", "null", "3", '"meta"', "{" * 10, "[" * 100_000, "1" * 5000, "\udc00"])
def test_what_is_no_map_is_refused(text: str) -> None:
    with pytest.raises(Ani3DError) as caught:
        Shot.from_arrays({**arrays(), "meta": np.array(text)})
    assert caught.value.code in ("shot.no_meta", "shot.schema")
    with pytest.raises(Ani3DError) as caught:
        parse(text, Path("walk.ani3d"))
    assert caught.value.code == "cache.malformed"
