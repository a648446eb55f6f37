"""report.json: what the table of a job is made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.atomic import write_bytes

from .amplitude import motion_amplitude
from .job import Job


def write_report(
    job: Job,
    gaussians: int,
    pins: np.ndarray,
    vertices: Mapping[str, np.ndarray],
    notes: Mapping[str, Any],
    cache: Path | None = None,
) -> None:
    """Write OUT/report.json: sizes, seconds and memory by stage, hem motion by layer (vertices (T,V,3)), notes.

    `pins`: (V,) pin weights.
    """
    shot = job.shot
    amplitudes = {name: motion_amplitude(shot, np.asarray(v), pins) for name, v in vertices.items()}
    report = {
        "name": shot.name,
        "frames": shot.frames,
        "gaussians": gaussians,
        "vertices": len(shot["vertices"]),
        "seconds": {k: round(v, 2) for k, v in job.seconds.items()},
        "peak_gb": {k: round(v, 2) for k, v in job.peak_gb.items()},
        "reused": job.store.reused,
        "hem_amplitude_cm": {k: _in_cm(v, job.scale) for k, v in amplitudes.items()},
        "settings": job.settings.to_dict(),
        "notes": _in_scene(dict(notes), job.scale),
        "warnings": job.warnings,
    }
    if job.scale != 1:
        report["notes"]["size"] = f"All stages worked on the character at {job.scale:.4g} times its size."
    if cache is not None:
        report["cache"] = cache.name
    write_bytes(job.out / "report.json", json.dumps(report, indent=2).encode())


def _in_scene(notes: Any, scale: float) -> Any:
    """Notes whose lengths, named ``..._cm``, are in the scene's own metres instead of the job's."""
    if scale == 1:
        return notes
    if isinstance(notes, list):
        return [_in_scene(note, scale) for note in notes]
    if not isinstance(notes, dict):
        return notes
    lengths = {name: _in_cm(value, scale) for name, value in notes.items() if name.endswith("_cm")}
    return {name: _in_scene(value, scale) for name, value in notes.items()} | lengths


def _in_cm(length: float, scale: float) -> float:
    """A length in the scene, rounded; `length` is the job's, both in cm."""
    return round(length, 2) if scale == 1 else float(f"{length / scale:.3g}")
