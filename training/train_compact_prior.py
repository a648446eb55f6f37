"""Train the compact prior by flow matching on simulated clips.

    python -m training.train_compact_prior --clips out/clips --out out/prior --minutes 30

The network predicts x0 from z = (1 - sigma) x0 + sigma eps; weighted by 1 / sigma^2 that is the usual
loss on the velocity eps - x0. Noise is coloured as in sampling. Clips whose seed ends in 9 are held out.
Interrupted, it goes on from its last checkpoint; minutes count training time over all runs. Clips
made meanwhile are picked up.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
import numpy as np
import torch
from tqdm import tqdm

from ani3dhuman.restoration.compact import cloth_mask
from ani3dhuman.restoration.network import DisplacementNet
from ani3dhuman.restoration.noise import colour

matplotlib.use("Agg")
from matplotlib import pyplot as plt

RIGHTWARD = (5, 8, 11, 14)  # condition channels that change sign in a mirror
SHIFT = 3.0
LOWEST_SIGMA = 0.02
WEIGHT_CAP = 0.25  # sigma below which the loss is weighted no more
EMA = 0.998


def held_out(seed: int) -> bool:
    """Whether a clip's seed belongs to validation."""
    return seed % 10 == 9


@dataclass
class Clips:
    """Maps of all finished clips in a folder, as float16 (conditions (T,K,h,w), offsets (T,3,h,w)) pairs."""

    folder: Path
    train: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    validation: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    known: set[str] = field(default_factory=set)

    def refresh(self) -> None:
        """Read clips that have appeared since the last time."""
        for path in sorted(self.folder.glob("[0-9]*.npz")):
            if path.name in self.known:
                continue
            self.known.add(path.name)
            with np.load(path) as file:
                names = [k.removesuffix("_offsets") for k in file.files if k.endswith("_offsets")]
                pairs = [(file[f"{n}_conditions"], file[f"{n}_offsets"]) for n in names]
            (self.validation if held_out(int(path.stem)) else self.train).extend(pairs)


