"""Judge the compact prior on held-out simulated clips: coarse, restored and true motion side by side.

    python -m training.evaluate_compact_prior --split test --out out/bench/compact_prior.json

Split "choose" is for picking defaults, "test" for reporting; neither was trained on. Every clip is simulated again
from its seed, restored, and compared with the true simulation in space and in pictures of the cloth.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

from ani3dhuman.motion.binding import edges_of
from ani3dhuman.rendering.draw import draw
from ani3dhuman.restoration import CoarseClip, CompactPrior, RestoreConfig, load_compact_prior, restore
from ani3dhuman.restoration.clip import MOVING_REGIONS
from ani3dhuman.restoration.compact import WEIGHTS
from ani3dhuman.restoration.limits import limit_offsets
from ani3dhuman.restoration.network import DisplacementNet

from .make_clips import Take, coarse_clip, make_take
from .train_compact_prior import held_out

SIZE = (240, 416)
SGSS = RestoreConfig(strength=0.7)
METHODS: dict[str, tuple[RestoreConfig, float | None]] = {
    "regression (one step from noise)": (RestoreConfig(strength=1.0, schedule_steps=1), 1.0),
    "ODE .7": (replace(SGSS, stochastic=False), 1.0),
    "SGSS .7": (SGSS, 1.0),
    "SGSS .7, amount .25": (SGSS, 0.25),
    "SGSS .7, as shipped": (SGSS, None),
}


def seeds_of(split: str, count: int, first: int = 0) -> Iterator[int]:
    """Held-out seeds of a split, every other one each."""
    remainder = {"choose": 9, "test": 19}[split]
    yield from (first + s for s in range(remainder, 20 * count, 20))


def figures(clip: CoarseClip, vertices: np.ndarray, pictures: np.ndarray, truth: dict[str, np.ndarray]) -> dict:
    """Compare a version of a clip with the truth; ratios are to the truth, 1 is right."""
    free = clip.freedom > 0.5
    edges = edges_of(clip.avatar.binding.faces.numpy())
    edges = edges[free[edges].all(1)]
    rest = np.linalg.norm(clip.bind_vertices[edges[:, 0]] - clip.bind_vertices[edges[:, 1]], axis=1)

    def stretch(x: np.ndarray) -> float:
        length = np.linalg.norm(x[:, edges[:, 0]] - x[:, edges[:, 1]], axis=2)
        return float(np.percentile(length / rest, 99))

    def jerk(x: np.ndarray) -> float:
        return float((np.diff(x[:, free] - clip.rigid_vertices[:, free], n=2, axis=0) ** 2).sum(-1).mean())

    def change(x: np.ndarray) -> float:
        return float((np.abs(np.diff(x, axis=0)).mean(-1) * truth["region"][1:]).sum() / truth["region"][1:].sum())

    def detail(x: np.ndarray) -> float:
        grey = x.mean(-1)
        fine = grey - np.stack([gaussian_filter(g, 1.5) for g in grey])
        return float((fine**2 * truth["region"]).sum() / truth["region"].sum())

    error = np.linalg.norm(vertices[:, free] - truth["vertices"][:, free], axis=2)
    region = truth["region"]
    mse = ((pictures - truth["pictures"]) ** 2).mean(-1)
    similarity = np.stack([ssim(a, b) for a, b in zip(pictures, truth["pictures"], strict=True)])
    return {
        "node_error_cm": float(100 * error.mean()),
        "psnr_db": float(-10 * np.log10((mse * region).sum() / region.sum())),
        "ssim": float((similarity * region).sum() / region.sum()),
        "acceleration_ratio": jerk(vertices) / jerk(truth["vertices"]),
        "flicker_ratio": change(pictures) / change(truth["pictures"]),
        "detail_ratio": detail(pictures) / detail(truth["pictures"]),
        "edge_p99": stretch(vertices),
        "true_edge_p99": stretch(truth["vertices"]),
    }


def ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Structural similarity map (H,W) of pictures (H,W,3) in 0..1 (Wang et al. 2004, Gaussian window 1.5)."""
    x, y = a.mean(-1), b.mean(-1)
    mx, my = gaussian_filter(x, 1.5), gaussian_filter(y, 1.5)
    vx, vy = gaussian_filter(x * x, 1.5) - mx**2, gaussian_filter(y * y, 1.5) - my**2
    cov = gaussian_filter(x * y, 1.5) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    return (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))


