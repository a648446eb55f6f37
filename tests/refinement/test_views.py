"""Several views: what they tell together, how they are drawn, what does not fit."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from sheet import blown, seen, show, swinging_sheet

from ani3d_formats.errors import Ani3DError, Cancelled
from ani3d_formats.progress import Progress, Report
from ani3dhuman.fields.hexplane import FieldConfig
from ani3dhuman.refinement import RefinementConfig, RefinementProblem, refine
from ani3dhuman.refinement.scene import build_scene
from ani3dhuman.refinement.schedule import pairs_of_step, split_pairs
from ani3dhuman.refinement.side_views import side_cameras

CONFIG = RefinementConfig(
    steps=60,
    validate_every=20,
    margin=8,
    field_kind="hexplane",
    field=FieldConfig(resolutions=(6, 12), time_resolution=8, hidden=32),
)
SHORT = replace(CONFIG, steps=4, validate_every=2)


@pytest.fixture(scope="module")
def sheet() -> RefinementProblem:
    return swinging_sheet()[0]


@pytest.fixture(scope="module")
def two_views(sheet):
    truth, cameras = blown(sheet, 0.08), sheet.views[0].cameras
    side = side_cameras(sheet.coarse_vertices, cameras, 65.0)
    return replace(sheet, views=(show(sheet, truth, cameras), show(sheet, truth, side))), truth


def depth_error(vertices: np.ndarray, truth: np.ndarray, problem: RefinementProblem) -> float:
    """Mean distance along the first view's axis, metres."""
    return float(np.abs((vertices - truth)[:, problem.gates > 0.5, 1]).mean())


def test_a_second_view_tells_the_depth_that_one_cannot(two_views):
    problem, truth = two_views
    first, both = (
        refine(replace(problem, views=views), CONFIG, Progress("refine", CONFIG.steps)).vertices
        for views in (problem.views[:1], problem.views)
    )
    before = depth_error(problem.coarse_vertices, truth, problem)
    assert depth_error(both, truth, problem) < 0.5 * before
    assert depth_error(both, truth, problem) < 0.6 * depth_error(first, truth, problem)


def test_views_may_differ_in_size_and_camera(two_views):
    problem, truth = two_views
    small = show(problem, truth, problem.views[1].cameras.resized(64, 48))
    mixed = replace(problem, views=(problem.views[0], small))
    result = refine(mixed, SHORT, Progress("refine", SHORT.steps))
    assert result.vertices.shape == problem.coarse_vertices.shape
    assert len(result.history["total"]) == SHORT.steps


def test_every_pair_is_drawn_equally_often():
    pairs = [(view, frame) for view in range(3) for frame in (1, 4, 6, 7)]
    drawn = [pair for step in range(30) for pair in pairs_of_step(pairs, step, 2, seed=0)]
    assert Counter(drawn) == dict.fromkeys(pairs, 5)
    rounds = [tuple(drawn[k : k + 12]) for k in range(0, 60, 12)]
    assert len(set(rounds)) > 1
    assert drawn != [pair for step in range(30) for pair in pairs_of_step(pairs, step, 2, seed=1)]


def test_a_few_steps_in_a_row_see_the_whole_clip():
    frames = 70
    drawn = [frame for step in range(70) for _, frame in pairs_of_step([(0, f) for f in range(frames)], step, 2, 0)]
    for first in (0, 20, 40, 75, 110):
        seen = sorted(drawn[first : first + 20])
        assert max(b - a for a, b in zip([0, *seen], [*seen, frames], strict=True)) <= 8  # 3.5 at best


def test_views_do_not_change_the_order_of_a_single_one():
    frames = [1, 4, 6, 7, 9]
    one = [frame for step in range(8) for _, frame in pairs_of_step([(0, f) for f in frames], step, 2, seed=3)]
    places = [place for step in range(8) for place, _ in pairs_of_step([(k, 0) for k in range(5)], step, 2, seed=3)]
    assert one == [frames[place] for place in places]


def test_held_out_frames_are_kept_from_training_in_all_views():
    seen_pairs = tuple((view, frame) for view in range(2) for frame in range(20))
    training, held_out = split_pairs(seen_pairs, 8)
    assert held_out == [(0, 4), (0, 12), (1, 4), (1, 12)]
    assert sorted(training + held_out) == list(seen_pairs)
    short = ((0, 3), (0, 4))
    assert split_pairs(short, 8) == (list(short), list(short))


def test_a_frame_that_shows_no_garment_is_left_out(two_views):
    problem, _ = two_views
    mask = problem.views[1].garment_mask.copy()
    mask[3:] = 0
    scene = build_scene(replace(problem, views=(problem.views[0], replace(problem.views[1], garment_mask=mask))), 4)
    assert scene.seen == tuple((0, t) for t in range(10)) + tuple((1, t) for t in range(3))


