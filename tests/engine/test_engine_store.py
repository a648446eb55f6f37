"""The store by itself: arrays by content, ids by content, damage noticed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.files import Blobs, list_files
from engine.store import Store
from engine.wire import WireError

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
    with pytest.raises(WireError) as caught:
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
    store = Store(tmp_path, "0")
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
    with pytest.raises(WireError) as caught:
        store.read(job, "a.txt", 0, 1)
    assert caught.value.code == "file.corrupt"
    assert store.submit("Ann", shot, {}) == (job, False)
    assert store.status(job).state == "queued"
    store.close()
