"""Fit the residual field to true videos of Cloth Truth, by field, layer to start from and number of camera paths.

    python -m benchmarks.refine.run --split test --count 6
    python -m benchmarks.refine.run --split validation --count 4 --fields hexplane dct

Finished fits are kept under --out, a folder for each kind of fit; `benchmarks.refine.report` averages them.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from ani3d_formats.atomic import write_bytes
from ani3d_formats.camera import CameraPath
from ani3d_formats.progress import Progress
from ani3dhuman.fields.build import FIELDS
from ani3dhuman.pipeline.settings import PRESETS
from ani3dhuman.refinement import RefinementConfig, refine
from cloth_truth.sequences import Sequence, add_choice, chosen, load_sequence

from .cases import Case, diagonal
from .judging import judge

TURNS = {1: (0.0,), 3: (0.0, 120.0, 240.0)}  # of the camera paths, degrees
STEPS = int(PRESETS["final"]["refine_steps"])
STARTS = ("physics", "rigid")
SHOWN = (8, 20, 32, 44)


def fit(case: Case, config: RefinementConfig, strip: Path) -> dict[str, float]:
    """Figures of one fit; `strip` shows rigid, start, refined and true from the judging view."""
    began = time.perf_counter()
    result = refine(case.problem, config, Progress("refine", config.steps))
    seconds = time.perf_counter() - began
    vertices = case.limited(result.vertices)
    write_strip(strip, case, (case.clip.vertices, case.problem.coarse_vertices, vertices, case.truth))
    fitted = {"seconds": seconds, "best_step": float(result.best_step), "validation": result.best_validation}
    return {**judge(case, vertices), **fitted}


def write_strip(path: Path, case: Case, layers: tuple[np.ndarray, ...]) -> None:
    """A row of pictures from the judging view for each layer (T,V,3)."""
    frames, side = list(SHOWN), case.side
    seen = CameraPath(side.viewmats[frames], side.Ks[frames], side.width, side.height)
    view = replace(case.clip, cameras=seen)
    rows = [np.asarray(view.rendered(layer[frames])[0]) for layer in layers]
    sheet = np.concatenate([np.concatenate(list(row), 1) for row in rows], 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), (sheet[..., ::-1] * 255 + 0.5).astype(np.uint8))


def cases_of(sequence: Sequence, views: list[int], starts: list[str]) -> dict[str, Case]:
    """Cases by name."""
    made = {}
    for start in starts:
        layer = sequence.physics if start == "physics" else sequence.rigid
        for count in views:
            cameras = [diagonal(sequence, turn) for turn in TURNS[count]]
            made[f"{start}_{count}_views"] = Case.of(sequence, cameras, layer)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_choice(parser, "test", 6)
    parser.add_argument("--out", type=Path, default=Path("out/refine"))
    parser.add_argument("--fields", nargs="+", choices=list(FIELDS), default=[RefinementConfig().field_kind])
    parser.add_argument("--views", nargs="+", type=int, choices=list(TURNS), default=[1, 3])
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=["physics"])
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()
    for folder in tqdm(chosen(options)):
        cases = cases_of(load_sequence(folder), options.views, options.starts)
        for name, case in cases.items():
            for field in options.fields:
                target = options.out / f"{options.split}_{name}_{field}_{options.steps}" / f"{folder.name}.json"
                if not target.exists():
                    config = RefinementConfig(steps=options.steps, field_kind=field)
                    figures = fit(case, config, target.with_suffix(".png"))
                    write_bytes(target, json.dumps(figures, indent=1).encode())


if __name__ == "__main__":
    main()
