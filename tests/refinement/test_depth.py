"""Measured depth and the perceptual term: what they add to the pictures, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sheet import SIZE, blown, render, seen, show, swinging_sheet

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress
from ani3dhuman.fields.hexplane import FieldConfig
from ani3dhuman.metrics.perceptual import perceptual_distance
from ani3dhuman.refinement import LossWeights, RefinementConfig, RefinementProblem, losses, refine
from ani3dhuman.refinement.scene import build_scene
from ani3dhuman.rendering import rasterize
from ani3dhuman.storage.checkpoint import fingerprint

CONFIG = RefinementConfig(
    steps=60,
    validate_every=20,
    margin=8,
    field_kind="hexplane",
    field=FieldConfig(resolutions=(6, 12), time_resolution=8, hidden=32),
)
SHORT = replace(CONFIG, steps=2, validate_every=1)


def depth_maps(problem: RefinementProblem, vertices: np.ndarray) -> np.ndarray:
    """Expected depth (T,H,W) in metres of vertices (T,V,3) in the problem's first view, 0 where little is drawn."""
    view, maps = problem.views[0], []
    cameras = view.cameras
    for t in range(len(vertices)):
        drawn, alpha, _ = rasterize(
            *problem.binding.pose(torch.from_numpy(vertices[t])),
            torch.from_numpy(problem.scales),
            torch.from_numpy(problem.opacities),
            torch.from_numpy(np.array(view.colors[t])),
            torch.from_numpy(cameras.viewmats[t : t + 1]),
            torch.from_numpy(cameras.Ks[t : t + 1]),
            width=cameras.width,
            height=cameras.height,
            render_mode="ED",
            camera_model="ortho" if cameras.camera_type == "orthographic" else "pinhole",
        )
        maps.append(torch.where(alpha > 0.5, drawn, 0)[0, ..., 0].numpy())
    return np.stack(maps)


@pytest.fixture(scope="module")
def sheet() -> RefinementProblem:
    return swinging_sheet()[0]


@pytest.fixture(scope="module")
def measured(sheet) -> tuple[RefinementProblem, np.ndarray]:
    """The sheet blown away from its one camera, with depth, and the truth."""
    truth = blown(sheet, 0.15)
    problem = replace(sheet, views=(show(sheet, truth, sheet.views[0].cameras),))
    return seen(problem, target_depth=depth_maps(problem, truth)), truth


def apart(vertices: np.ndarray, truth: np.ndarray, problem: RefinementProblem) -> float:
    """Mean distance along the view's axis, metres."""
    return float(np.abs((vertices - truth)[:, problem.gates > 0.5, 1]).mean())


def test_measured_depth_tells_what_one_picture_cannot(measured):
    problem, truth = measured
    blind, told = (
        refine(each, CONFIG, Progress("refine", CONFIG.steps)) for each in (seen(problem, target_depth=None), problem)
    )
    assert apart(problem.coarse_vertices, truth, problem) > 0.08
    assert apart(told.vertices, truth, problem) < 0.55 * apart(blind.vertices, truth, problem)
    assert "depth" in told.history and "depth" not in blind.history
    assert "depth" in told.message and "depth" not in blind.message
    assert np.mean(told.history["depth"][-10:]) < 0.3 * np.mean(told.history["depth"][:10])


def test_a_few_wild_depths_do_not_matter_and_unknown_ones_not_at_all(measured):
    problem, truth = measured
    depth = problem.views[0].target_depth.copy()
    chosen = np.random.default_rng(4).random(depth.shape)
    depth[chosen < 0.5] = 0
    depth[(chosen > 0.97) & (depth > 0)] = 30.0
    result = refine(seen(problem, target_depth=depth), CONFIG, Progress("refine", CONFIG.steps))
    assert apart(result.vertices, truth, problem) < 0.35 * apart(problem.coarse_vertices, truth, problem)


def test_nothing_known_or_no_weight_is_the_fit_without_depth(measured):
    problem, _ = measured
    unweighted = replace(SHORT, weights=LossWeights(depth=0))
    unknown = seen(problem, target_depth=np.zeros_like(problem.views[0].target_depth))
    plain = refine(seen(problem, target_depth=None), SHORT, Progress("refine", SHORT.steps))
    for each, config in ((problem, unweighted), (unknown, SHORT)):
        result = refine(each, config, Progress("refine", config.steps))
        assert np.allclose(result.vertices, plain.vertices, atol=1e-6)
        assert max(result.history["depth"]) == 0


@pytest.mark.parametrize("camera", ["perspective", "orthographic"])
def test_depth_is_drawn_in_metres_along_the_axis(measured, camera):
    problem, _ = measured
    cameras = problem.views[0].cameras
    if camera == "orthographic":
        Ks = cameras.Ks.copy()
        Ks[:, [0, 1], [0, 1]] = 55.0
        cameras = replace(cameras, Ks=Ks, camera_type=camera)
    problem = seen(problem, cameras=cameras)
    drawn = depth_maps(problem, problem.coarse_vertices)
    scene = build_scene(seen(problem, target_depth=drawn.astype(np.float16)), 8)
    still = scene.active_vertices(4, torch.zeros_like(scene.points))
    image, alpha, depth = scene.draw(0, 4, still)
    plain = build_scene(seen(problem, target_depth=None), 8).draw(0, 4, still)
    assert torch.equal(image, plain[0]) and torch.equal(alpha, plain[1]) and plain[2] is None
    target = scene.views[0].target_depth(4)
    known = (target > 0) & (alpha > 0.5)
    assert known.sum() > 500 and (depth - target)[known].abs().max() < 2e-3, "half precision at two metres"
    assert drawn[4, SIZE // 2, SIZE // 2] == pytest.approx(2.2, abs=0.05), "the sheet's middle"
    assert losses.depth(depth, target, alpha, 0.01).item() < 0.01


def test_empty_pixels_take_no_gradient_that_is_not_finite(measured):
    problem, _ = measured
    lone = replace(problem, opacities=problem.opacities * (np.arange(len(problem.opacities)) < 40))
    result = refine(lone, SHORT, Progress("refine", SHORT.steps))
    assert np.isfinite(result.vertices).all() and np.isfinite(result.history["depth"]).all()


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_depth_that_is_none_is_refused(measured, value):
    problem, _ = measured
    depth = problem.views[0].target_depth.copy()
    depth[3, 48, 48] = value
    with pytest.raises(Ani3DError) as caught:
        refine(seen(problem, target_depth=depth), SHORT, Progress("refine", SHORT.steps))
    assert caught.value.code == "refinement.depth" and "index 3" in caught.value.message


def test_a_checkpoint_knows_the_depth_it_was_made_with(measured):
    problem, _ = measured
    depth = problem.views[0].target_depth.copy()
    depth[3, 48, 48] += 0.01
    marks = {fingerprint(each, SHORT) for each in (problem, problem, seen(problem, target_depth=depth))}
    assert len(marks) == 2


def test_the_perceptual_term_brings_pictures_nearer_in_its_own_measure(sheet):
    view = sheet.views[0]
    config = replace(CONFIG, steps=40)
    region = view.garment_mask > 0

    def distance(weight: float) -> float:
        weighted = replace(config, weights=LossWeights(photometric=0.1, perceptual=weight))
        result = refine(sheet, weighted, Progress("refine", config.steps))
        assert ("perceptual" in result.history) == (weight > 0)
        return perceptual_distance(render(sheet, result.vertices)[0], view.target, region)

    without, with_it = distance(0), distance(1)
    assert with_it < 0.9 * without
