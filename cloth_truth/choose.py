"""How far the prior may leave the physics layer: strength and amount, judged by meshes on validation sequences.

    python -m cloth_truth.choose --prior out/prior/model

Prints a line for each choice: node error over the rigid layer's, and the ratios to truth of life.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ani3d_formats.atomic import write_bytes
from ani3dhuman.metrics.table import mean_ci
from ani3dhuman.restoration import CompactPrior, RestoreConfig, load_compact_prior
from ani3dhuman.restoration.compact.network import DisplacementNet
from ani3dhuman.restoration.compact.prior import WEIGHTS

from .rows import REGRESSION, Judged, restored
from .sequences import list_sequences, load_sequence

STRENGTHS, AMOUNTS = (0.3, 0.7), (0.25, 0.5, 1.0)
FIGURES = ("node_error_cm", "acceleration_ratio", "amplitude_ratio", "fold_ratio", "edge_p99", "penetration_p99_mm")


def choices(judged: Judged, net: DisplacementNet) -> dict[str, np.ndarray]:
    """Vertices (T,V,3) by choice."""
    found = {"rigid": judged.clip.rigid_vertices, "physics": judged.physics.vertices}
    prior = CompactPrior(net)
    for name, clip, config in (
        ("prior on rigid", judged.clip, RestoreConfig(strength=0.7)),
        ("prior on rigid, ODE", judged.clip, RestoreConfig(strength=0.7, stochastic=False)),
        ("regression", judged.clip, REGRESSION),
    ):
        found[name] = restored(CompactPrior(net, 1.0), clip, prior.encode(clip), config)[0]
    encoded = prior.encode(judged.physics)
    for strength in STRENGTHS:
        prior.amount = 1.0
        latents = restored(prior, judged.physics, encoded, RestoreConfig(strength=strength))[1]
        for amount in AMOUNTS:
            prior.amount = amount
            moved = prior.moved_vertices(judged.physics, encoded, torch.from_numpy(latents))
            found[f"prior on physics, strength {strength}, amount {amount}"] = moved
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, default=Path("out/cloth_truth"))
    parser.add_argument("--prior", type=Path, default=WEIGHTS)
    parser.add_argument("--out", type=Path, default=Path("out/bench/prior_amount.json"))
    options = parser.parse_args()
    net = load_compact_prior(options.prior).net
    collected: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for folder in tqdm(list_sequences(options.root, "validation")):
        judged = Judged.of(load_sequence(folder))
        rows = {
            name: judged.figures(replace(judged.truth, pictures=None, vertices=vertices))
            for name, vertices in choices(judged, net).items()
        }
        for name, figures in rows.items():
            figures["node_error_ratio"] = figures["node_error_cm"] / rows["rigid"]["node_error_cm"]
            for key in ("node_error_ratio", *FIGURES):
                collected[name][key].append(figures[key])
    flat: dict[str, float] = {}
    for name, found in collected.items():
        for key, values in found.items():
            flat[f"{name}: {key}"], flat[f"{name}: {key}_ci95"] = mean_ci(values)
        print(f"{name:<45}" + "  ".join(f"{key} {flat[f'{name}: {key}']:.3f}" for key in found))
    write_bytes(options.out, json.dumps(flat, indent=1).encode())


if __name__ == "__main__":
    main()
