"""Clips hold what a camera sees of rigid and true cloth; training learns from them, stops and goes on."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_clip import small_clip

from ani3d_formats.errors import Ani3DError, Cancelled
from ani3d_formats.progress import Progress
from ani3dhuman import cli
from ani3dhuman.clip import CoarseClip
from ani3dhuman.restoration import load_compact_prior
from ani3dhuman.restoration.compact.feature_maps import RIGHTWARD, surface_maps
from ani3dhuman.restoration.compact.network import DisplacementNet
from ani3dhuman.training.clips import Clips, take_batch, write_clip
from ani3dhuman.training.train import TrainSettings, train


def swung(clip: CoarseClip) -> np.ndarray:
    """A truth whose skirt lags behind: it hangs 8 cm off to one side."""
    return clip.rigid_vertices + np.float32(0.08) * clip.freedom[:, None] * np.array([0.6, 0.8, 0], np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips")
    clip = small_clip(frames=18, gaussians=1500)
    write_clip(path / "train_0.npz", clip, swung(clip))
    write_clip(path / "validation_0.npz", clip, swung(clip))
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network small enough to train in a test."""
    path = tmp_path_factory.mktemp("small")
    torch.manual_seed(0)
    DisplacementNet(widths=(8, 8, 8), depths=(1, 1, 1)).save_pretrained(path)
    return path


def test_a_clip_holds_the_true_offsets_in_metres(folder: Path) -> None:
    clips = Clips((folder,))
    clips.refresh()
    (pair,), (held_out,) = clips.train, clips.validation
    np.testing.assert_array_equal(pair[1], held_out[1])
    size = np.linalg.norm(pair[1].astype(np.float32), axis=1)
    assert np.quantile(size[size > 0.01], 0.95) == pytest.approx(0.08, abs=0.004)
    clean, conditions = take_batch(clips.train, np.random.default_rng(0), 3, 16, 0.06)
    assert clean.shape == (3, 16, 3, 64, 48) and conditions.shape[:2] == (3, 16)
    assert float(clean.norm(dim=2).max()) == pytest.approx(0.08 / 0.06, rel=0.05)


def test_the_mirror_of_a_batch_is_the_batch_of_the_mirror() -> None:
    """Flipping maps and signs must say what a mirrored world would: else training would teach wrong motion."""
    clip = small_clip(frames=4, gaussians=4000)
    mirrored = replace(
        clip,
        rigid_vertices=clip.rigid_vertices * np.float32([-1, 1, 1]),
        cameras=replace(clip.cameras, viewmats=np.diag([-1, 1, 1, 1]) @ clip.cameras.viewmats @ np.diag([-1, 1, 1, 1])),
    )
    plain, other = surface_maps(clip).conditions, surface_maps(mirrored).conditions
    flipped = plain[..., ::-1].copy()
    flipped[:, RIGHTWARD] *= -1
    inside = (flipped[:, :2].sum(1) > 0.95) & (other[:, :2].sum(1) > 0.95)
    moving = [c for c in range(other.shape[1]) if c not in (5, 6, 7)]  # a mirrored triangle's Gaussian lies otherwise
    difference = np.abs(flipped - other)[:, moving].mean(1)[inside]
    unflipped = np.abs(plain - other)[:, moving].mean(1)[inside]
    assert difference.mean() < 0.3 * unflipped.mean()


def test_training_learns_stops_and_goes_on(
    folder: Path, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ani3dhuman.training.train.EVERY", 15)
    ticks = itertools.count(step=0.06)  # a clock of its own: 45 steps on any machine
    monkeypatch.setattr("ani3dhuman.training.train.time", SimpleNamespace(monotonic=lambda: next(ticks)))
    settings = TrainSettings(minutes=0.045, batch=2, rate=5e-3, start=small)
    progress = Progress("train", 1, should_cancel=lambda: (tmp_path / "out" / "checkpoint.pt").exists())
    with pytest.raises(Cancelled):
        train((folder,), tmp_path / "out", settings, progress)
    half = torch.load(tmp_path / "out" / "checkpoint.pt", weights_only=True)
    model = train((folder,), tmp_path / "out", settings)
    whole = torch.load(tmp_path / "out" / "checkpoint.pt", weights_only=True)
    assert whole["step"] > half["step"] and whole["minutes"] >= 0.045
    history = json.loads((tmp_path / "out" / "history.json").read_text())
    assert history[-1]["validation"] < 0.8 * history[0]["validation"]
    assert (tmp_path / "out" / "loss.png").stat().st_size > 1000
    assert load_compact_prior(model).window == 16


def test_bad_clips_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["prior", "train", "--clips", str(tmp_path), "-o", str(tmp_path / "out")]
    assert cli.main(arguments) == 1
    assert "no training clip" in capsys.readouterr().err
    np.savez(tmp_path / "old.npz", conditions=np.zeros((4, 17, 8, 8)), offsets=np.zeros((4, 3, 8, 8)))
    with pytest.raises(Ani3DError, match=r"old\.npz"):
        Clips((tmp_path,)).refresh()
    with pytest.raises(Ani3DError):
        TrainSettings(minutes=0)
