"""Refinement in windows of frames: of a sheet that swings for longer than one window, its true motion known."""

from __future__ import annotations

import weakref
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from sheet import SOFT, seen, show, swinging_sheet

from ani3d_formats.camera import CameraPath
from ani3d_formats.errors import Ani3DError, Cancelled
from ani3d_formats.progress import Progress, Report
from ani3dhuman.fields.dct import DctConfig
from ani3dhuman.fields.hexplane import FieldConfig
from ani3dhuman.refinement import (
    RefinementConfig,
    RefinementProblem,
    RestoredView,
    fit,
    long_shots,
    plot_losses,
    refine,
)
from ani3dhuman.refinement.long_shots import (
    WindowedField,
    blend_weights,
    cut_problem,
    frame_windows,
    refine_long,
    steps_of,
)

FRAMES, WINDOW, OVERLAP = 90, 40, 14
FIT = RefinementConfig(
    steps=160,
    validate_every=40,
    margin=8,
    weights=SOFT,
    field_kind="hexplane",
    field=FieldConfig(resolutions=(6, 12), time_resolution=13, hidden=32),
)
BRIEF = replace(FIT, steps=4, validate_every=2, seed=2)  # with which each window gets better at once


def looped(problem: RefinementProblem, frames: int) -> RefinementProblem:
    """The sheet's turn to and fro, over and over; the arrays of the views are for `show` to fill."""
    turn = np.abs((np.arange(frames) + len(problem.coarse_vertices) - 1) % 18 - 9)
    (view,) = problem.views
    cameras = replace(view.cameras, viewmats=view.cameras.viewmats[turn], Ks=view.cameras.Ks[turn])
    return replace(
        problem,
        coarse_vertices=problem.coarse_vertices[turn],
        blended_rotations=problem.blended_rotations[turn],
        views=(RestoredView(cameras, view.target[turn], view.garment_mask[turn], view.colors[turn]),),
    )


@pytest.fixture(scope="module")
def long_sheet() -> tuple[RefinementProblem, np.ndarray]:
    """Frames enough for three windows, and the true vertices (T,V,3): a swing of 24 frames, whatever the turning."""
    problem = looped(swinging_sheet()[0], FRAMES)
    hang = np.clip(1.5 - problem.bind_vertices[:, 2], 0, 1) * (problem.gates > 0)
    phase = 2 * np.pi * np.arange(FRAMES)[:, None] / 24 + 0.8 * problem.bind_vertices[:, 0]
    truth = problem.coarse_vertices + (hang * 0.07 * np.sin(phase))[..., None] * np.array([1, 0, 0.3], np.float32)
    truth = truth.astype(np.float32)
    return replace(problem, views=(show(problem, truth, problem.views[0].cameras),)), truth


def run(problem: RefinementProblem, config: RefinementConfig, checkpoint: Path | None = None, **how: object):
    progress = Progress("refine", steps_of(problem.frames, config, WINDOW, OVERLAP), **how)
    return refine_long(problem, config, progress, checkpoint, WINDOW, OVERLAP), progress


@pytest.fixture(scope="module")
def refined(long_sheet):
    reports: list[Report] = []
    return run(long_sheet[0], FIT, listener=reports.append)[0], reports


def bends(offsets: np.ndarray) -> np.ndarray:
    """Mean size (T-2,) of the second difference in time of offsets (T,P,3)."""
    return np.linalg.norm(np.diff(offsets, n=2, axis=0), axis=-1).mean(1)


def in_overlaps(frames: int, windows: list[slice]) -> np.ndarray:
    """Which of the frames (T,) more than one window has."""
    count = np.zeros(frames, int)
    for window in windows:
        count[window] += 1
    return count > 1


@pytest.mark.parametrize("frames", [122, 123, 145, 218, 219, 500, 1000])
def test_windows_are_even_and_overlap_enough(frames):
    windows = frame_windows(frames)
    lengths = {window.stop - window.start for window in windows}
    assert len(lengths) == 1 and lengths.pop() <= 121
    assert windows[0].start == 0 and windows[-1].stop == frames
    shared = [left.stop - right.start for left, right in pairwise(windows)]
    assert min(shared) >= 24 and max(shared) <= 25
    weights = blend_weights(np.linspace(0, frames - 1, 3 * frames), windows)
    assert np.allclose(weights.sum(0), 1) and weights.min() >= 0
    whole = blend_weights(np.arange(frames), windows)
    for window, row in zip(windows, whole, strict=True):
        assert not row[: window.start].any() and not row[window.stop :].any()
    # smooth: along half a cosine over 23 steps a weight changes by no more than pi / 2 / 23
    assert np.abs(np.diff(whole, axis=1)).max() <= 0.07


