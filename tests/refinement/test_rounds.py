"""Rounds of restoring and refining, with a restorer that knows the truth."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from sheet import blown, show, swinging_sheet

from ani3d_formats.camera import CameraPath
from ani3d_formats.errors import Ani3DError, Cancelled
from ani3d_formats.progress import Progress, Report
from ani3dhuman.fields.hexplane import FieldConfig
from ani3dhuman.refinement import (
    RefinementConfig,
    RefinementProblem,
    RestoredView,
    RoundsConfig,
    RoundsResult,
    refine,
    refine_in_rounds,
)
from ani3dhuman.refinement.consensus import Consensus

FIT = RefinementConfig(
    steps=40,
    validate_every=20,
    margin=8,
    field_kind="hexplane",
    field=FieldConfig(resolutions=(6, 12), time_resolution=8, hidden=32),
)
BRIEF = RoundsConfig(
    strengths=(0.6, 0.4), azimuths=(65.0, -65.0), fit=replace(FIT, steps=3, validate_every=1, held_out=4)
)


@dataclass
class Restorer:
    """Shows the true motion from wherever it is asked, and notes what it was asked."""

    problem: RefinementProblem
    truth: np.ndarray
    calls: list[tuple[np.ndarray, np.ndarray, float, int]] = field(default_factory=list)
    appearance: list[np.ndarray | None] = field(default_factory=list)

    def __call__(
        self,
        cameras: CameraPath,
        vertices: np.ndarray,
        appearance: np.ndarray | None,
        strength: float,
        seed: int,
        progress: Progress,
    ) -> RestoredView:
        self.appearance.append(appearance)
        self.calls.append((cameras.positions()[0], vertices, strength, seed))
        progress.total = 4
        for _ in range(4):
            progress.advance(message="restoring")
        return show(self.problem, self.truth, cameras)

    def redraw(self, *_: object) -> RestoredView:
        raise AssertionError("there is no mesh to show")


@pytest.fixture(scope="module")
def windy() -> tuple[RefinementProblem, np.ndarray]:
    """A sheet that the wind takes away from the camera."""
    problem = swinging_sheet()[0]
    truth = blown(problem, 0.08)
    return replace(problem, views=(show(problem, truth, problem.views[0].cameras),)), truth


def run(
    problem: RefinementProblem, restore: Restorer, config: RoundsConfig, checkpoint: Path | None = None
) -> RoundsResult:
    progress = Progress("refine", config.steps(problem.frames))
    return refine_in_rounds(problem, restore, config, progress, checkpoint, redraw=restore.redraw)


def test_a_round_with_a_side_view_finds_the_depth(windy):
    problem, truth = windy
    config = RoundsConfig(strengths=(0.5,), azimuths=(65.0,), fit=FIT)
    result = run(problem, Restorer(problem, truth), config)

    first = refine(problem, FIT, Progress("refine", FIT.steps))
    depth = [
        np.abs((vertices - truth)[:, problem.gates > 0.5, 1]).mean()
        for vertices in (problem.coarse_vertices, first.vertices, result.vertices)
    ]
    assert depth[2] < 0.6 * depth[1] and depth[2] < 0.5 * depth[0]
    assert [done.sides for done in result.rounds] == [(), (65.0,)]
    assert result.rounds[1].best_validation < result.rounds[1].start_validation
    assert result.rounds[1].moved > 0.002 and "2 rounds" in result.message


def test_the_first_round_is_the_plain_fit(windy):
    problem, truth = windy
    restore = Restorer(problem, truth)
    result = run(problem, restore, replace(BRIEF, strengths=()))
    plain = refine(problem, BRIEF.fit, Progress("refine", BRIEF.fit.steps))
    assert result.vertices.tobytes() == plain.vertices.tobytes()
    assert result.rounds[0].history == plain.history
    assert result.appearance is None and restore.calls == [] and result.rounds[0].strength is None


def test_each_round_sees_more_and_is_restored_more_gently(windy):
    problem, truth = windy
    restore = Restorer(problem, truth)
    reports: list[Report] = []
    progress = Progress("refine", BRIEF.steps(problem.frames), reports.append)
    result = refine_in_rounds(problem, restore, BRIEF, progress)
    assert [strength for _, _, strength, _ in restore.calls] == [0.6] * 2 + [0.4] * 3
    assert len({seed for *_, seed in restore.calls}) == 5, "what one sample made up, the others did not"
    user = problem.views[0].cameras.positions()[0]
    assert np.allclose(restore.calls[0][0], user) and np.allclose(restore.calls[2][0], user)
    assert restore.calls[3][0][0] > 0.5 and restore.calls[4][0][0] < -0.5
    assert [len(done.sides) for done in result.rounds] == [0, 1, 2]
    assert [done.number for done in result.rounds] == [0, 1, 2]

    steps = [report.step for report in reports]
    assert steps == sorted(steps) and steps[-1] == progress.total == 3 * 3 + 5 * 100
    assert sum(report.message == "restoring" for report in reports) == 5 * 4


def test_what_rounds_move_adds_up_and_goes_on_from_the_layer_so_far(windy):
    problem, truth = windy
    restore = Restorer(problem, truth)
    config = replace(BRIEF, fit=replace(FIT, steps=20, validate_every=10))
    result = run(problem, restore, config)
    after_first, after_second = restore.calls[0][1], restore.calls[2][1]
    assert np.abs(after_first - problem.coarse_vertices).max() > 1e-3
    assert np.abs(after_second - after_first).max() > 1e-3
    open_ = problem.gates > 0
    moved = np.linalg.norm((after_second - after_first)[:, open_], axis=-1).mean()
    assert result.rounds[1].moved == pytest.approx(moved, rel=1e-5)
    assert result.vertices[:, ~open_].tobytes() == problem.coarse_vertices[:, ~open_].tobytes()


def test_proposals_stay_where_they_are_in_the_world(windy):
    problem, truth = windy
    led = replace(
        problem,
        vertex_targets=truth - problem.coarse_vertices,
    )
    fit = replace(FIT, steps=20, validate_every=10)
    result = run(led, Restorer(led, truth), RoundsConfig(strengths=(0.5,), azimuths=(), fit=fit))
    first, second = (done.history["proposal"] for done in result.rounds)
    assert second[0] < first[0]


@dataclass
class Sampler(Restorer):
    """A prior that knows the mesh: every sample of the truth is off by 3 cm to another side."""

    drawn: list[np.ndarray] = field(default_factory=list)

    def sample(self, number: int) -> np.ndarray:
        return self.truth + np.float32([0.03 * (-1) ** number, 0, 0]) * self.problem.gates[:, None]

    def __call__(self, *asked) -> RestoredView:
        view = super().__call__(*asked)
        return replace(view, vertices=self.sample(len(self.calls)))

    def redraw(
        self, view: RestoredView, vertices: np.ndarray, appearance: np.ndarray | None, should_cancel
    ) -> RestoredView:
        self.drawn.append(vertices)
        return replace(show(self.problem, vertices, view.cameras), vertices=vertices)


@pytest.fixture
def sampled(windy) -> tuple[RefinementProblem, Sampler]:
    """The first view is a sample too, the one with number 0."""
    problem, truth = windy
    restore = Sampler(problem, truth)
    first = replace(show(problem, restore.sample(0), problem.views[0].cameras), vertices=restore.sample(0))
    return replace(problem, views=(first,)), restore


def test_later_rounds_fit_to_what_all_samples_agree_on(sampled):
    problem, restore = sampled
    config = RoundsConfig(strengths=(0.5, 0.5), azimuths=(), fit=replace(FIT, steps=60, validate_every=60))
    result = run(problem, restore, config)
    open_ = problem.gates > 0.5
    truth, start = restore.truth[:, open_], problem.coarse_vertices[:, open_]
    for number, vertices in enumerate(restore.drawn, start=2):
        samples = [restore.sample(k) for k in range(number)]
        agreed = Consensus.none(problem.coarse_vertices).joined(
            replace(problem.views[0], vertices=vertices) for vertices in samples
        )
        np.testing.assert_allclose(vertices, agreed.vertices, atol=1e-6)
    assert len(restore.drawn) == 2
    aside = [np.abs((layer[:, open_] - truth)[..., 0].mean()) for layer in (restore.sample(0), result.vertices)]
    assert aside[1] < 0.6 * aside[0]
    assert (
        np.linalg.norm(result.vertices[:, open_] - truth, axis=-1).mean()
        < 0.6 * np.linalg.norm(start - truth, axis=-1).mean()
    )


def test_samples_of_rounds_before_an_interruption_still_count(sampled, tmp_path):
    problem, restore = sampled
    straight = run(problem, restore, BRIEF)
    again = Sampler(problem, restore.truth)
    stopped = Progress("refine", BRIEF.steps(problem.frames), should_cancel=lambda: stopped.step >= 507)
    with pytest.raises(Cancelled):
        refine_in_rounds(problem, again, BRIEF, stopped, tmp_path / "rounds", redraw=again.redraw)
    again.calls = again.calls[:2]  # the third round samples anew
    resumed = run(problem, again, BRIEF, tmp_path / "rounds")
    assert resumed.vertices.tobytes() == straight.vertices.tobytes()


def test_a_mesh_that_does_not_fit_is_refused(sampled):
    problem, restore = sampled
    restore.sample = lambda _: restore.truth[:, 1:]
    with pytest.raises(Ani3DError) as caught:
        run(problem, restore, BRIEF)
    assert caught.value.code == "refinement.shape"


def test_a_cancelled_run_goes_on_with_the_round_it_was_in(windy, tmp_path: Path):
    problem, truth = windy
    straight = run(problem, Restorer(problem, truth), BRIEF)
    path = tmp_path / "rounds"
    first = Restorer(problem, truth)
    # in the middle of the third round's fit: 3 fits of 3 steps and 5 restorations of 100
    stopped = Progress("refine", BRIEF.steps(problem.frames), should_cancel=lambda: stopped.step >= 507)
    with pytest.raises(Cancelled):
        refine_in_rounds(problem, first, BRIEF, stopped, path)
    assert path.exists() and len(first.calls) == 5

    second = Restorer(problem, truth)
    reports: list[Report] = []
    progress = Progress("refine", BRIEF.steps(problem.frames), reports.append)
    resumed = refine_in_rounds(problem, second, BRIEF, progress, path)
    assert len(second.calls) == 3, "only the third round's views are made again"
    assert resumed.vertices.tobytes() == straight.vertices.tobytes()
    assert [done.history for done in resumed.rounds] == [done.history for done in straight.rounds]
    assert reports[0].step == 206 and progress.step == progress.total
    assert list(tmp_path.iterdir()) == []

    # a restoration that is cancelled leaves the rounds before it
    stopped = Progress("refine", BRIEF.steps(problem.frames), should_cancel=lambda: stopped.step >= 50)
    with pytest.raises(Cancelled):
        refine_in_rounds(problem, Restorer(problem, truth), BRIEF, stopped, path)
    assert path.exists()
    other = run(problem, Restorer(problem, truth), replace(BRIEF, strengths=(0.6, 0.3)), checkpoint=path)
    assert len(other.rounds) == 3, "rounds of other settings are made anew"


@pytest.mark.parametrize(("seconds", "rounds"), [(1.0, 1), (29.0, 1), (31.0, 2), (59.0, 2), (61.0, 3)])
def test_rounds_go_on_while_time_runs(windy, seconds, rounds):
    """With ten seconds per view: 10, 20 and 30 seconds for a round."""
    problem, truth = windy
    restore = Restorer(problem, truth)
    views = iter((0, 1, 1, 3, 3, 6))

    def clock() -> float:
        return 10.0 * next(views)

    progress = Progress("refine", BRIEF.steps(problem.frames))
    result = refine_in_rounds(problem, restore, replace(BRIEF, seconds=seconds), progress, clock=clock)
    assert len(result.rounds) == rounds
    assert progress.step == progress.total
    assert [done.seconds for done in result.rounds] == [10.0, 20.0, 30.0][:rounds]


@pytest.mark.parametrize(("restoring", "rounds"), [(5.0, 2), (11.0, 1)])
def test_a_second_round_is_foretold_with_what_restoring_took(windy, restoring, rounds):
    problem, truth = windy
    moments = iter((0.0, 10.0, 10.0, 20.0))  # the first round takes ten seconds, a second of two views is due by 50
    result = refine_in_rounds(
        problem,
        Restorer(problem, truth),
        replace(BRIEF, strengths=(0.6,), seconds=50.0),
        Progress("refine", BRIEF.steps(problem.frames)),
        clock=lambda: next(moments),
        restoring=restoring,
    )
    assert len(result.rounds) == rounds


def test_the_history_counts_on_through_all_rounds(windy):
    problem, truth = windy
    result = run(problem, Restorer(problem, truth), BRIEF)
    history = result.history
    assert history["step"] == list(range(1, 10))
    assert history["total"] == [value for done in result.rounds for value in done.history["total"]]
    steps = [0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9]
    assert history["validation_step"] == steps and len(history["validation"]) == len(steps)
    terms = set(history) - {"validation", "validation_step"}
    assert {len(history[name]) for name in terms} == {9}


def test_a_restored_view_that_does_not_fit_is_refused(windy):
    problem, truth = windy

    class Wrong(Restorer):
        def __call__(self, *asked) -> RestoredView:
            view = super().__call__(*asked)
            return replace(view, colors=view.colors[:, :-1])

    with pytest.raises(Ani3DError) as caught:
        refine_in_rounds(problem, Wrong(problem, truth), BRIEF, Progress("refine", BRIEF.steps(problem.frames)))
    assert caught.value.code == "refinement.shape"


@pytest.mark.parametrize(
    "change",
    [
        {"strengths": (0.3, 0.5)},
        {"strengths": (1.2,)},
        {"strengths": (0.4, 0.0)},
        {"sides_per_round": 0},
        {"seconds": 0.0},
    ],
)
def test_settings_out_of_range(change):
    with pytest.raises(Ani3DError) as caught:
        RoundsConfig(**change)
    assert caught.value.code == "refinement.rounds"
