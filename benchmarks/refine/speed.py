"""Time and memory of one fit: 81 frames, 50,000 Gaussians, 240x416 pixels, against a run four times as long.

    python -m benchmarks.refine.speed

A validation sequence of Cloth Truth runs forth and back to fill 81 frames. Each run is a process of its own, since
memory is measured at its peak; the loss is that of the last steps, each frame about once. Writes
out/bench/refine_speed.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ani3dhuman.cache.atomic import write_bytes
from ani3dhuman.camera import CameraPath
from ani3dhuman.progress import Progress
from ani3dhuman.refinement import RefinementConfig, RefinementProblem, refine
from ani3dhuman.refinement.problem import View
from ani3dhuman.refinement.scene import build_scene

from ..cloth_truth.sequences import list_sequences, load_sequence
from .cases import Case, diagonal
from .run import STEPS

FRAMES, GAUSSIANS, LONGER = 81, 50_000, 4


def forth_and_back(problem: RefinementProblem, frames: int) -> RefinementProblem:
    """The problem over so many frames, turning round at its last one."""
    there = np.arange(problem.frames)
    chosen = np.concatenate([there, there[-2::-1]])[:frames]

    def view(one: View) -> View:
        cameras = one.cameras
        path = CameraPath(cameras.viewmats[chosen], cameras.Ks[chosen], cameras.width, cameras.height)
        alpha = None if one.target_alpha is None else one.target_alpha[chosen]
        return View(path, one.target[chosen], one.garment_mask[chosen], one.colors[chosen], alpha)

    return replace(
        problem,
        coarse_vertices=problem.coarse_vertices[chosen],
        blended_rotations=problem.blended_rotations[chosen],
        views=tuple(view(one) for one in problem.views),
    )


def measured(root: Path, config: RefinementConfig) -> dict[str, float]:
    """Figures of one fit in this process."""
    sequence = load_sequence(list_sequences(root, "validation")[0], GAUSSIANS)
    case = Case.of(sequence, [diagonal(sequence)], sequence.physics)
    problem = forth_and_back(case.problem, FRAMES)
    before = time.perf_counter()
    result = refine(problem, config, Progress("refine", config.steps))
    seconds = time.perf_counter() - before
    scene, moments = build_scene(problem, config.margin), torch.linspace(0, 1, FRAMES)
    before = time.perf_counter()
    with torch.no_grad():
        for moment in moments:
            result.field(scene.points, moment, scene.gates)
    return {
        "seconds": seconds,
        "evaluation_seconds": time.perf_counter() - before,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "loss": float(np.mean(result.history["total"][-FRAMES:])),
        "validation": result.best_validation,
        "open_vertices": float(len(scene.points)),
        "gaussians": float(len(problem.opacities)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, default=Path("out/cloth_truth"))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--field", default=RefinementConfig().field_kind)
    parser.add_argument("--alone", action="store_true", help="one fit in this process, figures to standard output")
    options = parser.parse_args()
    if options.alone:
        print(json.dumps(measured(options.root, RefinementConfig(steps=options.steps, field_kind=options.field))))
        return
    runs = {}
    for name, steps in (("", options.steps), ("longer_", LONGER * options.steps)):
        command = [sys.executable, "-m", "benchmarks.refine.speed", "--alone", "--root", str(options.root)]
        done = subprocess.run(
            [*command, "--steps", str(steps), "--field", options.field], capture_output=True, text=True, check=True
        )
        runs |= {f"{name}{key}": value for key, value in json.loads(done.stdout.splitlines()[-1]).items()}
        print({key: round(value, 4) for key, value in runs.items() if key.startswith(name)}, flush=True)
    runs |= {"steps": float(options.steps), "threads": float(torch.get_num_threads())}
    runs["loss_over_longer"] = runs["loss"] / runs["longer_loss"]
    write_bytes(Path("out/bench/refine_speed.json"), json.dumps(runs, indent=1).encode())


if __name__ == "__main__":
    main()