def test_weights_make_one_where_three_windows_overlap():
    windows = frame_windows(30, 20, 15)
    assert len(windows) == 3 and windows[0].stop > windows[2].start
    weights = blend_weights(np.linspace(0, 29, 500), windows)
    assert np.allclose(weights.sum(0), 1)
    assert np.abs(np.diff(weights, axis=1)).max() < 0.02


@pytest.mark.parametrize(("window", "overlap"), [(16, 1), (16, 16), (2, 2), (16, -3)])
def test_an_overlap_that_does_not_fit_is_refused(window, overlap):
    with pytest.raises(Ani3DError) as caught:
        frame_windows(100, window, overlap)
    assert caught.value.code == "refinement.windows"


def test_a_clip_of_one_window_is_the_plain_fit(long_sheet):
    problem = cut_problem(long_sheet[0], slice(3, 3 + WINDOW))
    plain = refine(problem, BRIEF, Progress("refine", BRIEF.steps))
    result, progress = run(problem, BRIEF)
    assert result.vertices.tobytes() == plain.vertices.tobytes()
    assert result.history == plain.history and result.message == plain.message
    assert progress.step == progress.total == BRIEF.steps


def test_the_whole_shot_comes_closer_to_the_truth(long_sheet, refined):
    problem, truth = long_sheet
    result, _ = refined
    open_ = problem.gates > 0.5
    before, after = (
        np.linalg.norm((vertices - truth)[:, open_], axis=-1).mean(1)
        for vertices in (problem.coarse_vertices, result.vertices)
    )
    assert after.mean() < 0.6 * before.mean()
    both = in_overlaps(FRAMES, frame_windows(FRAMES, WINDOW, OVERLAP))
    assert both.sum() >= 12 and after[both].mean() < 1.2 * after[~both].mean()
    assert result.vertices[:, problem.gates == 0].tobytes() == problem.coarse_vertices[:, problem.gates == 0].tobytes()
    assert result.vertices.dtype == np.float32


def test_no_seam_is_seen(long_sheet, refined):
    problem, truth = long_sheet
    result, _ = refined
    open_ = problem.gates > 0
    windows = frame_windows(FRAMES, WINDOW, OVERLAP)
    both = in_overlaps(FRAMES, windows)
    offsets = (result.vertices - problem.coarse_vertices)[:, open_]
    inside, elsewhere = bends(offsets)[both[1:-1]], bends(offsets)[~both[1:-1]]
    assert inside.mean() <= 1.5 * elsewhere.mean() and inside.max() <= 1.5 * elsewhere.max()
    true = bends((truth - problem.coarse_vertices)[:, open_])
    assert inside.mean() / true[both[1:-1]].mean() <= 1.5 * elsewhere.mean() / true[~both[1:-1]].mean()

    # a hard cut in the middle of each overlap would be seen
    cut = np.zeros((len(windows), FRAMES))
    cut[blend_weights(np.arange(FRAMES), windows).argmax(0), np.arange(FRAMES)] = 1
    fields = result.field.fields
    points = torch.from_numpy(problem.bind_vertices[open_])
    hard = torch.zeros(FRAMES, len(points), 3)
    for number, window in enumerate(windows):
        own = fields[number](points, torch.linspace(0, 1, window.stop - window.start), torch.ones(len(points)))
        hard[window] += torch.from_numpy(cut[number, window]).float()[:, None, None] * own.detach()
    soft = result.field(points, torch.linspace(0, 1, FRAMES), torch.ones(len(points))).detach()
    assert bends(hard.numpy())[both[1:-1]].max() > 1.3 * bends(soft.numpy())[both[1:-1]].max()


def test_the_field_makes_the_vertices(long_sheet, refined):
    problem, _ = long_sheet
    result, _ = refined
    open_ = problem.gates > 0
    points, gates = torch.from_numpy(problem.bind_vertices[open_]), torch.from_numpy(problem.gates[open_])
    assert isinstance(result.field, WindowedField)
    with torch.no_grad():
        local = result.field(points, torch.arange(FRAMES) / (FRAMES - 1), gates)
        alone = result.field(points, 9 / (FRAMES - 1), gates)
    world = np.einsum("tpij,tpj->tpi", problem.blended_rotations[:, open_], local.numpy())
    assert np.abs(world).max() > 0.02
    assert np.allclose(problem.coarse_vertices[:, open_] + world, result.vertices[:, open_], atol=2e-6)
    assert alone.shape == (len(points), 3) and torch.allclose(alone, local[9], atol=1e-6)
    assert result.field.roughness() > 0 and len(result.field.parameter_groups()) == 2 * 3


