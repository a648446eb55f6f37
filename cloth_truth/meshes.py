"""Judge rigid, physics and prior on physics on a split by their meshes alone: no pictures, half a minute a sequence.

    python -m cloth_truth.meshes --split validation --out out/cloth_truth_meshes.json

Finished sequences are kept in the file, so the run can be stopped and started again. Prints the table of means with
95 % intervals over sequences; figures as in docs/metrics.md, sampled with one seed.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from ani3d_formats.atomic import write_bytes
from ani3dhuman.metrics import ClipSetting, ClipVersion, judge, mean_ci
from ani3dhuman.restoration import CompactPrior, load_compact_prior

from .rows import SGSS, restored_vertices
from .sequences import add_choice, chosen, load_sequence
from .table import Rows

SHOWN = ("node_error_cm", "acceleration_ratio", "amplitude_ratio", "fold_ratio", "edge_p99", "penetration_p99_mm")


def judge_meshes(folder: Path, prior: CompactPrior, seed: int = 0) -> Rows:
    """Figures by row of the sequence in `folder`."""
    sequence = load_sequence(folder)
    clip = sequence.clip()
    physics = replace(clip, vertices=sequence.physics)
    restored = restored_vertices(prior, physics, prior.encode(physics), replace(SGSS, seed=seed))
    layers = {"rigid": clip.rigid_vertices, "physics": physics.vertices, "prior on physics": restored}
    setting, truth = ClipSetting.of(clip), ClipVersion(vertices=sequence.truth)
    return {name: judge(truth, ClipVersion(vertices=layer), setting) for name, layer in layers.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    add_choice(parser, "validation")
    parser.add_argument("--out", type=Path, default=Path("out/cloth_truth_meshes.json"))
    options = parser.parse_args()
    found: dict[str, Rows] = json.loads(options.out.read_text())["sequences"] if options.out.is_file() else {}
    prior = CompactPrior(load_compact_prior().net)
    for folder in tqdm(chosen(options), desc=options.split):
        if folder.name not in found:
            rows = judge_meshes(folder, prior)
            found[folder.name] = {row: {k: float(f"{v:.6g}") for k, v in rows[row].items()} for row in rows}
            write_bytes(options.out, json.dumps({"sequences": found}, indent=1).encode())
    for row in next(iter(found.values())):
        means = (mean_ci(sequence[row][key] for sequence in found.values()) for key in SHOWN)
        print(f"| {row} | " + " | ".join(f"{mean:.3f} ± {half:.3f}" for mean, half in means) + " |")
    ratios = (rows["prior on physics"]["node_error_cm"] / rows["rigid"]["node_error_cm"] for rows in found.values())
    print("node error of the prior on physics over rigid's: {:.3f} ± {:.3f}".format(*mean_ci(ratios)))


if __name__ == "__main__":
    main()
