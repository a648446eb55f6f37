"""Pictures that an avatar is fitted to, and those drawn of the mesh itself with the shot's textures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.color import linear_to_srgb
from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot
from ani3d_formats.views import Views

from ...jit import kernel
from ...mesh.raster import Cutouts, draw_triangles
from ...side_by_side import side_by_side
from ..strand_gaussians import turned_to
from ..surface_colors import Surface, cutouts_of, read_surface, surface_of, tinted

AT_ONCE = 4  # pictures
FINENESS = 3  # samples of a pixel along each side
SPREAD = 0.06  # of a pixel to each neighbour: with the pixel's own square this is as wide as Blender's pixel filter


@dataclass(frozen=True)
class Target:
    """One picture of the character.

    Attributes:
        pose: number of the pose that it shows.
        viewmat, K: (4,4) and (3,3) float32, a perspective OpenCV camera.
        colors: (H,W,3) float32 sRGB-encoded 0..1, premultiplied by alpha.
        alpha: (H,W) float32.
        depth: (H,W) float32, metres, of the farthest surface that a pixel shows; 0 where it shows none.
    """

    pose: int
    viewmat: np.ndarray
    K: np.ndarray
    colors: np.ndarray
    alpha: np.ndarray
    depth: np.ndarray

    @property
    def eye(self) -> np.ndarray:
        """(3,) float32, where the camera is."""
        return (-self.viewmat[:3, :3].T @ self.viewmat[:3, 3]).astype(np.float32)


@dataclass(frozen=True)
class Painted:
    """A shot whose surfaces are drawn many times, and what is read for that."""

    shot: Shot
    surface: Surface
    cutouts: Cutouts

    @classmethod
    def of(cls, shot: Shot) -> Painted:
        return cls(shot, surface_of(shot), cutouts_of(shot))


def surface_picture(
    painted: Painted, vertices: np.ndarray, viewmat: np.ndarray, K: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mesh on `vertices` (V,3) as a camera sees its colours without light: colours, alpha, depth of a `Target`.

    Strands of hair are round: their ribbons are turned to the camera.
    """
    shot, (height, width) = painted.shot, size
    vertices = turned_to(shot, vertices, -viewmat[:3, :3].T @ viewmat[:3, 3])
    finer = K.astype(np.float64) * np.array([[FINENESS], [FINENESS], [1.0]])
    shown = draw_triangles(
        vertices, shot["faces"], viewmat, finer, (height * FINENESS, width * FINENESS), cutouts=painted.cutouts
    )
    linear, depth = np.zeros((height, width, 4), np.float32), np.zeros((height, width), np.float32)
    _average(shown.faces, shown.barycentrics, shown.depth, painted.surface, linear, depth)
    return *encoded(_as_blender_filters(linear)), depth


def _as_blender_filters(picture: np.ndarray) -> np.ndarray:
    """A picture (H,W,4) of square pixels, as Blender's wider filter shows it."""
    down, across = np.empty_like(picture), np.empty_like(picture)
    _spread(picture, down)
    _spread(down.swapaxes(0, 1), across.swapaxes(0, 1))
    return across


@kernel
def _spread(picture, spread):  # type: ignore[no-untyped-def]
    """Each row (W,4) of a picture with a share of those above and below, or of itself where there is none."""
    last = len(picture) - 1
    for y in range(len(picture)):
        above, below = max(y - 1, 0), min(y + 1, last)
        for x in range(picture.shape[1]):
            for k in range(4):
                beside = np.float64(picture[above, x, k]) + np.float64(picture[below, x, k])
                spread[y, x, k] = (1 - 2 * SPREAD) * picture[y, x, k] + SPREAD * beside


@kernel
def _average(shown, barycentrics, depths, surface, linear, depth):  # type: ignore[no-untyped-def]
    """Pixels from samples: premultiplied colours of the faces `shown`, with alpha; most depth."""
    materials, faces, uvs, tints, flat, places, texels, decoded = surface
    for row in range(shown.shape[0]):
        for column in range(shown.shape[1]):
            face, y, x = shown[row, column], row // FINENESS, column // FINENESS
            if face < 0:
                continue
            a, b = np.float64(barycentrics[row, column, 0]), np.float64(barycentrics[row, column, 1])
            c = np.float64(barycentrics[row, column, 2])
            values = read_surface(face, a, b, c, materials, uvs, flat, places, texels, decoded)
            for k in range(3):
                linear[y, x, k] += tinted(values[k], k, face, a, b, c, faces, tints) / FINENESS**2
            depth[y, x] = max(depth[y, x], depths[row, column])
            linear[y, x, 3] += 1.0 / FINENESS**2


def encoded(linear: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of linear premultiplied pictures (...,4): colours sRGB-encoded and premultiplied, and alpha; float32."""
    alpha = np.clip(linear[..., 3:].astype(np.float32), 0, 1)
    straight = linear[..., :3] / np.maximum(alpha, 1e-6)
    return (linear_to_srgb(np.clip(straight, 0, 1)) * alpha).astype(np.float32), alpha[..., 0]


def surface_targets(
    shot: Shot, poses: np.ndarray, cameras: CameraPath, pose_of: np.ndarray, progress: Progress
) -> list[Target]:
    """Pictures of the mesh on `poses` (M,V,3), through N cameras, each of the pose that `pose_of` (N,) says."""
    painted, size = Painted.of(shot), (cameras.height, cameras.width)

    def target(k: int) -> Target:
        pose, view, K = int(pose_of[k]), cameras.viewmats[k], cameras.Ks[k]
        return Target(pose, view, K, *surface_picture(painted, poses[pose], view, K, size))

    targets = []
    with side_by_side(AT_ONCE, lambda: None) as workers:
        for done in workers(target, range(len(pose_of))):
            targets.append(done)
            progress.advance()
    return targets


def view_targets(shot: Shot, views: Views, first_pose: int) -> tuple[list[Target], float]:
    """The colours without light of Blender's `views`, whose places are relative to their own origin.

    Their poses are counted from `first_pose`.

    Returns:
        The pictures, and how far the shot's own colours are from Blender's there: the mean difference, sRGB-encoded.
    """
    painted, size = Painted.of(shot), (views.meta.height, views.meta.width)
    targets, apart = [], []
    for k, pose in enumerate(views.pose_of):
        view, K = views.viewmats[k], views.Ks[k]
        own, alpha, depth = surface_picture(painted, views.vertices_at[pose], view, K, size)
        target = Target(first_pose + int(pose), view, K, *encoded(views.albedo[k]), depth)
        inside = (alpha > 0.99) & (target.alpha > 0.99)
        apart.append(np.abs(own - target.colors)[inside].ravel())
        targets.append(target)
    differences = np.concatenate(apart)
    return targets, float(differences.mean()) if len(differences) else 1.0
