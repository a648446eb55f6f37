"""Training by the clock: so many minutes of work over any number of runs; resumable, weights averaged."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ani3d_formats.atomic import atomic_path, write_bytes
from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress

from ..restoration.compact.network import DisplacementNet
from ..restoration.compact.prior import load_compact_prior
from .clips import Clips, take_batch
from .flow import draw_sigmas, flow_loss, validation_loss
from .plot import plot_history

EMA = 0.998
WARM_UP = 50  # steps
EVERY = 100  # steps between checkpoints
CHECKPOINT, MODEL, HISTORY, CURVE = "checkpoint.pt", "model", "history.json", "loss.png"


@dataclass(frozen=True)
class TrainSettings:
    """How to train.

    Attributes:
        minutes: of training in all, over all runs.
        batch: windows a step.
        rate: highest learning rate; it falls to a fiftieth along a cosine.
        seed: of windows, noise and first weights.
        start: folder of weights to start from, or None for new ones.
    """

    minutes: float = 60.0
    batch: int = 4
    rate: float = 1.5e-3
    seed: int = 0
    start: Path | None = None

    def __post_init__(self) -> None:
        if not (self.minutes > 0 and self.batch > 0 and self.rate > 0):
            raise Ani3DError(
                "training.settings",
                f"Training for {self.minutes} minutes in batches of {self.batch} at rate {self.rate} is not possible.",
                "Give numbers above 0.",
            )


class _State:
    """Network, average and optimiser, and how far they are."""

    def __init__(self, settings: TrainSettings) -> None:
        torch.manual_seed(settings.seed)
        self.net = _network(settings.start)
        self.average = _network(settings.start)
        self.average.load_state_dict(self.net.state_dict())
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(), lr=settings.rate, weight_decay=1e-3, betas=(0.9, 0.98)
        )
        self.step, self.minutes = 0, 0.0
        self.history: list[dict[str, float]] = []

    def load(self, path: Path) -> None:
        try:
            state: dict[str, Any] = torch.load(path, weights_only=True)
            for name in ("net", "average", "optimizer"):
                getattr(self, name).load_state_dict(state[name])
            self.step, self.minutes, self.history = state["step"], state["minutes"], state["history"]
        except Exception as error:  # torch has many ways to fail on bytes that changed
            raise Ani3DError(
                "training.checkpoint",
                f"{path} is no checkpoint of this version.",
                "Remove it to begin anew, or choose another output folder.",
            ) from error

    def save(self, folder: Path) -> None:
        parts = {name: getattr(self, name).state_dict() for name in ("net", "average", "optimizer")}
        with atomic_path(folder / CHECKPOINT) as partial:
            torch.save({**parts, "step": self.step, "minutes": self.minutes, "history": self.history}, partial)
        self.average.save_pretrained(folder / MODEL)
        write_bytes(folder / HISTORY, json.dumps(self.history, indent=1).encode())
        plot_history(self.history, folder / CURVE)


def _network(start: Path | None) -> DisplacementNet:
    net = DisplacementNet() if start is None else load_compact_prior(start).net
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def train(folders: tuple[Path, ...], out: Path, settings: TrainSettings, progress: Progress | None = None) -> Path:
    """Train on the clips of `folders`; interrupted, the same call goes on from its last checkpoint.

    Clips that appear meanwhile are picked up. `progress` counts seconds of training and says the losses.

    Returns:
        `out`/model, to be loaded by `load_compact_prior`; beside it the loss curve, its figures, the checkpoint.

    Raises:
        Ani3DError: ``training.no_clips``; ``training.clip``.
    """
    out.mkdir(parents=True, exist_ok=True)
    clips = Clips(folders)
    clips.refresh()
    if not clips.train:
        raise Ani3DError(
            "training.no_clips",
            f"There is no training clip in {', '.join(map(str, folders))}.",
            "Make clips first: see docs/training.md.",
        )
    state = _State(settings)
    if (out / CHECKPOINT).exists():
        state.load(out / CHECKPOINT)
    if progress:
        progress.total = math.ceil(60 * settings.minutes)
        progress.advance(int(60 * state.minutes))
    rng = np.random.default_rng([settings.seed, state.step])
    recent: list[float] = []
    while state.minutes < settings.minutes:
        started = time.monotonic()
        recent.append(_step(state, clips, settings, rng))
        state.minutes += (time.monotonic() - started) / 60
        message = ""
        if state.step % EVERY == 0 or state.minutes >= settings.minutes:
            message = _note(state, clips, recent)
            state.save(out)
            recent = []
        if progress:
            progress.advance(int(60 * state.minutes) - progress.step, message)
    return out / MODEL


def _step(state: _State, clips: Clips, settings: TrainSettings, rng: np.random.Generator) -> float:
    net = state.net
    share = state.minutes / settings.minutes
    for group in state.optimizer.param_groups:
        warm = min(1.0, (state.step + 1) / WARM_UP)
        group["lr"] = settings.rate * warm * (0.02 + 0.49 * (1 + math.cos(math.pi * share)))
    clean, conditions = take_batch(clips.train, rng, settings.batch, net.config["window"], net.config["offset_scale"])
    loss = flow_loss(net, clean, conditions, draw_sigmas(settings.batch)).mean()
    state.optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    state.optimizer.step()
    state.step += 1
    keep = min(EMA, state.step / (state.step + 10))
    with torch.no_grad():
        for a, p in zip(state.average.parameters(), net.parameters(), strict=True):
            a.lerp_(p, 1 - keep)
    return float(loss.detach())


def _note(state: _State, clips: Clips, recent: list[float]) -> str:
    """Append to the history; returns what it says."""
    clips.refresh()
    entry = {
        "step": state.step,
        "minutes": round(state.minutes, 3),
        "train": round(float(np.mean(recent)), 5),
        "clips": len(clips.train),
    }
    if clips.validation:
        entry["validation"] = round(validation_loss(state.average, clips.validation), 5)
    state.history.append(entry)
    return ", ".join(f"{name} {value:g}" for name, value in entry.items() if name in ("train", "validation"))
