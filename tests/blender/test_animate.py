"""Animate: one press from a scene to its moving result, whatever has been done before it."""

from __future__ import annotations

import json
import time
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import bpy
import pytest
import rigs
from test_bad_input import _error

ENGINE = str(Path(__file__).resolve().parents[2] / ".venv" / "bin" / "ani3dhuman-engine")
QUICK = json.dumps({"preset": "draft", "gaussians": 1500, "refine_steps": 10, "coarse": "rigid", "prior": "none"})


@pytest.fixture
def preferences(addon, tmp_path):
    """The preferences, with the engine's command and a store of its own."""
    chosen = bpy.context.preferences.addons[addon.__name__].preferences
    chosen.engine_command, chosen.store = ENGINE, str(tmp_path / "store")
    return chosen


def _saved(folder: Path) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "walk.blend"))


def test_one_press_binds_exports_starts_the_engine_and_shows(preferences, session, part, monkeypatch, tmp_path):
    rig = rigs.character(frames=8)
    rigs.select(None)
    _saved(tmp_path)
    heard = []
    with monkeypatch.context() as patch:
        patch.setattr(session, "listener", heard.append)
        bpy.ops.ani3d.animate(settings=QUICK)
    stages = list(dict.fromkeys(moment.stage for moment in heard))
    assert stages[:4] == ["bind", "export", "start", "send"]
    assert any(stage.startswith("fetch") for stage in stages)
    scene = bpy.context.scene
    assert scene.ani3d.armature == rig
    (row,) = scene.ani3d.jobs
    assert (row.name, row.preset, row.state, row.result) == ("Rig", "draft", "done", "Rig")
    assert row.folder == f"//walk_ani3d/{row.job}"
    assert (tmp_path / "walk_ani3d" / row.job / "Rig.ani3d" / "manifest.json").is_file()
    assert row.job == scene.ani3d.job_id
    shown = {item.name: not item.hide_viewport for item in scene.objects if item.type in ("MESH", "POINTCLOUD")}
    assert shown == {
        "Body": False, "Skirt": False, "Body Ani3D": True, "Skirt Ani3D": True, "Rig Gaussians": False
    }  # fmt: skip

    # The scene changes: what is sent is the scene as it is now, as another job with a result of its own.
    scene.frame_end = 8
    bpy.ops.ani3d.animate(settings=QUICK)
    newest, first = scene.ani3d.jobs
    assert newest.job != first.job and scene.ani3d.active_job == 0
    assert (newest.result, first.result) == ("Rig 2", "Rig")
    manifest = next((tmp_path / "walk_ani3d" / newest.job).glob("*.ani3d")) / "manifest.json"
    assert json.loads(manifest.read_text())["frame_end"] == 8
    assert [part("results_shown").shown_as(name) for name in ("Rig", "Rig 2")] == ["ORIGINAL", "MESH"]

    # Nothing changed: the engine finds the job, and the list has it once.
    bpy.ops.ani3d.animate(settings=QUICK)
    assert [row.job for row in scene.ani3d.jobs] == [newest.job, first.job]

    # Tomorrow: the list is in the file, and its results are shown without an engine.
    bpy.ops.ani3d.stop_engine()
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "walk.blend"))
    bpy.ops.ani3d.remove_result(name="Rig")
    bpy.ops.ani3d.show_job(job=bpy.context.scene.ani3d.jobs[1].job)
    assert [part("results_shown").shown_as(name) for name in ("Rig", "Rig 2")] == ["MESH", "ORIGINAL"]


def test_a_scene_without_a_character_is_refused_before_an_engine_is_started(preferences, session):
    assert "No armature is selected" in _error(bpy.ops.ani3d.animate)
    rigs.character()
    second = bpy.data.objects["Rig"].copy()
    bpy.context.scene.collection.objects.link(second)
    cape = rigs.tube("Cape", second, 0.2, 0.1, 0.8)
    assert cape.find_armature() == second
    rigs.select(None)
    assert "No armature is selected. Select the character's armature: there are 'Rig', 'Rig.001'." in _error(
        bpy.ops.ani3d.animate
    )
    assert not session.is_open() and not bpy.context.scene.ani3d.jobs
    assert "there are 'Rig'" in session.error  # and stays in the panel


