"""Colliders, fields and wishes in a shot: old shots have none, wrong ones are refused with the entry's name."""

import json

import numpy as np
import pytest
from synthetic import make_arrays

from ani3d_formats.errors import Ani3DError
from ani3d_formats.shot import Shot
from ani3d_formats.shot_scene import FORCE_VALUES, PULLS

SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)


def with_scene(frames=4):
    """The synthetic shot with a table and a wind, and wishes for its objects."""
    arrays = make_arrays(frames)
    meta = json.loads(str(arrays["meta"]))
    meta["colliders"] = [{"name": "Table", "vertex_start": 0, "vertex_count": 4, "thickness": 0.01}]
    meta["forces"] = [{"name": "Wind", "kind": "wind", "shape": "plane"}]
    meta["objects"][1] |= {"fabric": "silk", "fabric_changes": {"bend": 0.1}, "layer": 2, "thickness": 0.004}
    values = np.full((1, len(FORCE_VALUES)), -1, np.float32)
    values[0, FORCE_VALUES.index("unit")] = 1
    values[0, FORCE_VALUES.index("most")] = 3
    return arrays | {
        "meta": np.array(json.dumps(meta)),
        "collider_vertices": SQUARE,
        "collider_faces": np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        "collider_poses": np.eye(4, dtype=np.float32)[None] * np.ones((frames, 1, 1, 1), np.float32),
        "gravity": np.array([0, 0, -9.81], np.float32),
        "force_poses": np.eye(4, dtype=np.float32)[None],
        "force_values": values,
        "stay_weights": np.zeros(len(arrays["vertices"]), np.float32),
        "cloth_strength": np.ones((frames, 3), np.float32),
        "cloth_pulls": np.ones((3, len(PULLS)), np.float32),
    }


def changed(arrays, **entries):
    meta = json.loads(str(arrays["meta"]))
    meta.update(entries)
    return arrays | {"meta": np.array(json.dumps(meta))}


def test_it_is_kept_whole(tmp_path):
    shot = Shot.from_arrays(with_scene())
    shot.save(tmp_path / "shot.npz")
    again = Shot.load(tmp_path / "shot.npz")
    assert again.meta == shot.meta and again.meta.colliders[0].name == "Table"
    assert again.meta.objects[1].fabric_changes == {"bend": 0.1}
    np.testing.assert_array_equal(again["collider_poses"], shot["collider_poses"])


def test_a_shot_without_any_has_none():
    shot = Shot.from_arrays(make_arrays(2))
    assert shot.meta.colliders == () and shot.meta.forces == () and "gravity" not in shot.arrays


def test_a_larger_scene_has_larger_colliders_and_reaches_and_the_same_gravity():
    shot = Shot.from_arrays(with_scene())
    large = shot.scaled(100)
    np.testing.assert_allclose(large["collider_vertices"], 100 * SQUARE)
    assert large.meta.colliders[0].thickness == pytest.approx(1.0)
    assert large.meta.objects[1].thickness == pytest.approx(0.4)
    values = dict(zip(FORCE_VALUES, large["force_values"][0], strict=True))
    assert values["most"] == 300 and values["least"] == -1 and values["unit"] == 100 and values["strength"] == -1
    np.testing.assert_array_equal(large["gravity"], shot["gravity"])


@pytest.mark.parametrize(
    ("word", "wrong"),
    [
        ("collider_poses", lambda a: a | {"collider_poses": np.ones((2, 4, 4), np.float32)}),
        ("collider_vertices", lambda a: a | {"collider_vertices": SQUARE[:3]}),
        ("collider_faces", lambda a: a | {"collider_faces": np.array([[0, 1, 4]], np.int32)}),
        ("collider_faces", lambda a: {k: v for k, v in a.items() if k != "collider_faces"}),
        ("force_values", lambda a: {k: v for k, v in a.items() if k != "force_values"}),
        ("force_poses", lambda a: changed(a, forces=[])),
        ("O=2", lambda a: a | {"cloth_strength": np.ones((4, 2), np.float32)}),
        ("stay_weights", lambda a: a | {"stay_weights": np.ones(3, np.float32)}),
        ("gravity", lambda a: a | {"gravity": np.full(3, np.nan, np.float32)}),
        (
            "recorded",
            lambda a: changed(a, colliders=[{"name": "T", "vertex_start": 0, "vertex_count": 4, "recorded": True}]),
        ),
        ("vertex_start", lambda a: changed(a, colliders=[{"name": "T", "vertex_start": 1, "vertex_count": 4}])),
        ("kind", lambda a: changed(a, forces=[{"name": "W", "kind": "magic"}])),
    ],
)
def test_what_is_wrong_is_refused_by_name(word, wrong):
    with pytest.raises(Ani3DError) as error:
        Shot.from_arrays(wrong(with_scene()))
    assert error.value.code.startswith("shot.") and word in error.value.message


@pytest.mark.parametrize("value", ["much", None, float("inf"), True])
def test_changes_of_a_fabric_are_numbers(value):
    arrays = with_scene()
    meta = json.loads(str(arrays["meta"]))
    meta["objects"][1]["fabric_changes"] = {"bend": value}
    with pytest.raises(Ani3DError, match=r"fabric_changes\.bend"):
        Shot.from_arrays(arrays | {"meta": np.array(json.dumps(meta))})