def test_strain_is_measured_against_the_unstrained_layer(sheet):
    moved = sheet.coarse_vertices * np.array([1.3, 1, 1], np.float32)
    plain, later = (build_scene(each, 4) for each in (sheet, replace(sheet, coarse_vertices=moved)))
    held = build_scene(replace(sheet, coarse_vertices=moved, unstrained=sheet.coarse_vertices), 4)
    assert bool((held.longest == plain.longest).all()) and bool((held.shortest == plain.shortest).all())
    assert float((later.longest / plain.longest).max()) > 1.2
    assert bool((held.coarse == later.coarse).all()) and bool((held.unstrained == plain.coarse).all())


@pytest.mark.parametrize(("kind", "off"), [(np.uint8, 0.5 / 255), (np.float16, 3e-4)])
def test_targets_are_kept_in_the_type_they_came_in(sheet, kind, off):
    view = sheet.views[0]
    whole = 255 if kind is np.uint8 else 1
    stored = (view.target.clip(0, 1) * whole + (0.5 if kind is np.uint8 else 0)).astype(kind)
    alpha = np.full(view.garment_mask.shape, whole, kind)
    fine, coarse = (
        build_scene(seen(sheet, target=target, target_alpha=alpha), 8).views[0] for target in (view.target, stored)
    )
    assert {entry.numpy().dtype for entry in coarse.targets} == {np.dtype(kind)}
    assert sum(entry.nbytes for entry in coarse.targets) <= np.dtype(kind).itemsize * view.target.size
    assert float((fine.target(4).clamp(0, 1) - coarse.target(4)).abs().max()) <= off * 1.01
    assert float(coarse.target_alpha(4).min()) == 1.0


def test_same_seed_same_result_and_a_cancelled_fit_goes_on(two_views, tmp_path):
    problem, _ = two_views
    path = tmp_path / "fit.safetensors"
    straight = refine(problem, SHORT, Progress("refine", SHORT.steps))
    stopped = Progress("refine", SHORT.steps, should_cancel=lambda: stopped.step >= 3)
    with pytest.raises(Cancelled):
        refine(problem, SHORT, stopped, path)
    kept = path.read_bytes()
    resumed = refine(problem, SHORT, Progress("refine", SHORT.steps), path)
    assert resumed.vertices.tobytes() == straight.vertices.tobytes()
    assert resumed.history == straight.history

    # one pixel of the second view makes it another fit
    path.write_bytes(kept)
    target = problem.views[1].target.copy()
    target[5, 40, 40] = 1 - target[5, 40, 40]
    reports: list[Report] = []
    other = replace(problem, views=(problem.views[0], replace(problem.views[1], target=target)))
    refine(other, SHORT, Progress("refine", SHORT.steps, reports.append), path)
    assert reports[0].step == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda v: {"target": v.target[:-1]},
        lambda v: {"target": v.target.astype(np.int32)},
        lambda v: {"garment_mask": v.garment_mask[:, :-1]},
        lambda v: {"colors": v.colors[:, :-1]},
        lambda v: {"colors": v.colors[:-1]},
        lambda v: {"cameras": v.cameras.resized(48, 48)},
        lambda v: {"target_alpha": v.target},
    ],
)
def test_views_that_do_not_fit(two_views, change):
    problem, _ = two_views
    with pytest.raises(Ani3DError) as caught:
        replace(problem, views=(problem.views[0], replace(problem.views[1], **change(problem.views[1]))))
    assert caught.value.code == "refinement.shape"


def test_a_problem_wants_a_view(sheet):
    with pytest.raises(Ani3DError) as caught:
        replace(sheet, views=())
    assert caught.value.code == "refinement.shape"


def test_side_cameras_hold_the_whole_character(sheet):
    vertices, cameras = sheet.coarse_vertices, sheet.views[0].cameras
    before, right = (side_cameras(vertices, cameras, azimuth) for azimuth in (0.0, 90.0))
    user = cameras.positions()[0] - vertices[0].mean(0)
    places = [path.positions()[0] - vertices[0].mean(0) for path in (before, right)]
    assert np.dot(places[0][:2], user[:2]) > 0.95 * np.linalg.norm(places[0][:2]) * np.linalg.norm(user[:2])
    assert places[1][0] > 0.95 * np.linalg.norm(places[1][:2]), "a quarter turn from -Y is +X"
    for path in (before, right):
        for t in range(len(vertices)):
            pixels, depth = path.project(vertices[t], t)
            assert depth.min() > 0 and pixels.min() > 0 and pixels.max() < path.width
