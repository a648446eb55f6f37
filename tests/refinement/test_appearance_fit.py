"""Fits of appearance: a video with shading that the avatar's light lacks, its true motion known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sheet import SOFT, shaded, show, swinging_sheet

from ani3d_formats.errors import Ani3DError, Cancelled
from ani3d_formats.progress import Progress
from ani3dhuman.avatar.appearance import CHANNELS
from ani3dhuman.fields.build import FIELDS
from ani3dhuman.fields.dct import DctConfig
from ani3dhuman.fields.hexplane import FieldConfig
from ani3dhuman.refinement import RefinementConfig, RefinementProblem, RefinementResult, RoundsConfig, refine
from ani3dhuman.refinement.long_shots import blend_weights, cut_problem, frame_windows, refine_long, steps_of
from ani3dhuman.refinement.rounds import refine_in_rounds
from ani3dhuman.refinement.scene import build_scene

SIZES = {
    "dct": DctConfig(modes=6, rate=1.3e-2),
    "hexplane": FieldConfig(resolutions=(6, 12), time_resolution=8, hidden=32),
}
FIT = RefinementConfig(steps=120, validate_every=20, margin=8, held_out=5, weights=SOFT, field=SIZES["dct"])
BRIEF = replace(FIT, steps=8, validate_every=3, appearance=True)


@pytest.fixture(scope="module")
def sheet() -> tuple[RefinementProblem, np.ndarray]:
    return swinging_sheet()


@pytest.fixture(scope="module")
def banded(sheet) -> RefinementProblem:
    return shaded(*sheet)


def run(problem: RefinementProblem, config: RefinementConfig) -> RefinementResult:
    return refine(problem, config, Progress("refine", config.steps))


@pytest.fixture(scope="module", params=sorted(FIELDS))
def pair(request, banded) -> tuple[RefinementResult, RefinementResult]:
    """The fit to the banded video without appearance and with it."""
    config = replace(FIT, field_kind=request.param, field=SIZES[request.param])
    return run(banded, config), run(banded, replace(config, appearance=True))


def away(vertices: np.ndarray, problem: RefinementProblem, truth: np.ndarray) -> float:
    return float(np.linalg.norm((vertices - truth)[:, problem.gates > 0.5], axis=-1).mean())


def test_shading_is_explained_by_appearance_and_not_by_motion(sheet, banded, pair):
    problem, truth = sheet
    without, with_appearance = pair
    assert with_appearance.best_validation < 0.75 * without.best_validation
    assert away(with_appearance.vertices, problem, truth) < 1.03 * away(without.vertices, problem, truth)
    colors = with_appearance.appearance[..., 2:]
    assert colors.min() < -0.3 and np.abs(colors).max() > 1.4 * np.abs(with_appearance.appearance[..., :2]).max()


def test_closed_gates_keep_their_appearance(sheet, pair):
    problem = sheet[0]
    without, with_appearance = pair
    assert without.appearance is None
    assert with_appearance.appearance.shape == (*with_appearance.vertices.shape[:2], CHANNELS)
    assert with_appearance.appearance.dtype == np.float32
    assert (with_appearance.appearance[:, problem.gates == 0] == 0).all()
    closed = problem.gates == 0
    assert with_appearance.vertices[:, closed].tobytes() == problem.coarse_vertices[:, closed].tobytes()


def test_until_the_rates_fall_the_fit_is_the_one_without(banded, pair):
    without, with_appearance = pair
    start = FIT.steps // 2
    assert with_appearance.history["total"][:start] == without.history["total"][:start]
    held_back = with_appearance.history["appearance"]
    assert len(held_back) == len(with_appearance.history["step"])
    assert not any(held_back[: start + 1]) and all(held_back[start + 1 :])


def test_a_video_of_the_avatars_own_light_is_fitted_as_well_as_before(sheet):
    problem, truth = sheet
    without, with_appearance = run(problem, FIT), run(problem, replace(FIT, appearance=True))
    assert with_appearance.best_validation < 1.1 * without.best_validation
    assert away(with_appearance.vertices, problem, truth) < 1.03 * away(without.vertices, problem, truth)


@pytest.mark.parametrize("kind", sorted(FIELDS))
@pytest.mark.parametrize("stop_at", [3, 6])
def test_a_cancelled_fit_goes_on_to_the_same_appearance(banded, tmp_path, kind, stop_at):
    config = replace(BRIEF, field_kind=kind, field=SIZES[kind])
    straight = run(banded, config)
    stopped = Progress("refine", config.steps, should_cancel=lambda: stopped.step >= stop_at)
    with pytest.raises(Cancelled):
        refine(banded, config, stopped, tmp_path / "fit")
    resumed = refine(banded, config, Progress("refine", config.steps), tmp_path / "fit")
    assert resumed.appearance.tobytes() == straight.appearance.tobytes() and np.abs(straight.appearance).max() > 0
    assert resumed.vertices.tobytes() == straight.vertices.tobytes() and resumed.history == straight.history


def test_a_fit_goes_on_from_the_appearance_there_are(banded):
    first = run(banded, replace(BRIEF, steps=40))
    later = replace(banded, coarse_vertices=first.vertices, appearance=first.appearance)
    frozen = run(later, replace(BRIEF, steps=4, appearance=False))
    assert frozen.appearance is first.appearance
    assert frozen.start_validation == pytest.approx(first.best_validation, rel=1e-4), "they are drawn"
    more = run(later, replace(BRIEF, steps=40))
    assert more.best_validation < 0.95 * first.best_validation
    assert np.abs(more.appearance - first.appearance).max() > 0.01


def test_only_gaussians_on_open_triangles_are_drawn_otherwise(sheet):
    problem = sheet[0]
    scene = build_scene(problem, 8)
    active = scene.active_vertices(4, torch.zeros(len(scene.points), 3))
    plain = scene.draw(0, 4, active)
    for untouched in (torch.zeros(len(scene.points), CHANNELS), None):
        assert all(torch.equal(a, b) for a, b in zip(plain[:2], scene.draw(0, 4, active, untouched)[:2], strict=True))
    dark = torch.zeros(len(scene.points), CHANNELS)
    dark[:, 2:] = -5
    changed = (scene.draw(0, 4, active, dark)[0] != plain[0]).any(1)[0]
    assert changed.float().mean() > 0.1
    beside = (plain[1][0, 0] > 0) & (scene.views[0].mask(4)[0, 0] == 0)  # the wall
    assert beside.sum() > 50 and not changed[beside].any()


def test_windows_blend_appearance_as_they_blend_motion(banded, tmp_path):
    config, path = replace(BRIEF, steps=40), tmp_path / "fit"

    def windowed(checkpoint=None, should_cancel=lambda: False) -> RefinementResult:
        progress = Progress("refine", steps_of(banded.frames, config, 6, 2), should_cancel=should_cancel)
        stop["progress"] = progress
        return refine_long(banded, config, progress, checkpoint, 6, 2)

    stop: dict = {}
    whole = windowed()
    windows = frame_windows(banded.frames, 6, 2)
    weights = blend_weights(np.arange(banded.frames), windows)
    steps = steps_of(banded.frames, config, 6, 2) // len(windows)
    expected = np.zeros_like(whole.appearance)
    for number, frames in enumerate(windows):
        alone = run(cut_problem(banded, frames), replace(config, steps=steps, seed=number))
        expected[frames] += weights[number, frames, None, None] * alone.appearance
    assert len(windows) > 1 and np.abs(expected).max() > 0
    np.testing.assert_allclose(whole.appearance, expected, atol=1e-6)

    with pytest.raises(Cancelled):
        windowed(path, lambda: stop["progress"].step >= steps + 2)
    resumed = windowed(path)
    assert resumed.appearance.tobytes() == whole.appearance.tobytes() and list(tmp_path.iterdir()) == []


def test_rounds_show_their_appearance_to_the_restorer_and_add_to_it(sheet, banded, tmp_path):
    _, truth = sheet
    config = RoundsConfig(strengths=(0.6, 0.4), azimuths=(65.0,), fit=BRIEF)
    given: list = []

    def restore(cameras, vertices, appearance, strength, seed, progress):
        given.append(appearance)
        return show(banded, truth, cameras)

    def rounds(checkpoint=None, should_cancel=lambda: False):
        progress = Progress("refine", config.steps(banded.frames), should_cancel=should_cancel)
        stop["progress"] = progress
        return refine_in_rounds(banded, restore, config, progress, checkpoint)

    stop: dict = {}
    straight = rounds()
    assert len(given) == 4 and all(appearance is not None for appearance in given)
    assert given[0] is given[1] and np.abs(given[0]).max() > 0
    assert given[0].tobytes() == run(banded, BRIEF).appearance.tobytes()
    assert straight.appearance.shape == given[0].shape and (straight.appearance != given[0]).any()

    with pytest.raises(Cancelled):
        rounds(tmp_path / "rounds", lambda: stop["progress"].step >= 8 + 200 + 3)
    resumed = rounds(tmp_path / "rounds")
    assert resumed.appearance.tobytes() == straight.appearance.tobytes() and list(tmp_path.iterdir()) == []


def test_a_later_round_starts_from_the_appearance_so_far(banded):
    fit = replace(FIT, steps=60, appearance=True)
    config = RoundsConfig(strengths=(0.5,), azimuths=(), fit=fit)
    progress = Progress("refine", config.steps(banded.frames))
    result = refine_in_rounds(banded, lambda *_: banded.views[0], config, progress)
    first, second = result.rounds
    assert first.best_validation < 0.6 * first.start_validation
    assert second.start_validation == pytest.approx(first.best_validation, rel=1e-4)


@pytest.mark.parametrize("wrong", ["shape", "closed"])
def test_appearance_that_does_not_fit_the_problem_is_refused(sheet, wrong):
    problem = sheet[0]
    appearance = np.zeros((problem.frames, problem.vertices, CHANNELS), np.float32)
    replace(problem, appearance=appearance)
    bad = appearance[..., :3] if wrong == "shape" else appearance + 0.1
    with pytest.raises(Ani3DError) as caught:
        replace(problem, appearance=bad)
    assert caught.value.code == "refinement.shape" and "appearance" in caught.value.message
