"""Faults are put where they should be and repeat; the table's figures are those of the rows it is given."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_clip import small_clip

from ani3d_formats.errors import Ani3DError
from cloth_truth.degrade import JITTER, REACH, degraded
from cloth_truth.rows import visible_vertices
from cloth_truth.table import flat_figures, read


def test_faults_spoil_cloth_and_joints_and_repeat() -> None:
    clip = small_clip(frames=8, gaussians=400)
    joints = clip.rigid_vertices[:, clip.vertex_regions == 0][:, :1]
    bad, again = degraded(clip, joints, 3), degraded(clip, joints, 3)
    np.testing.assert_array_equal(bad.vertices, again.vertices)
    assert bad.rigid_vertices is clip.rigid_vertices
    gap = np.linalg.norm(bad.vertices - clip.rigid_vertices, axis=2)
    free = clip.freedom > 0.9
    assert gap[:, free].mean() > JITTER and gap[:, free].max() > 0.08
    body = clip.vertex_regions == 0
    near = np.linalg.norm(clip.rigid_vertices - joints, axis=2) < REACH
    assert gap[near & body].max() > 0.005, "skin about a joint is pulled in"
    assert not gap[:, body & (np.linalg.norm(clip.rigid_vertices - joints, axis=2) > 0.08).all(0)].any()
    assert np.abs(degraded(clip, joints, 4).vertices - bad.vertices).max() > 0.01


def test_vertices_behind_the_front_are_not_seen() -> None:
    clip = small_clip(frames=2, gaussians=400)
    height, width = clip.cameras.height, clip.cameras.width
    _, depth = clip.cameras.project(clip.rigid_vertices[0], 0)
    wall = np.full((2, height, width), np.median(depth), np.float16)
    seen = visible_vertices(clip, clip.rigid_vertices, wall)
    assert seen[0][depth < np.median(depth) - 0.01].any()
    assert not seen[0][depth > np.median(depth) + 0.05].any()


def test_flat_figures_compare_with_rigid_sequence_by_sequence(tmp_path: Path) -> None:
    def row(**changes: float) -> dict[str, float]:
        base = {
            "acceleration_ratio": 1.0, "amplitude_ratio": 1.0, "fold_ratio": 1.0, "edge_p99": 1.1,
            "penetration_p99_mm": 0.0, "garment_iou": 0.8, "garment_lpips": 0.2, "node_error_cm": 4.0,
            "preserved_psnr_db": 40.0, "detail_ratio": 1.0,
        }  # fmt: skip
        return {**base, **changes}

    for index, iou in enumerate((0.9, 0.85)):
        rows = {"rigid": row(node_error_cm=8.0), "physics": row(garment_iou=iou, garment_lpips=0.1)}
        (tmp_path / f"test_{index:04d}.json").write_text(json.dumps({"rows": rows}))
    flat = flat_figures(read(tmp_path), "physics")
    assert flat["sequences"] == 2
    assert flat["node_error_ratio"] == pytest.approx(0.5) and flat["node_error_ratio_ci95"] == pytest.approx(0)
    assert flat["silhouette_error_reduction"] == pytest.approx(np.mean([0.5, 0.25]))
    assert flat["perceptual_reduction"] == pytest.approx(0.5)
    with pytest.raises(Ani3DError):
        read(tmp_path / "nowhere")
