"""The first half of every job: avatar, rigid layer, coarse layer (cloth or evaluated mesh), and their pictures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .. import __version__
from ..cloth.fabrics import FABRICS
from ..pose.keypoints import map_keypoints
from ..rigid import pose_rigid
from ..storage.stages import content_key
from . import stages
from .job import Job
from .stages import Arrays, Scene


@dataclass(frozen=True)
class CoarseLayers:
    """What restoration starts from.

    Attributes:
        scene: the shot posed and seen.
        pictures: of each layer ("rigid", "coarse"), see `stages.render_gaussians`.
        view_key: names motion and cameras; what follows depends on it.
    """

    scene: Scene
    pictures: dict[str, Arrays]
    view_key: str

    @property
    def vertices(self) -> dict[str, np.ndarray]:
        """(T,V,3) by layer."""
        return {"rigid": self.scene.rigid, "coarse": self.scene.coarse}


def coarse_layers(job: Job) -> CoarseLayers:
    """Run, or find finished, the stages avatar, rigid, cloth, render_rigid and render_coarse."""
    shot = job.shot
    elsewhere = ("viewmats", "Ks", "meta", "evaluated_vertices")  # these enter the keys of what depends on them alone
    arrays = {k: v for k, v in shot.to_arrays().items() if k not in elsewhere}
    arrays["preserve_volume"] = shot.preserve_volume
    scene_key = content_key(__version__, arrays, shot.meta["materials"], shot.meta["fps"])
    cameras = shot.cameras.resized(*stages.picture_size(shot, job.settings.render_scale))
    layers = _motion_layers(job, scene_key)
    scene = Scene(
        shot=shot,
        avatar=stages.avatar_of(shot, layers["avatar"]),
        rigid=layers["rigid"]["vertices"],
        coarse=layers["cloth"]["vertices"],
        base=layers["base"]["vertices"],
        pins=np.asarray(layers["cloth"]["pins"]),
        cameras=cameras,
        keypoints=map_keypoints(shot, stages.keypoint_names(job.settings)),
    )
    view_key = content_key(layers["key"], cameras.viewmats, cameras.Ks, cameras.width, cameras.height)
    pictures = {
        name: job.run(
            f"render_{name}",
            content_key(view_key, name),
            shot.frames,
            lambda p, v=vertices: stages.render_gaussians(shot, scene.avatar, v, cameras, p),  # type: ignore[misc]
        )
        for name, vertices in (("rigid", scene.rigid), ("coarse", scene.coarse))
    }
    return CoarseLayers(scene, pictures, view_key)


def _motion_layers(job: Job, scene_key: str) -> dict[str, Any]:
    """Avatar, rigid and coarse layers with the key that names them."""
    shot, settings = job.shot, job.settings
    avatar_key = content_key(scene_key, settings.gaussians, settings.seed)
    shown = stages.evaluated_layer(shot) if settings.coarse == "evaluated" else None
    fabrics = [asdict(FABRICS[name]) for name in (settings.fabric, "hair")]
    avatar = job.run("avatar", avatar_key, 1, lambda p: stages.build_avatar(shot, settings, p))
    rigid = job.run("rigid", scene_key, shot.frames, lambda p: pose_rigid(shot, p))

    def cloth(stage: str, coarse: str) -> tuple[Arrays, str]:
        key = content_key(scene_key, coarse, fabrics, shown if coarse == "evaluated" else None)
        vertices, fabric = rigid["vertices"], settings.fabric
        return job.run(
            stage, key, 2 * shot.frames, lambda p: stages.simulate_cloth(shot, vertices, coarse, fabric, p)
        ), key

    layer, key = cloth("cloth", settings.coarse)
    repaired = settings.repair and settings.coarse != "physics"
    base = cloth("cloth_anew", "physics")[0] if repaired else layer
    return {"avatar": avatar, "rigid": rigid, "cloth": layer, "base": base, "key": content_key(avatar_key, key)}
