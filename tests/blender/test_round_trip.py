"""The main job, small: bind, export, start the real engine, submit, follow, fetch, play, save, reopen.

Needs the engine's own environment: `.venv` beside the project, or the command in ANI3D_ENGINE.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import bpy
import numpy as np
import pytest
import rigs

ROOT = Path(__file__).resolve().parents[2]
ENGINE = os.environ.get("ANI3D_ENGINE", str(ROOT / ".venv" / "bin" / "ani3dhuman-engine"))


def _gone(pid: int) -> bool:
    """True once the process `pid` has ended (a child that is not collected yet counts as ended)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture
def engine(session, tmp_path):
    """A running engine of our own; its process must be gone after the test."""
    bpy.ops.ani3d.start_engine(command=ENGINE, store=str(tmp_path / "store"))
    pid = session.current().welcome.pid
    yield pid
    bpy.ops.ani3d.stop_engine()
    deadline = time.monotonic() + 15
    while not _gone(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert _gone(pid)


def _held_character() -> None:
    """The rig with the waistband of its skirt pinned; else nothing holds the skirt, and it falls out of the picture."""
    rigs.character(frames=8)
    pins = bpy.data.objects["Skirt"].vertex_groups.new(name="ani3d_pin")
    pins.add(list(range(96, 108)), 1.0, "REPLACE")  # the waistband, the uppermost ring


def test_round_trip(engine, session, part, monkeypatch, tmp_path):
    _held_character()
    bpy.ops.ani3d.bind_character()
    bpy.ops.ani3d.export_shot(filepath=str(tmp_path / "shot.npz"))
    seen = []
    with monkeypatch.context() as patch:
        patch.setattr(session, "listener", seen.append)
        bpy.ops.ani3d.submit(settings='{"preset": "draft", "gaussians": 1500, "refine_steps": 10}')
        bpy.ops.ani3d.follow()
    assert seen[-1].state == "done"
    assert len({moment.stage for moment in seen}) > 2
    ended = session.job
    bpy.ops.ani3d.fetch_result(directory=str(tmp_path / "result"))
    assert (session.job, session.transfer) == (ended, None)

    cache = next((tmp_path / "result").glob("*.ani3d"))
    manifest = json.loads((cache / "manifest.json").read_text())
    assert (manifest["frame_start"], manifest["frame_end"]) == (3, 10)
    assert {m["object"] for m in manifest["meshes"]} == {"Body", "Skirt"}

    blend = tmp_path / "result.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    bpy.ops.wm.open_mainfile(filepath=str(blend))
    gaussians = next(item for item in bpy.data.objects if item.ani3d.kind == "GAUSSIANS")
    written = {name: np.load(cache / file) for name, file in ((a["name"], a["file"]) for a in manifest["attributes"])}
    body = next(i for i in bpy.data.objects if i.ani3d.kind == "MESH" and i.ani3d.source.name == "Body")
    points = np.memmap(cache / "Body.pc2", "<f4", "r", 32).reshape(8, -1, 3)
    for frame in (3, 9):
        bpy.context.scene.frame_set(frame)
        shown = rigs.shown_gaussians(part, gaussians)
        assert len(shown["position"]) == manifest["count"]
        for name, array in written.items():
            expected, found = array if array.ndim == 2 else array[frame - 3], shown[name]
            if name == "rotation":
                expected, found = rigs.same_turns(expected), rigs.same_turns(found)
            np.testing.assert_allclose(found, expected, atol=1e-6, err_msg=f"{name} at frame {frame}")
        np.testing.assert_allclose(rigs.evaluated_vertices(body), points[frame - 3], atol=1e-6)
    # The body is what the skeleton says, so it must stand where Blender poses the character.
    source = body.ani3d.source
    source.hide_viewport = False
    bpy.context.scene.frame_set(9)
    assert np.abs(rigs.evaluated_vertices(source) - rigs.evaluated_vertices(body)).max() < 0.05


def test_the_panels_choices_reach_the_engine(engine, part, tmp_path):
    rigs.character(frames=8)
    bpy.ops.ani3d.bind_character()
    bpy.ops.ani3d.export_shot(filepath=str(tmp_path / "shot.npz"))
    settings = bpy.context.scene.ani3d
    assert "compact" in part("properties").known_priors()
    settings.preset, settings.coarse, settings.prior = "draft", "rigid", "none"
    bpy.ops.ani3d.submit()
    bpy.ops.ani3d.follow()
    bpy.ops.ani3d.fetch_result(directory=str(tmp_path / "result"))
    report = json.loads((tmp_path / "result" / "report.json").read_text())
    assert {name: report["settings"][name] for name in ("coarse", "prior", "prompt")} == {
        "coarse": "rigid",
        "prior": "none",
        "prompt": "",
    }
    settings.prior = "wan2.1-vace-1.3b"
    settings.prompt = "a walk"
    bpy.ops.ani3d.submit()
    with pytest.raises(RuntimeError, match="models fetch wan"):
        bpy.ops.ani3d.follow()


def test_what_the_engine_refuses_is_said_by_the_operator(engine, tmp_path):
    rigs.character(frames=8)
    bpy.ops.ani3d.bind_character()
    bpy.ops.ani3d.export_shot(filepath=str(tmp_path / "shot.npz"))
    with pytest.raises(RuntimeError, match="no setting 'colour'"):
        bpy.ops.ani3d.submit(settings='{"colour": 1}')
    with pytest.raises(RuntimeError, match="unknown"):
        bpy.ops.ani3d.follow(job="unknown")


def test_a_cancelled_job_says_so(engine, part, tmp_path):
    rigs.character(frames=8)
    bpy.ops.ani3d.bind_character()
    bpy.ops.ani3d.export_shot(filepath=str(tmp_path / "shot.npz"))
    bpy.ops.ani3d.submit(settings='{"preset": "final"}')
    bpy.ops.ani3d.cancel_job()
    with pytest.raises(RuntimeError, match="cancelled"):
        bpy.ops.ani3d.follow()


@pytest.fixture
def interruptible():
    """Ctrl-C raises KeyboardInterrupt, also where a shell started the tests in its background and had it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_cancels_the_job(engine, session, tmp_path):
    _held_character()
    bpy.ops.ani3d.bind_character()
    bpy.ops.ani3d.export_shot(filepath=str(tmp_path / "shot.npz"))
    bpy.ops.ani3d.submit(settings='{"preset": "final", "prior": "none", "refine_steps": 100000}')
    press = threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT))
    press.start()
    with pytest.raises(RuntimeError, match="The job was cancelled"):
        bpy.ops.ani3d.follow()
    link, job = session.current(), bpy.context.scene.ani3d.job_id
    deadline = time.monotonic() + 20
    while link.call(lambda client: client.status(job)).result().state != "cancelled":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_an_engine_that_dies_is_noticed(session, tmp_path):
    bpy.ops.ani3d.start_engine(command=ENGINE, store=str(tmp_path / "store"))
    process = session.current().process
    process.kill()
    process.wait()
    bpy.context.scene.ani3d.job_id = "1"
    with pytest.raises(RuntimeError, match=r"The engine has ended by itself .* Start it again"):
        bpy.ops.ani3d.follow()