def test_what_fails_leaves_the_scene_as_it_was(preferences, session):
    rigs.character()
    preferences.engine_command = "/no/such/engine"
    bpy.context.scene.frame_set(5)
    assert "could not be started with '/no/such/engine'" in _error(bpy.ops.ani3d.animate)
    assert bpy.context.scene.frame_current == 5
    assert session.stop_preparing is None and session.course is None
    assert "settings are not JSON" in _error(bpy.ops.ani3d.animate, settings="{")


class _Window:
    """Stands in for Blender's window: Animate run as a modal operator, event by event."""

    def __init__(self, part, monkeypatch) -> None:
        animate = part("operators.animate")
        monkeypatch.setattr(animate, "bpy", SimpleNamespace(app=SimpleNamespace(background=False), data=bpy.data))
        members = {k: v for cls in reversed(animate.Animate.__mro__) for k, v in vars(cls).items() if "__" not in k}
        self.operator = type("Animate", (), members)()
        self.operator.report = lambda _kind, text: self.reports.append(text)
        self.operator.settings = QUICK
        self.reports: list[str] = []
        manager = SimpleNamespace(
            event_timer_add=lambda *_a, **_k: 1, event_timer_remove=lambda _timer: None, modal_handler_add=lambda _o: 1
        )
        self.context = SimpleNamespace(
            window=1, window_manager=manager, scene=bpy.context.scene, view_layer=bpy.context.view_layer,
            preferences=bpy.context.preferences, evaluated_depsgraph_get=bpy.context.evaluated_depsgraph_get,
        )  # fmt: skip

    def press(self) -> set[str]:
        return self.operator.execute(self.context)

    def event(self, kind: str = "TIMER") -> set[str]:
        return self.operator.modal(self.context, SimpleNamespace(type=kind))


def _one_step_a_slice(part, monkeypatch) -> None:
    monkeypatch.setattr(part("operators.animate"), "SLICE", 0.0)
    monkeypatch.setattr(part("operators.animate"), "LONGEST", 0.0)


@pytest.mark.parametrize("how", ["escape", "button", "file"])
@pytest.mark.parametrize("stage", ["Looking at the character", "Reading the scene"])
def test_reading_the_scene_can_be_stopped(preferences, session, part, monkeypatch, how, stage):
    _one_step_a_slice(part, monkeypatch)
    rigs.character(frames=40)
    bpy.context.scene.frame_set(7)
    window = _Window(part, monkeypatch)
    assert window.press() == {"RUNNING_MODAL"}
    for _ in range(30):
        assert window.event() == {"RUNNING_MODAL"}
        if session.course.words == stage:
            break
    for _ in range(3):
        assert window.event() == {"RUNNING_MODAL"}
    assert window.event("A") == {"RUNNING_MODAL"}  # nothing gets through
    assert 0 < session.course.factor < 0.05 and session.course.words == stage
    if how == "escape":
        assert window.event("ESC") == {"CANCELLED"}
    elif how == "button":
        bpy.ops.ani3d.cancel_job()
        assert window.event() == {"CANCELLED"}
    else:
        window.operator.cancel(window.context)
    assert bpy.context.scene.frame_current == 7
    assert session.stop_preparing is None and session.course is None
    assert not bpy.context.scene.ani3d.jobs


def test_with_a_window_the_scene_is_free_once_it_is_read(preferences, session, part, monkeypatch):
    _one_step_a_slice(part, monkeypatch)
    rigs.character()
    window = _Window(part, monkeypatch)
    outcome, seen = window.press(), set()
    deadline = time.monotonic() + 60
    while outcome <= {"RUNNING_MODAL", "PASS_THROUGH"} and time.monotonic() < deadline:
        outcome = window.event()
        seen.add((session.course.words if session.course else "", *outcome))
        time.sleep(0.01)
    assert outcome == {"FINISHED"}, window.reports
    assert ("Reading the scene", "RUNNING_MODAL") in seen and ("Sending the shot", "PASS_THROUGH") in seen
    (row,) = bpy.context.scene.ani3d.jobs
    assert session.job.job == row.job and row.job in part("job_list").lasting.wanted
    link = session.current()
    assert link.call(lambda client: client.cancel(row.job)).result().id == row.job


