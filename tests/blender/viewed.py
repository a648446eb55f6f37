"""What the tests of views share: capturing small ones, and comparing them with where the vertices are."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np

from ani3d_formats.views import Views


def few_small_views(count: int = 8, side: int = 96, samples: int = 4) -> None:
    """Choose quick settings for Capture Views."""
    settings = bpy.context.scene.ani3d
    settings.views, settings.views_size, settings.views_samples = count, side, samples


def captured(folder: Path) -> Views:
    """The views that Capture Views writes into a folder."""
    path = folder / "Rig.views.npz"
    assert bpy.ops.ani3d.capture_views(filepath=str(path)) == {"FINISHED"}
    return Views.load(path)


def shot_of(part, **options) -> dict[str, np.ndarray]:
    """The shot of the bound character."""
    return part("export").export_shot(bpy.context, bpy.context.scene.ani3d.armature, **options)


def _coverage(views: Views, row: int, faces: np.ndarray) -> np.ndarray:
    """(H,W) bool: pixels whose centre lies in the picture of some triangle, from the definition of a camera."""
    places = views.vertices_at[views.pose_of[row]] @ views.viewmats[row, :3, :3].T + views.viewmats[row, :3, 3]
    assert (places[:, 2] > 0).all()
    pixels = places @ views.Ks[row].T
    pixels = (pixels[:, :2] / pixels[:, 2:])[faces]
    y, x = np.mgrid[: views.meta.height, : views.meta.width] + 0.5
    seen = np.zeros(x.shape, bool)
    for a, b, c in pixels:
        sides = [(q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0]) for p, q in ((a, b), (b, c), (c, a))]
        seen |= (np.min(sides, axis=0) >= 0) | (np.max(sides, axis=0) <= 0)
    return seen


def agreement(views: Views, faces: np.ndarray) -> list[float]:
    """Of each view the intersection over union of Blender's silhouette with that of the vertices."""
    shares = []
    for row in range(views.count):
        seen, shown = _coverage(views, row, faces), views.radiance[row, ..., 3] > 0.5
        shares.append((seen & shown).sum() / (seen | shown).sum())
    return shares
