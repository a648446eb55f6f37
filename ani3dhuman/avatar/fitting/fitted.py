"""An avatar of a character: samples of its surface, fitted to pictures of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from scipy.ndimage import binary_dilation

from ani3d_formats.color import linear_to_srgb
from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot
from ani3d_formats.views import Views

from ...device import CPU, Compute, to_numpy
from ..avatar import Avatar
from ..from_mesh import avatar_from_shot
from ..lifts import lifts_of, nearer
from ..strand_gaussians import strand_objects
from .cameras import cameras_around
from .density import better_density, usual_density
from .drawing import draw_target
from .fit import FitConfig, colored_by, fit
from .poses import tried_poses
from .targets import Target, surface_targets, view_targets

POSES = 5
PICTURES, MOST_PICTURES = 80, 240  # drawn of the mesh
STEPS_EACH = 6  # as many are drawn that each is seen so often, or a fit learns what only these pictures show
HELD_OUT = 10  # every such picture is not fitted to, and tells how good the fit is
JUDGED = 72  # pictures that say where samples are worth most
APART = 6 / 255  # mean difference from Blender's colours above which the shot's own pictures are not fitted to
AROUND = 4  # pixels around a silhouette that are judged with it
GREY = 0.5  # behind judged pictures, sRGB-encoded


@dataclass(frozen=True)
class Fitted:
    """An avatar, and for the report how it came about: held-out likeness before and after, dB."""

    avatar: Avatar
    notes: dict[str, Any] = field(default_factory=dict)


def fitted_avatar(
    shot: Shot,
    count: int,
    steps: int,
    seed: int,
    progress: Progress,
    views: Views | None = None,
    compute: Compute = CPU,
) -> Fitted:
    """About `count` Gaussians fitted in `steps` steps to pictures of the shot's mesh with its own textures.

    To Blender's `views`, in the shot's metres, as well; and to them alone where the shot's colours are not Blender's.
    Nothing of it depends on the shot's motion, cameras or lights: all shots of a character get the same avatar. Where
    the fit does not make held-out pictures more alike, the samples stay as they were. Gaussians are drawn and fitted on
    the device of `compute`.

    Raises:
        Ani3DError: ``views.other_character``; ``avatar.*`` as of `avatar_from_shot`.
    """
    if views is not None:
        views.check_fits(len(shot["vertices"]), shot.meta.character)
    rng, alike = np.random.default_rng(seed), True
    pictures = min(max(steps // STEPS_EACH, PICTURES), MOST_PICTURES)
    poses = tried_poses(shot, POSES, rng)
    cameras, pose_of = cameras_around(poses, shot["faces"], pictures, rng)
    progress.total = pictures + steps
    targets = surface_targets(shot, poses, cameras, pose_of, progress)
    judged = [target for k, target in enumerate(targets) if k % HELD_OUT][:JUDGED]
    start = _well_spread(shot, count, seed, (poses, judged), compute)
    start = replace(start, lifts=lifts_of(start, shot["vertices"]))
    notes: dict[str, Any] = {"pictures": f"{len(targets)} of its own surfaces", "steps": steps}
    if views is not None:
        rendered, apart = view_targets(shot, views, len(poses))
        poses = np.concatenate([poses, views.vertices_at])
        notes |= {"views": f"{views.count} of {views.meta.application}", "colours_apart": round(255 * apart, 2)}
        alike = apart < APART
        targets = targets + rendered if alike else rendered
    held, shown = targets[::HELD_OUT], [t for k, t in enumerate(targets) if k % HELD_OUT]
    if not alike:
        start = colored_by(start, poses, shown)
    curved = np.isin(start.binding.triangle_ids.numpy(), np.concatenate([np.zeros(0, int), *_strands(shot)]))
    found = fit(start, poses, shown, FitConfig(steps, seed=seed), progress, curved, compute)
    before, after = likeness(start, poses, held, compute), likeness(found, poses, held, compute)
    notes |= {"held_out_db": [round(before, 2), round(after, 2)]}
    return Fitted(found if after > before else start, notes)


def _well_spread(
    shot: Shot, count: int, seed: int, seen: tuple[np.ndarray, Sequence[Target]], compute: Compute
) -> Avatar:
    """Samples of the surface, more of them where fewer do not look like it; `seen` are poses and pictures of them."""
    density = usual_density(shot)
    few = avatar_from_shot(shot, max(count // 2, 100), None, seed, density)
    return avatar_from_shot(shot, count, None, seed, better_density(shot, few, seen, density, compute))


def _strands(shot: Shot) -> list[np.ndarray]:
    return [own for _, own in strand_objects(shot)]


def likeness(avatar: Avatar, poses: np.ndarray, targets: Sequence[Target], compute: Compute = CPU) -> float:
    """Mean peak signal-to-noise ratio, dB, of pictures over grey on the mesh's `poses` (M,V,3): silhouettes and around.

    Pixels that lie further off are the same for all, and are left out.
    """
    colors, opacities = compute.tensor(linear_to_srgb(avatar.albedo)), compute.tensor(avatar.opacities)
    behind, figures = compute.tensor(np.full(3, GREY)), []
    lifts = None if avatar.lifts is None else compute.tensor(avatar.lifts)
    for target in targets:
        around = binary_dilation(target.alpha > 0, iterations=AROUND)
        if not around.any():
            continue
        with torch.no_grad():
            means, quats, scales = avatar.placed(poses[target.pose], compute)
            if lifts is not None:
                means, scales = nearer(means, scales, lifts, compute.tensor(target.viewmat))
            image, _ = draw_target((means, quats, scales, opacities, colors), target, behind, compute)
        wanted = target.colors + GREY * (1 - target.alpha[..., None])
        error = np.square(to_numpy(image[0]) - wanted)[around].mean()
        figures.append(-10 * np.log10(max(float(error), 1e-12)))
    return float(np.mean(figures)) if figures else 0.0
