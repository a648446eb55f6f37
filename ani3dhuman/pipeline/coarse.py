"""The first half of every job: avatar, rigid layer, coarse layer (cloth or evaluated mesh), and their pictures."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..clip import CoarseClip
from ..cloth.character import sentences
from ..cloth.fabrics import FABRICS
from ..cloth.pins import find_pins
from ..pose.keypoints import KeypointMap, map_keypoints
from ..rendering.layers import LayerRender
from ..rigid import pose_rigid
from . import stages
from .avatars import job_avatar
from .job import Job
from .keys import stage_key
from .settings import CoarseSettings
from .stages import Layer


@dataclass(frozen=True)
class CoarseLayers:
    """What restoration starts from.

    Attributes:
        clip: the shot posed and seen, with the pictures of its coarse layer.
        rigid_pictures: of the rigid layer.
        keypoints: where the rig has what pose drawings show.
        avatar_key: names the avatar.
        avatar_notes: for the report.
        key: names all of the clip; what follows depends on it.
    """

    clip: CoarseClip
    rigid_pictures: LayerRender
    keypoints: KeypointMap
    avatar_key: str
    avatar_notes: dict[str, Any]
    key: str

    @property
    def vertices(self) -> dict[str, np.ndarray]:
        """(T,V,3) by layer."""
        return {"rigid": self.clip.rigid_vertices, "coarse": self.clip.vertices}

    @property
    def pictures(self) -> dict[str, Any]:
        """By layer."""
        return {"rigid": self.rigid_pictures, "coarse": self.clip.coarse_pictures()}


def coarse_layers(job: Job) -> CoarseLayers:
    """Run, or find finished, the stages avatar, rigid, cloth, render_rigid and render_coarse."""
    shot, settings = job.shot, job.settings
    if settings.coarse.layer == "evaluated":
        stages.evaluated_layer(shot)  # a shot without is refused before anything takes its time
    keypoints = map_keypoints(shot, stages.keypoint_names(settings.conditions.keypoint_map))
    made, avatar_key = job_avatar(job)
    rigid_key = stage_key("rigid", shot, shot.preserve_volume, shot.recorded)
    rigid = job.run("rigid", rigid_key, shot.frames, Layer, lambda p: Layer(pose_rigid(shot, p))).vertices
    found = find_pins(shot)
    pins = found.weights

    def cloth(stage: str, chosen: CoarseSettings) -> tuple[np.ndarray, str]:
        key, compute = _cloth_key(job, chosen, pins, rigid_key), stages.coarse_layer
        layer = job.run(stage, key, 2 * shot.frames, Layer, lambda p: compute(shot, rigid, pins, chosen, p))
        for text in (sentences(shot, found.unheld) if chosen.layer == "physics" else []) + layer.warnings:
            job.warn(text)
        return layer.vertices, key

    coarse, key = cloth("cloth", settings.coarse)
    base, base_key = None, key
    if settings.restore.repair and settings.coarse.layer != "physics":
        base, base_key = cloth("cloth_anew", replace(settings.coarse, layer="physics"))
    cameras = shot.cameras.resized(*stages.picture_size(shot, settings.avatar.render_scale))
    clip = CoarseClip.of_shot(shot, made.avatar, rigid, pins, coarse, cameras, base)
    seen = {
        "rigid": render_layer(job, "render_rigid", clip, rigid, (avatar_key, rigid_key)),
        "coarse": render_layer(job, "render_coarse", clip, coarse, (avatar_key, key)),
    }
    whole = stage_key("restore", shot, render_key(job, clip, avatar_key), rigid_key, key, base_key, pins, clip.fps)
    clip = replace(clip, pictures=seen["coarse"])
    return CoarseLayers(clip, seen["rigid"], keypoints, avatar_key, made.notes, whole)


def _cloth_key(job: Job, chosen: CoarseSettings, pins: np.ndarray, rigid_key: str) -> str:
    """Only simulated cloth depends on fabrics and frame rate, and only a layer of Blender's on what that showed."""
    if chosen.layer == "rigid":
        return rigid_key
    if chosen.layer == "evaluated":
        return stage_key("cloth", job.shot, stages.evaluated_layer(job.shot))
    fabrics = [asdict(FABRICS[name]) for name in (chosen.fabric, "hair")]
    meta = job.shot.meta
    wishes = ("vertex_start", "strands", "fabric", "fabric_changes", "layer", "thickness")
    objects = [[getattr(item, name) for name in wishes] for item in meta.objects]
    return stage_key(
        "cloth", job.shot, rigid_key, pins, meta.fps, fabrics, objects, meta.colliders, meta.forces, chosen.floor
    )


def render_key(job: Job, clip: CoarseClip, *inputs: Any) -> str:
    """Names pictures of a layer through the clip's cameras: `inputs` say which layer of which avatar."""
    return stage_key("render", job.shot, asdict(clip.cameras), clip.sizes, *inputs)


def render_layer(job: Job, stage: str, clip: CoarseClip, vertices: np.ndarray, inputs: tuple[Any, ...]) -> LayerRender:
    """Pictures of the clip's avatar on vertices (T,V,3) as a stage; `inputs` as of `render_key`."""
    key = render_key(job, clip, *inputs)
    return job.run(stage, key, clip.frames, LayerRender, lambda p: clip.draw_layer(vertices, p))
