"""The stages that move the character's vertices, before anything is drawn: rigid, then cloth or the evaluated mesh."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np

from ..cloth.character import sentences
from ..cloth.fabrics import FABRICS, LOCK
from ..cloth.pins import find_pins
from ..cloth.steps import why_not
from ..device import AUTO, CPU_NAME, no_cuda_in_torch
from ..rigid import pose_rigid
from . import stages
from .job import Job
from .keys import stage_key
from .settings import CoarseSettings
from .stages import Layer


@dataclass(frozen=True)
class Moving:
    """Vertices of a shot in motion.

    Attributes:
        rigid, coarse: (T,V,3) world metres.
        pins: (V,) weights.
        unheld: pieces that nothing holds, vertices (P,) each.
        rigid_key, key: name those layers.
    """

    rigid: np.ndarray
    pins: np.ndarray
    unheld: tuple[np.ndarray, ...]
    rigid_key: str
    coarse: np.ndarray
    key: str


def rigid_layer(job: Job) -> Moving:
    """Run, or find finished, the stage rigid; the coarse layer is that one."""
    shot = job.shot
    rigid_key = stage_key("rigid", shot, shot.preserve_volume, shot.recorded)
    rigid = job.run("rigid", rigid_key, shot.frames, Layer, lambda p: Layer(pose_rigid(shot, p))).vertices
    found = find_pins(shot)
    return Moving(rigid, found.weights, tuple(found.unheld), rigid_key, rigid, rigid_key)


def coarse_layer(job: Job, moving: Moving, show: stages.Show | None = None) -> Moving:
    """Run, or find finished, the stage cloth; `show` gets the frames of cloth as they are simulated."""
    coarse, key = cloth_layer(job, "cloth", job.settings.coarse, moving, show)
    return replace(moving, coarse=coarse, key=key)


def cloth_layer(
    job: Job, stage: str, chosen: CoarseSettings, moving: Moving, show: stages.Show | None = None
) -> tuple[np.ndarray, str]:
    """Vertices (T,V,3) of the layer that is `chosen`, as a stage, and their key."""
    shot, device = job.shot, cloth_device(job) if chosen.layer == "physics" else CPU_NAME
    key = _cloth_key(job, chosen, moving.pins, moving.rigid_key, device)
    compute = stages.coarse_layer
    layer = job.run(
        stage, key, 2 * shot.frames, Layer, lambda p: compute(shot, moving.rigid, moving.pins, chosen, p, show, device)
    )
    for text in (sentences(shot, moving.unheld) if chosen.layer == "physics" else []) + layer.warnings:
        job.warn(text)
    return layer.vertices, key


def cloth_device(job: Job) -> str:
    """Where the job's cloth is solved, as of `Compute.device`: a card that cannot do it gives the CPU, with a warning.

    No torch is loaded where that cannot be but the CPU.
    """
    wanted = job.settings.device
    if wanted == CPU_NAME or (wanted == AUTO and no_cuda_in_torch()):
        return CPU_NAME
    if why := why_not(job.compute.device):
        job.warn(f"Cloth was solved on the CPU: {why}.")
        return CPU_NAME
    return job.compute.device


def _cloth_key(job: Job, chosen: CoarseSettings, pins: np.ndarray, rigid_key: str, device: str) -> str:
    """Only simulated cloth depends on fabrics and frame rate, and only a layer of Blender's on what that showed.

    Cloth of a card is not the CPU's to the bit, and has a key of its own.
    """
    if chosen.layer == "rigid":
        return rigid_key
    if chosen.layer == "evaluated":
        return stage_key("cloth", job.shot, stages.evaluated_layer(job.shot))
    fabrics = [asdict(fabric) for fabric in (FABRICS[chosen.fabric], FABRICS["hair"], LOCK)]
    meta = job.shot.meta
    wishes = ("vertex_start", "strands", "fabric", "fabric_changes", "layer", "thickness")
    objects = [[getattr(item, name) for name in wishes] for item in meta.objects]
    scene = meta.colliders, meta.forces, chosen.floor, chosen.way_in, chosen.loop
    inputs = rigid_key, pins, meta.fps, fabrics, objects, *scene
    return stage_key("cloth", job.shot, *inputs, *([] if device == CPU_NAME else ["card"]))
