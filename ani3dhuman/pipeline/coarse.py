"""The first half of every job: avatar, rigid layer, coarse layer (cloth or evaluated mesh), and their pictures."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from ani3d_formats.coarse_pictures import CoarsePictures, missing
from ani3d_formats.progress import Progress

from ..clip import CoarseClip
from ..pose.keypoints import KeypointMap, map_keypoints
from ..presentation.sheets import sheet_frames
from ..rendering.layers import LayerRender, Pictures
from . import stages
from .avatars import job_avatar
from .beside import beside
from .blender_pictures import in_blender
from .job import Job
from .keys import stage_key
from .moving import cloth_layer, coarse_layer, rigid_layer
from .settings import BLENDER


@dataclass(frozen=True)
class SeenLayer:
    """Pictures of a layer that is only looked at.

    Attributes:
        rgb, alpha: as of `LayerRender`.
        frames: those that were drawn, in their order; None for all.
        depth, preserve: as of `LayerRender`, of few frames; of all they are not kept, since nobody asks for them.
    """

    rgb: Pictures
    alpha: Pictures
    frames: list[int] | None = None
    depth: np.ndarray | None = None
    preserve: np.ndarray | None = None


@dataclass(frozen=True)
class CoarseLayers:
    """What restoration starts from.

    Attributes:
        clip: the shot posed; with all pictures of its coarse layer once it was `seen`.
        rigid_pictures: of the rigid layer.
        few_pictures: of the coarse layer, once it was `shown` for the contact sheet alone; else None.
        keypoints: where the rig has what pose drawings show.
        avatar_key: names the avatar.
        avatar_notes: for the report.
        layer_key: names the coarse layer's vertices.
        key: names all of the clip; what follows depends on it.
    """

    clip: CoarseClip
    rigid_pictures: SeenLayer
    keypoints: KeypointMap
    avatar_key: str
    avatar_notes: dict[str, Any]
    layer_key: str
    key: str
    few_pictures: SeenLayer | None = None

    def shown(self, job: Job) -> CoarseLayers:
        """These with pictures of the coarse layer to be looked at, by the stage render_coarse: all, or a few."""
        if job.settings.avatar.layer_videos or job.settings.coarse.pictures == BLENDER:
            return self.seen(job)
        inputs, few = (self.avatar_key, self.layer_key), sheet_frames(self.clip.frames)
        return replace(
            self, few_pictures=render_layer(job, "render_coarse", self.clip, self.clip.vertices, inputs, few)
        )

    def seen(self, job: Job) -> CoarseLayers:
        """These with all pictures of the coarse layer, by the stage render_coarse."""
        clip, key = self.clip, render_key(job, self.clip, self.avatar_key, self.layer_key)
        own = job.run("render_coarse", key, clip.frames, LayerRender, lambda p: clip.draw_layer(clip.vertices, p))
        if job.settings.coarse.pictures == BLENDER:
            own = in_blender(_sent(job), clip, own, job.scale)
        return replace(self, clip=replace(clip, pictures=own))

    @property
    def vertices(self) -> dict[str, np.ndarray]:
        """(T,V,3) by layer."""
        return {"rigid": self.clip.rigid_vertices, "coarse": self.clip.vertices}

    @property
    def pictures(self) -> dict[str, Any]:
        """By layer."""
        return {"rigid": self.rigid_pictures, "coarse": self.coarse_pictures}

    @property
    def coarse_pictures(self) -> LayerRender | SeenLayer:
        """Of the coarse layer, once it was `seen` or `shown`."""
        return self.clip.coarse_pictures() if self.few_pictures is None else self.few_pictures

    def sheet_pictures(self) -> LayerRender:
        """Those of the frames of the contact sheet, with depths and regions."""
        shown: Any = self.coarse_pictures
        picks = sheet_frames(self.clip.frames) if self.few_pictures is None else range(len(shown.rgb))
        parts = (getattr(shown, field.name) for field in fields(LayerRender))
        return LayerRender(*(np.stack([part[t] for t in picks]) for part in parts))


def coarse_layers(job: Job) -> CoarseLayers:
    """Run, or find finished, the stages avatar, rigid, cloth and render_rigid."""
    shot, settings = job.shot, job.settings
    if settings.coarse.layer == "evaluated":
        stages.evaluated_layer(shot)  # a shot without is refused before anything takes its time
    keypoints = map_keypoints(shot, stages.keypoint_names(settings.conditions.keypoint_map))
    made, avatar_key = job_avatar(job)
    begun = rigid_layer(job)
    cameras = shot.cameras.resized(*stages.picture_size(shot, settings.avatar.render_scale))
    clip = CoarseClip.of_shot(shot, made.avatar, begun.rigid, begun.pins, cameras=cameras, compute=job.compute)

    def rigid_pictures(job: Job, clip: CoarseClip = clip) -> SeenLayer:
        few = None if settings.avatar.layer_videos else sheet_frames(clip.frames)
        return render_layer(job, "render_rigid", clip, begun.rigid, (avatar_key, begun.rigid_key), few)

    with beside(job, rigid_pictures) as pictures:
        moving = coarse_layer(job, begun)
        pins, rigid_key, coarse, key = moving.pins, moving.rigid_key, moving.coarse, moving.key
        base, base_key = None, key
        if settings.restore.repair and settings.coarse.layer != "physics":
            base, base_key = cloth_layer(job, "cloth_anew", replace(settings.coarse, layer="physics"), moving)
        shows_rigid = pictures()
    clip = replace(clip, vertices=coarse, base=base)
    rendered = _sent(job).colors if settings.coarse.pictures == BLENDER else None
    drawn = render_key(job, clip, avatar_key)
    whole = stage_key("restore", shot, drawn, rigid_key, key, base_key, pins, clip.fps, rendered)
    return CoarseLayers(clip, shows_rigid, keypoints, avatar_key, made.notes, key, whole)


def _sent(job: Job) -> CoarsePictures:
    """Blender's pictures of the coarse layer, which came with the shot."""
    if job.pictures is None:
        raise missing()
    job.pictures.check_fits(job.shot.meta, len(job.shot["vertices"]))
    return job.pictures


def render_key(job: Job, clip: CoarseClip, *inputs: Any) -> str:
    """Names pictures of a layer through the clip's cameras: `inputs` say which layer of which avatar."""
    return stage_key("render", job.shot, asdict(clip.cameras), clip.sizes, *inputs)


def render_layer(
    job: Job,
    stage: str,
    clip: CoarseClip,
    vertices: np.ndarray,
    inputs: tuple[Any, ...],
    frames: list[int] | None = None,
) -> SeenLayer:
    """Pictures of the clip's avatar on vertices (T,V,3) as a stage; `inputs` as of `render_key`.

    `frames` are those to be drawn, None for all.
    """
    key = render_key(job, clip, *inputs, *([] if frames is None else [frames]))

    def drawn(progress: Progress) -> SeenLayer:
        if frames is None:
            layer = clip.draw_layer(vertices, progress)
            return SeenLayer(layer.rgb, layer.alpha)
        few = [clip.alone(t).draw_layer(vertices[[t]], progress) for t in frames]
        names = (field.name for field in fields(LayerRender))
        parts = {name: np.concatenate([np.asarray(getattr(one, name)) for one in few]) for name in names}
        return SeenLayer(frames=frames, **parts)

    return job.run(stage, key, clip.frames if frames is None else len(frames), SeenLayer, drawn)
