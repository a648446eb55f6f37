"""Jobs through a real engine: submit, follow, fetch, cancel, fail; and the engine goes on after each."""

from __future__ import annotations

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from engine_process import Engine, is_running, running_engine, wait_for, wait_state

from ani3d_formats.errors import Ani3DError
from ani3dhuman import __version__
from engine.__main__ import main
from engine.executors import CANCEL_PATIENCE
from engine.wire import PROTOCOL_VERSION, Client, Event
from engine.wire import messages as m
from engine.wire.messages import MAX_PREVIEW

Shot = dict[str, np.ndarray]


def follow(client: Client, job: str) -> list[Event]:
    """All events of the job until it has ended."""
    events: list[Event] = []
    since = 0
    deadline = time.monotonic() + 20
    while not events or events[-1].state in ("queued", "running"):
        assert time.monotonic() < deadline
        more, since = client.events(job, since, timeout=1.0)
        events += more
    return events


@pytest.fixture(scope="module")
def finished(engine: Engine) -> tuple[str, np.ndarray]:
    """A job that is done, and the vertices it was given."""
    vertices = np.random.default_rng(1).normal(size=(300, 3)).astype(np.float32)
    with engine.client() as client:
        job = client.submit({"meta": np.array("Ann"), "vertices": vertices}, {})
        wait_state(client, job, "done")
    return job, vertices


def test_handshake(engine: Engine, client: Client) -> None:
    welcome = client.hello()
    assert welcome.protocol == PROTOCOL_VERSION == engine.ready["protocol"]
    assert welcome.engine_version == __version__
    assert welcome.pid == engine.process.pid == engine.ready["pid"]
    assert "compact" in welcome.priors
    assert welcome.device.startswith("cpu (") or welcome.device.startswith("cuda: ")
    assert 0 < client.ping() < 5


def test_events_tell_the_whole_story(client: Client, shot: Shot) -> None:
    job = client.submit(shot, {"do": "finish", "steps": 4, "seconds": 0.15})
    events = follow(client, job)
    assert [event.seq for event in events] == list(range(len(events)))
    assert [event.state for event in events[:2]] == ["queued", "running"]
    assert events[-1].state == "done"
    for stage in ("rigid", "refine"):
        steps = [(event.step, event.total) for event in events if event.stage == stage and event.state == "running"]
        assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    last = next(event for event in events if event.stage == "rigid" and event.step == 4)
    assert last.eta == 0.0 and last.message == "step 3"
    assert last.preview is not None
    assert last.preview.shape == (100, 66, 3) and max(last.preview.shape) <= MAX_PREVIEW
    assert (last.preview == 3).all()
    status = client.status(job)
    assert (status.id, status.name, status.state, status.error) == (job, "Änn", "done", None)


def test_asking_for_events_waits_no_longer_than_told(client: Client, finished: tuple[str, np.ndarray]) -> None:
    _, following = client.events(finished[0])
    start = time.monotonic()
    assert client.events(finished[0], following, timeout=0.3) == ([], following)  # else `engine.timeout`
    assert time.monotonic() - start > 0.25


