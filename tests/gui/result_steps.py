"""What a person does with jobs and results in a window. Runs inside Blender; the engine runs outside it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import bpy
import numpy as np
import rigs
from fingerprint import fingerprint
from steps import open_small, part, step, undisturbed_step, use_engine
from window import Wait, Window

BLOCK = 0.05  # seconds that a window may not answer while a job is followed and a result is looked at
SLOWER = 1.3  # how much longer than meshes Gaussians may take to be drawn in Solid
GAUSSIANS, SIDE = 80_000, 283  # Gaussians, and vertices along the side of a mesh, of the result that is drawn
REDRAWS = 5


def rows() -> list[bpy.types.PropertyGroup]:
    return list(bpy.context.scene.ani3d.jobs)


def shown() -> bool:
    """Whether a result is in the scene and nothing goes on."""
    return bool(part("import_result").result_names()) and part("session").session.transfer is None


def animated(window: Window, preset: str) -> Iterator[Wait]:
    """The small character, Animate pressed once, its result in the scene."""
    yield from open_small(window)
    use_engine(window)
    bpy.context.scene.ani3d.preset = preset
    assert window.press("ani3d.animate") == {"RUNNING_MODAL"}
    yield shown
    yield 0.5


@step
def one_press_leads_to_a_moving_result(window: Window) -> Iterator[Wait]:
    started = time.monotonic()
    yield from animated(window, "cloth")
    window.figure("one_press_seconds", time.monotonic() - started)
    window.picture("cloth_result")
    assert [row.state for row in rows()] == ["done"]
    copies = [item for item in bpy.data.objects if item.ani3d.kind == "MESH"]
    window.watch()
    places = []
    for frame in range(3, 11):
        bpy.context.scene.frame_set(frame)
        places.append(rigs.evaluated_vertices(copies[0]))
        yield 0.1
    window.figure("scrubbing_at_a_time_seconds", window.longest[0])
    assert np.abs(np.diff(places, axis=0)).max(axis=(1, 2)).min() > 0, "it does not move"


@step
def a_result_plays_on_the_original(window: Window) -> Iterator[Wait]:
    """With the subdivision and the edits that the artist puts there, and off again with Ctrl+Z."""
    yield from animated(window, "cloth")
    name, skirt = part("import_result").result_names()[0], bpy.data.objects["Skirt"]
    with window.inside():
        bpy.ops.ed.undo_push(message="Shown")
    window.press("ani3d.show_result", name=name, what="ON_ORIGINAL")
    yield 0.5
    stack = [modifier.name for modifier in skirt.modifiers]
    assert stack[-2:] == ["Ani3D Result", "Ani3D Place"] and not skirt.hide_viewport
    places = []
    for frame in range(3, 11):
        bpy.context.scene.frame_set(frame)
        places.append(rigs.evaluated_vertices(skirt))
        yield 0.1
    assert np.abs(np.diff(places, axis=0)).max(axis=(1, 2)).min() > 0, "it does not move"
    window.picture("on_original")
    window.key("Z", ctrl=True)
    yield 1.0
    skirt = bpy.data.objects["Skirt"]
    assert [modifier.name for modifier in skirt.modifiers] == stack[:-2] and skirt.hide_viewport


@undisturbed_step
def the_demo_moves_after_one_press(window: Window) -> Iterator[Wait]:
    """From the saved file to a moving result: one press, no key, quality Cloth, an engine that runs."""
    demo = window.out / "demo.blend"
    shutil.copy(window.out.parent / "demo.blend", demo)
    with window.inside():
        bpy.ops.wm.open_mainfile(filepath=str(demo))
    use_engine(window)
    yield from window.show_tab()
    bpy.context.scene.ani3d.preset = "cloth"
    window.watch()
    started, worked = time.monotonic(), time.process_time()
    assert window.press("ani3d.animate") == {"RUNNING_MODAL"}
    reached: dict[str, tuple[float, float]] = {}  # when each part of the work began, and Blender's processor time

    def ended() -> bool:
        if (course := part("session").session.course) is not None:
            reached.setdefault(course.stage, (time.monotonic(), time.process_time()))
        return shown()

    yield ended
    reached["end"] = time.monotonic(), time.process_time()
    for stage, (seconds, work) in reached.items():
        print(f"  {stage}: after {seconds - started:.2f} s, {work - worked:.2f} s of Blender's processor time")
    window.figure("demo_one_press_seconds", reached["end"][0] - started)
    window.figure("demo_blender_processor_seconds", reached["end"][1] - worked)
    window.picture("demo_result")
    dress = next(item for item in bpy.data.objects if item.ani3d.kind == "MESH" and "Dress" in item.name)
    places = []
    for frame in (10, 30, 50):
        bpy.context.scene.frame_set(frame)
        places.append(rigs.evaluated_vertices(dress))
        yield 0.1
    assert np.abs(np.diff(places, axis=0)).max(axis=(1, 2)).min() > 0.01, "it does not move"


@step
def a_result_survives_undo_rendering_and_reopening(window: Window) -> Iterator[Wait]:
    yield from animated(window, "cloth")
    with window.inside():
        bpy.ops.ed.undo_push(message="Shown")
        bpy.context.scene.frame_set(5)
    window.key("Z", ctrl=True)
    yield 1.0
    window.key("Z", ctrl=True, shift=True)
    yield 1.0
    assert [row.state for row in rows()] == ["done"]
    bpy.context.scene.render.engine = "BLENDER_WORKBENCH"
    bpy.context.preferences.view.render_display_type = "NONE"
    window.key("F12")
    yield 3.0
    window.key("S", ctrl=True)
    yield lambda: not bpy.data.is_dirty
    before, path = repr(fingerprint()), Path(bpy.data.filepath)
    with window.inside():
        bpy.ops.wm.open_mainfile(filepath=str(path))
    yield 2.0
    after = repr(fingerprint())
    assert after == before, f"the scene was {before}, it is {after}"
    assert [(row.state, bool(row.result)) for row in rows()] == [("done", True)], "the list has lost its job"
    yield from window.show_tab()
    window.picture("reopened_result")


@step
def cancel_stops_a_job_and_retry_goes_on(window: Window) -> Iterator[Wait]:
    yield from open_small(window)
    use_engine(window)
    bpy.context.scene.ani3d.preset = "draft"
    window.press("ani3d.animate")
    session = part("session").session
    yield lambda: session.is_working() and session.job.state == "running"
    yield 1.0
    window.picture("working")
    window.watch()
    yield 2.0
    window.figure("following_at_a_time_seconds", window.longest[0])
    assert window.longest[0] < BLOCK, f"the window did not answer for {window.longest[0]:.2f} s"
    window.press("ani3d.cancel_job")
    yield lambda: rows()[0].state == "cancelled"
    yield 0.5
    window.picture("cancelled")
    assert not part("import_result").result_names()


@step
def a_job_goes_on_while_another_file_is_open(window: Window) -> Iterator[Wait]:
    yield from open_small(window)
    use_engine(window)
    bpy.context.scene.ani3d.preset = "cloth"
    bpy.context.scene.ani3d.floor = False  # another job than those before
    path = bpy.data.filepath
    window.press("ani3d.animate")
    session = part("session").session
    yield lambda: bool(rows())
    with window.inside():
        bpy.ops.wm.save_mainfile()
    window.empty()
    yield 1.0
    with window.inside():
        bpy.ops.wm.open_mainfile(filepath=path)
    yield from window.show_tab()
    yield lambda: rows()[0].state == "done"
    assert session.is_open()
    window.picture("job_of_before")


@step
def quitting_in_mid_job_loses_nothing(window: Window) -> Iterator[Wait]:
    yield from open_small(window)
    use_engine(window)
    bpy.context.scene.ani3d.preset = "draft"
    bpy.context.scene.ani3d.floor = False  # another job than those before
    window.press("ani3d.animate")
    session = part("session").session
    yield lambda: session.is_working() and session.job.state == "running"
    with window.inside():
        bpy.ops.wm.save_mainfile()
    window.picture("before_quitting")
    window.ends = True


@step
def its_result_is_shown_after_reopening(window: Window) -> Iterator[Wait]:
    """In a new Blender, behind the step before."""
    with window.inside():
        bpy.ops.wm.open_mainfile(filepath=str(window.out / "small.blend"))
    use_engine(window)
    yield from window.show_tab()
    window.picture("after_quitting")
    assert [bool(row.job) for row in rows()] == [True]
    assert not part("import_result").result_names()
    window.press("ani3d.start_engine")
    yield lambda: rows()[0].state == "done"
    window.press("ani3d.show_job", job=rows()[0].job)
    yield shown
    yield 0.5
    window.picture("result_after_quitting")


@step
def repeating_and_redoing_any_operator_does_no_harm(window: Window) -> Iterator[Wait]:
    """Blender crashes where an operator that returned RUNNING_MODAL is redone."""
    yield from animated(window, "cloth")
    name, job = part("import_result").result_names()[0], rows()[0].job
    presses = [
        ("bind_character", {}), ("export_shot", {"filepath": str(window.out / "again.npz")}), ("follow", {"job": job}),
        ("submit", {}), ("fetch_result", {"job": job}), ("show_job", {"job": job}), ("cancel_job", {"job": job}),
        ("show_result", {"name": name, "what": "MESH"}), ("show_result", {"name": name, "what": "ORIGINAL"}),
        ("animate", {}), ("remove_result", {"name": name}), ("remove_job", {"job": job}), ("stop_engine", {}),
        ("start_engine", {}),
    ]  # fmt: skip
    for operator, options in presses:
        try:
            window.press(f"ani3d.{operator}", **options)
        except RuntimeError as refused:  # the state may not allow it: that is said, and no harm
            print(f"  {operator}: {refused}")
        yield 0.3
        yield lambda: not window.modal()
        window.key("R", shift=True)
        yield 0.3
        yield lambda: not window.modal()
        window.key("F9")
        yield 0.3
        window.key("ESC")
        yield 0.3
        yield lambda: not window.modal()


@step
def gaussians_in_solid_are_as_quick_as_meshes(window: Window) -> Iterator[Wait]:
    yield from open_small(window)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, SIDE)] * 2, [0.0]), -1).reshape(-1, 3)
    mesh = bpy.data.meshes.new("Sheet")
    first = (np.arange(SIDE - 1)[:, None] * SIDE + np.arange(SIDE - 1)).ravel()
    faces = np.stack([first, first + 1, first + SIDE + 1, first + SIDE], 1)
    mesh.from_pydata(grid.tolist(), [], faces.tolist())
    with window.inside():
        bpy.context.scene.collection.objects.link(bpy.data.objects.new("Sheet", mesh))
    meshes = {"Sheet": np.stack([grid, grid]).astype(np.float32)}
    folder, _ = rigs.random_cache(window.out / "Much.ani3d", (3, 4), count=GAUSSIANS, meshes=meshes)
    with window.inside():
        bpy.ops.ani3d.import_result(directory=str(folder))
    seconds = {"MESH": np.inf, "GAUSSIANS": np.inf, "BOTH": np.inf}
    for turn in range(REDRAWS):  # by turns, the quickest of each: others use the machine too
        for what, quickest in seconds.items():
            with window.inside():
                bpy.ops.ani3d.show_result(name="Much", what=what)
                bpy.ops.view3d.view_all()
            yield 0.3
            with bpy.context.temp_override(window=window.itself):
                bpy.ops.wm.redraw_timer(type="DRAW_WIN", iterations=1)
                started = time.perf_counter()
                bpy.ops.wm.redraw_timer(type="DRAW_WIN", iterations=1)
                seconds[what] = min(quickest, time.perf_counter() - started)
            if turn == 0:
                window.picture(f"solid_{what.lower()}")
    for what, value in seconds.items():
        window.figure(f"solid_{what.lower()}_seconds", value)
    for what in ("GAUSSIANS", "MESH"):
        with window.inside():
            bpy.ops.ani3d.show_result(name="Much", what=what)
            started = time.perf_counter()
            bpy.ops.wm.save_mainfile()
        window.figure(f"saving_with_{what.lower()}_in_view_seconds", time.perf_counter() - started)
    assert seconds["GAUSSIANS"] < SLOWER * seconds["MESH"], seconds


@step
def an_error_stands_in_the_panel(window: Window) -> Iterator[Wait]:
    yield from open_small(window)
    use_engine(window)
    bpy.data.objects.remove(bpy.context.scene.camera)
    window.press("ani3d.animate")
    yield lambda: not window.modal()
    yield 0.5
    assert "camera" in part("session").session.error
    window.picture("error")


@step
def panels_fit_at_twice_the_size(window: Window) -> Iterator[Wait]:
    yield from animated(window, "cloth")
    bpy.context.preferences.view.ui_scale = 2.0
    yield 1.0
    window.picture("twice_the_size")
    bpy.context.preferences.view.ui_scale = 1.0
    yield 0.5
