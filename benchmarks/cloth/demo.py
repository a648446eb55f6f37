"""The demo's own dress: edges that pierce it, how far its hem swings, and how long its cloth alone takes as a job."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.atomic import write_bytes
from ani3d_formats.regions import GARMENT
from ani3d_formats.shot import Shot
from ani3dhuman.cloth.pins import pin_weights
from ani3dhuman.pipeline.amplitude import motion_amplitude
from ani3dhuman.pipeline.cloth_only import cloth_only
from ani3dhuman.pipeline.settings import Settings

from .judge import Judge, Mesh
from .rows import HARD, JUDGE, ROOT, SOLVER, fingerprint
from .solve import solve

SHOT = ROOT / "out" / "demo" / "shot.npz"
KEY = fingerprint((*SOLVER, *JUDGE, "benchmarks/cloth/demo.py"))


def demo_figures() -> dict[str, Any]:
    """Flat figures; nothing without the demo's shot. Those of its last job's layers where that has run."""
    if not SHOT.exists():
        return {}
    made = HARD / "demo.json"
    if made.exists() and (kept := json.loads(made.read_text()))["key"] == KEY:
        return dict(kept["figures"])
    shot = Shot.load(SHOT)
    solved = solve(shot)  # compiles, or loads what was compiled, before the clock starts
    judge = Judge(shot, solved.pins)
    verdict = judge.verdict(solved.vertices)
    hits = dress_hits(shot, solved.vertices)
    with tempfile.TemporaryDirectory(prefix="bench-cloth-") as folder:
        began, busy = time.perf_counter(), time.process_time()
        cloth_only(shot, Path(folder), Settings.from_dict({"preset": "cloth"}))
        seconds, cpu = time.perf_counter() - began, time.process_time() - busy
    found = {
        "self_hits_demo": float(hits.mean()),
        "self_hits_demo_most": float(hits.max()),
        "self_hits_demo_rest": float(dress_hits(shot, shot["vertices"][None])[0]),
        "hits_demo_with_hair": float(verdict.pairs.mean()),
        "demo_depth_mm": float(verdict.depth_mm.max()),
        "demo_stretch": float(verdict.stretch.max()),
        "demo_cloth_seconds": seconds,
        "demo_cloth_cpu_seconds": cpu,
        "hem_coarse_cm": motion_amplitude(shot, solved.vertices, solved.pins),
    }
    write_bytes(made, json.dumps({"key": KEY, "figures": found}, indent=1).encode())
    return found


def dress_hits(shot: Shot, vertices: np.ndarray) -> np.ndarray:
    """(T,) edges of garments that pierce a triangle of them at vertices (T,V,3)."""
    faces = shot["faces"].astype(np.int64)
    mesh = Mesh.of(faces[(shot["region_ids"][faces] == GARMENT).all(1)])
    return np.array([len(mesh.pairs(points.astype(np.float64))) for points in vertices])


def refined_figures(refined: Path) -> dict[str, float]:
    """The swing of a refined layer's hem, and its piercing edges; `refined` holds vertices (T,V,3) of the demo."""
    shot, vertices = Shot.load(SHOT), np.load(refined)
    return {
        "hem_refined_cm": motion_amplitude(shot, vertices, pin_weights(shot)),
        "self_hits_demo_refined": float(dress_hits(shot, vertices).mean()),
    }
