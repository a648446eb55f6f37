"""A whole job on the device and on the CPU: stage by stage how long, and how far the results are apart."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.frames import FrameCache
from ani3d_formats.shot import Shot
from ani3dhuman.pipeline.animate import animate
from ani3dhuman.pipeline.settings import Settings

from ..cut_shot import cut_shot

# Cloth is compared by itself, so the layer is the rigid one; appearance has pixels fitted.
CHOICES: dict[str, Any] = {"preset": "draft", "coarse": "rigid", "appearance": True}
SMALL = {"gaussians": 1000, "render_scale": 1.0, "refine_steps": 6, "refine_height": 48, "sampling_steps": 2}
STAGES = ("render_rigid", "restore", "refine", "render_refined", "cache")


def compared(device: str, shot: Path, tiny: bool) -> dict[str, Any]:
    """Rows: `NAME_s` on the device and `NAME_cpu_s` for each stage, and the largest differences.

    Args:
        device: as of the setting.
        shot: file of the shot.
        tiny: a few small frames of it are enough.
    """
    given, choices = Shot.load(shot), CHOICES
    if tiny:
        given, choices = cut_shot(given, 4, 48, 80), {**CHOICES, **SMALL}
    with tempfile.TemporaryDirectory() as folder:
        outs = {}
        for name, place in (("cpu", "cpu"), ("device", device)):
            outs[name] = animate(given, Path(folder) / name, Settings.from_dict({**choices, "device": place}))
        seconds = {name: json.loads((out / "report.json").read_text())["seconds"] for name, out in outs.items()}
        rows: dict[str, Any] = {"job_shot": given.name, "job_frames": given.frames}
        for stage in STAGES:
            rows[f"job_{stage}_s"] = seconds["device"][stage]
            rows[f"job_{stage}_cpu_s"] = seconds["cpu"][stage]
        caches = {name: FrameCache.open(out / f"{given.name}.ani3d") for name, out in outs.items()}
        for array in ("position", "rotation", "radiance:base"):
            one, other = (np.asarray(cache.arrays[array]) for cache in caches.values())
            apart = np.abs(one - other)
            rows[f"job_{array.partition(':')[0]}_largest"] = float(apart.max())
            rows[f"job_{array.partition(':')[0]}_mean"] = float(apart.mean())
    return rows