def test_history_progress_and_message(refined, tmp_path):
    result, reports = refined
    assert [report.step for report in reports] == list(range(1, 481))
    assert sum(report.preview is not None for report in reports) == 12
    assert "window 2 of 3" in reports[200].message and "3 windows" in result.message
    history = result.history
    assert history["step"] == [float(step) for step in range(1, 481)]
    assert all(len(values) == 480 for name, values in history.items() if not name.startswith("validation"))
    assert history["validation_step"] == sorted(history["validation_step"]) and history["validation_step"][-1] == 480
    assert history["validation"][0] == result.start_validation
    assert min(history["validation"]) == history["validation"][-1] == result.best_validation
    assert result.improved and result.best_validation < 0.7 * result.start_validation
    plot_losses(history, tmp_path / "loss.png")
    assert (tmp_path / "loss.png").stat().st_size > 10_000


def test_validation_is_the_mean_of_what_each_window_keeps():
    """The second of four windows sees nothing, the first gets worse again and settles before its ten steps are done."""
    still = torch.nn.Identity()
    validations = {"validation_step": [0.0, 2.0, 4.0], "validation": [6.0, 3.0, 4.5], "step": [1.0, 2.0, 3.0, 4.0]}
    later = {"validation_step": [0.0, 10.0], "validation": [3.0, 3.5], "step": [float(s) for s in range(1, 11)]}
    done = {
        0: long_shots._Window(still, validations, 2, 6.0, 3.0),
        2: long_shots._Window(still, later, 0, 3.0, 3.0),
        3: long_shots._Window(still, {**later, "validation": [9.0, 6.0]}, 10, 9.0, 6.0),
    }
    history = long_shots._joined_history(done, 10, 40)
    assert history["step"] == [1.0, 2.0, 3.0, 4.0, *range(21, 31), *range(31, 41)]
    assert history["validation_step"] == [0.0, 2.0, 4.0, 20.0, 30.0, 30.0, 40.0, 40.0]
    assert history["validation"] == pytest.approx(np.array([18, 15, 16.5, 15, 15.5, 15, 12, 12]) / 3)


@pytest.mark.parametrize("kind", [{}, {"field_kind": "dct", "field": DctConfig()}])
def test_cancelled_within_a_step_and_resumed_to_the_same_result(long_sheet, tmp_path, kind):
    problem, _ = long_sheet
    config = replace(BRIEF, **kind)
    path = tmp_path / "fit"
    straight, _ = run(problem, config)
    stopped = Progress("refine", 12, should_cancel=lambda: stopped.step >= 6)  # within the second of three windows
    with pytest.raises(Cancelled):
        refine_long(problem, config, stopped, path, WINDOW, OVERLAP)
    assert stopped.step == 6
    assert {file.name for file in tmp_path.iterdir()} == {"fit", "fit.window0"}

    reports: list[Report] = []
    resumed, _ = run(problem, config, path, listener=reports.append)
    assert [report.step for report in reports] == [4, 6, 7, 8, 9, 10, 11, 12]
    assert resumed.vertices.tobytes() == straight.vertices.tobytes()
    assert resumed.history == straight.history and resumed.message == straight.message
    points, times = torch.from_numpy(problem.bind_vertices[problem.gates > 0]), torch.linspace(0, 1, 50)
    assert torch.equal(resumed.field(points, times), straight.field(points, times))
    assert straight.field(points, times)[:10].abs().max() > 0, "of the window that was read"
    assert list(tmp_path.iterdir()) == []


def test_windows_of_other_settings_are_fitted_anew_and_removed(long_sheet, tmp_path):
    problem, _ = long_sheet
    path = tmp_path / "fit"
    stopped = Progress("refine", 12, should_cancel=lambda: stopped.step >= 10)
    with pytest.raises(Cancelled):
        refine_long(problem, BRIEF, stopped, path, WINDOW, OVERLAP)
    assert (tmp_path / "fit.window1").exists()
    (tmp_path / "other").touch()
    reports: list[Report] = []
    run(problem, replace(BRIEF, seed=7), path, listener=reports.append)
    assert reports[0].step == 1
    assert [file.name for file in tmp_path.iterdir()] == ["other"]