@pytest.mark.parametrize("what", ["left", "deleted", "undone"])
def test_the_scene_is_another_when_the_engine_has_the_job(preferences, session, part, monkeypatch, what):
    """While the engine starts people go on: to another scene, or back."""
    _one_step_a_slice(part, monkeypatch)
    rigs.character()
    for message in ("Before", "After"):
        bpy.ops.ed.undo_push(message=message)
    home, window = bpy.context.scene.name, _Window(part, monkeypatch)
    outcome, deadline = window.press(), time.monotonic() + 60
    while outcome == {"RUNNING_MODAL"} and time.monotonic() < deadline:
        outcome = window.event()
    assert outcome == {"PASS_THROUGH"} and session.course.words in ("Starting the engine", "Sending the shot")
    if what == "undone":
        bpy.ops.ed.undo()
    else:
        window.context.scene = bpy.data.scenes.new("Other")
        if what == "deleted":
            bpy.context.window.scene = window.context.scene
            bpy.data.scenes.remove(bpy.data.scenes[home])
    window.context.scene = bpy.context.scene if what == "undone" else bpy.data.scenes["Other"]
    while outcome <= {"RUNNING_MODAL", "PASS_THROUGH"} and time.monotonic() < deadline:
        outcome = window.event()
        time.sleep(0.01)
    assert outcome == {"FINISHED"}, window.reports
    has_it = [scene.name for scene in bpy.data.scenes if scene.ani3d.jobs]
    assert has_it == ["Other" if what == "deleted" else home]
    job = session.job.job
    assert session.current().call(lambda client: client.cancel(job)).result().id == job


def test_a_slice_is_as_long_as_what_is_between_two_of_them(preferences, session, part, monkeypatch):
    """Drawing may take .2 s, in which an operator that works for .01 s at a time gets nowhere."""
    clock = SimpleNamespace(now=0.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(part("operators.animate"), "time", clock)
    rigs.character(frames=60)
    window = _Window(part, monkeypatch)
    window.press()
    steps = []

    def work():
        while True:
            clock.now += 2**-8
            steps.append(clock.now)
            yield None

    window.operator._work.close()
    window.operator._work = work()
    done = []
    for between in (0.0, 2**-9, 2**-3, 4.0):
        clock.now += between
        before = len(steps)
        window.event()
        done.append(len(steps) - before)
    assert done == [3, 3, 32, 52]  # at least .01 s, and .2 s at most
    window.event("ESC")


@pytest.mark.parametrize("is_open", [False, True])
def test_the_engine_is_told_what_comes_while_the_scene_is_read(preferences, session, part, monkeypatch, is_open):
    told = []
    client = part("carried.wire").Client
    monkeypatch.setattr(client, "prepare", lambda _self, preset: told.append((preset, session.course.words)))
    if is_open:
        bpy.ops.ani3d.start_engine()
    _one_step_a_slice(part, monkeypatch)
    rigs.character(frames=40)
    window = _Window(part, monkeypatch)
    window.press()
    deadline = time.monotonic() + 60
    while not told and time.monotonic() < deadline:
        if session.course is None or session.course.stage == "bind":
            window.event()
        time.sleep(0.01)
    assert told in ([("draft", "Looking at the character")], [("draft", "Reading the scene")])
    window.event("ESC")


def test_a_job_sent_after_it_was_stopped_is_cancelled(session, part, monkeypatch):
    cancelled = []
    link = SimpleNamespace(call=lambda function: function(SimpleNamespace(cancel=cancelled.append)), alive=lambda: True,
                           check=lambda: None, close=part("connection").finished)  # fmt: skip
    monkeypatch.setattr(session, "link", link)
    sending: Future[object] = Future()
    sending.add_done_callback(part("operators.animate")._cancelled_when_sent)
    sending.set_result("7")
    session.drain()
    assert cancelled == ["7"]
