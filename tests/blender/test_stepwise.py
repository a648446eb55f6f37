"""Operators that work in steps, in a window: a slice at each tick, Escape, errors."""

from __future__ import annotations

import threading
from itertools import count
from types import SimpleNamespace

import bpy
import pytest


class _Windows:
    """Stands in for the window manager: what an operator adds to it and takes away again."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.shown: list[float] = []

    def event_timer_add(self, _step: float, window: object) -> str:
        self.held.add("timer")
        return "timer"

    def event_timer_remove(self, timer: str) -> None:
        self.held.remove(timer)

    def modal_handler_add(self, operator: object) -> None:
        assert operator

    def progress_begin(self, *_range: float) -> None:
        self.held.add("progress")

    def progress_update(self, value: float) -> None:
        self.shown.append(value)

    def progress_end(self) -> None:
        self.held.remove("progress")


@pytest.fixture
def windowed(addon, part, monkeypatch):
    """An operator in a window, whose steps are given; and the window's context."""
    stepwise = part("operators.stepwise")
    monkeypatch.setattr(
        stepwise, "bpy", SimpleNamespace(app=SimpleNamespace(background=False, handlers=bpy.app.handlers))
    )
    ticks = count()
    monkeypatch.setattr(stepwise, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    monkeypatch.setattr(stepwise, "SLICE", 1.5)  # of looks at the clock: one step a slice

    def build(steps):
        class Work(stepwise.WorksInSteps):
            bl_label, STAGE, DOING = "Work", "work", "Doing step"

            def begin(self, _context):
                return steps

            def finish(self, _context, result):
                self.result = result

            def report(self, kind, text):
                self.told = (kind, text)

        lines: list[str | None] = []
        workspace = SimpleNamespace(status_text_set=lines.append)
        context = SimpleNamespace(window="window", window_manager=_Windows(), workspace=workspace, lines=lines)
        return Work(), context

    return build


TICK, ESCAPE, MOUSE = (SimpleNamespace(type=kind) for kind in ("TIMER", "ESC", "LEFTMOUSE"))


def _steps(closed: list[bool], problem: Exception | None = None):
    try:
        yield 1, 2, 75.0
        if problem:
            raise problem
        yield 2, 2, 0.0
        return "whole"
    finally:
        closed.append(True)


def test_a_slice_at_each_tick_until_it_is_finished(windowed):
    closed: list[bool] = []
    work, context = windowed(_steps(closed))
    assert work.execute(context) == {"RUNNING_MODAL"}
    assert work.modal(context, MOUSE) == {"RUNNING_MODAL"}
    assert work.modal(context, TICK) == {"RUNNING_MODAL"}
    assert context.lines[-1] == "Doing step 1 of 2, 1 min 15 s left. Escape stops."
    assert context.window_manager.shown == [0.5]
    assert work.modal(context, TICK) == {"RUNNING_MODAL"}
    assert work.modal(context, TICK) == {"FINISHED"}
    assert (work.result, closed, context.window_manager.held, context.lines[-1]) == ("whole", [True], set(), None)


def test_escape_puts_everything_back(windowed):
    closed: list[bool] = []
    work, context = windowed(_steps(closed))
    work.execute(context)
    work.modal(context, TICK)
    assert work.modal(context, ESCAPE) == {"CANCELLED"}
    assert work.told == ({"WARNING"}, "Work was cancelled; nothing was written.")
    assert (closed, context.window_manager.held, context.lines[-1]) == ([True], set(), None)


def test_an_error_ends_it_in_one_line(windowed, part):
    closed: list[bool] = []
    problem = part("carried.formats.errors").Ani3DError("views.render", "It broke.", "Mend it.")
    work, context = windowed(_steps(closed, problem))
    work.execute(context)
    work.modal(context, TICK)
    assert work.modal(context, TICK) == {"CANCELLED"}
    assert work.told == ({"ERROR"}, "It broke. Mend it.")
    assert (closed, context.window_manager.held) == ([True], set())


def test_work_beside_gives_back_what_it_returns_and_raises(part):
    beside = part("background").beside

    def ended(steps):
        for _ in count():
            try:
                next(steps)
            except StopIteration as end:
                return end.value

    assert ended(beside(lambda: 5)) == 5
    with pytest.raises(ZeroDivisionError):
        ended(beside(lambda: 1 // 0))
    event = threading.Event()
    steps = beside(event.wait)
    next(steps)  # goes on while the work waits
    event.set()
    assert ended(steps) is True


def test_weights_are_read_in_steps(addon, part):
    """However many vertices a mesh has, the window answers between some thousand of them."""
    mesh = bpy.data.meshes.new("Many")
    mesh.vertices.add(20_000)
    item = bpy.data.objects.new("Many", mesh)
    item.vertex_groups.new(name="bone").add(range(20_000), 0.5, "REPLACE")
    steps = part("export.weights")._pairs(mesh, {0: 3})
    assert len(list(steps)) == 20


def test_undo_in_the_middle_puts_the_scene_back_first(bound, part):
    """As another window can do it while a shot is exported."""
    stepwise, shot = part("operators.stepwise"), part("export.shot")
    armature = bound
    for message in ("Before", "After"):
        bpy.ops.ed.undo_push(message=message)
    request = shot.Request(armature, range(1, 4))
    steps = stepwise.until_undo(shot.export_steps(bpy.context, request, print))
    while armature.data.pose_position != "REST":
        next(steps)
    seen = []
    bpy.app.handlers.undo_pre.append(lambda *_: seen.append(armature.data.pose_position))
    bpy.ops.ed.undo()
    assert seen == ["POSE"]
    with pytest.raises(Exception, match="Undo or Redo came between"):
        next(steps)
    assert len(bpy.app.handlers.undo_pre) == 1 and not bpy.app.handlers.redo_pre
    assert bpy.data.armatures[0].pose_position == "POSE"
