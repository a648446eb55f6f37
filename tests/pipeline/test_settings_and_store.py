"""Choices are checked where they enter; finished stages are found again and only then."""

import numpy as np
import pytest

from ani3d_formats.errors import Ani3DError
from ani3dhuman.pipeline.settings import PRESETS, Settings
from ani3dhuman.storage.stages import StageStore, content_key


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_valid_and_survive_a_round_trip(preset):
    settings = Settings.from_dict({"preset": preset})
    assert Settings.from_dict(settings.to_dict()) == settings


def test_overrides_win_over_the_preset():
    settings = Settings.from_dict({"preset": "draft", "seed": 7, "strength": 1})
    assert (settings.seed, settings.strength, settings.gaussians) == (7, 1.0, PRESETS["draft"]["gaussians"])


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"gaussian": 5}, "settings.unknown"),
        ({"gaussians": "many"}, "settings.type"),
        ({"coarse": 1}, "settings.type"),
        ({"coarse": "jelly"}, "settings.value"),
        ({"prior": "wan9"}, "settings.value"),
        ({"adapter": "compact"}, "settings.value"),
        ({"control": "edges"}, "settings.value"),
        ({"window_frames": 80}, "settings.value"),
        ({"seed": True}, "settings.type"),
        ({"strength": 0.0}, "settings.value"),
        ({"fabric": "steel"}, "settings.value"),
        ({"preset": "best"}, "settings.value"),
    ],
)
def test_a_bad_choice_is_named(values, code):
    with pytest.raises(Ani3DError) as caught:
        Settings.from_dict(values)
    assert caught.value.code == code
    assert str(next(iter(values.values()))) in caught.value.message or next(iter(values)) in caught.value.message


def test_keys_change_with_every_part_and_only_then():
    array = np.arange(6.0).reshape(2, 3)
    key = content_key("a", array, {"x": 1, "y": (2, 3)})
    assert key == content_key("a", array.copy(), {"y": (2, 3), "x": 1})
    others = [
        content_key("b", array, {"x": 1, "y": (2, 3)}),
        content_key("a", array.reshape(3, 2), {"x": 1, "y": (2, 3)}),
        content_key("a", array.astype(np.float32), {"x": 1, "y": (2, 3)}),
        content_key("a", array, {"x": 1, "y": (2, 4)}),
    ]
    assert len({key, *others}) == 5


def test_a_finished_stage_is_not_computed_again(tmp_path):
    calls = []

    def compute():
        calls.append(1)
        return {"values": np.arange(4)}

    store = StageStore(tmp_path)
    for key in ("one", "one", "two", "one"):
        np.testing.assert_array_equal(store.run("stage", key, compute)["values"], np.arange(4))
    assert len(calls) == 3, "a new key replaces the old one"
    assert store.reused == ["stage"]


def test_a_stage_that_fails_leaves_nothing_behind(tmp_path):
    def fails():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        StageStore(tmp_path).run("stage", "key", fails)
    assert not list(tmp_path.glob("*"))