def test_events_beyond_the_end_start_anew(client: Client, finished: tuple[str, np.ndarray]) -> None:
    assert client.events(finished[0], 10_000) == client.events(finished[0], 0)


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_results_arrive_bit_for_bit(
    client: Client, finished: tuple[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    job, vertices = finished
    if where == "elsewhere":
        monkeypatch.setattr("engine.wire.client._here", lambda listing, info: None)
        assert client.mapped(job, "large.bin") is None
    files = {info.name: info for info in client.files(job)}
    assert set(files) == {"Ann.ani3d/position.npy", "large.bin", "empty.txt"}
    progress: list[tuple[int, int]] = []
    for name, info in files.items():
        path = client.fetch(job, name, tmp_path / name, on_progress=lambda *p: progress.append(p))
        assert path.stat().st_size == info.size
        assert hashlib.sha256(path.read_bytes()).hexdigest() == info.sha256
    np.testing.assert_array_equal(np.load(tmp_path / "Ann.ani3d" / "position.npy"), vertices)
    assert (files["large.bin"].size, files["large.bin"].size) in progress
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_results_on_this_machine_are_read_where_they_lie(
    engine: Engine, client: Client, finished: tuple[str, np.ndarray]
) -> None:
    job, vertices = finished
    data = client.mapped(job, "Ann.ani3d/position.npy")
    assert data is not None
    np.testing.assert_array_equal(np.frombuffer(data, "<f4")[-vertices.size :].reshape(vertices.shape), vertices)
    assert client.mapped(job, "empty.txt") == b""
    kept = client.mapped(job, "large.bin")
    path = engine.store / "jobs" / job / "out" / "result" / "large.bin"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(Ani3DError) as caught:
        client.mapped(job, "large.bin")
    assert caught.value.code == "file.corrupt"
    path.write_bytes(whole)
    assert kept is not None and len(kept) == 5_500_000


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_a_fetch_that_is_cancelled_leaves_nothing(
    client: Client, finished: tuple[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    if where == "elsewhere":
        monkeypatch.setattr("engine.wire.client._here", lambda listing, info: None)
    seen: list[int] = []
    with pytest.raises(Ani3DError) as caught:
        client.fetch(
            finished[0],
            "large.bin",
            tmp_path / "x",
            on_progress=lambda done, _: seen.append(done),
            should_cancel=lambda: len(seen) == 1,
        )
    assert caught.value.code == "cancelled"
    assert list(tmp_path.iterdir()) == []
    assert client.ping() < 5  # late chunks do not confuse what comes after


def test_the_same_submission_finds_the_job(client: Client, shot: Shot) -> None:
    job = client.submit(shot, {"steps": 2})
    wait_state(client, job, "done")
    events = client.events(job)
    copies = {name: np.array(array) for name, array in reversed(shot.items())}
    assert client.submit(copies, {"steps": 2}) == job
    assert client.status(job).state == "done"
    assert client.events(job) == events
    assert client.submit(shot, {"steps": 3}) != job
    assert client.submit({**shot, "vertices": shot["vertices"] + 1}, {"steps": 2}) != job


@pytest.mark.parametrize("do", ["finish", "be deaf"])
def test_cancel_ends_a_job_that_has_minutes_to_go(engine: Engine, client: Client, shot: Shot, do: str) -> None:
    assert CANCEL_PATIENCE < 1  # what docs/protocol.md promises
    job = client.submit(shot, {"do": do, "steps": 1000, "seconds": 0.05})
    wait_for(lambda: client.status(job).step > 0)
    out = engine.store / "jobs" / job / "out"
    client.cancel(job)
    status = wait_state(client, job, "cancelled")
    assert status.error is None
    pids = [int(file.read_text()) for file in out.glob("*.pid")]
    assert len(pids) == (2 if do == "be deaf" else 1)
    if do == "be deaf":  # else the process is ready for the next job
        wait_for(lambda: not any(map(is_running, pids)))
    assert follow(client, job)[-1].state == "cancelled"


def test_a_waiting_job_can_be_cancelled_and_submitted_again(client: Client, shot: Shot) -> None:
    first = client.submit(shot, {"steps": 1000, "seconds": 0.05, "who": "first"})
    second = client.submit(shot, {"who": "second"})
    assert client.status(second).state == "queued"
    assert client.cancel(second).state == "cancelled"
    client.cancel(first)
    wait_state(client, first, "cancelled")
    assert client.submit(shot, {"who": "second"}) == second
    events = follow(client, second)
    assert [event.state for event in events if event.state != "running"] == ["queued", "done"]


@pytest.mark.parametrize(
    ("do", "code", "words"),
    [
        ("disk full", "disk.full", "position.npy"),
        ("known error", "avatar.no_faces", "no faces"),
        ("unknown error", "job.failed", "who would have thought"),
        ("crash", "job.crashed", "SIGABRT"),
        ("garble reports", "job.crashed", "stopped reporting"),
    ],
)
def test_a_job_that_fails_says_why(client: Client, shot: Shot, do: str, code: str, words: str) -> None:
    job = client.submit(shot, {"do": do})
    assert follow(client, job)[-1].state == "failed"
    error = client.status(job).error
    assert error is not None
    assert error["code"] == code and words in error["message"] and error["hint"]
    with pytest.raises(Ani3DError) as caught:
        client.files(job)
    assert caught.value.code == "job.unfinished"


def test_a_bad_shot_is_refused_at_once(client: Client) -> None:
    before = client.jobs()
    with pytest.raises(Ani3DError) as caught:
        client.submit({"meta": np.array("Ann")}, {})
    assert (caught.value.code, caught.value.hint) == ("shot.missing_array", "Export the shot again.")
    assert client.jobs() == before


def test_a_shot_that_cannot_even_be_checked_is_refused(client: Client, shot: Shot) -> None:
    with pytest.raises(Ani3DError) as caught:
        client.submit({"vertices": shot["vertices"]}, {})
    assert caught.value.code == "protocol.malformed"


def test_a_job_that_runs_stands_still_while_it_is_paused(client: Client, shot: Shot) -> None:
    job = client.submit(shot, {"steps": 40, "seconds": 0.05, "pause": 1})
    wait_for(lambda: client.status(job).step > 0)
    assert client.adjust(job, paused=True).paused
    time.sleep(0.3)  # what was under way
    before = client.status(job)
    time.sleep(0.4)
    assert client.status(job) == before and before.paused and before.state == "running"
    assert not client.adjust(job, paused=False).paused
    wait_for(lambda: client.status(job).step > before.step)
    client.adjust(job, paused=True)
    client.cancel(job)
    assert not wait_state(client, job, "cancelled").paused


def test_a_job_that_waits_is_held_back_and_another_goes_first(client: Client, shot: Shot) -> None:
    running = client.submit(shot, {"steps": 1000, "seconds": 0.05, "queue": 0})
    waiting, held, first = (client.submit(shot, {"queue": n}, priority=n - 2) for n in (1, 2, 3))
    assert [client.status(job).priority for job in (waiting, held, first)] == [-1, 0, 1]
    client.adjust(held, priority=50, paused=True)
    client.cancel(running)
    wait_state(client, first, "done")
    wait_state(client, waiting, "done")
    assert client.status(held).state == "queued"
    client.adjust(held, paused=False)
    wait_state(client, held, "done")


def test_submissions_of_the_same_shot_at_once_are_one_job(engine: Engine, shot: Shot) -> None:
    large = {**shot, "vertices": np.random.default_rng(5).normal(size=(300_000, 3))}

    def submit(_: int) -> str:
        with engine.client(20) as client:
            return client.submit(large, {})

    with ThreadPoolExecutor(8) as pool:
        jobs = set(pool.map(submit, range(8)))
    assert len(jobs) == 1


def test_a_submission_that_was_cut_short_sends_only_the_rest(
    client: Client, shot: Shot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(m, "LAID", m.MAX_SHOT_BYTES)  # as from another machine
    monkeypatch.setattr(m, "MAX_CHUNK_BYTES", 1 << 20)
    large = {**shot, "vertices": np.random.default_rng(6).normal(size=(800_000, 3))}
    sent: list[tuple[int, int]] = []
    with pytest.raises(Ani3DError) as caught:
        client.submit(large, {}, on_progress=lambda *p: sent.append(p), should_cancel=lambda: len(sent) == 3)
    assert caught.value.code == "cancelled"
    again: list[tuple[int, int]] = []
    job = client.submit(large, {}, on_progress=lambda *p: again.append(p))
    assert again[-1][0] == again[-1][1] <= sent[-1][1] - 3 * (1 << 20)
    wait_state(client, job, "done")
    more: list[tuple[int, int]] = []
    client.submit(large, {"other": 1}, on_progress=lambda *p: more.append(p))
    assert more == [], "what the engine has is not sent again"


def test_what_is_unknown_is_named(client: Client, finished: tuple[str, np.ndarray], tmp_path: Path) -> None:
    for ask in (client.status, client.events, client.cancel, client.files, client.delete):
        with pytest.raises(Ani3DError) as caught:
            ask("no-such-job")  # type: ignore[operator]
        assert caught.value.code == "job.unknown" and "no-such-job" in caught.value.message
    with pytest.raises(Ani3DError) as caught:
        client.fetch(finished[0], "../../jobs.sqlite", tmp_path / "x")
    assert caught.value.code == "file.unknown"


@pytest.mark.parametrize("damage", ["changed", "cut", "missing"])
def test_a_damaged_file_is_not_delivered(
    engine: Engine, client: Client, shot: Shot, tmp_path: Path, damage: str
) -> None:
    job = client.submit(shot, {"damage": damage})
    wait_state(client, job, "done")
    path = engine.store / "jobs" / job / "out" / "result" / "large.bin"
    if damage == "changed":
        with open(path, "r+b") as file:
            file.seek(3_000_000)
            file.write(b"oops")
    elif damage == "cut":
        os.truncate(path, 3_000_000)
    else:
        path.unlink()
    with pytest.raises(Ani3DError) as caught:
        client.fetch(job, "large.bin", tmp_path / "large.bin")
    assert caught.value.code == "file.corrupt" and "large.bin" in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_delete_forgets_a_job_and_keeps_shared_arrays(engine: Engine, client: Client, shot: Shot) -> None:
    job, other = client.submit(shot, {"n": 1}), client.submit(shot, {"n": 2})
    wait_state(client, other, "done")
    client.delete(job)
    assert job not in [status.id for status in client.jobs()]
    assert not (engine.store / "jobs" / job).exists()
    digest = hashlib.sha256(shot["vertices"].tobytes()).hexdigest()
    assert (engine.store / "blobs" / digest[:2] / digest).read_bytes() == shot["vertices"].tobytes()


def test_a_running_job_is_not_deleted(client: Client, shot: Shot) -> None:
    job = client.submit(shot, {"steps": 1000, "seconds": 0.05, "n": 3})
    wait_state(client, job, "running")
    with pytest.raises(Ani3DError) as caught:
        client.delete(job)
    assert caught.value.code == "job.active"
    client.cancel(job)
    wait_state(client, job, "cancelled")
    client.delete(job)


def test_jobs_print_into_their_log(engine: Engine, finished: tuple[str, np.ndarray]) -> None:
    assert "printed by the job" in (engine.store / "jobs" / finished[0] / "worker.log").read_text()


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 0
    return capsys.readouterr().out


def test_commands_tell_what_an_engine_does(engine: Engine, client: Client, shot: Shot, capsys) -> None:
    job = client.submit(shot, {"steps": 2, "say": "for the commands"})
    wait_state(client, job, "done")
    status = said(capsys, "status", "--engine", engine.endpoint)
    assert engine.endpoint in status and f"process {engine.process.pid}" in status and "done" in status
    jobs = said(capsys, "jobs", "--engine", str(engine.store))
    assert f"{job} done" in jobs and jobs.splitlines()[-1] == f"{len(client.jobs())} jobs"


def test_commands_show_logs(engine: Engine, client: Client, shot: Shot, capsys) -> None:
    job = client.submit(shot, {"do": "unknown error"})
    wait_state(client, job, "failed")
    assert "who would have thought" in said(capsys, "logs", job, "--store", str(engine.store))
    assert f"listening at {engine.endpoint}" in said(capsys, "logs", "--store", str(engine.store), "--lines", "1000")
    for wrong in ("../x", "0123456789abcdef"):
        assert main(["logs", wrong, "--store", str(engine.store)]) == 1
        assert capsys.readouterr().err.startswith(("job.unknown", "log.missing"))


def test_a_command_stops_the_engine(tmp_path: Path, capsys) -> None:
    with running_engine(tmp_path / "store") as other:
        assert "stops" in said(capsys, "stop", "--engine", str(other.store))
        assert other.process.wait(20) == 0
    assert main(["status", "--engine", str(other.store)]) == 1
    assert "names no running engine" in capsys.readouterr().err
