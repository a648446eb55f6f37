"""Fit the residual field to true videos of Cloth Truth, by field and number of camera paths.

    python -m benchmarks.refine.run --split validation --count 4 --fields hexplane dct nodes
    python -m benchmarks.refine.run --report

Finished fits are kept under --out; --report averages them into a table and out/bench/refine_fits.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from ani3dhuman.cache.atomic import write_bytes
from ani3dhuman.metrics.table import mean_ci
from ani3dhuman.motion.fields import FIELDS
from ani3dhuman.progress import Progress
from ani3dhuman.refinement import RefinementConfig, refine
from ani3dhuman.restoration.limits import limit_offsets

from ..cloth_truth.sequences import list_sequences, load_sequence
from .cases import Case, diagonal
from .judging import judge

HELD_OUT_TURN = 60.0  # degrees from the first path to the view that judges
TURNS = {1: (0.0,), 3: (0.0, 120.0, 240.0)}  # of the camera paths, degrees
SHOWN = (8, 20, 32, 44)


def fit(folder: Path, views: int, config: RefinementConfig, strip: Path) -> dict[str, float]:
    """Figures of one fit; `strip` shows rigid, refined and true from the judging view."""
    sequence = load_sequence(folder)
    case = Case.of(sequence, [diagonal(sequence, turn) for turn in TURNS[views]])
    began = time.perf_counter()
    result = refine(case.problem, config, Progress("refine", config.steps))
    seconds = time.perf_counter() - began
    vertices = case.clip.vertices + limit_offsets(case.clip, result.vertices - case.clip.vertices)
    side = diagonal(sequence, HELD_OUT_TURN)
    view = replace(case.clip, cameras=side)
    rows = [view.render(view.pose(v))[0][list(SHOWN)] for v in (case.clip.vertices, vertices, case.truth)]
    sheet = np.concatenate([np.concatenate(list(row), 1) for row in rows], 0)
    strip.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(strip), (sheet[..., ::-1] * 255 + 0.5).astype(np.uint8))
    return {**judge(case, vertices, side), "seconds": seconds, "best_step": float(result.best_step)}


def report(out: Path) -> None:
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(out.glob("*/*.json")):
        for key, value in json.loads(path.read_text()).items():
            found[path.parent.name][key].append(value)
    flat: dict[str, float] = {}
    for name, figures in found.items():
        for key, values in figures.items():
            flat[f"{name}: {key}"], flat[f"{name}: {key}_ci95"] = mean_ci(values)
        print(name, {key: round(flat[f"{name}: {key}"], 3) for key in figures})
    write_bytes(Path("out/bench/refine_fits.json"), json.dumps(flat, indent=1).encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, default=Path("out/cloth_truth"))
    parser.add_argument("--out", type=Path, default=Path("out/refine"))
    parser.add_argument("--split", default="validation")
    parser.add_argument("--count", type=int)
    parser.add_argument("--fields", nargs="+", choices=list(FIELDS), default=["hexplane"])
    parser.add_argument("--views", nargs="+", type=int, choices=list(TURNS), default=[1, 3])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    if options.report:
        report(options.out)
        return
    for folder in tqdm(list_sequences(options.root, options.split)[: options.count]):
        for field in options.fields:
            for views in options.views:
                name = f"{field}_{views}_views_{options.steps}"
                target = options.out / name / f"{folder.name}.json"
                if not target.exists():
                    config = RefinementConfig(steps=options.steps, field_kind=field)
                    figures = fit(folder, views, config, target.with_suffix(".png"))
                    write_bytes(target, json.dumps(figures, indent=1).encode())


if __name__ == "__main__":
    main()