def take_batch(
    pairs: list[tuple[np.ndarray, np.ndarray]], rng: np.random.Generator, size: int, window: int, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Random windows, half of them mirrored: x0 (B,T,3,h,w) in latent units and conditions (B,T,K,h,w)."""
    clean, conditions = [], []
    for _ in range(size):
        c, o = pairs[rng.integers(len(pairs))]
        start = rng.integers(len(c) - window + 1)
        c, o = c[start : start + window].astype(np.float32), o[start : start + window].astype(np.float32)
        if rng.random() < 0.5:
            c, o = c[..., ::-1].copy(), o[..., ::-1].copy()
            c[:, RIGHTWARD] *= -1
            o[:, 0] *= -1
        clean.append(o / scale)
        conditions.append(c)
    return torch.from_numpy(np.stack(clean)), torch.from_numpy(np.stack(conditions))


def flow_loss(
    net: DisplacementNet,
    clean: torch.Tensor,
    conditions: torch.Tensor,
    sigmas: torch.Tensor,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """(B,) weighted squared error of the predicted x0 over cloth."""
    sigma = sigmas[:, None, None, None, None]
    mask = cloth_mask(conditions)
    clean = clean * mask
    noise = colour(torch.randn(clean.shape, generator=generator))
    with torch.autocast("cpu", torch.bfloat16):
        predicted = net.forward((1 - sigma) * clean + sigma * noise, sigmas, conditions).float()
    coverage = conditions[:, :, :2].sum(2, keepdim=True).clamp(0, 1)
    error = ((predicted - clean) ** 2 * coverage).sum((1, 2, 3, 4)) / (3 * coverage.sum((1, 2, 3, 4)) + 1)
    return error / sigmas.clamp(min=WEIGHT_CAP) ** 2


def draw_sigmas(count: int, generator: torch.Generator | None = None) -> torch.Tensor:
    """Noise levels as sampling meets them: uniform, then shifted."""
    level = LOWEST_SIGMA + (1 - LOWEST_SIGMA) * torch.rand(count, generator=generator)
    return SHIFT * level / (1 + (SHIFT - 1) * level)


def validate(net: DisplacementNet, clips: Clips, window: int, scale: float, batches: int = 12) -> float:
    """Mean loss on held-out clips; windows, levels and noise are the same every time."""
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    losses = []
    with torch.no_grad():
        for _ in range(batches):
            clean, conditions = take_batch(clips.validation, rng, 4, window, scale)
            losses.append(flow_loss(net, clean, conditions, draw_sigmas(4, generator), generator).mean())
    return float(torch.stack(losses).mean())


def save(path: Path, state: dict) -> None:
    temporary = path.with_name(path.name + ".part")
    torch.save(state, temporary)
    os.replace(temporary, path)


def plot(history: list[dict[str, float]], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(7, 4))
    for name in ("train", "validation"):
        points = [(h["minutes"], h[name]) for h in history if name in h]
        if points:
            axes.plot(*zip(*points, strict=True), label=name)
    axes.set(xlabel="minutes of training", ylabel="loss", title="Compact prior, flow matching")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clips", type=Path, default=Path("out/clips"))
    parser.add_argument("--out", type=Path, default=Path("out/prior"))
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)

    clips = Clips(options.clips)
    clips.refresh()
    if not clips.train:
        raise SystemExit(f"no clips in {options.clips}: run python -m training.make_clips first")
    net = DisplacementNet().to(memory_format=torch.channels_last)
    average = DisplacementNet().to(memory_format=torch.channels_last)
    average.load_state_dict(net.state_dict())
    optimizer = torch.optim.AdamW(net.parameters(), lr=options.rate, weight_decay=1e-3, betas=(0.9, 0.98))
    step, minutes, history = 0, 0.0, []
    checkpoint = options.out / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        step, minutes, history = state["step"], state["minutes"], state["history"]
    rng = np.random.default_rng([options.seed, step])
    window, scale = net.config["window"], net.config["offset_scale"]
    print(f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f} M parameters, {len(clips.train)} training clips")

    bar = tqdm(
        total=options.minutes, initial=minutes, unit="min", bar_format="{l_bar}{bar}| {n:.1f}/{total:.0f} min {postfix}"
    )
    recent: list[float] = []
    while minutes < options.minutes:
        started = time.monotonic()
        share = minutes / options.minutes
        for group in optimizer.param_groups:
            group["lr"] = options.rate * min(1, (step + 1) / 50) * (0.02 + 0.49 * (1 + math.cos(math.pi * share)))
        clean, conditions = take_batch(clips.train, rng, options.batch, window, scale)
        loss = flow_loss(net, clean, conditions, draw_sigmas(options.batch)).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        step += 1
        with torch.no_grad():
            keep = min(EMA, step / (step + 10))
            for a, p in zip(average.parameters(), net.parameters(), strict=True):
                a.lerp_(p, 1 - keep)
        recent.append(float(loss))
        minutes += (time.monotonic() - started) / 60
        bar.update(minutes - bar.n)
        if step % 100 == 0 or minutes >= options.minutes:
            history.append(
                {"step": step, "minutes": minutes, "train": float(np.mean(recent)), "clips": len(clips.train)}
            )
            recent = []
            clips.refresh()
            if clips.validation:
                history[-1]["validation"] = validate(average, clips, window, scale)
            bar.set_postfix_str(json.dumps({k: round(v, 3) for k, v in history[-1].items()}))
            states = {"net": net.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()}
            save(checkpoint, {**states, "step": step, "minutes": minutes, "history": history})
            average.save_pretrained(options.out / "model")
            plot(history, options.out / "loss.png")
            (options.out / "history.json").write_text(json.dumps(history, indent=1))
    bar.close()


if __name__ == "__main__":
    main()