def truth_of(clip: CoarseClip, take: Take) -> dict[str, np.ndarray]:
    """True vertices and pictures, and where either shows cloth: `region` (T,H,W) 0 or 1."""
    posed, coarse = clip.pose(take.truth), clip.pose(clip.vertices)
    cloth = np.isin(clip.avatar.region_ids, MOVING_REGIONS).astype(np.float32)[:, None]
    shown = [[draw(g, cloth, clip.cameras, t)[0][..., 0] > 0.3 for g in (posed, coarse)] for t in range(clip.frames)]
    region = np.asarray(np.array(shown).any(1), np.float32)
    return {"vertices": take.truth, "pictures": clip.render(posed)[0], "region": region}


def judge(net: DisplacementNet, take: Take, seed: int, strip: Path | None) -> dict[str, dict[str, dict]]:
    """Figures of every coarse version and method of one take: {coarse: {method: figures}}."""
    results: dict[str, dict[str, dict]] = {}
    rng = np.random.default_rng([seed, 1])
    for name in take.coarse:
        clip = coarse_clip(take, name, rng)
        clip = replace(clip, cameras=clip.cameras.resized(*SIZE))
        truth = truth_of(clip, take)
        coarse, _ = clip.render(clip.pose(clip.vertices))
        results[name] = {"coarse": figures(clip, clip.vertices, coarse, truth)}
        barely = np.full(clip.vertices.shape, 1e-6, np.float32)
        mended = clip.vertices + limit_offsets(clip, barely)
        pictures, _ = clip.render(clip.pose(mended))
        results[name]["limits alone, no prior"] = figures(clip, mended, pictures, truth)
        rows = [coarse, pictures]
        for method, (config, amount) in METHODS.items():
            started = time.monotonic()
            restored = restore(CompactPrior(net, amount), clip, replace(config, seed=seed))
            assert restored.vertices is not None
            results[name][method] = figures(clip, restored.vertices, restored.frames, truth)
            results[name][method]["seconds"] = time.monotonic() - started
            rows.append(restored.frames)
        if strip:
            shown = np.concatenate([np.concatenate(list(r[4::8]), 1) for r in [*rows, truth["pictures"]]], 0)
            cv2.imwrite(str(strip / f"{seed}_{name}.png"), (shown[..., ::-1] * 255).astype(np.uint8))
    return results


def average(name: str, values: list[float]) -> float:
    """Mean over clips; the median for acceleration, whose ratio says nothing where the truth stands still."""
    return float(np.median(values) if name == "acceleration_ratio" else np.mean(values))


def table(summary: dict[str, dict[str, dict[str, float]]]) -> str:
    """Markdown table of average figures."""
    keys = ["node_error_cm", "psnr_db", "ssim", "acceleration_ratio", "flicker_ratio", "detail_ratio", "edge_p99"]
    lines = ["| coarse layer | version | clips | " + " | ".join(keys) + " |", "|---|---|" + "---|" * (len(keys) + 1)]
    for coarse, methods in summary.items():
        for method, row in methods.items():
            cells = " | ".join(f"{row[k]:.3f}" for k in keys)
            lines.append(f"| {coarse} | {method} | {row['clips']:.0f} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--prior", type=Path, default=WEIGHTS)
    parser.add_argument("--split", choices=("choose", "test"), default="test")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("out/bench/compact_prior.json"))
    parser.add_argument("--strips", type=Path, help="folder for picture strips: coarse, methods, truth")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    net = load_compact_prior(options.prior).net
    for folder in filter(None, (options.out.parent, options.strips)):
        folder.mkdir(parents=True, exist_ok=True)
    collected: dict[str, dict[str, list[dict]]] = {}
    for seed in tqdm(list(seeds_of(options.split, options.count))):
        assert held_out(seed)
        take = make_take(seed)
        if take is None:
            continue
        for coarse, methods in judge(net, take, seed, options.strips).items():
            for method, row in methods.items():
                collected.setdefault(coarse, {}).setdefault(method, []).append(row)
    summary = {
        coarse: {
            method: {**{k: average(k, [r[k] for r in rows]) for k in rows[0]}, "clips": len(rows)}
            for method, rows in methods.items()
        }
        for coarse, methods in collected.items()
    }
    print(table(summary))
    document = {"split": options.split, "mean": summary, "clips": collected}
    options.out.write_text(json.dumps(document, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
