"""Whole jobs on a degraded coarse layer: repaired by the compact prior, then refined in one round and in three.

    python -m benchmarks.refine.restored

The faulty layer enters as what Blender showed (`--coarse evaluated --set repair=true`), seen by the diagonal camera.
Finished sequences are kept under --out.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ani3d_formats.atomic import write_bytes
from ani3d_formats.frames import FrameCache
from ani3d_formats.shot import Shot
from ani3dhuman.pipeline.animate import animate
from ani3dhuman.pipeline.settings import Settings
from cloth_truth.degrade import degraded
from cloth_truth.sampler_study import joints_of
from cloth_truth.sequences import GAUSSIANS, Sequence, add_choice, chosen, load_sequence

from .cases import Case, diagonal
from .judging import judge
from .run import write_strip

SEED = 0


def faulty_shot(sequence: Sequence) -> Shot:
    """The sequence's shot seen by the diagonal camera, with faults in what Blender is said to have shown."""
    cameras = diagonal(sequence)
    layer = degraded(sequence.clip(), joints_of(sequence), SEED).vertices
    seen = {"viewmats": cameras.viewmats, "Ks": cameras.Ks, "evaluated_vertices": layer}
    meta = replace(sequence.shot.meta, width=cameras.width, height=cameras.height, camera_type="perspective")
    return replace(sequence.shot, arrays={**sequence.shot.arrays, **seen}, meta=meta)


def result_of(out: Path, shot: Shot) -> np.ndarray:
    """(T,V,3) vertices of a finished job."""
    meshes = FrameCache.open(out / f"{shot.name}.ani3d").meshes()
    return np.concatenate([meshes[thing.name].vertices for thing in shot.meta.objects], axis=1)


def judged(folder: Path, work: Path, strip: Path) -> dict[str, dict[str, float]]:
    """Figures of the degraded, restored and refined layers."""
    sequence = load_sequence(folder)
    shot = faulty_shot(sequence)
    case = Case.of(sequence, [diagonal(sequence)], sequence.rigid)
    settings = Settings.from_dict({"gaussians": GAUSSIANS, "coarse": "evaluated", "repair": True})
    layers = {"degraded": shot["evaluated_vertices"]}
    for rounds in (1, 3):
        animate(shot, work, settings.changed(rounds=rounds))
        layers[f"{rounds} rounds"] = result_of(work, shot)
    restored = next((work / ".work").glob("restore-*/vertices.npy"))
    layers["restored"] = np.load(restored)
    write_strip(strip, case, (*(layers[name] for name in ("degraded", "restored", "3 rounds")), case.truth))
    return {name: judge(case, layer) for name, layer in layers.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_choice(parser, "test", 10, skip=6)  # figures of the first six were seen while rounds were worked on
    parser.add_argument("--out", type=Path, default=Path("out/refine"))
    options = parser.parse_args()
    for folder in tqdm(chosen(options)):
        target = options.out / f"{options.split}_restored" / f"{folder.name}.json"
        if not target.exists():
            found = judged(folder, options.out / "jobs" / folder.name, target.with_suffix(".png"))
            write_bytes(target, json.dumps(found, indent=1).encode())


if __name__ == "__main__":
    main()
