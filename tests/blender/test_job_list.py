"""The list of jobs: kept in the file and through undo, and told what the engine says."""

from __future__ import annotations

from types import SimpleNamespace

import bpy
import numpy as np
import pytest
import rigs
from test_bad_input import _error


@pytest.fixture
def jobs(addon, part):
    """The list's functions, in a file with a character."""
    rigs.character()
    return part("job_list")


def _listed() -> list[tuple[str, str]]:
    return [(row.job, row.state) for row in bpy.context.scene.ani3d.jobs]


def _status(part, job: str, state: str, error=None):
    return part("carried.wire").JobStatus(job, state, "", 0, 0, 0.0, error, "Rig")


def test_the_newest_job_is_on_top_and_the_same_one_is_one_row(jobs):
    for job in ("1", "2", "1"):
        jobs.add_job(bpy.context, job, "Rig", {"preset": "draft", "gaussians": 10})
    assert _listed() == [("1", "queued"), ("2", "queued")]
    group = bpy.context.scene.ani3d
    assert (group.job_id, group.active_job) == ("1", 0)
    assert group.jobs[0].settings == '{"preset": "draft", "gaussians": 10}'


def test_the_file_keeps_the_list_and_the_engine_is_asked_for_it(jobs, part, session, tmp_path):
    for job in ("1", "2", "3"):
        jobs.add_job(bpy.context, job, "Rig", {"preset": "draft"})
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    assert _listed() == [("3", "queued"), ("2", "queued"), ("1", "queued")]
    failed = {"code": "x", "message": "No room left.", "hint": "Make some."}
    for listener in session.hears_all:
        listener([_status(part, "3", "done"), _status(part, "2", "failed", failed), _status(part, "9", "running")])
    assert _listed() == [("3", "done"), ("2", "failed"), ("1", "unknown")]
    assert bpy.context.scene.ani3d.jobs[1].message == "No room left. Make some."
    assert [status.id for status in session.foreign] == ["9"]
    jobs.add_job(bpy.context, "9", "Rig", {})  # the same work, submitted here
    assert not session.foreign
    jobs.remove_row(bpy.context.scene, "9")
    session.foreign = [_status(part, "9", "running")]
    bpy.ops.ani3d.list_jobs()
    assert _listed()[0] == ("9", "queued") and not session.foreign


def test_undo_takes_no_job_away(jobs, part, session):
    bpy.ops.ed.undo_push(message="before")
    jobs.add_job(bpy.context, "1", "Rig", {"preset": "draft"})
    bpy.ops.ed.undo_push(message="job")
    session.tell(part("jobs").Moment("1", "running", "cloth", 1, 2, 1.0))
    bpy.ops.ed.undo()
    assert _listed() == [("1", "running")]
    bpy.ops.ani3d.remove_job(job="1")
    bpy.ops.ed.undo_push(message="removed")
    assert _listed() == []
    bpy.ops.ed.undo()
    bpy.ops.ed.redo()
    assert _listed() == []


def test_removing_asks_an_engine_that_runs_and_refuses_what_is_not_listed(jobs, part, session, monkeypatch):
    deleted = []
    client = SimpleNamespace(delete=deleted.append)
    on_thread = part("connection").on_thread
    link = SimpleNamespace(call=lambda f: on_thread(lambda: f(client)), alive=lambda: True, check=lambda: None,
                           close=part("connection").finished)  # fmt: skip
    monkeypatch.setattr(session, "link", link)
    jobs.add_job(bpy.context, "1", "Rig", {})
    jobs.add_job(bpy.context, "2", "Rig", {})
    bpy.ops.ani3d.remove_job(job="2")
    assert deleted == ["2"] and [job for job, _ in _listed()] == ["1"] and bpy.context.scene.ani3d.job_id == ""
    assert "The list of jobs has no job '2'" in _error(bpy.ops.ani3d.remove_job, job="2")


