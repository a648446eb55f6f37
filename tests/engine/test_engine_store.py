"""The store by itself: arrays by content, ids by content, damage noticed."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from tables import store_arrays, submit

from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import CacheWriter, file_sha256
from engine.blobs import Blobs, identity, list_files, table_of
from engine.job_quota import Quota, choose
from engine.job_table import JobTable
from engine.migrations import SCHEMA_VERSION, STEPS
from engine.result_files import Buffers, is_whole, read_part
from engine.uploads import Uploads
from engine.wire import JobStatus
from engine.wire import messages as m
from engine.wire.messages import MAX_CHUNK_BYTES
from engine.wire.upload import chunks, describe

Shot = dict[str, np.ndarray]


def test_arrays_come_back_writable_and_bit_for_bit(tmp_path: Path, shot: Shot) -> None:
    blobs = Blobs(tmp_path / "blobs")
    table = table_of(store_arrays(blobs, shot))
    back = blobs.get(table)
    assert set(back) == set(shot)
    for name, array in shot.items():
        assert back[name].shape == array.shape and back[name].flags.writeable
        np.testing.assert_array_equal(back[name], array)


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_damaged_array_is_noticed(tmp_path: Path, shot: Shot, damage: str) -> None:
    blobs = Blobs(tmp_path / "blobs")
    table = table_of(store_arrays(blobs, shot))
    digest = next(entry[3] for entry in table if entry[0] == "vertices")
    path = blobs.path(digest)
    if damage == "changed":
        path.write_bytes(bytes(path.stat().st_size))
    else:
        path.unlink()
    with pytest.raises(Ani3DError) as caught:
        blobs.get(table)
    assert caught.value.code == "store.corrupt" and "'vertices'" in caught.value.message


def test_the_id_follows_from_the_content_alone(shot: Shot) -> None:
    def job(arrays: Shot, settings: dict[str, object], version: str = "0") -> str:
        return identity(table_of(describe(arrays)[0]), settings, version)

    first = job(shot, {"a": 1, "b": 2})
    assert job(dict(reversed(shot.items())), {"b": 2, "a": 1}) == first
    assert job({**shot, "vertices": np.asfortranarray(shot["vertices"])}, {"a": 1, "b": 2}) == first
    others = [
        job(shot, {"a": 1, "b": 3}),
        job(shot, {"a": 1, "b": 2}, "1"),
        job({**shot, "vertices": shot["vertices"].reshape(-1)}, {"a": 1, "b": 2}),
        job({**shot, "vertices": shot["vertices"].view(np.int32)}, {"a": 1, "b": 2}),
    ]
    assert len({first, *others}) == 5


def test_results_that_are_gone_are_noticed(tmp_path: Path, shot: Shot) -> None:
    store = JobTable(tmp_path)
    job = submit(store, shot, {})
    store.start(job)
    result = store.folder(job) / "out"
    result.mkdir()
    (result / "a.txt").write_text("a")
    (result / ".work").mkdir()
    (result / ".work" / "b.txt").write_text("b")
    files = list_files(result)
    assert [(info.name, info.size) for info in files] == [("a.txt", 1)]
    store.note(JobStatus(job, "done", "", 0, 0, 0.0, None, "Ann"), "out", files)
    assert store.files(job) == files and is_whole(result, files)
    path = store.place(job, "a.txt", 0, 1)
    buffer = Buffers().take(1)
    read_part(path, 0, buffer)
    assert bytes(buffer) == b"a"
    path.unlink()
    with pytest.raises(Ani3DError) as caught:
        read_part(path, 0, buffer)
    assert caught.value.code == "file.corrupt" and not is_whole(result, files)
    store.close()


def test_buffers_are_used_again_once_nobody_holds_them() -> None:
    buffers = Buffers()
    first = buffers.take(MAX_CHUNK_BYTES)
    array = np.frombuffer(first, np.uint8)  # as an answer under way holds it
    del first
    assert not np.shares_memory(array, buffers.take(MAX_CHUNK_BYTES))
    place = array.ctypes.data
    del array
    assert np.frombuffer(buffers.take(MAX_CHUNK_BYTES - 1), np.uint8).ctypes.data == place


def test_a_store_of_another_schema_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    JobTable(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite")) as rows:
        assert rows.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        rows.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(Ani3DError) as caught:
        JobTable(tmp_path)
    assert caught.value.code == "store.unusable"
    assert f"version {SCHEMA_VERSION + 1}" in caught.value.message and "--store" in caught.value.hint
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite")) as rows:
        assert rows.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION + 1,)


@pytest.mark.parametrize("version", range(SCHEMA_VERSION))
def test_a_store_of_an_earlier_version_is_brought_to_this_one(tmp_path: Path, version: int) -> None:
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite")) as rows:
        for step in STEPS[: max(version, 1)]:  # the first releases wrote no version
            rows.executescript(step)
        rows.execute("INSERT INTO jobs (id, name, state, queued) VALUES ('0123', 'Ann', 'queued', 1.0)")
        rows.commit()
        rows.execute(f"PRAGMA user_version = {version}")
    table = JobTable(tmp_path)
    assert [(status.id, status.priority, status.paused) for status in table.all_jobs()] == [("0123", 0, False)]
    assert table.next_queued() == "0123"
    table.close()
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite")) as rows:
        assert rows.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_priority_goes_before_age_and_what_is_paused_waits(tmp_path: Path, shot: Shot) -> None:
    table = JobTable(tmp_path)
    first, second, third = (submit(table, shot, {"n": n}) for n in range(3))
    assert table.next_queued() == first
    table.adjust(third, 5, None)
    assert table.next_queued() == third
    table.adjust(third, None, True)
    table.adjust(second, 1, False)
    assert table.next_queued() == second and table.status(third).priority == 5 and table.status(third).paused
    table.close()
    table = JobTable(tmp_path)
    table.adjust(third, None, False)
    assert table.next_queued() == third, "both outlive the engine"
    table.close()


# ---- arrays in chunks ----


def test_an_upload_goes_on_where_an_earlier_engine_left_it(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 256, MAX_CHUNK_BYTES * 5 // 2, dtype=np.uint8)
    infos, held = describe({"large": data})
    blobs = Blobs(tmp_path / "blobs")
    uploads = Uploads(tmp_path / "incoming", blobs)
    puts = list(chunks(uploads.missing(infos), held))
    assert len(puts) == 3
    assert uploads.put(puts[1].sha256, puts[1].offset, puts[1].data.data) == 0, "not before the first"
    uploads.put(puts[0].sha256, 0, puts[0].data.data)
    uploads = Uploads(tmp_path / "incoming", blobs)
    with pytest.raises(Ani3DError) as caught:
        uploads.put(puts[1].sha256, puts[1].offset, puts[1].data.data)
    assert caught.value.code == "put.unknown", "nobody has said yet what it belongs to"
    rest = list(chunks(uploads.missing(infos), held))
    assert [put.offset for put in rest] == [put.offset for put in puts[1:]]
    for put in rest:
        uploads.put(put.sha256, put.offset, put.data.data)
    assert uploads.missing(infos) == [] and list((tmp_path / "incoming").iterdir()) == []
    np.testing.assert_array_equal(blobs.get(table_of(infos))["large"], data)
    assert uploads.put(rest[-1].sha256, rest[-1].offset, rest[-1].data.data) == data.nbytes, "said twice is harmless"


def test_bytes_that_are_not_those_announced_are_refused(tmp_path: Path) -> None:
    infos, held = describe({"a": np.arange(100)})
    uploads = Uploads(tmp_path / "incoming", Blobs(tmp_path / "blobs"))
    (put,) = chunks(uploads.missing(infos), held)
    with pytest.raises(Ani3DError) as caught:
        uploads.put(put.sha256, 0, memoryview(bytes(put.data.nbytes)))
    assert caught.value.code == "put.corrupt"
    assert uploads.put(put.sha256, 0, memoryview(bytes(put.data.nbytes + 1))) == 0, "more than was announced"
    assert len(uploads.missing(infos)) == 1
    assert uploads.put(put.sha256, 0, put.data.data) == put.data.nbytes
    assert uploads.missing(infos) == []


def test_what_has_no_room_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    infos = [m.ArrayInfo(str(n), "|u1", [m.MAX_ARRAY_BYTES], f"{n:064}") for n in range(100)]
    usage = os.statvfs(tmp_path)
    if usage.f_bavail * usage.f_frsize > 100 * m.MAX_ARRAY_BYTES:
        pytest.skip("more room than a test asks for")
    uploads = Uploads(tmp_path / "incoming", Blobs(tmp_path / "blobs"))
    with pytest.raises(Ani3DError) as caught:
        uploads.missing(infos)
    assert caught.value.code == "disk.full" and "bytes are needed" in caught.value.message


def test_hashes_of_a_frame_cache_are_read_from_its_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with CacheWriter(tmp_path / "Ann.ani3d", count=3, frame_start=1, frame_end=1, fps=24) as writer:
        writer.static("scale", np.ones((3, 3), np.float32))
        writer.frame({"position": np.zeros((3, 3), np.float32)}, {"Body": np.zeros((4, 3), np.float32)})
    (tmp_path / "report.json").write_text("{}")
    truth = {path.name: file_sha256(path) for path in tmp_path.rglob("*.*") if path.is_file()}
    hashed: list[str] = []
    monkeypatch.setattr("engine.blobs.file_sha256", lambda path: hashed.append(path.name) or file_sha256(path))
    files = list_files(tmp_path)
    assert {Path(info.name).name: info.sha256 for info in files} == truth
    assert sorted(hashed) == ["manifest.json", "report.json"]


def test_results_with_the_same_bytes_are_one_file_on_the_disk(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    same, small = bytes(range(256)) * 20, b"small"
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "same.bin").write_bytes(same)
        (tmp_path / name / "small.bin").write_bytes(small)
        blobs.share(tmp_path / name, list_files(tmp_path / name))
    first, second = tmp_path / "a" / "same.bin", tmp_path / "b" / "same.bin"
    assert first.samefile(second) and not first.with_name("small.bin").samefile(second.with_name("small.bin"))
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == ["same.bin", "small.bin"]
    blobs.path(file_sha256(first)).unlink()
    blobs.path(file_sha256(first)).write_bytes(bytes(len(same)))  # damaged
    second.unlink()
    second.write_bytes(same)
    blobs.share(tmp_path / "b", list_files(tmp_path / "b"))
    assert second.read_bytes() == same and blobs.path(file_sha256(second)).read_bytes() == same
    files = list_files(tmp_path / "b")
    second.unlink()
    second.write_bytes(bytes(len(same)))
    blobs.share(tmp_path / "b", files)
    assert blobs.path(file_sha256(first)).read_bytes() == same, "a damaged result does not go in its place"


def test_what_jobs_share_stays_until_the_last_is_deleted(tmp_path: Path, shot: Shot) -> None:
    table = JobTable(tmp_path)
    jobs = [submit(table, shot, {"n": n}) for n in range(2)]
    for job in jobs:
        (out := table.folder(job) / "out").mkdir()
        (out / "same.bin").write_bytes(bytes(5000))
        files = list_files(out)
        table.blobs.share(out, files)
        table.note(JobStatus(job, "done", "", 0, 0, 0.0, None, "Ann"), "out", files)
    shared = table.blobs.path(files[0].sha256)
    assert shared.stat().st_nlink == 3
    assert 5000 <= sum(job.size for job in choose(table, Quota(size=0))) < 10_000
    table.close()
    table = JobTable(tmp_path)
    assert shared.exists(), "a start keeps what results have"
    table.delete(jobs[0])
    assert shared.stat().st_nlink == 2 and is_whole(table.folder(jobs[1]) / "out", files)
    table.delete(jobs[1])
    assert not list((tmp_path / "blobs").glob("??/*"))
    table.close()