def test_each_window_has_its_own_seed_and_the_same_inputs_give_the_same(long_sheet, monkeypatch):
    problem, _ = long_sheet
    seeds = []

    def spy(part, config, *rest):
        seeds.append(config.seed)
        return refine(part, config, *rest)

    monkeypatch.setattr(long_shots, "refine", spy)
    first, second = (run(problem, replace(BRIEF, seed=0))[0] for _ in range(2))
    assert seeds == [0, 1, 2] * 2
    assert first.vertices.tobytes() == second.vertices.tobytes() and first.history == second.history


def test_a_window_without_a_garment_keeps_the_coarse_layer(long_sheet, tmp_path):
    problem, _ = long_sheet
    windows = frame_windows(FRAMES, WINDOW, OVERLAP)
    mask = problem.views[0].garment_mask.copy()
    mask[windows[2]] = 0  # gone out of the picture
    path = tmp_path / "fit"
    result, progress = run(seen(problem, garment_mask=mask), BRIEF, path)
    assert progress.step == progress.total
    assert "1 showed no garment" in result.message
    alone = slice(windows[1].stop, None)
    assert result.vertices[alone].tobytes() == problem.coarse_vertices[alone].tobytes()
    assert np.abs(result.vertices - problem.coarse_vertices).max() > 0
    points = torch.from_numpy(problem.bind_vertices[problem.gates > 0])
    assert (result.field(points, 1.0) == 0).all() and (result.field(points, 0.1) != 0).any()
    assert list(tmp_path.iterdir()) == []


def test_everything_a_frame_has_is_cut_with_it(long_sheet):
    problem, truth = long_sheet
    whole = replace(
        seen(problem, target_alpha=problem.views[0].garment_mask),
        vertex_targets=truth - problem.coarse_vertices,
        unstrained=truth,
        scales=np.repeat(problem.scales[None], FRAMES, 0),
        appearance=np.zeros((*truth.shape[:2], 5), np.float32),
    )
    part = cut_problem(whole, slice(5, 9))
    for holder, cut in (
        (whole, part),
        (whole.views[0], part.views[0]),
        (whole.views[0].cameras, part.views[0].cameras),
    ):
        for name, values in vars(holder).items():
            if isinstance(values, np.ndarray) and len(values) == FRAMES:
                assert np.array_equal(getattr(cut, name), values[5:9])
                assert np.shares_memory(getattr(cut, name), values)
    assert part.frames == 4 and part.faces is whole.faces


def test_a_thousand_frames_are_read_from_disk_a_window_at_a_time(tmp_path, monkeypatch):
    short = swinging_sheet()[0]
    (view,) = short.views
    frames, size = 1000, view.cameras.width
    loop = looped(short, frames)
    target = np.memmap(tmp_path / "target", np.uint8, "w+", shape=(frames, size, size, 3))
    mask = np.memmap(tmp_path / "mask", np.uint8, "w+", shape=(frames, size, size))
    target[:] = 90
    mask[:, 40:56, 40:56] = 1
    cameras: CameraPath = loop.views[0].cameras
    problem = replace(loop, views=(RestoredView(cameras, target, mask, loop.views[0].colors),))

    scenes: list[weakref.ref] = []
    parts: list[tuple[int, bool]] = []

    def watched_scene(*args):
        assert not any(scene() for scene in scenes), "a window's tensors outlive it"
        scenes.append(weakref.ref(scene := build(*args)))
        return scene

    def watched_fit(part, *rest):
        cut = part.views[0]
        parts.append((part.frames, np.shares_memory(cut.target, target) and np.shares_memory(cut.garment_mask, mask)))
        assert isinstance(cut.target, np.memmap) and np.shares_memory(part.coarse_vertices, problem.coarse_vertices)
        return refine(part, *rest)

    build = fit.build_scene
    monkeypatch.setattr(fit, "build_scene", watched_scene)
    monkeypatch.setattr(long_shots, "refine", watched_fit)
    config = replace(BRIEF, steps=1, held_out=60, margin=2)
    progress = Progress("refine", steps_of(frames, config))
    result = refine_long(problem, config, progress)
    assert parts == [(113, True)] * 11 and len(scenes) == 11
    assert result.vertices.shape == problem.coarse_vertices.shape and progress.step == progress.total == 11
