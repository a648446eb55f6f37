"""Time and memory of one fit: 81 frames, 50,000 Gaussians, 240x416 pixels, against a run four times as long.

    python -m benchmarks.refine.speed

A validation sequence of Cloth Truth runs forth and back to fill 81 frames. Each run is a process of its own, since
memory is measured at its peak; the loss is that of the last steps. A first run takes the steps of the preset "final",
a second four times as many, and it may not end early. A last one fits 241 frames in windows, each with the steps of
its share. Writes out/bench/refine_speed.json.
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

from ani3d_formats.atomic import write_bytes
from ani3d_formats.camera import CameraPath
from ani3d_formats.progress import Progress
from ani3dhuman.metrics.geometry import node_errors
from ani3dhuman.refinement import RefinementConfig, RefinementProblem
from ani3dhuman.refinement.long_shots import refine_long, steps_of
from ani3dhuman.refinement.problem import RestoredView
from ani3dhuman.refinement.scene import build_scene
from cloth_truth.sequences import list_sequences, load_sequence

from .cases import Case, diagonal
from .run import STEPS

FRAMES, GAUSSIANS = 81, 50_000
LONGER = 4  # times the steps
LONG_SHOT = 241  # frames
NEVER = 1_000_000  # validations to wait before rates fall early


def forth_and_back(there: int, frames: int) -> np.ndarray:
    """Which of so many frames are shown when a clip turns round at either end until it fills `frames`."""
    return np.abs((np.arange(frames) + there - 1) % (2 * there - 2) - (there - 1))


def shown(problem: RefinementProblem, chosen: np.ndarray) -> RefinementProblem:
    """The problem of the frames `chosen`, in that order."""

    def view(one: RestoredView) -> RestoredView:
        cameras = one.cameras
        path = CameraPath(cameras.viewmats[chosen], cameras.Ks[chosen], cameras.width, cameras.height)
        alpha = None if one.target_alpha is None else one.target_alpha[chosen]
        return RestoredView(path, one.target[chosen], one.garment_mask[chosen], one.colors[chosen], alpha)

    return replace(
        problem,
        coarse_vertices=problem.coarse_vertices[chosen],
        blended_rotations=problem.blended_rotations[chosen],
        views=tuple(view(one) for one in problem.views),
    )


def measured(root: Path, config: RefinementConfig, frames: int) -> dict[str, float]:
    """Figures of one fit in this process; errors are of all free vertices."""
    sequence = load_sequence(list_sequences(root, "validation")[0], GAUSSIANS)
    case = Case.of(sequence, [diagonal(sequence)], sequence.physics)
    chosen = forth_and_back(case.problem.frames, frames)
    problem, free = shown(case.problem, chosen), case.clip.freedom > 0.5
    before = time.perf_counter()
    result = refine_long(problem, config, Progress("refine", steps_of(frames, config)))
    seconds = time.perf_counter() - before
    print(result.message, file=sys.stderr)
    scene, moments = build_scene(problem, config.margin), torch.linspace(0, 1, frames)
    before = time.perf_counter()
    with torch.no_grad():
        for moment in moments:
            result.field(scene.points, moment, scene.gates)
    evaluating = time.perf_counter() - before
    truth = case.truth[chosen][:, free]
    error, rigid = (node_errors(v[:, free], truth).mean() for v in (result.vertices, case.clip.rigid_vertices[chosen]))
    return {
        "seconds": seconds,
        "evaluation_seconds": evaluating,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "loss": float(np.mean(result.history["total"][-frames:])),
        "validation": result.best_validation,
        "vertex_error_ratio": float(error / rigid),
        "steps": float(len(result.history["step"])),
        "open_vertices": float(len(scene.points)),
        "gaussians": float(len(problem.opacities)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, default=Path("out/cloth_truth"))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--field", default=RefinementConfig().field_kind)
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--patience", type=int, default=RefinementConfig().patience)
    parser.add_argument("--alone", action="store_true", help="one fit in this process, figures to standard output")
    options = parser.parse_args()
    if options.alone:
        config = RefinementConfig(steps=options.steps, field_kind=options.field, patience=options.patience)
        print(json.dumps(measured(options.root, config, options.frames)))
        return
    runs: dict[str, float] = {}
    plans = {
        "": (FRAMES, options.steps, options.patience),
        "longer_": (FRAMES, LONGER * options.steps, NEVER),
        "long_shot_": (LONG_SHOT, options.steps, options.patience),
    }
    for name, (frames, steps, patience) in plans.items():
        command = [sys.executable, "-m", "benchmarks.refine.speed", "--alone", "--root", str(options.root)]
        command += ["--steps", str(steps), "--frames", str(frames), "--patience", str(patience)]
        done = subprocess.run([*command, "--field", options.field], stdout=subprocess.PIPE, text=True, check=True)
        runs |= {f"{name}{key}": value for key, value in json.loads(done.stdout.splitlines()[-1]).items()}
        print({key: round(value, 4) for key, value in runs.items() if key.startswith(name)}, flush=True)
    runs["threads"] = float(torch.get_num_threads())
    runs["loss_over_longer"] = runs["loss"] / runs["longer_loss"]
    write_bytes(Path("out/bench/refine_speed.json"), json.dumps(runs, indent=1).encode())


if __name__ == "__main__":
    main()
