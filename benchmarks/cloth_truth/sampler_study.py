"""What the sampler forgets: ODE against SGSS from good and from bad starts, and sweeps of its parameters.

    python -m benchmarks.cloth_truth.sampler_study --split validation --out out/bench/sampler_study.json

Init sensitivity is a metric from a clean start (the true offsets) minus the same from a degraded start, with the same
noise. Results are those of the sampled offsets on the rigid layer (`CompactPrior(keep_coarse=False)`), so that what the
start leaves behind comes through the latents alone.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ani3dhuman.cache.atomic import write_bytes
from ani3dhuman.metrics.pictures import psnr
from ani3dhuman.metrics.table import mean_ci
from ani3dhuman.restoration import CompactPrior, RestoreConfig, load_compact_prior, restore
from ani3dhuman.restoration.compact import WEIGHTS
from ani3dhuman.restoration.network import DisplacementNet

from .degrade import degraded
from .rows import Judged
from .sequences import Sequence, list_sequences, load_sequence

FIGURES = ("garment_psnr_db", "garment_lpips", "node_error_cm", "acceleration_ratio", "detail_ratio", "edge_p99")
JOINTS = ("upperarm", "lowerarm", "upperleg", "lowerleg")
BASE = RestoreConfig(strength=0.7, guidance_scale=0.05)
VARIANTS = {
    "ODE": replace(BASE, stochastic=False, guidance_scale=0.0),
    "ODE + guidance": replace(BASE, stochastic=False),
    "SDE": replace(BASE, guidance_scale=0.0),
    "SGSS": BASE,
}


def sweep() -> Iterator[tuple[str, RestoreConfig]]:
    """Variants of strength, steps and guidance about the default."""
    for strength in (0.3, 0.5, 0.9):
        for name in ("ODE", "SGSS"):
            yield f"{name} strength {strength}", replace(VARIANTS[name], strength=strength)
    for steps in (4, 20):
        for name in ("ODE", "SGSS"):
            yield f"{name} steps {steps}", replace(VARIANTS[name], schedule_steps=steps)
    for scale in (0.2, 0.5, 1.0):
        yield f"SGSS guidance {scale}", replace(BASE, guidance_scale=scale)


def joints_of(sequence: Sequence) -> np.ndarray:
    """(T,J,3) heads of the limbs' bones, world metres."""
    names = [str(name) for name in sequence.shot.meta["bones"]]
    chosen = [i for i, name in enumerate(names) if name.split(".")[0] in JOINTS]
    return np.asarray(sequence.shot["bone_pose"][:, chosen, :3, 3])


def study(sequence: Sequence, net: DisplacementNet, seed: int, full: bool) -> dict[str, dict[str, float]]:
    """Figures by "variant / start" of one sequence."""
    judged = Judged.of(sequence)
    starts = {
        "clean": replace(judged.clip, vertices=sequence.truth),
        "degraded": degraded(judged.clip, joints_of(sequence), seed),
    }
    results: dict[str, dict[str, float]] = {}
    for start, clip in starts.items():
        results[f"coarse / {start}"] = _chosen(judged, clip.vertices)
        for name, config in [*VARIANTS.items(), *(sweep() if full else ())]:
            prior = CompactPrior(net, amount=1.0, keep_coarse=False)
            vertices = restore(prior, clip, replace(config, seed=seed)).vertices
            assert vertices is not None
            results[f"{name} / {start}"] = _chosen(judged, vertices)
    return results


def _chosen(judged: Judged, vertices: np.ndarray) -> dict[str, float]:
    version = judged.version(vertices)
    figures = judged.figures(version)
    assert version.pictures is not None and judged.truth.pictures is not None
    whole = psnr(version.pictures, judged.truth.pictures)
    return {**{name: figures[name] for name in FIGURES}, "frame_psnr_db": whole, "face_lpips": figures["face_lpips"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, default=Path("out/cloth_truth"))
    parser.add_argument("--split", default="validation")
    parser.add_argument("--prior", type=Path, default=WEIGHTS)
    parser.add_argument("--count", type=int)
    parser.add_argument("--full", action="store_true", help="sweep strength, steps and guidance too")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out/bench/sampler_study.json"))
    options = parser.parse_args()
    net = load_compact_prior(options.prior).net
    collected: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for folder in tqdm(list_sequences(options.root, options.split)[: options.count]):
        for name, figures in study(load_sequence(folder), net, options.seed, options.full).items():
            for key, value in figures.items():
                collected[name][key].append(value)
    flat: dict[str, float] = {}
    for name, figures in collected.items():
        cells = {key: mean_ci(values) for key, values in figures.items()}
        print(f"{name:<34}" + "  ".join(f"{key} {mean:.3f} ± {half:.3f}" for key, (mean, half) in cells.items()))
        for key, (mean, half) in cells.items():
            flat[f"{name}: {key}"], flat[f"{name}: {key}_ci95"] = mean, half
    for name in VARIANTS:
        clean, bad = (np.array(collected[f"{name} / {start}"]["garment_psnr_db"]) for start in ("clean", "degraded"))
        flat[f"{name}: init sensitivity db"], flat[f"{name}: init sensitivity db_ci95"] = mean_ci(clean - bad)
        print(f"{name:<20} init sensitivity {flat[f'{name}: init sensitivity db']:.3f} dB")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(options.out, json.dumps(flat, indent=1).encode())


if __name__ == "__main__":
    main()
