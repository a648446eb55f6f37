"""Training clips of the compact prior from the benchmark's training and validation sequences.

    python -m cloth_truth.clips --root out/cloth_truth --out out/clips --views 3 --jobs 2

Each sequence gives its own camera and others that are drawn from its seed, so that every side of the cloth is seen. The
test split is never touched. Clips that are there are kept.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ani3d_formats.camera import CameraPath
from ani3dhuman.training.clips import write_clip

from .cameras import make_camera
from .sequences import Sequence, list_sequences, load_sequence

SPLITS = ("train", "validation")
GAUSSIANS = 9_000


def view(sequence: Sequence, index: int) -> CameraPath:
    """Camera 0 is the sequence's own; others orbit, dolly or stand still, drawn from its seed and `index`."""
    if index == 0:
        return sequence.shot.cameras
    rng = np.random.default_rng([*sequence.about["recipe"]["seed"], index])
    kind = str(rng.choice(["orbit", "dolly", "still"]))
    return make_camera(rng, kind, sequence.root_poses[:, :3, 3], sequence.height, 0.0)


def write_views(folder: Path, out: Path, views: int) -> int:
    """Write the clips of one sequence that are missing; returns how many."""
    todo = [v for v in range(views) if not (out / f"{folder.name}_{v}.npz").exists()]
    if todo:
        sequence = load_sequence(folder, GAUSSIANS)
        clip = sequence.clip()
        for v in todo:
            write_clip(out / f"{folder.name}_{v}.npz", replace(clip, cameras=view(sequence, v)), sequence.truth)
    return len(todo)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, default=Path("out/cloth_truth"))
    parser.add_argument("--out", type=Path, default=Path("out/clips"))
    parser.add_argument("--views", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    folders = [folder for split in SPLITS for folder in list_sequences(options.root, split)]
    with ProcessPoolExecutor(options.jobs) as pool:
        jobs = [pool.submit(write_views, folder, options.out, options.views) for folder in folders]
        made = sum(job.result() for job in tqdm(as_completed(jobs), total=len(jobs), desc="sequences"))
    print(f"{made} clips made of {len(folders)} sequences, {options.views} views each, in {options.out}")


if __name__ == "__main__":
    main()