def test_only_what_is_wanted_in_this_session_shows_itself(jobs, part, session, monkeypatch, tmp_path):
    shown = []
    monkeypatch.setattr(jobs, "bpy", SimpleNamespace(
        app=SimpleNamespace(background=False), data=bpy.data,
        context=SimpleNamespace(
            window_manager=SimpleNamespace(windows=[SimpleNamespace(scene=bpy.context.scene)]),
            temp_override=lambda **_k: bpy.context.temp_override(),
        ),
        ops=SimpleNamespace(ani3d=SimpleNamespace(show_job=lambda _how, job: shown.append(job))),
    ))  # fmt: skip
    moment = part("jobs").Moment
    jobs.add_job(bpy.context, "1", "Rig", {}, wanted=True)
    jobs.add_job(bpy.context, "2", "Rig", {})
    session.transfer = moment("0", "fetching", "", 1, 2, 1.0)
    session.tell(moment("1", "done", "", 1, 1, 0.0))
    assert shown == []  # another one is being fetched
    session.transfer = None
    session.tell(moment("2", "done", "", 1, 1, 0.0))
    assert shown == ["1"]
    jobs.show_wanted()
    assert shown == ["1"]


@pytest.fixture
def two_results(result, part, tmp_path):
    """Two results of one character in the scene."""
    folder, _, skirt = result
    bpy.ops.ani3d.import_result(directory=str(folder))
    second, _ = rigs.random_cache(tmp_path / "second" / "Rig.ani3d", (3, 10), meshes={"Skirt": skirt})
    bpy.ops.ani3d.import_result(directory=str(second))
    return part("results_shown")


def _seen() -> set[str]:
    objects = bpy.context.scene.objects
    both = [
        (item.name, item.hide_viewport, item.hide_render) for item in objects if item.type in ("MESH", "POINTCLOUD")
    ]
    assert all(viewport == render for _, viewport, render in both)
    return {name for name, viewport, _ in both if not viewport}


@pytest.mark.parametrize(
    ("what", "seen"),
    [
        ("MESH", {"Skirt Ani3D"}), ("GAUSSIANS", {"Rig Gaussians"}), ("BOTH", {"Skirt Ani3D", "Rig Gaussians"}),
        ("ORIGINAL", {"Skirt"}),
    ],
)  # fmt: skip
def test_one_result_of_a_character_is_seen_at_a_time(two_results, what, seen):
    bpy.ops.ani3d.show_result(name="Rig 2", what="BOTH")
    bpy.ops.ani3d.show_result(name="Rig", what=what)
    assert _seen() == seen | {"Body"}
    assert (two_results.shown_as("Rig"), two_results.shown_as("Rig 2")) == (what, "ORIGINAL")


def test_a_result_that_is_not_there_is_refused(two_results):
    assert "There is no result 'Nobody'" in _error(bpy.ops.ani3d.show_result, name="Nobody", what="MESH")
    assert "has no job '5'" in _error(bpy.ops.ani3d.show_job, job="5")


def test_the_time_left_is_that_of_the_whole_work(part):
    course = part("animate_progress").Course(100.0)
    seen = []
    for now, (stage, share) in enumerate(
        [("export", 0.5), ("send", 1.0), ("starting", 0.0), ("cloth", 1.0)], start=101
    ):
        course.see(stage, share, float(now))
        seen.append(course.factor)
    assert seen == sorted(seen) and 0.1 < course.factor < 0.9
    assert course.left == pytest.approx(4 / course.factor * (1 - course.factor))
    reached = course.factor
    course.see("rigid", 0.0, 105.0)  # a stage that is done again
    course.see("something new", 0.9, 106.0)
    assert course.factor == reached and course.words == "Something new"
    course.see("fetch", 1.0, 200.0)
    assert course.factor == 1 and course.left == 0


def test_the_compiler_of_a_first_job_says_nothing_of_other_jobs(part):
    course = part("animate_progress").Course(0.0, "", "preview", 10)
    course.see("send", 1.0, 10.0)
    sent = course.factor
    course.see("kernels", 0.0, 10.0)
    course.see("kernels", 0.5, 50.0)
    assert (course.factor, course.left) == (sent, pytest.approx(40.0))
    course.see("kernels", 1.0, 90.0)
    course.see("cloth", 1.0, 110.0)
    assert course.left == pytest.approx(30 / course.factor * (1 - course.factor))
    assert course.took(120.0) == pytest.approx(4.0)


