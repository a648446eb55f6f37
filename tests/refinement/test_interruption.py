"""Stopping a fit anywhere: how soon it does, and that it goes on to the same result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sheet import seen, show, swinging_sheet

from ani3d_formats.errors import Cancelled
from ani3d_formats.progress import Progress, Report
from ani3dhuman.avatar.binding import SurfaceBinding
from ani3dhuman.fields.build import FIELDS
from ani3dhuman.fields.dct import DctConfig
from ani3dhuman.fields.hexplane import FieldConfig
from ani3dhuman.refinement import RefinementConfig, RefinementProblem, RefinementResult, refine, scene, scene_view
from ani3dhuman.refinement.fit import FRAMES_AT_ONCE
from ani3dhuman.refinement.side_views import side_cameras
from ani3dhuman.storage import checkpoint

FIELD = {
    "hexplane": FieldConfig(resolutions=(6,), time_resolution=8, hidden=16),
    "dct": DctConfig(modes=5),
}
SHORT = RefinementConfig(steps=5, validate_every=2, margin=8, field_kind="hexplane", field=FIELD["hexplane"])
LONG = replace(SHORT, steps=9, validate_every=4)


class Killed(BaseException):
    """Ends a fit without giving it time to save anything."""


@pytest.fixture(params=sorted(FIELDS))
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def sheet() -> RefinementProblem:
    """Without a body, which is built in one piece."""
    return swinging_sheet()[0]


def run(problem: RefinementProblem, config: RefinementConfig, path: Path | None = None) -> RefinementResult:
    return refine(problem, config, Progress("refine", config.steps), path)


def same(result: RefinementResult, other: RefinementResult) -> bool:
    return (
        result.vertices.tobytes() == other.vertices.tobytes()
        and result.history == other.history
        and (result.best_step, result.message) == (other.best_step, other.message)
        and all(torch.equal(value, other.field.state_dict()[name]) for name, value in result.field.state_dict().items())
    )


def test_cancel_stops_within_a_step_and_resumes_to_the_same_result(sheet, kind, tmp_path):
    short = replace(SHORT, field_kind=kind, field=FIELD[kind])
    path = tmp_path / "fit.safetensors"
    straight = run(sheet, short)

    stopped = Progress("refine", short.steps, should_cancel=lambda: stopped.step >= 3)
    with pytest.raises(Cancelled):
        refine(sheet, short, stopped, path)
    assert stopped.step == 3 and path.exists()

    reports: list[Report] = []
    resumed = refine(sheet, short, Progress("refine", short.steps, reports.append), path)
    assert [report.step for report in reports] == [3, 4, 5]
    assert same(resumed, straight)
    assert list(tmp_path.iterdir()) == []


# by a clock that gains half a minute in each step: a validation writes too, and the minute starts anew
@pytest.mark.parametrize(("killed_at", "kept"), [(2, None), (3, 3), (4, 4), (5, 4), (6, 6), (7, 6), (9, 9)])
def test_a_killed_fit_goes_on_from_what_was_written_within_a_minute(sheet, tmp_path, killed_at, kept):
    path = tmp_path / "fit.safetensors"
    straight = run(sheet, LONG)

    def kill(report: Report) -> None:
        if report.step == killed_at:
            raise Killed

    doomed = Progress("refine", LONG.steps, kill)
    with pytest.raises(Killed):
        refine(sheet, LONG, doomed, path, clock=lambda: 30.0 * doomed.step)
    assert path.exists() == (kept is not None)

    reports: list[Report] = []
    resumed = refine(sheet, LONG, Progress("refine", LONG.steps, reports.append), path)
    assert [report.step for report in reports] == list(range(kept or 1, LONG.steps + 1))
    assert same(resumed, straight)
    assert list(tmp_path.iterdir()) == []


def asks_of(fit: Callable[[Progress], object]) -> int:
    """How often a fit asks whether to stop."""
    count = 0

    def counted() -> bool:
        nonlocal count
        count += 1
        return False

    fit(Progress("refine", SHORT.steps, should_cancel=counted))
    return count


def stop_at(number: int) -> Callable[[], bool]:
    """Asked for the `number`-th time and from then on, it says to stop."""
    count = 0

    def asked() -> bool:
        nonlocal count
        count += 1
        return count >= number

    return asked


def test_a_fit_stopped_anywhere_goes_on_to_the_same_result(sheet, tmp_path):
    """In the scene's build, within a step, within a validation, while the layer is made."""
    path = tmp_path / "fit.safetensors"
    straight = run(sheet, SHORT)
    total = asks_of(lambda progress: refine(sheet, SHORT, progress, path))
    reached = set()
    fitting = total - (SHORT.steps + 1) * 8
    for number in [
        *range(1, fitting, 30),
        *range(fitting, total, 3),
        total,
    ]:  # 3: each of the 8 places of a step, in turn
        stopped = Progress("refine", SHORT.steps, should_cancel=stop_at(number))
        with pytest.raises(Cancelled):
            refine(sheet, SHORT, stopped, path)
        found = checkpoint.load_checkpoint(path, checkpoint.fingerprint(sheet, SHORT))
        reached.add(found and found[1]["step"])
        assert same(run(sheet, SHORT, path), straight), f"asked {number} of {total} times"
    assert reached == {None, 1, 2, 3, 4, 5}
    path.write_bytes(b"of another fit")
    with pytest.raises(Cancelled):
        refine(sheet, SHORT, Progress("refine", SHORT.steps, should_cancel=lambda: True), path)
    assert path.read_bytes() == b"of another fit", "what was stopped before its first step has nothing to keep"


