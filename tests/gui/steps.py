"""What a person does with the extension in a window, and what has to come of it. Runs inside Blender.

Each step is a generator of `Wait`s that begins in an empty file, in the order of this page; `make gui-test STEP=name`
runs one alone. A new one is a function with `@step`.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import bpy
import heavy
import rigs
from fingerprint import fingerprint
from window import Wait, Window

BLOCK = 0.75  # seconds of work in which the window may not answer while a character of 100,000 vertices is exported
BIND_BLOCK = 0.05  # ... while it is bound, but for what Blender takes to draw it
EXTENSION = "bl_ext.user_default.ani3dhuman"
Step = Callable[[Window], Iterator[Wait]]
STEPS: dict[str, Step] = {}
UNDISTURBED: set[str] = set()
READING = range(85, 125)  # frames that are passed when the shot is played, and not looked at before
BIND, EXPORT, ANIMATE = "ANI3D_OT_bind_character", "ANI3D_OT_export_shot", "ANI3D_OT_animate"


def step(function: Step) -> Step:
    STEPS[function.__name__] = function
    return function


def undisturbed_step(function: Step) -> Step:
    """A step without simulated events: a Blender that takes them keeps one core busy all the time."""
    UNDISTURBED.add(function.__name__)
    return step(function)


def part(name: str) -> ModuleType:
    """A module of the installed extension."""
    return importlib.import_module(f"{EXTENSION}.{name}")


def use_engine(window: Window) -> None:
    """Have the extension use the engine that was started beside the window."""
    part("preferences").get(bpy.context).endpoint = str(window.out.parent / "engine.json")


def open_heavy(window: Window) -> Iterator[Wait]:
    """The heavy character, as a file on the disk."""
    window.empty()
    with window.inside():
        heavy.build()
        bpy.ops.wm.save_as_mainfile(filepath=str(window.out / "heavy.blend"))
    yield from window.show_tab()


def open_small(window: Window) -> Iterator[Wait]:
    window.empty()
    with window.inside():
        rigs.character()
        bpy.ops.wm.save_as_mainfile(filepath=str(window.out / "small.blend"))
    yield from window.show_tab()


def same_as(before: str) -> None:
    after = repr(fingerprint())
    assert after == before, f"the scene was {before}, it is {after}"


def answered(window: Window, what: str, block: float = BLOCK) -> None:
    work, _ = window.longest
    window.figure(f"{what}_at_a_time_seconds", work)
    assert work < block, f"the window did not answer during {work:.2f} s of work"


def slices_of(window: Window) -> list[float]:
    """Seconds of work of each slice that operators which work in steps do from now on."""
    stepwise, slices = part("operators.stepwise"), list[float]()
    advance = getattr(stepwise.WorksInSteps, "ani3d_advance", stepwise.WorksInSteps._advance)

    def timed(operator: object, context: bpy.types.Context) -> bool:
        started = time.thread_time()
        try:
            return advance(operator, context)
        finally:
            slices.append(time.thread_time() - started)

    stepwise.WorksInSteps.ani3d_advance, stepwise.WorksInSteps._advance = advance, timed
    return slices


def bound(window: Window) -> Iterator[Wait]:
    """Press Bind and wait for it."""
    window.press("ani3d.bind_character")
    yield lambda: not window.works(BIND)
    yield 0.2
    assert bpy.context.scene.ani3d.armature is not None


@step
def bind_shows_its_progress_and_ends_well(window: Window) -> Iterator[Wait]:
    yield from open_heavy(window)
    slices = slices_of(window)
    window.watch()
    assert window.press("ani3d.bind_character") == {"RUNNING_MODAL"}
    yield 0.3
    assert window.works(BIND)
    yield lambda: not window.works(BIND)
    worst = window.longest[0]
    window.figure("bind_at_a_time_seconds", max(slices))
    print(f"  Bind: {len(slices)} slices, {worst:.3f} s at most with drawing")
    window.watch()
    for frame in (30, 60, 90, 17):
        bpy.context.scene.frame_set(frame)
        yield 0.5
    print(f"  changing the frame and drawing, without the extension: at most {window.longest[0]:.3f} s")
    assert max(slices) < BIND_BLOCK, f"a slice took {max(slices):.3f} s of work"
    assert [part.name for part in bpy.context.scene.ani3d.parts] == ["Body", "Skirt"]
    assert bpy.context.scene.frame_current == 17
    yield 1.0
    window.picture("bound")


@step
def escape_stops_bind(window: Window) -> Iterator[Wait]:
    yield from open_heavy(window)
    before = repr(fingerprint())
    slices = slices_of(window)
    window.press("ani3d.bind_character")
    yield 0.2
    window.key("ESC")
    yield lambda: not window.works(BIND)
    assert max(slices) < BIND_BLOCK, f"a slice took {max(slices):.3f} s of work"
    yield 0.5
    same_as(before)
    assert bpy.context.scene.ani3d.armature is None, "Bind ended before Escape was pressed"


@step
def escape_stops_export(window: Window) -> Iterator[Wait]:
    yield from open_heavy(window)
    yield from bound(window)
    before, path = repr(fingerprint()), window.out / "stopped.npz"
    window.watch()
    window.press("ani3d.export_shot", filepath=str(path))
    yield lambda: bpy.context.scene.frame_current in READING
    window.picture("exporting")
    window.key("ESC")
    yield lambda: not window.works(EXPORT)
    answered(window, "export_until_escape")
    yield 0.5
    same_as(before)
    assert not path.exists()


@step
def export_ends_well(window: Window) -> Iterator[Wait]:
    yield from open_heavy(window)
    yield from bound(window)
    path = window.out / "heavy.npz"
    path.unlink(missing_ok=True)
    frame = bpy.context.scene.frame_current
    window.watch()
    window.press("ani3d.export_shot", filepath=str(path))
    yield lambda: not window.works(EXPORT)
    answered(window, "export")
    assert path.exists() and bpy.context.scene.frame_current == frame
    path.unlink()


@step
def escape_stops_animate_while_it_reads(window: Window) -> Iterator[Wait]:
    yield from open_heavy(window)
    yield from bound(window)
    use_engine(window)
    before = repr(fingerprint())
    window.watch()
    window.press("ani3d.animate")
    session = part("session").session
    yield lambda: session.course is None or session.course.stage == "export"  # frames are few slices here
    window.key("ESC")
    yield lambda: not window.works(ANIMATE)
    answered(window, "animate_until_escape")
    yield 0.5
    same_as(before)
    assert not bpy.context.scene.ani3d.jobs


@step
def repeating_and_redoing_bind_does_no_harm(window: Window) -> Iterator[Wait]:
    """Blender once crashed here: an operator that returns RUNNING_MODAL may not be redone."""
    yield from open_small(window)
    yield from bound(window)
    window.key("R", shift=True)
    yield 1.0
    yield lambda: not window.works(BIND)
    window.key("F9")
    yield 1.0
    window.key("ESC")
    yield 0.5
    assert bpy.context.scene.ani3d.armature is not None


@step
def undo_takes_binding_back(window: Window) -> Iterator[Wait]:
    yield from open_small(window)
    with window.inside():
        bpy.ops.ed.undo_push(message="Before")
    yield from bound(window)
    window.key("Z", ctrl=True)
    yield 1.0
    assert bpy.context.scene.ani3d.armature is None
    window.key("Z", ctrl=True, shift=True)
    yield 1.0
    assert bpy.context.scene.ani3d.armature is not None


@step
def a_bound_character_is_rendered_saved_and_reopened(window: Window) -> Iterator[Wait]:
    yield from open_small(window)
    yield from bound(window)
    scene = bpy.context.scene
    scene.render.engine = "BLENDER_WORKBENCH"
    bpy.context.preferences.view.render_display_type = "NONE"
    window.key("F12")
    yield 3.0
    window.key("S", ctrl=True)
    yield lambda: not bpy.data.is_dirty
    before = repr(fingerprint())
    path = Path(bpy.data.filepath)
    with window.inside():
        bpy.ops.wm.open_mainfile(filepath=str(path))
    yield 2.0
    same_as(before)
    yield from window.show_tab()
    window.picture("reopened")
