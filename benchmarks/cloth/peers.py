"""The same meshes and motions by other solvers of cloth, judged alike: Blender's own, and Newton's VBD on the CPU.

python -m benchmarks.cloth.peers [NAME ...] [--limit SECONDS] [--only blender|newton]

They get the way in that ours has, and a person of human size. Seconds are the processor's. Rows are kept in
out/cloth_hard/NAME_OF_SOLVER.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from typing import Any

import numpy as np

from ani3d_formats.atomic import write_bytes
from ani3d_formats.human_size import human_scale
from ani3d_formats.progress import Progress
from ani3d_formats.regions import HAIR, is_loose
from ani3d_formats.shot import Shot
from ani3dhuman.cloth.constraints import PINNED
from ani3dhuman.cloth.pins import pin_weights
from ani3dhuman.cloth.preroll import Preroll
from ani3dhuman.rigid import pose_rigid

from .hard_set import SEQUENCES
from .judge import Judge
from .rows import HARD, JUDGE, MAKERS, ROOT, fingerprint, load
from .shots import solids

WAY_IN = 24  # frames
COMMANDS = {
    "blender": ([".venv-blender/bin/python", "-m", "benchmarks.cloth.in_blender"], ("benchmarks/cloth/in_blender.py",)),
    "newton": (
        [".venv-peers/newton_vbd/bin/python", "benchmarks/peers/newton_vbd.py"],
        ("benchmarks/peers/newton_vbd.py",),
    ),
}
# of every kind one, the short ones first
CHOSEN = (
    "dog_blanket", "spin_720", "kick", "poncho", "arm_through_thigh", "splits", "jump_half_turn", "overlapping",
    "crouch_arms", "apron", "trousers", "chair", "scarf", "cartwheel", "coat", "crossed_arms",
)  # fmt: skip
FABRICS = {"": "cotton"}


def arrays_for(shot: Shot, limit: float) -> tuple[dict[str, Any], np.ndarray]:
    """What the other solvers read, at human size, and the vertices (P,) of the shot that they move."""
    scale = human_scale(shot["vertices"])
    shot = shot if scale == 1 else shot.scaled(scale)
    rigid, pins = pose_rigid(shot, Progress("rigid", shot.frames)), pin_weights(shot)
    loose, faces, rest = is_loose(shot["region_ids"]), shot["faces"].astype(np.int64), shot["vertices"]
    steady = loose & (pins > PINNED)
    way = Preroll.into(rigid, rest, steady, WAY_IN)
    placed = np.stack([way.at(rigid, rest, step) for step in range(WAY_IN + shot.frames)])
    things = solids(shot)
    around = shot.arrays.get("collider_faces", np.zeros((0, 3), np.int64)).astype(np.int64)
    still = np.concatenate([np.repeat(things[:1], WAY_IN, axis=0), things]).astype(np.float32)
    used, body_faces = np.unique(faces[~loose[faces].any(1)], return_inverse=True)
    own = np.flatnonzero(loose)
    index = np.full(len(rest), -1)
    index[own] = np.arange(len(own))
    cloth_faces = index[faces[loose[faces].all(1)]]
    garments = [item for item in shot.meta.objects if loose[item.rows].any()]
    counts = [int(loose[item.rows].sum()) for item in garments]
    hair = [bool((shot["region_ids"][item.rows] == HAIR).all()) for item in garments]
    fabrics = ["hair" if h else FABRICS.get(item.fabric, item.fabric) for item, h in zip(garments, hair, strict=True)]
    return {
        "fps": shot.meta.fps,
        "limit": limit,
        "rest": rest[own],
        "cloth": placed[:, own],
        "cloth_faces": cloth_faces,
        "pins": pins[own],
        "body": np.concatenate([placed[:, used], still], axis=1),
        "body_faces": np.concatenate([body_faces.reshape(-1, 3), around + len(used)]),
        "starts": np.cumsum([0, *counts]),
        "fabrics": np.array(fabrics),
    }, own


def peer_row(name: str, solver: str, limit: float) -> dict[str, Any]:
    """Figures of a sequence by another solver; only whole clips are kept as held."""
    command, sources = COMMANDS[solver]
    made, key = HARD / solver / f"{name}.json", fingerprint((*MAKERS, *sources, *JUDGE))
    if made.exists() and (kept := json.loads(made.read_text()))["key"] == key and kept["limit"] >= limit:
        return dict(kept)
    shot, folder = load(name), HARD / solver
    folder.mkdir(parents=True, exist_ok=True)
    arrays, own = arrays_for(shot, limit)
    given, found = folder / f"{name}.in.npz", folder / f"{name}.out.npz"
    np.savez(given, **arrays)
    found.unlink(missing_ok=True)
    row: dict[str, Any] = {"name": name, "key": key, "limit": limit, "success": False, "whole": False}
    began = time.perf_counter()
    try:
        done = subprocess.run(
            [*command, str(given), str(found)], cwd=ROOT, capture_output=True, text=True, timeout=20 * limit + 600
        )
        row["said"] = (done.stderr.strip().splitlines() or [""])[-1][-300:] if not found.exists() else ""
    except subprocess.TimeoutExpired:
        row["said"] = f"stopped after {time.perf_counter() - began:.0f} s"
    if found.exists():
        row |= judged(shot, own, dict(np.load(found)))
    given.unlink()
    if found.exists() or "stopped" in row["said"]:  # what failed to start is tried again
        write_bytes(made, json.dumps(row, indent=1).encode())
    return row


def judged(shot: Shot, own: np.ndarray, found: dict[str, np.ndarray]) -> dict[str, Any]:
    """Figures of what a solver wrote: judged as far as it came."""
    came = max(0, int(found["frames"]) - WAY_IN)
    scale, whole = human_scale(shot["vertices"]), came == shot.frames
    share = (WAY_IN + shot.frames) / shot.frames / max(int(found["frames"]), 1)  # the way in is part of each frame's
    row: dict[str, Any] = {"frames": came, "whole": whole, "cpu_frame": float(found["seconds"]) * share}
    if came == 0:
        return row
    vertices = pose_rigid(shot, Progress("rigid", shot.frames))
    vertices[:came, own] = found["vertices"][WAY_IN : WAY_IN + came] / np.float32(scale)
    verdict = Judge(shot, pin_weights(shot)).verdict(vertices)
    failed = verdict.up_to(came).failures
    row["failed"] = {what: {"frame": frame, "worst": round(worst, 3)} for what, (frame, worst) in failed.items()}
    row["success"] = whole and not failed
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=None, help="sequences; a choice of every kind when empty")
    parser.add_argument("--limit", type=float, default=120.0, help="processor seconds of a solver on a sequence")
    parser.add_argument("--only", choices=sorted(COMMANDS))
    options = parser.parse_args()
    for name in options.names or CHOSEN:
        if name not in SEQUENCES:
            raise SystemExit(f"There is no sequence '{name}'; there are: {', '.join(SEQUENCES)}.")
        for solver in [options.only] if options.only else COMMANDS:
            row = peer_row(name, solver, options.limit)
            what = {k: row.get(k) for k in ("success", "whole", "frames", "cpu_frame", "failed", "said")}
            print(f"{name:20s} {solver:8s} {what}", flush=True)


if __name__ == "__main__":
    main()