def test_a_job_of_cloth_alone_is_half_done_when_its_cloth_is(part):
    course = part("animate_progress").Course(0.0, "7", "cloth")
    course.see("cloth", 0.5, 10.0)
    assert 0.4 < course.factor < 0.8


def test_how_long_a_quality_takes_here_is_told_beside_it(addon, session, part, monkeypatch):
    """By the last job that was followed from its beginning; one that the engine had already says nothing."""
    progress, jobs, preferences = part("animate_progress"), part("jobs"), part("preferences")
    clock = [100.0]
    monkeypatch.setattr(part("job_list"), "time", SimpleNamespace(monotonic=lambda: clock[0]))
    for job, stages, expected in (("1", ["cloth"], {"cloth": 0.5}), ("2", [], {"cloth": 0.5})):
        session.course = progress.Course(100.0, "", "cloth", 40)
        session.course.job = job
        for stage in stages:
            session.tell(jobs.Moment(job, "running", stage, 1, 2, 1.0))
        clock[0] = 120.0
        session.tell(jobs.Moment(job, "done", "", 0, 0, 0.0))
        assert preferences.seconds_a_frame(bpy.context) == expected
    preferences.get(bpy.context).took = "[nonsense"
    assert preferences.seconds_a_frame(bpy.context) == {}


def test_of_a_job_that_was_found_again_the_time_is_told_once_it_moves(part):
    course = part("animate_progress").Course(0.0, "7")
    course.see("restore", 0.1, 1000.0)
    assert course.left == float("inf") and course.factor > 0.3
    course.see("restore", 0.9, 1008.0)
    course.see("render_refined", 0.2, 1010.0)
    assert 0 < course.left < 60


def test_results_of_a_character_are_compared_by_turns(addon, tmp_path, part):
    rigs.character()
    vertices = len(bpy.data.objects["Skirt"].data.vertices)
    for number in (1, 2):
        skirt = np.full((2, vertices, 3), number, np.float32)
        folder, _ = rigs.random_cache(tmp_path / str(number) / "Rig.ani3d", (3, 4), meshes={"Skirt": skirt})
        bpy.ops.ani3d.import_result(directory=str(folder))
    shown_as = part("results_shown").shown_as
    bpy.ops.ani3d.show_result(name="Rig 2", what="GAUSSIANS")
    assert (shown_as("Rig"), shown_as("Rig 2")) == ("ORIGINAL", "GAUSSIANS")
    bpy.ops.ani3d.compare_results(name="Rig 2")
    assert (shown_as("Rig"), shown_as("Rig 2")) == ("GAUSSIANS", "ORIGINAL")
    bpy.ops.ani3d.compare_results()
    assert (shown_as("Rig"), shown_as("Rig 2")) == ("ORIGINAL", "GAUSSIANS")
    assert bpy.data.objects["Skirt"].hide_viewport
    bpy.ops.ani3d.remove_result(name="Rig")
    with pytest.raises(RuntimeError, match="no other result"):
        bpy.ops.ani3d.compare_results()


class _Pictures(dict):
    """Stands in for Blender's previews, which have no icons without a window."""

    def load(self, key, file, _kind):
        self[key] = SimpleNamespace(icon_id=len(self) + 7, file=file)


def test_a_result_has_a_small_picture_in_the_list(addon, tmp_path, part, monkeypatch):
    monkeypatch.setattr(part("thumbnails"), "_icons", pictures := _Pictures())
    icon_of = part("thumbnails").icon_of
    assert icon_of(None) == icon_of(tmp_path) == 0
    (tmp_path / "contact_sheet.png").write_bytes(b"a picture")
    assert icon_of(tmp_path) == icon_of(tmp_path) == 7
    assert [each.file for each in pictures.values()] == [str(tmp_path / "contact_sheet.png")]
