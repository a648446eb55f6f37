"""Choices are checked where they enter; finished stages are found again and only then."""

from dataclasses import dataclass, field
from pathlib import Path

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
    chosen = (settings.seed, settings.restore.strength, settings.avatar.gaussians)
    assert chosen == (7, 1.0, PRESETS["draft"]["gaussians"])


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
        Settings.from_dict(values).restore.check_prior()
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


@dataclass(frozen=True)
class Numbers:
    values: np.ndarray
    losses: dict[str, list[float]] = field(default_factory=dict)
    more: np.ndarray | None = None


def test_a_finished_stage_is_not_computed_again(tmp_path):
    calls = []

    def compute():
        calls.append(1)
        return Numbers(np.arange(4))

    store = StageStore(tmp_path)
    for key in ("one", "one", "two", "one"):
        np.testing.assert_array_equal(store.run("stage", key, Numbers, compute).values, np.arange(4))
    assert len(calls) == 3, "a new key replaces the old one"
    assert store.reused == ["stage"]


def test_a_stage_that_fails_leaves_nothing_behind(tmp_path):
    def fails():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        StageStore(tmp_path).run("stage", "key", Numbers, fails)
    assert not list(tmp_path.glob("*"))


def cut(path):
    path.write_bytes(path.read_bytes()[:-8])


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: cut(folder / "values.npy"),
        lambda folder: (folder / "values.npy").write_bytes(bytes((folder / "values.npy").stat().st_size)),
        lambda folder: (folder / "values.npy").unlink(),
        lambda folder: cut(folder / "stage.json"),
        lambda folder: (folder / "stage.json").unlink(),
    ],
    ids=["cut", "zeros", "lost", "cut listing", "no listing"],
)
def test_a_damaged_stage_is_computed_again_and_found_the_next_time(tmp_path, harm):
    def run(value):
        result = StageStore(tmp_path).run("stage", "key", Numbers, lambda: Numbers(np.full(4, value), {"a": [0.5]}))
        return result.values[0], result.losses, result.more

    assert run(1) == (1, {"a": [0.5]}, None)
    assert run(2) == (1, {"a": [0.5]}, None), "found"
    harm(tmp_path / "stage-key")
    assert run(3) == (3, {"a": [0.5]}, None), "computed again"
    assert run(4) == (3, {"a": [0.5]}, None), "found"
    assert [path.name for path in tmp_path.iterdir()] == ["stage-key"]


def test_settings_read_nothing_from_the_disk(monkeypatch):
    def read(*anything, **named):
        raise AssertionError("the disk was read")

    Settings()  # the registry is read once
    monkeypatch.setattr("os.stat", read)
    monkeypatch.setattr("builtins.open", read)
    settings = Settings.from_dict({"prior": "out/mine", "reference": "me.png", "keypoint_map": "bones.json"})
    assert settings.restore.prior == Path("out/mine") and settings.to_dict()["prior"] == "out/mine"
    assert settings.conditions.reference_file == Path("me.png")
    assert Settings.from_dict({"prior": "none"}).restore.prior is None
