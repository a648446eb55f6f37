"""From a solved simulation to a folder and back through the reader. Blender's part is played by a swinging stand-in."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ani3d_formats.errors import Ani3DError
from ani3d_formats.shot import Shot
from ani3dhuman.media.video import read_video
from ani3dhuman.models.store import sha256_of
from cloth_truth import produce as producing
from cloth_truth.generate import write_manifest
from cloth_truth.patterns import PALETTES
from cloth_truth.pools import Recipe, draw_recipe
from cloth_truth.sequences import list_sequences, load_sequence

FRAMES, PREROLL, DETAIL = 3, 2, 0.4
SHIFT = 0.03
CALM = replace(
    draw_recipe("validation", 0, 0, len(PALETTES)), motion="sway", cut="knee_aline", top="bodice", hair="none"
)
WILD = draw_recipe("train", 1, 0, len(PALETTES))


class StandIn:
    """Moves free vertices sideways by SHIFT, or throws them away."""

    def __init__(self, throw: float = 1.0) -> None:
        self.throw, self.calls = throw, 0

    def __call__(self, folder: Path) -> float:
        self.calls += 1
        result = {}
        with np.load(folder / "solver_input.npz") as file:
            for i in range(len(json.loads(str(file["layers"])))):
                moved = file[f"vertices_{i}"].copy()
                moved[..., 0] += SHIFT * self.throw * (1 - file[f"pins_{i}"]) * np.arange(len(moved))[:, None]
                result[f"vertices_{i}"] = moved
        np.savez(folder / "solver_output.npz", seconds=np.array(0.0), **result)
        return 0.0


def made(root: Path, recipe: Recipe, simulator: StandIn) -> str | None:
    return producing.produce(recipe, root, simulator, FRAMES, PREROLL, DETAIL)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """One kept sequence and one dropped one."""
    folder = tmp_path_factory.mktemp("cloth_truth")
    assert made(folder, CALM, StandIn(0.05)) is None
    assert made(folder, WILD, StandIn(60.0)) is not None
    return folder


def test_the_reader_gives_back_what_was_made(root):
    (folder,) = list_sequences(root, "validation")
    sequence = load_sequence(folder)
    assert (sequence.name, sequence.split) == ("validation_0000", "validation")
    clip, shot = sequence.clip(), sequence.shot
    assert sequence.truth.shape == sequence.rigid.shape == (FRAMES, len(shot["vertices"]), 3)
    held = clip.freedom == 0
    np.testing.assert_allclose(sequence.truth[:, held], sequence.rigid[:, held], atol=1e-5)
    moved = (sequence.truth - sequence.rigid)[..., 0] / (0.05 * SHIFT * (PREROLL + np.arange(FRAMES)))[:, None]
    np.testing.assert_allclose(moved, np.broadcast_to(clip.freedom, moved.shape), atol=2e-3)

    drawn, alphas = sequence.truth_pictures()
    assert drawn.shape == (FRAMES, 416, 240, 3) and alphas.max() > 0.95
    film = read_video(folder / "truth.mp4")
    assert np.abs(film / 255 - drawn).mean() < 0.02  # a video codec lies between
    for layer in ("truth", "coarse"):
        maps = sequence.maps(layer)
        assert maps.regions.shape == (FRAMES, 416, 240, 4) and maps.cloth.max() > 0.9
        seen = maps.depth > 0
        assert (seen != (maps.regions.sum(-1) > 127)).mean() < 0.01
        assert maps.depth[seen].min() > 2 and maps.depth.max() < 9
    assert read_video(folder / "skeleton.mp4").shape == film.shape


def test_the_manifest_names_every_file_with_its_sum_and_what_was_dropped(root):
    manifest = write_manifest(root, 0, {"train": 1, "validation": 1})
    assert manifest == json.loads((root / "manifest.json").read_text())
    (kept,) = manifest["sequences"]
    folder = root / kept["name"]
    assert set(kept["files"]) == {path.name for path in folder.iterdir()} - {"sequence.json"}
    assert all(sha256_of(folder / name) == value for name, value in kept["files"].items())
    assert manifest["dropped_count"] == {"train": 1} and "exploded" in manifest["dropped"][0]["dropped"]
    assert list_sequences(root, "train") == []
    assert not [path for path in root.iterdir() if path.name.startswith(".")]


def test_what_is_there_is_not_made_again(root):
    simulator = StandIn()
    assert made(root, CALM, simulator) is None
    assert made(root, WILD, simulator) is not None
    assert simulator.calls == 0


def test_the_shot_is_a_shot_of_the_pipeline(root):
    shot = Shot.load(root / "validation_0000" / "shot.npz")
    assert shot.frames == FRAMES and shot.meta.materials[1].texture == 0


def test_wrong_folders_and_splits_are_named(root, tmp_path):
    for code, call in (
        ("cloth_truth.split", lambda: list_sequences(root, "holdout")),
        ("cloth_truth.missing", lambda: list_sequences(tmp_path / "nowhere")),
        ("cloth_truth.missing", lambda: load_sequence(tmp_path)),
        ("cloth_truth.blender", lambda: producing.Simulator(tmp_path / "python")),
    ):
        with pytest.raises(Ani3DError) as caught:
            call()
        assert caught.value.code == code
