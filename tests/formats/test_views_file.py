"""Views of a character: what goes in comes out, and every fault is named."""

import json

import numpy as np
import pytest

from ani3d_formats.errors import Ani3DError
from ani3d_formats.views import PREFIX, Views, ViewsMeta
from ani3dhuman.cli import main

N, M, V, H, W = 3, 2, 5, 6, 4


def make_views():
    rng = np.random.default_rng(0)
    viewmats = np.tile(np.eye(4, dtype=np.float32), (N, 1, 1))
    viewmats[:, 2, 3] = 3
    Ks = np.tile(np.array([[9, 0, W / 2], [0, 9, H / 2], [0, 0, 1]], np.float32), (N, 1, 1))
    return Views(
        ViewsMeta("Ann", W, H, "c0ffee", (1.0, 0.0, -2.0), "Blender 5.0 Cycles", 8),
        rng.random((M, V, 3)).astype(np.float32),
        np.array([0, 1, 1], np.int32),
        viewmats,
        Ks,
        rng.random((N, H, W, 4)).astype(np.float16),
        rng.random((N, H, W, 4)).astype(np.float16),
    )


def same(a, b):
    assert a.meta == b.meta
    first, second = a.to_arrays(), b.to_arrays()
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])


def test_saved_and_loaded_views_are_the_same(tmp_path):
    views = make_views()
    views.save(tmp_path / "Ann.views.npz")
    same(Views.load(tmp_path / "Ann.views.npz"), views)


def test_views_travel_with_a_shot():
    views = make_views()
    arrays = {"vertices": np.zeros((V, 3)), **views.to_shot_arrays()}
    assert all(name.startswith(PREFIX) for name in arrays if name != "vertices")
    same(Views.from_shot_arrays(arrays), views)
    assert Views.from_shot_arrays({"vertices": np.zeros((V, 3))}) is None


def changed(name, value):
    arrays = make_views().to_arrays()
    if value is None:
        del arrays[name]
    else:
        arrays[name] = value
    return arrays


def with_meta(**changes):
    return changed("meta", np.array(json.dumps({**json.loads(str(make_views().to_arrays()["meta"])), **changes})))


FAULTS = {
    "missing_array": (changed("albedo", None), "albedo"),
    "bad_array": (changed("pose_of", np.zeros(N)), "pose_of"),
    "bad_index": (changed("pose_of", np.full(N, M)), "pose_of"),
    "not_finite": (changed("radiance", np.full((N, H, W, 4), np.nan)), "radiance"),
    "bad_camera": (changed("viewmats", np.zeros((N, 4, 4))), "camera"),
    "schema": (with_meta(schema="ani3dhuman.shot"), "schema"),
    "version": (with_meta(version=9), "version 9"),
    "bad_meta": (with_meta(width="wide"), "meta.width"),
}


@pytest.mark.parametrize("code", FAULTS)
def test_a_fault_is_named(code):
    arrays, words = FAULTS[code]
    with pytest.raises(Ani3DError) as caught:
        Views.from_arrays(arrays)
    assert caught.value.code == f"views.{code}"
    assert words in caught.value.message


@pytest.mark.parametrize(("vertices", "character"), [(V + 1, ""), (V, "another")])
def test_views_of_another_character_are_refused(vertices, character):
    make_views().check_fits(V, "c0ffee")
    make_views().check_fits(V, "")
    with pytest.raises(Ani3DError) as caught:
        make_views().check_fits(vertices, character)
    assert caught.value.code == "views.other_character"


def test_views_of_a_larger_world_show_the_same():
    views, larger = make_views(), make_views().scaled(100)
    first, second = (v.vertices_at[0] @ v.viewmats[0, :3, :3].T + v.viewmats[0, :3, 3] for v in (views, larger))
    np.testing.assert_allclose(100 * first, second, rtol=1e-5)
    assert larger.meta.origin == (100, 0, -200)


def test_pictures_must_have_the_size_that_meta_says():
    with pytest.raises(Ani3DError, match="H=7"):
        Views.from_arrays(with_meta(height=7))


def test_light_beyond_half_floats_is_cut_not_infinite():
    radiance = np.full((N, H, W, 4), 1e6, np.float32)
    assert Views.from_arrays(changed("radiance", radiance)).radiance.max() == np.float16(65504)


def test_a_broken_file_is_refused_by_name(tmp_path):
    path = tmp_path / "cut.views.npz"
    path.write_bytes(b"PK")
    with pytest.raises(Ani3DError, match=r"cut\.views\.npz") as caught:
        Views.load(path)
    assert caught.value.code == "views.file_broken"


def test_the_command_line_says_what_is_in_a_file(tmp_path, capsys):
    make_views().save(tmp_path / "Ann.views.npz")
    assert main(["avatar", "info", str(tmp_path / "Ann.views.npz")]) == 0
    text = capsys.readouterr().out
    assert "3 of 4x6 pixels" in text and "2 poses of 5 vertices" in text and "c0ffee" in text
