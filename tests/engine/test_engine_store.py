"""The store by itself: arrays by content, ids by content, damage noticed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import CacheWriter, file_sha256
from engine.blobs import Blobs, list_files
from engine.job_table import SCHEMA_VERSION, JobTable

Shot = dict[str, np.ndarray]


def test_arrays_come_back_writable_and_bit_for_bit(tmp_path: Path, shot: Shot) -> None:
    blobs = Blobs(tmp_path)
    _, table, data = Blobs.describe(shot, {}, "0")
    blobs.put(data)
    back = blobs.get(table)
    assert set(back) == set(shot)
    for name, array in shot.items():
        assert back[name].shape == array.shape and back[name].flags.writeable
        np.testing.assert_array_equal(back[name], array)


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_damaged_array_is_noticed(tmp_path: Path, shot: Shot, damage: str) -> None:
    blobs = Blobs(tmp_path)
    _, table, data = Blobs.describe(shot, {}, "0")
    blobs.put(data)
    digest = next(entry[3] for entry in table if entry[0] == "vertices")
    path = tmp_path / digest[:2] / digest
    if damage == "changed":
        path.write_bytes(bytes(path.stat().st_size))
    else:
        path.unlink()
    with pytest.raises(Ani3DError) as caught:
        blobs.get(table)
    assert caught.value.code == "store.corrupt" and "'vertices'" in caught.value.message


def test_the_id_follows_from_the_content_alone(shot: Shot) -> None:
    def job(arrays: Shot, settings: dict[str, object], version: str = "0") -> str:
        return Blobs.describe(arrays, settings, version)[0]

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


def test_a_job_whose_results_are_gone_is_queued_again(tmp_path: Path, shot: Shot) -> None:
    store = JobTable(tmp_path, "0")
    job, found = store.submit("Ann", shot, {})
    assert not found
    store.start(job)
    result = store.folder(job) / "out"
    result.mkdir()
    (result / "a.txt").write_text("a")
    (result / ".work").mkdir()
    (result / ".work" / "b.txt").write_text("b")
    files = list_files(result)
    assert [(info.name, info.size) for info in files] == [("a.txt", 1)]
    status = store.status(job)
    store.finish(type(status)(job, "done", "", 0, 0, 0.0, None, "Ann"), "out", files)
    assert store.submit("Ann", shot, {}) == (job, True)
    assert store.files(job) == files
    (result / "a.txt").rename(tmp_path / "a.txt")
    with pytest.raises(Ani3DError) as caught:
        store.read(job, "a.txt", 0, 1)
    assert caught.value.code == "file.corrupt"
    assert store.submit("Ann", shot, {}) == (job, False)
    assert store.status(job).state == "queued"
    store.close()


def test_a_store_of_another_schema_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    JobTable(tmp_path, "0").close()
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite")) as rows:
        assert rows.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        rows.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(Ani3DError) as caught:
        JobTable(tmp_path, "0")
    assert caught.value.code == "store.unusable"
    assert f"version {SCHEMA_VERSION + 1}" in caught.value.message and "--store" in caught.value.hint
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite")) as rows:
        assert rows.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION + 1,)


def test_a_store_from_before_versions_were_written_is_taken(tmp_path: Path, shot: Shot) -> None:
    table = JobTable(tmp_path, "0")
    job, _ = table.submit("Ann", shot, {})
    table.close()
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite")) as rows:
        rows.execute("PRAGMA user_version = 0")
    table = JobTable(tmp_path, "0")
    assert [status.id for status in table.jobs()] == [job]
    table.close()


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
