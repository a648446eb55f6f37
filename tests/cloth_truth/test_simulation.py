"""Blender's solver on one small skirt over a walking post; run by the Blender environment."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="runs inside .venv-blender: make test calls it there")

pytestmark = pytest.mark.blender

ROOT = Path(__file__).parents[2]
FRAMES, ROWS, COLUMNS = 12, 16, 28


def tube(radius: np.ndarray, heights: np.ndarray, folds: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Rings as vertices (R*COLUMNS,3) and quads."""
    angle = np.arange(COLUMNS) / COLUMNS * 2 * np.pi
    wave = 1 + folds * (1 + np.cos(7 * angle))
    x, y = wave * np.sin(angle), -wave * np.cos(angle)
    rings = [np.stack([r * x, r * y, z + 0 * angle], 1) for r, z in zip(radius, heights, strict=True)]
    row, column = np.meshgrid(np.arange(len(heights) - 1), np.arange(COLUMNS), indexing="ij")
    upper, right = row * COLUMNS, (column + 1) % COLUMNS
    quads = np.stack([upper + column, upper + COLUMNS + column, upper + COLUMNS + right, upper + right], -1)
    return np.concatenate(rings), quads.reshape(-1, 4)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """The folder, its input and its output."""
    sys.path.insert(0, str(ROOT))
    from cloth_truth.simulate import simulate_folder

    sys.path.remove(str(ROOT))
    folder = tmp_path_factory.mktemp("sequence")
    post, post_quads = tube(np.full(20, 0.15), np.linspace(1.2, 0.2, 20))
    skirt, quads = tube(np.linspace(0.165, 0.4, ROWS), np.linspace(1.0, 0.5, ROWS), 0.06)
    travel = np.zeros((FRAMES, 1, 3))
    travel[:, 0, 0] = 0.5 * np.linspace(0, 1, FRAMES) ** 2
    pins = np.clip(1.2 - np.arange(ROWS) / 5, 0, 1).repeat(COLUMNS)
    given = {
        "fps": np.array(24.0),
        "body_vertices": (post + travel).astype(np.float32),
        "body_quads": post_quads.astype(np.int32),
        "layers": np.array(json.dumps([{"name": "dress", "fabric": "silk"}])),
        "vertices_0": (skirt + travel).astype(np.float32),
        "quads_0": quads.astype(np.int32),
        "pins_0": pins.astype(np.float32),
    }
    np.savez(folder / "solver_input.npz", **given)
    assert simulate_folder(folder) > 0
    with np.load(folder / "solver_output.npz") as file:
        return folder, given, file["vertices_0"], simulate_folder


def test_pinned_vertices_follow_and_free_ones_swing(simulated):
    _, given, moved, _ = simulated
    rigid, pins = given["vertices_0"], given["pins_0"]
    offset = np.linalg.norm(moved - rigid, axis=2)
    assert moved.shape == rigid.shape and np.isfinite(moved).all()
    assert offset[:, pins == 1].max() < 0.001
    assert offset[-1, pins == 0].mean() > 0.02
    hem = moved[-1, -COLUMNS:].mean(0) - rigid[-1, -COLUMNS:].mean(0)
    assert hem[0] < -0.01 and hem[2] < 0  # it lags behind the post and hangs lower than the cone it was cut as


def test_cloth_stays_outside_what_it_hits(simulated):
    _, given, moved, _ = simulated
    away = moved[..., :2] - given["body_vertices"].mean(1)[:, None, :2]
    assert np.linalg.norm(away, axis=2).min() > 0.15 - 0.002


def test_a_finished_folder_is_left_alone_and_the_scene_is_left_empty(simulated):
    folder, _, _, simulate_folder = simulated
    before = (folder / "solver_output.npz").stat().st_mtime_ns
    assert simulate_folder(folder) == 0
    assert (folder / "solver_output.npz").stat().st_mtime_ns == before
    assert len(bpy.data.objects) == len(bpy.data.meshes) == 0


@pytest.mark.parametrize("fps", [24, 48])
def test_loose_cloth_falls_as_fast_as_it_should(simulated, fps):
    """Blender's cloth does not look at the frame rate by itself; unhindered it must fall at 9.8 m/s^2 at first."""
    from cloth_truth.simulate import simulate

    sheet, quads = tube(np.linspace(0.2, 0.25, 3), np.linspace(3.0, 2.95, 3))
    ground = (sheet - [0, 0, 2.9]).astype(np.float32)
    frames = 5
    given = {
        "fps": np.array(float(fps)),
        "body_vertices": np.tile(ground, (frames, 1, 1)),
        "body_quads": quads.astype(np.int32),
        "layers": np.array(json.dumps([{"name": "sheet", "fabric": "denim"}])),
        "vertices_0": np.tile(sheet.astype(np.float32), (frames, 1, 1)),
        "quads_0": quads.astype(np.int32),
        "pins_0": np.zeros(len(sheet), np.float32),
    }
    height = simulate(given)["vertices_0"][:, :, 2].mean(1)
    acceleration = -np.diff(height[:3], n=2)[0] * fps**2
    assert 7.0 < acceleration < 10.0, "air takes some of it; untold of the rate it were 5 or 22"
