"""The form of prior that was not chosen: the same network on colours instead of displacements, on an equal budget.

    python -m benchmarks.cloth_truth.rgb_form make                  pictures of training and validation sequences
    python -m benchmarks.cloth_truth.rgb_form train --minutes 15    the network on colours
    python -m benchmarks.cloth_truth.rgb_form judge --displacement out/form/displacement/model

Both forms see the same window on the cloth, here 128x96 pixels; the network's inner grid, steps, noise and sampler are
the same. The colour form sees the coarse picture beside the maps and predicts the difference from it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from ani3dhuman.cache.atomic import write_bytes
from ani3dhuman.metrics.perceptual import perceptual_distance
from ani3dhuman.metrics.pictures import detail_ratio, psnr
from ani3dhuman.metrics.table import mean_ci
from ani3dhuman.metrics.temporal import flicker_ratio
from ani3dhuman.restoration import CompactPrior, EncodedClip, RestoreConfig, load_compact_prior, restore
from ani3dhuman.restoration.clip import CoarseClip
from ani3dhuman.restoration.compact import SEEN
from ani3dhuman.restoration.feature_maps import surface_maps
from ani3dhuman.restoration.network import DisplacementNet
from ani3dhuman.restoration.noise import colour
from ani3dhuman.restoration.restore import sample_latents
from ani3dhuman.restoration.windows import Windows
from ani3dhuman.training.flow import WEIGHT_CAP, draw_sigmas

from .clips import GAUSSIANS
from .sequences import Sequence, list_sequences, load_sequence

FOLDER = Path("out/form")
SIZE = 128, 96
WINDOW = 16
SAMPLED = RestoreConfig(strength=0.7)


def window_clip(sequence: Sequence) -> tuple[CoarseClip, np.ndarray]:
    """The rigid clip seen through the window on its cloth at `SIZE`, and its conditions (T,14,128,96)."""
    clip = sequence.clip()
    maps = surface_maps(clip)
    return replace(clip, cameras=maps.cameras.resized(SIZE[1], SIZE[0])), maps.conditions.repeat(2, 2).repeat(2, 3)


def make() -> None:
    for split in ("train", "validation"):
        for folder in tqdm(list_sequences(Path("out/cloth_truth"), split), desc=split):
            target = FOLDER / "clips" / f"{folder.name}.npz"
            if target.exists():
                continue
            sequence = load_sequence(folder, GAUSSIANS)
            clip, conditions = window_clip(sequence)
            coarse, truth = (clip.render(clip.pose(v))[0] for v in (sequence.rigid, sequence.truth))
            target.parent.mkdir(parents=True, exist_ok=True)
            arrays = {"coarse": _bytes(coarse), "truth": _bytes(truth), "maps": conditions[..., ::2, ::2]}
            np.savez(target, **{k: v.astype(np.float16) if k == "maps" else v for k, v in arrays.items()})


def _bytes(pictures: np.ndarray) -> np.ndarray:
    return (pictures * 255 + 0.5).astype(np.uint8)


def _signed(pictures: np.ndarray) -> np.ndarray:
    """(T,3,H,W) -1..1 from bytes (T,H,W,3)."""
    return pictures.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1


@dataclass
class ColourPrior:
    """A video prior on colours of the window, with the protocol that the sampler asks for."""

    net: DisplacementNet
    window: int = WINDOW

    def colour_noise(self, white: torch.Tensor) -> torch.Tensor:
        return colour(white)

    @torch.no_grad()
    def velocity(self, latents: torch.Tensor, sigma: float, conditions: torch.Tensor) -> torch.Tensor:
        clean = conditions[:, 14:] + self.net(latents[None], torch.full((1,), sigma), conditions[None])[0]
        return (latents - clean) / sigma


def train(minutes: float) -> None:
    files = sorted((FOLDER / "clips").glob("train_*.npz"))
    clips = []
    for path in tqdm(files, desc="reading"):
        with np.load(path) as file:
            clips.append({name: file[name] for name in file.files})
    torch.manual_seed(0)
    net = DisplacementNet(3, 17, patch=4, grid=SIZE).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1.5e-3, weight_decay=1e-3, betas=(0.9, 0.98))
    rng = np.random.default_rng(0)
    history: list[float] = []
    spent, step, limit = 0.0, 0, 60 * minutes
    while spent < limit:
        began = time.monotonic()
        for group in optimizer.param_groups:
            group["lr"] = 1.5e-3 * min(1.0, (step + 1) / 50) * (0.02 + 0.49 * (1 + np.cos(np.pi * spent / limit)))
        clean, conditions = _batch(clips, rng)
        sigmas = draw_sigmas(4)
        sigma = sigmas[:, None, None, None, None]
        noise = colour(torch.randn(clean.shape))
        with torch.autocast("cpu", torch.bfloat16):
            change = net.forward((1 - sigma) * clean + sigma * noise, sigmas, conditions).float()
        weight = 0.1 + conditions[:, :, :2].sum(2, keepdim=True).clamp(0, 1)
        error = ((conditions[:, :, 14:] + change - clean) ** 2 * weight).sum((1, 2, 3, 4)) / weight.sum((1, 2, 3, 4))
        loss = (error / sigmas.clamp(min=WEIGHT_CAP) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        history.append(float(loss.detach()))
        step, spent = step + 1, spent + time.monotonic() - began
        if step % 100 == 0:
            print(f"step {step}, {spent / 60:.1f} min, loss {np.mean(history[-100:]):.4f}", flush=True)
    net.save_pretrained(FOLDER / "colour")


def _batch(clips: list[dict[str, np.ndarray]], rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    clean, conditions = [], []
    for _ in range(4):
        clip = clips[rng.integers(len(clips))]
        start = int(rng.integers(len(clip["truth"]) - WINDOW + 1))
        part = slice(start, start + WINDOW)
        maps = clip["maps"][part].astype(np.float32).repeat(2, 2).repeat(2, 3)
        clean.append(_signed(clip["truth"][part]))
        conditions.append(np.concatenate([maps, _signed(clip["coarse"][part])], 1))
    return torch.from_numpy(np.stack(clean)), torch.from_numpy(np.stack(conditions))


def judge(displacement: Path) -> None:
    prior = ColourPrior(DisplacementNet.from_pretrained(FOLDER / "colour", local_files_only=True).eval())
    net = load_compact_prior(displacement).net
    collected: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for folder in tqdm(list_sequences(Path("out/cloth_truth"), "validation"), desc="validation"):
        sequence = load_sequence(folder, GAUSSIANS)
        clip, conditions = window_clip(sequence)
        truth = clip.render(clip.pose(sequence.truth))[0]
        versions = {"rigid": clip.render(clip.pose(sequence.rigid))[0]}
        whole = torch.from_numpy(np.concatenate([conditions, _signed(_bytes(versions["rigid"]))], 1))
        far = cv2.erode((whole[:, :2].sum(1).numpy() < SEEN).astype(np.uint8).transpose(1, 2, 0), np.ones((25, 25)))
        preserve = torch.from_numpy(far.transpose(2, 0, 1)[:, None].astype(np.float32))
        encoded = EncodedClip(whole[:, 14:], preserve, whole, None)
        windows = Windows(clip.frames, WINDOW, SAMPLED.overlap, 0)
        sampled = sample_latents(prior, encoded, windows, SAMPLED)  # type: ignore[arg-type]
        versions["colours"] = np.clip(sampled.numpy().transpose(0, 2, 3, 1) / 2 + 0.5, 0, 1)
        vertices = restore(CompactPrior(net, 1.0), sequence.clip(), SAMPLED).vertices
        assert vertices is not None
        versions["displacements"] = clip.render(clip.pose(vertices))[0]
        region = cv2.dilate((conditions[:, :2].sum(1) > SEEN).astype(np.uint8).transpose(1, 2, 0), np.ones((9, 9)))
        cloth = region.transpose(2, 0, 1) > 0
        for name, pictures in versions.items():
            found = collected[name]
            found["psnr_db"].append(psnr(pictures, truth, cloth))
            found["lpips"].append(perceptual_distance(pictures, truth, cloth, 4))
            found["detail_ratio"].append(detail_ratio(pictures, truth, cloth))
            found["flicker_ratio"].append(flicker_ratio(pictures, truth, cloth))
        strip = [np.concatenate(list(p[[8, 20, 32, 44]]), 1) for p in (*versions.values(), truth)]
        picture = cv2.resize(_bytes(np.concatenate(strip, 0))[..., ::-1], None, fx=2, fy=2)
        (FOLDER / "strips").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(FOLDER / "strips" / f"{folder.name}.png"), picture)
    flat: dict[str, float] = {}
    for name, figures in collected.items():
        for key, values in figures.items():
            flat[f"{name}_{key}"], flat[f"{name}_{key}_ci95"] = mean_ci(values)
        print(name, {key: round(flat[f"{name}_{key}"], 4) for key in figures})
    write_bytes(Path("out/bench/prior_form.json"), json.dumps(flat, indent=1).encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("make", "train", "judge"))
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--displacement", type=Path, default=FOLDER / "displacement" / "model")
    options = parser.parse_args()
    if options.what == "make":
        make()
    elif options.what == "train":
        train(options.minutes)
    else:
        judge(options.displacement)


if __name__ == "__main__":
    main()
