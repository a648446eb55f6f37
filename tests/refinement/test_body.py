"""The body that the garment stays out of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sheet import SOFT, ball, blown, show, swinging_sheet, with_body

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress
from ani3dhuman.fields.hexplane import FieldConfig
from ani3dhuman.mesh.surface import CLEARANCE, MIN_CLEARANCE
from ani3dhuman.refinement import RefinementConfig, RefinementProblem, losses, refine
from ani3dhuman.refinement.body import build_body
from ani3dhuman.refinement.side_views import side_cameras

CENTRE, RADIUS = (0.0, 0.26, 0.7), 0.2
CONFIG = RefinementConfig(
    steps=150,
    validate_every=50,
    margin=8,
    weights=SOFT,
    field_kind="hexplane",
    field=FieldConfig(resolutions=(6, 12), time_resolution=8, hidden=32),
)


@pytest.fixture(scope="module")
def before_ball() -> RefinementProblem:
    """A sheet hanging still before a ball."""
    problem = swinging_sheet()[0]
    still = np.repeat(problem.bind_vertices[None], problem.frames, 0)
    unturned = np.broadcast_to(np.eye(3, dtype=np.float32), problem.blended_rotations.shape)
    return with_body(replace(problem, coarse_vertices=still, blended_rotations=unturned), *ball(CENTRE, RADIUS))


def over_ball(vertices: np.ndarray) -> np.ndarray:
    return np.linalg.norm(vertices - np.array(CENTRE), axis=-1) - RADIUS


def test_the_target_pulls_the_sheet_in_and_the_body_keeps_it_out(before_ball):
    problem, open_ = before_ball, before_ball.gates > 0
    truth = blown(problem, 0.25)
    cameras = problem.views[0].cameras
    side = side_cameras(problem.coarse_vertices, cameras, 65.0)
    problem = replace(problem, views=(show(problem, truth, cameras), show(problem, truth, side)))
    assert over_ball(problem.coarse_vertices[:, open_]).min() > 0.05
    free, kept = (
        refine(each, CONFIG, Progress("refine", CONFIG.steps)) for each in (replace(problem, body_faces=None), problem)
    )
    assert over_ball(free.vertices[:, open_]).min() < -0.08
    assert over_ball(kept.vertices[:, open_]).min() > 0
    assert "penetration" in kept.history and "penetration" not in free.history
    far = open_ & (np.abs(problem.bind_vertices[:, 0]) > 0.35) & (problem.bind_vertices[:, 2] < 1)
    followed = (kept.vertices - problem.coarse_vertices)[:, far, 1].mean()
    assert followed > 0.7 * (truth - problem.coarse_vertices)[:, far, 1].mean(), "beside the ball the target is met"


def test_heights_and_their_gradient_are_those_of_a_ball(before_ball):
    body = build_body(before_ball)
    rng = np.random.default_rng(2)
    away = rng.normal(size=(60, 3))
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    wanted = rng.uniform(-0.09, 0.3, len(away))
    points = torch.tensor(np.array(CENTRE) + away * (RADIUS + wanted)[:, None], dtype=torch.float32, requires_grad=True)
    heights = body.heights(3, points)
    heights.sum().backward()
    assert np.allclose(heights.detach().numpy(), wanted, atol=0.012), "the mesh lies up to 8 mm under the ball"
    assert (points.grad.numpy() * away).sum(1).min() > 0.9
    assert np.allclose(np.linalg.norm(points.grad.numpy(), axis=1), 1, atol=1e-3)


def test_what_cannot_be_low_is_not_searched_for_and_all_else_is(before_ball):
    body = build_body(before_ball)
    rng = np.random.default_rng(3)
    gaps = rng.uniform(0, 1, len(body.coarse[2]))[:, None] * (np.array(CENTRE) - body.coarse[2].numpy())
    points = torch.tensor(body.coarse[2].numpy() + gaps, dtype=torch.float32, requires_grad=True)
    all_heights, low = body.heights(2, points), body.low_heights(2, points)
    below = all_heights < body.wanted[2]
    assert 3 < below.sum() < 0.9 * len(below)
    assert torch.equal(torch.minimum(all_heights, body.wanted[2]), torch.minimum(low, body.wanted[2]))
    ones = torch.ones(len(below))
    terms = (losses.penetration(h, body.wanted[2], ones, 0.005) for h in (all_heights, low))
    first, second = (torch.autograd.grad(term, points)[0] for term in terms)
    assert torch.equal(first, second) and first.any()


def test_what_the_coarse_layer_has_near_or_inside_is_asked_for_less(before_ball):
    vertices = before_ball.coarse_vertices.copy()
    front = np.array([CENTRE[0], CENTRE[1] - RADIUS, CENTRE[2]])
    ids = np.flatnonzero(before_ball.gates == 1)[:5]
    for vertex, height in zip(ids, (0.1, 0.005, -0.02, -0.15, -0.001), strict=True):
        vertices[:, vertex] = front - [0, height, 0]
    body = build_body(replace(before_ball, coarse_vertices=vertices))
    places = np.searchsorted(np.flatnonzero(before_ball.gates > 0), ids)
    wanted = body.wanted[0, places].numpy()
    assert wanted[0] == np.float32(CLEARANCE) and 0.004 < wanted[1] < 0.0075
    assert (wanted[[2, 4]] == np.float32(MIN_CLEARANCE)).all()
    assert body.weights[0, places].tolist() == [1, 1, 1, 0, 1], "what is too deep belongs to another side"


def test_beside_the_rim_of_an_open_body_there_is_no_inside(before_ball):
    faces = before_ball.body_faces
    upper = faces[(before_ball.bind_vertices[faces][..., 2] > CENTRE[2] + 0.02).all(1)]
    rim = before_ball.bind_vertices[upper].reshape(-1, 3)
    lowest = rim[rim[:, 2].argmin()]
    inwards = np.array([*CENTRE[:2], lowest[2]]) - lowest
    place = torch.tensor(lowest + 0.05 * inwards - [0, 0, 0.03], dtype=torch.float32)[None].requires_grad_()
    closed, opened = (build_body(replace(before_ball, body_faces=each)).heights(0, place) for each in (faces, upper))
    assert closed.item() < -0.005 and 0.025 < opened.item() < 0.05
    opened.sum().backward()
    assert float(place.grad[0, 2]) < -0.8, "further from the rim is downwards"


def test_no_body(before_ball):
    assert build_body(replace(before_ball, body_faces=None)) is None
    assert build_body(replace(before_ball, body_faces=before_ball.body_faces[:0])) is None


def test_penetration_is_zero_outside_and_counts_by_weight():
    heights = torch.tensor([0.02, 0.008, -0.012, -1.0])
    wanted = torch.full((4,), 0.008)
    none = losses.penetration(heights[:2], wanted[:2], torch.ones(2), 0.005)
    assert none == 0
    some = losses.penetration(heights, wanted, torch.tensor([1.0, 1.0, 2.0, 0.0]), 0.005)
    assert float(some) == pytest.approx(2 * (np.sqrt(1 + 16) - 1) / 4)


def test_a_weight_of_zero_leaves_it_without_effect(before_ball):
    config = replace(CONFIG, steps=3, weights=replace(SOFT, penetration=0))
    with_it, without = (
        refine(each, config, Progress("refine", 3)).history["total"]
        for each in (before_ball, replace(before_ball, body_faces=None))
    )
    assert with_it == without


@pytest.mark.parametrize(
    "faces",
    [
        lambda p: p.body_faces[:, :2],
        lambda p: p.body_faces + 10_000,
        lambda p: p.faces[:3],
    ],
)
def test_bodies_that_do_not_fit(before_ball, faces):
    with pytest.raises(Ani3DError) as caught:
        replace(before_ball, body_faces=faces(before_ball))
    assert caught.value.code == "refinement.shape"