def test_little_is_done_between_two_times_it_asks(sheet, monkeypatch, tmp_path):
    """However many frames, views and pictures a step there are: one picture drawn, widened or cut at a time."""
    side = side_cameras(sheet.coarse_vertices, sheet.views[0].cameras, 65.0)
    alpha = sheet.views[0].garment_mask
    problem = seen(sheet, target_alpha=alpha)
    problem = replace(problem, views=(*problem.views, show(sheet, sheet.coarse_vertices, side)))
    config = replace(SHORT, frames_per_step=3, held_out=2)
    since, most = Counter[str](), Counter[str]()

    def watch(holder: object, name: str) -> None:
        plain = getattr(holder, name)

        def counted(*args, **kwargs):
            since[name] += 1
            most[name] = max(most[name], since[name])
            return plain(*args, **kwargs)

        monkeypatch.setattr(holder, name, counted)

    def asked() -> bool:
        since.clear()
        return False

    watch(scene, "rasterize")
    watch(scene_view, "_widened")
    watch(scene_view.Window, "cut")
    watch(SurfaceBinding, "pose")
    watch(scene.FitScene, "active_vertices")
    refine(problem, config, Progress("refine", config.steps, should_cancel=asked), tmp_path / "fit")
    assert most == {"rasterize": 1, "_widened": 1, "cut": 1, "pose": 1, "active_vertices": FRAMES_AT_ONCE}
    with pytest.raises(Cancelled):
        refine(problem, config, Progress("refine", config.steps, should_cancel=lambda: True))


def test_steps_lost_to_a_cancelled_step_are_none(sheet):
    """A step of several pictures that is stopped after the first is taken back whole."""
    config = replace(SHORT, frames_per_step=4)
    asks = asks_of(lambda progress: refine(sheet, replace(config, steps=0), progress))
    steps = []
    for number in (asks, asks + 2, asks + 4, asks + 6):
        progress = Progress("refine", config.steps, should_cancel=stop_at(number))
        with pytest.raises(Cancelled):
            refine(sheet, config, progress)
        steps.append(progress.step)
    assert steps == [0, 0, 1, 1]
