"""Choices are checked where they enter."""

from pathlib import Path

import pytest

from ani3d_formats.errors import Ani3DError
from ani3dhuman.pipeline.settings import PRESETS, Settings


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
