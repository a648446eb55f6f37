"""Where an avatar's Gaussians are worth most: where samples of the surface do not look like it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ani3d_formats.color import linear_to_srgb
from ani3d_formats.regions import FACE, HAIR
from ani3d_formats.shot import Shot

from ...device import CPU, Compute, to_numpy
from ..avatar import Avatar
from ..from_mesh import DETAIL
from .drawing import draw_target
from .targets import Target

WEIGHTS = {FACE: 32.0, HAIR: 4.0}  # of a region's error: a face, and the hair around it, are looked at from nearer
LEAST, MOST = 0.15, 8.0  # density over the mean one
SMOOTH = 3  # times that each face shares with those around, or gaps open where small Gaussians meet large ones
GREY = 0.5  # behind the pictures
PLAIN = 0.003  # squared error counted besides: light varies on plain surfaces too, and these pictures have none


def usual_density(shot: Shot) -> np.ndarray:
    """(F,) relative numbers of Gaussians an area, by region alone."""
    regions = shot["region_ids"][shot["faces"][:, 0]]
    return np.array([DETAIL.get(int(region), 1.0) for region in range(256)])[regions]


def better_density(
    shot: Shot,
    avatar: Avatar,
    seen: tuple[np.ndarray, Sequence[Target]],
    density: np.ndarray,
    compute: Compute = CPU,
) -> np.ndarray:
    """(F,) relative numbers of Gaussians an area, better than the `density` (F,) that an avatar was sampled by.

    `seen` are poses (M,V,3) and pictures of them.

    The squared error of a place falls about as the number of its Gaussians rises. All of it together is then least
    where each place has as many as the root of its error times the number it had. What no picture shows gets few, but
    some: a motion may show it.
    """
    faces, count = shot["faces"], len(shot["vertices"])
    area = _area(shot)
    wrong = np.bincount(avatar.binding.triangle_ids.numpy(), blame(avatar, *seen, PLAIN, compute), len(faces))
    wrong *= np.array([WEIGHTS.get(region, 1.0) for region in range(256)])[shot["region_ids"][faces[:, 0]]]
    error = _shared(wrong, faces, count) / np.maximum(_shared(area, faces, count), 1e-20)
    wanted = np.sqrt(np.maximum(error, 0) * density)
    wanted = np.clip(wanted / max((wanted * area).sum() / area.sum(), 1e-20), LEAST, MOST)
    return wanted * (area * usual_density(shot)).sum() / (area * wanted).sum()


def blame(
    avatar: Avatar, poses: np.ndarray, targets: Sequence[Target], besides: float = 0.0, compute: Compute = CPU
) -> np.ndarray:
    """(N,) squared error of pixels, and what covered ones have `besides`, summed, shared by the Gaussians they show."""
    own, opacities = compute.tensor(linear_to_srgb(avatar.albedo)), compute.tensor(avatar.opacities)
    placed, behind = [avatar.placed(pose, compute) for pose in poses], compute.tensor(np.full(3, GREY))
    total = np.zeros(avatar.count)
    for target in targets:
        colors = own.clone().requires_grad_()
        image, _ = draw_target((*placed[target.pose], opacities, colors), target, behind, compute)
        off = to_numpy(image)[0] - target.colors - GREY * (1 - target.alpha[..., None])
        error = np.square(off).mean(-1) + np.where(target.alpha > 0.5, np.float32(besides), 0)
        # the gradient of a sum of pixels for a Gaussian's colour is how much the pixels show it
        (shares,) = torch.autograd.grad((image[0, ..., 0] * compute.tensor(error)).sum(), colors)
        total += to_numpy(shares[:, 0])
    return total


def _area(shot: Shot) -> np.ndarray:
    corners = shot["vertices"][shot["faces"]].astype(np.float64)
    return np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2


def _shared(amounts: np.ndarray, faces: np.ndarray, vertices: int) -> np.ndarray:
    """Amounts (F,) of faces shared with the faces around, `SMOOTH` times; their sum stays."""
    around = np.maximum(np.bincount(faces.ravel(), minlength=vertices), 1)
    for _ in range(SMOOTH):
        at_vertices = np.zeros(vertices)
        for corner in faces.T:
            at_vertices += np.bincount(corner, amounts / 3, vertices)
        amounts = (at_vertices / around)[faces].sum(1)
    return amounts
