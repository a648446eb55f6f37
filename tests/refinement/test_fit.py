"""Refinement of a sheet whose true motion is known."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from sheet import render, seen, show, swinging_sheet

from ani3d_formats.errors import Ani3DError, Cancelled
from ani3d_formats.progress import Progress, Report
from ani3dhuman.fields.build import FIELDS
from ani3dhuman.fields.dct import DctConfig
from ani3dhuman.fields.hexplane import FieldConfig
from ani3dhuman.refinement import LossWeights, RefinementConfig, RefinementProblem, plot_losses, refine
from ani3dhuman.refinement.plots import COLORS
from ani3dhuman.refinement.scene import build_scene
from ani3dhuman.refinement.scene_view import Window

CONFIG = RefinementConfig(
    steps=120,
    validate_every=30,
    margin=8,
    field_kind="hexplane",
    field=FieldConfig(resolutions=(6, 12), time_resolution=8, hidden=32),
)
SHORT = replace(CONFIG, steps=5, validate_every=2)


def of_kind(config: RefinementConfig, kind: str) -> RefinementConfig:
    """The config with another field, in steps large enough for short fits."""
    size = {"dct": DctConfig(modes=12, rate=1.8e-2)}
    return config if kind == config.field_kind else replace(config, field_kind=kind, field=size[kind])


@pytest.fixture(scope="module", params=sorted(FIELDS))
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def sheet():
    return swinging_sheet()


@pytest.fixture(scope="module")
def refined(sheet, kind):
    reports: list[Report] = []
    config = of_kind(CONFIG, kind)
    return refine(sheet[0], config, Progress("refine", config.steps, reports.append)), reports


def error(vertices: np.ndarray, truth: np.ndarray, gates: np.ndarray) -> float:
    return float(np.linalg.norm((vertices - truth)[:, gates > 0.5], axis=-1).mean())


def test_the_garment_comes_closer_to_the_truth(sheet, refined):
    problem, truth = sheet
    result, _ = refined
    before = error(problem.coarse_vertices, truth, problem.gates)
    after = error(result.vertices, truth, problem.gates)
    assert before > 0.02
    assert after < 0.7 * before
    # what one camera can tell, without the depth it cannot
    sideways = error(result.vertices[..., [0, 2]], truth[..., [0, 2]], problem.gates)
    assert sideways < 0.4 * error(problem.coarse_vertices[..., [0, 2]], truth[..., [0, 2]], problem.gates)


def test_pictures_come_closer_on_every_frame_together(sheet, refined):
    problem, _ = sheet
    result, _ = refined
    coarse, fine = (
        np.abs(render(problem, vertices)[0] - problem.views[0].target).mean()
        for vertices in (problem.coarse_vertices, result.vertices)
    )
    assert fine < 0.6 * coarse
    assert result.improved and result.best_validation < 0.6 * result.start_validation
    assert result.history["validation"][0] == result.start_validation
    assert min(result.history["validation"]) == result.best_validation


def test_gated_vertices_never_move(sheet, refined):
    problem, _ = sheet
    result, _ = refined
    closed = problem.gates == 0
    assert closed.sum() > 20
    assert result.vertices[:, closed].tobytes() == problem.coarse_vertices[:, closed].tobytes()
    assert result.vertices.dtype == np.float32


def test_progress_counts_every_step_and_shows_pictures(refined):
    _, reports = refined
    assert [report.step for report in reports] == list(range(1, CONFIG.steps + 1))
    previews = [report.preview for report in reports if report.preview is not None]
    assert len(previews) == 4
    assert previews[0].dtype == np.uint8 and max(previews[0].shape) <= 128


def lines_in(path: Path) -> set[str]:
    """Terms whose colour covers more than a speck of the picture."""
    picture = cv2.imread(str(path)).astype(int)
    rgb = {name: [int(color[k : k + 2], 16) for k in (5, 3, 1)] for name, color in COLORS.items()}  # blue first: cv2
    return {name for name, wanted in rgb.items() if (np.abs(picture - wanted).max(-1) <= 2).sum() > 300}


def test_the_plot_of_a_fit_shows_the_terms_that_it_had(refined, tmp_path):
    result, _ = refined
    plot_losses(result.history, tmp_path / "loss.png")
    assert lines_in(tmp_path / "loss.png") == set(COLORS) & result.history.keys() != set(COLORS)


def test_every_term_has_a_colour_of_its_own_and_is_drawn(tmp_path):
    assert set(COLORS) == {weight.name for weight in fields(LossWeights)}
    assert len(set(COLORS.values())) == len(COLORS)
    history = {"step": [1.0, 2.0], "total": [9.0, 9.0], "validation_step": [0.0], "validation": [1.0]}
    flat = {name: [0.6**place] * 2 for place, name in enumerate(COLORS)}
    plot_losses({**history, **flat}, tmp_path / "loss.png")
    assert lines_in(tmp_path / "loss.png") == set(COLORS)


def test_the_window_shows_the_same_pixels_as_the_whole_picture(sheet):
    problem, _ = sheet
    mask = np.zeros_like(problem.views[0].garment_mask)
    mask[:, 40:60, 30:70] = 1
    scene = build_scene(seen(problem, garment_mask=mask), margin=4)
    window = scene.views[0].windows[4]
    assert window == Window(left=16, top=32, right=80, bottom=64)
    nothing = torch.zeros(len(scene.points), 3)
    image, alpha = scene.draw(0, 4, scene.active_vertices(4, nothing))
    whole, whole_alpha = render(problem, problem.coarse_vertices)
    part = (slice(window.top, window.bottom), slice(window.left, window.right))
    assert np.allclose(image[0].permute(1, 2, 0).numpy(), whole[4][part], atol=2e-3)
    assert np.allclose(alpha[0, 0].numpy(), whole_alpha[4][part], atol=2e-3)


def test_same_seed_same_result_even_with_threads(sheet, threads, kind):
    problem, short = sheet[0], of_kind(SHORT, kind)
    threads(2)
    first, second = (refine(problem, short, Progress("refine", short.steps)) for _ in range(2))
    threads(1)
    assert first.vertices.tobytes() == second.vertices.tobytes()
    assert first.history == second.history
    other = refine(problem, replace(short, seed=1), Progress("refine", short.steps))
    assert other.history["total"] != first.history["total"]


def test_a_checkpoint_of_other_inputs_or_a_damaged_one_is_not_used(sheet, tmp_path):
    problem, _ = sheet
    path = tmp_path / "fit.safetensors"
    stopped = Progress("refine", SHORT.steps, should_cancel=lambda: stopped.step >= 2)
    with pytest.raises(Cancelled):
        refine(problem, SHORT, stopped, path)
    kept = path.read_bytes()
    for config, data in ((replace(SHORT, seed=3), kept), (SHORT, kept[: len(kept) // 2])):
        path.write_bytes(data)
        reports: list[Report] = []
        refine(problem, config, Progress("refine", SHORT.steps, reports.append), path)
        assert reports[0].step == 1


def test_a_fit_that_helps_nothing_returns_the_coarse_layer(sheet, kind):
    problem, _ = sheet
    shown = render(problem, problem.coarse_vertices)[0]
    perfect = seen(problem, target=shown)
    result = refine(perfect, of_kind(SHORT, kind), Progress("refine", SHORT.steps))
    assert not result.improved and result.best_step == 0
    assert "coarse" in result.message
    assert result.vertices.tobytes() == problem.coarse_vertices.tobytes()
    assert (result.field(torch.from_numpy(problem.bind_vertices[problem.gates > 0]), 0.5) == 0).all()


def test_no_steps_leave_the_coarse_layer(sheet, tmp_path):
    result = refine(sheet[0], replace(SHORT, steps=0), Progress("refine", 0))
    assert result.vertices.tobytes() == sheet[0].coarse_vertices.tobytes()
    plot_losses(result.history, tmp_path / "loss.png")
    assert cv2.imread(str(tmp_path / "loss.png")) is not None


def test_rates_fall_and_it_ends_early_when_nothing_gets_better(sheet):
    problem, _ = sheet
    perfect = seen(problem, target=render(problem, problem.coarse_vertices)[0])
    config = replace(SHORT, steps=50, validate_every=2, patience=2)
    progress = Progress("refine", config.steps)
    result = refine(perfect, config, progress)
    assert len(result.history["step"]) == 8  # 4 without a better validation, and as many again with decaying rates
    assert progress.step == config.steps
    steady = replace(config, patience=1000)
    assert len(refine(perfect, steady, Progress("refine", 50)).history["step"]) == 50


def test_proposals_and_alpha_lead_where_pictures_are_silent(sheet):
    problem, truth = sheet
    alpha = render(problem, truth)[1]
    offsets = truth - problem.coarse_vertices
    led = replace(seen(problem, target_alpha=alpha), vertex_targets=offsets)
    weights = LossWeights(photometric=1e-3, alpha=1e-3, magnitude=0, proposal=0.2)
    config = replace(CONFIG, steps=50, weights=weights, validate_every=10)
    result = refine(led, config, Progress("refine", config.steps))
    assert {"alpha", "proposal"} <= result.history.keys()
    before = error(problem.coarse_vertices, truth, problem.gates)
    assert error(result.vertices, truth, problem.gates) < 0.5 * before


def test_an_orthographic_camera_brings_the_garment_closer_too(sheet):
    problem, truth = sheet
    cameras = problem.views[0].cameras
    Ks = cameras.Ks.copy()
    Ks[:, [0, 1], [0, 1]] = 55.0
    flat = show(problem, truth, replace(cameras, Ks=Ks, camera_type="orthographic"))
    result = refine(replace(problem, views=(flat,)), replace(CONFIG, steps=40), Progress("refine", 40))
    before, after = (
        error(vertices[..., [0, 2]], truth[..., [0, 2]], problem.gates)
        for vertices in (problem.coarse_vertices, result.vertices)
    )
    assert result.improved and after < 0.7 * before


@pytest.mark.parametrize(
    "change",
    [
        lambda p: {"gates": p.gates[:-1]},
        lambda p: {"gates": p.gates * 2},
        lambda p: {"opacities": p.opacities[:-1]},
        lambda p: {"vertex_targets": p.coarse_vertices[:-1]},
    ],
)
def test_inputs_that_do_not_fit_together(sheet, change):
    problem: RefinementProblem = sheet[0]
    with pytest.raises(Ani3DError) as caught:
        replace(problem, **change(problem))
    assert caught.value.code == "refinement.shape"


@pytest.mark.parametrize("name", ["gates", "garment_mask"])
def test_nothing_to_refine(sheet, name):
    problem: RefinementProblem = sheet[0]
    with pytest.raises(Ani3DError) as caught:
        if name == "gates":
            replace(problem, gates=np.zeros_like(problem.gates))
        else:
            seen(problem, garment_mask=np.zeros_like(problem.views[0].garment_mask))
    assert caught.value.code == "refinement.nothing_moves"
