"""`python -m benchmarks.formats [--shot SHOT]`: writes out/bench/formats.json.

A run that was stopped goes on: parts that were measured at this commit are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ani3d_formats.frames import FrameCache, write_cache
from ani3d_formats.gaussians import GaussianFrames
from ani3d_formats.shot import Shot
from ani3dhuman.pipeline.bake import RIGID, bake
from ani3dhuman.splats.formats import read_splats, write_splats
from ani3dhuman.splats.ply import read_ply
from ani3dhuman.splats.sequences import write_sequence
from benchmarks.commit import commit

from .natives import reads_right
from .others import exchange, install
from .person import on_skeleton, person, swing
from .round_trip import found_blenders, round_trip
from .samples import some
from .smplx_peer import parity
from .spz_peer import beside_reference
from .survival import measured, table
from .viewer import first_picture
from .whole_job import whole_job

MILLION, SEQUENCE, FRAMES = 1_000_000, 100_000, 81
ROUNDS = 5
BONES = 32  # of each baked mesh


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def reading(folder: Path) -> dict[str, float]:
    """A PLY of a million Gaussians with all coefficients: our reader and gsply's in turns."""
    import gsply

    path = folder / "million.ply"
    write_splats(path, some(MILLION, 3), "y-down")
    ours, whole, theirs = [], [], []
    for _ in range(ROUNDS):
        ours.append(seconds(lambda: read_ply(path)))
        theirs.append(seconds(lambda: gsply.plyread(str(path))))
        whole.append(seconds(lambda: read_splats(path, "z-up")))
    path.unlink()
    ratio = float(np.median(np.array(theirs) / ours))
    return {"read_1m_seconds": min(ours), "read_checked_1m_seconds": min(whole), "read_over_gsply": ratio}


def writing(folder: Path) -> dict[str, float]:
    """81 frames of 100,000 Gaussians as PLY, beside the same bytes written and synced without a thought."""
    one = some(SEQUENCE, 0)
    moving = np.repeat(one.means[None], FRAMES, 0) + np.arange(FRAMES, dtype=np.float32)[:, None, None] * 0.01
    still = (np.broadcast_to(each, (FRAMES, *each.shape)) for each in (one.quats, one.scales))
    quats, scales = still
    gaussians = GaussianFrames(moving, quats, scales, one.opacities, np.broadcast_to(one.colors, (FRAMES, SEQUENCE, 3)))
    cache = FrameCache.open(write_cache(folder / "long.ani3d", gaussians, fps=24, frame_start=1))
    files = write_sequence(cache, folder / "sequence", "ply", range(1, FRAMES + 1), "z-up")
    contents = files[0].read_bytes()

    def raw() -> None:
        for k in range(FRAMES):
            with open(folder / "raw" / f"{k}.ply", "wb") as file:
                file.write(contents)
                os.fsync(file.fileno())

    (folder / "raw").mkdir(exist_ok=True)
    shares = []
    for _ in range(3):
        own = seconds(lambda: write_sequence(cache, folder / "sequence", "ply", range(1, FRAMES + 1), "z-up"))
        shares.append(seconds(raw) / own)
    return {"sequence_write_share": float(np.median(shares)), "sequence_mb": len(contents) * FRAMES / 1e6}


def damaged(folder: Path) -> dict[str, float]:
    """Damaged files in a process of their own; one that crashes is bad, whatever it had said before."""
    place = folder / "damaged"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.formats.damage", str(place)], capture_output=True, text=True
    )
    print(done.stderr[-2000:])
    shutil.rmtree(place, ignore_errors=True)
    return json.loads(done.stdout) if done.returncode == 0 else {"malformed_bad": 1, "malformed": 0}


def natives(folder: Path) -> dict[str, float]:
    """PLY and SPZ in each Blender's own importer: 1 where all is read right."""
    found = found_blenders().items()
    return {f"gaussians_{version}": float(reads_right(python, folder, some(2000, 3))) for version, python in found}


def baked(folder: Path, cache: FrameCache, shot: Shot) -> dict[str, float]:
    """The result on bones of its own: root mean square and largest error of each mesh that needs them, mm."""
    frames = range(cache.manifest.frame_start, cache.manifest.frame_end + 1)
    errors = bake(folder / "baked.glb", cache, shot, frames, BONES)
    found: dict[str, float] = {}
    for name, (rms, worst) in errors.items():
        if worst > RIGID:
            found |= {f"bake_{name.lower()}_rms_mm": 1000 * rms, f"bake_{name.lower()}_max_mm": 1000 * worst}
    return found


def survival(folder: Path) -> dict[str, float]:
    """The table of what survives in which format, as survives.md; no figure."""
    (folder / "survives.md").write_text(table(measured(folder, some(2000, 3))), encoding="utf-8")
    return {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shot", type=Path, default=Path("out/demo/shot.npz"), help="of the demo (make demo)")
    parser.add_argument("--result", type=Path, default=Path("out/demo/result/Rig.ani3d"), help="its result")
    parser.add_argument("--only", nargs="*", help="some parts: damaged, reading, writing, exchange ...")
    parser.add_argument("--again", action="store_true", help="measure also what was measured at this commit")
    parser.add_argument("--out", type=Path, default=Path("out/bench/formats"))
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    path, kept, at = out.with_suffix(".json"), out / "commits.json", commit()
    shot, peers = Shot.load(options.shot), out / "peers"
    cache = FrameCache.open(options.result) if options.result.is_dir() else None
    with_npm = install(peers)
    parts: dict[str, Callable[[], dict[str, float]]] = {
        "damaged": lambda: damaged(out),
        "reading": lambda: reading(out),
        "writing": lambda: writing(out),
        "natives": lambda: natives(out),
        "person": lambda: person(out, shot),
        "skeleton": lambda: on_skeleton(out, shot),
        "swing": lambda: swing(out, shot),
        "survival": lambda: survival(out),
        "smplx": lambda: parity(out),
        "whole_job": lambda: whole_job(options.shot, out / "job"),
    }
    if with_npm:
        parts |= {"exchange": lambda: exchange(peers, some(2000, 3)), "spz": lambda: beside_reference(out, peers)}
    if cache is not None:
        result = cache
        parts |= {
            "view": lambda: first_picture(out, result, shot),
            "round_trip": lambda: round_trip(out, result, shot),
            "bake": lambda: baked(out, result, shot),
        }
    commits: dict[str, str] = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    figures: dict[str, float] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for name, work in parts.items():
        if name not in (options.only or parts) or (commits.get(name) == at and not options.again and "+" not in at):
            continue
        print(f"{name} ...", flush=True)
        start = time.perf_counter()
        figures |= {key: round(value, 7) for key, value in work().items()}
        path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
        kept.write_text(json.dumps(commits := {**commits, name: at}, indent=1) + "\n", encoding="utf-8")
    print(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
