"""A job's cloth judged on a split of Cloth Truth: python -m benchmarks.cloth.truth --split validation [--preset cloth].

Beside the figures of `ani3dhuman.metrics`, the edges that pierce cloth though they do not at rest, by the hard set's
judge. Sequences that are done are kept in out/cloth_hard/truth until the solver changes. Writes
out/bench/cloth_truth_SPLIT_PRESET.json: the mean of every figure, and half the width of its 95 % interval.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ani3d_formats.atomic import write_bytes
from ani3dhuman.cloth.pins import pin_weights
from ani3dhuman.metrics import ClipSetting, ClipVersion, judge, mean_ci
from ani3dhuman.pipeline.settings import Settings
from ani3dhuman.pipeline.work import work
from cloth_truth.sequences import add_choice, chosen, load_sequence

from ..refine.restored import result_of
from .judge import Judge
from .rows import HARD, JUDGE, ROOT, SOLVER, fingerprint

# of `benchmarks.job.presets`: a mesh does not depend on how many Gaussians show it or how large
SMALL = {"gaussians": 5_000, "render_scale": 0.25, "fit_steps": 0}
FIGURES = (
    *("error_over_rigid", "acceleration_ratio", "amplitude_ratio", "fold_ratio", "garment_fold_ratio"),
    *("edge_p99", "penetration_p99_mm", "pierced", "pierced_most"),
)
KEY = fingerprint((*SOLVER, *JUDGE, "benchmarks/cloth/truth.py", "cloth_truth", "ani3dhuman/metrics"))


def judged(folder: Path, preset: str) -> dict[str, float]:
    """Figures of the mesh that a job of `preset` ends with, on the sequence in `folder`."""
    sequence = load_sequence(folder)
    shot, setting = sequence.shot, ClipSetting.of(sequence.clip())
    with tempfile.TemporaryDirectory(prefix="bench-truth-") as out:
        work(shot, Path(out), Settings.from_dict({"preset": preset, **({} if preset == "cloth" else SMALL)}))
        vertices = np.asarray(result_of(Path(out), shot))
    truth = ClipVersion(vertices=np.asarray(sequence.truth))
    found = judge(truth, ClipVersion(vertices=vertices), setting)
    rigid = judge(truth, ClipVersion(vertices=sequence.rigid), setting)
    pierced = Judge(shot, pin_weights(shot)).verdict(vertices).pairs
    found |= {"pierced": float(pierced.mean()), "pierced_most": float(pierced.max())}
    return {"error_over_rigid": found["node_error_cm"] / rigid["node_error_cm"], **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_choice(parser, "validation")
    parser.add_argument("--preset", default="cloth", choices=("cloth", "draft", "preview"))
    options = parser.parse_args()
    rows = {}
    for folder in tqdm(chosen(options), desc=options.split):
        file = HARD / "truth" / f"{folder.name}_{options.preset}.json"
        if not file.is_file() or json.loads(file.read_text())["key"] != KEY:
            file.parent.mkdir(parents=True, exist_ok=True)
            kept = {"key": KEY, "figures": judged(folder, options.preset)}
            write_bytes(file, json.dumps(kept, indent=1).encode())
        rows[folder.name] = json.loads(file.read_text())["figures"]
        tqdm.write(f"{folder.name}  " + "  ".join(f"{name} {rows[folder.name][name]:.3f}" for name in FIGURES))
    flat = {"sequences": float(len(rows))}
    for name in FIGURES:
        mean, half = mean_ci(row[name] for row in rows.values())
        flat |= {name: round(mean, 4), f"{name}_within": round(half, 4)}
        print(f"{name}: {mean:.3f} ± {half:.3f}")
    target = ROOT / "out" / "bench" / f"cloth_truth_{options.split}_{options.preset}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(target, json.dumps(flat, indent=1).encode())


if __name__ == "__main__":
    main()
