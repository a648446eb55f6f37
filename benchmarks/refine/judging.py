"""Figures of a refined layer against truth and against the rigid layer that it came from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ani3d_formats.regions import GARMENT, is_loose
from ani3dhuman.clip import CoarseClip
from ani3dhuman.mesh.topology import edges_of
from ani3dhuman.metrics import geometry
from ani3dhuman.metrics.pictures import detail_ratio, psnr
from ani3dhuman.metrics.temporal import flicker_ratio
from cloth_truth.rows import visible_vertices
from cloth_truth.sequences import draw_layer

from .cases import Case

LONG = 1.3  # times its rest length from which on an edge is damage, where the truth's is not


def judge(case: Case, vertices: np.ndarray) -> dict[str, float]:
    """Figures of refined vertices (T,V,3).

    Errors of visible vertices are those that the first camera sees in the truth; the garment region of a picture is
    where either version or the truth shows cloth.
    """
    clip, truth = case.clip, case.truth
    free = clip.freedom > 0.5
    seen = visible_vertices(clip, truth, draw_layer(clip, clip.pose(truth))[1].depth) & free
    errors, rigid = (geometry.node_errors(v, truth) for v in (vertices, clip.vertices))
    figures = {
        "vertex_error_cm": 100 * geometry.mean_error(errors, seen),
        "vertex_error_ratio": geometry.mean_error(errors, seen) / geometry.mean_error(rigid, seen),
        "hidden_error_ratio": geometry.mean_error(errors, ~seen & free) / geometry.mean_error(rigid, ~seen & free),
        "body_drift_mm": float(1000 * np.abs(vertices - clip.vertices)[:, clip.freedom == 0].max()),
        **_damage(clip, truth, vertices),
    }
    for name, cameras in (("front", clip.cameras), ("side", case.side)):
        view = replace(clip, cameras=cameras)
        pictures, masks = zip(*(_drawn(view, v) for v in (vertices, clip.vertices, truth)), strict=True)
        for key, at in (("", 0), ("rigid_", 1)):
            figures[f"{name}_{key}psnr_db"] = psnr(pictures[at], pictures[2], masks[at] | masks[2])
        figures[f"{name}_gain_db"] = figures[f"{name}_psnr_db"] - figures[f"{name}_rigid_psnr_db"]
        figures[f"{name}_sharpness_ratio"] = detail_ratio(pictures[0], pictures[2], masks[0] | masks[2])
        figures[f"{name}_flicker_ratio"] = flicker_ratio(pictures[0], pictures[2], masks[0] | masks[2])
    return figures


def _drawn(clip: CoarseClip, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pictures, maps = draw_layer(clip, clip.pose(vertices))
    return pictures.astype(np.float32) / 255, maps.cloth > 0.3


def _damage(clip: CoarseClip, truth: np.ndarray, vertices: np.ndarray) -> dict[str, float]:
    """Share of overstretched edges, and depth in the body."""
    faces = clip.avatar.binding.faces.numpy()
    edges = edges_of(faces)
    edges = edges[(clip.freedom[edges] > 0).any(1)]
    rest = np.linalg.norm(clip.bind_vertices[edges[:, 0]] - clip.bind_vertices[edges[:, 1]], axis=1)
    mine, true = (np.linalg.norm(v[:, edges[:, 0]] - v[:, edges[:, 1]], axis=2) / rest for v in (vertices, truth))
    cloth = (clip.vertex_regions == GARMENT) & (clip.freedom > 0)
    body = faces[~is_loose(clip.vertex_regions)[faces].any(1)]
    return {
        "overstretched_share": float(((mine > LONG) & (true <= LONG)).mean()),
        "edge_p99": float(np.percentile(mine, 99)),
        "penetration_p99_mm": geometry.penetration(vertices, cloth, clip.rigid_vertices, body)[0],
    }
