"""Finished stages are found again and only then; damaged ones are computed anew."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from ani3dhuman.storage.stage_quota import LISTING, SharedStages, evict, sweep
from ani3dhuman.storage.stage_store import StageStore, content_key, let_go


def test_keys_change_with_every_part_and_only_then():
    array = np.arange(6.0).reshape(2, 3)
    key = content_key("a", array, {"x": 1, "y": (2, 3)})
    assert key == content_key("a", array.copy(), {"y": (2, 3), "x": 1})
    others = [
        content_key("b", array, {"x": 1, "y": (2, 3)}),
        content_key("a", array.reshape(3, 2), {"x": 1, "y": (2, 3)}),
        content_key("a", array.astype(np.float32), {"x": 1, "y": (2, 3)}),
        content_key("a", array, {"x": 1, "y": (2, 4)}),
    ]
    assert len({key, *others}) == 5


@dataclass(frozen=True)
class Numbers:
    values: np.ndarray
    losses: dict[str, list[float]] = field(default_factory=dict)
    more: np.ndarray | None = None


def test_a_finished_stage_is_not_computed_again(tmp_path):
    calls = []

    def compute():
        calls.append(1)
        return Numbers(np.arange(4))

    store = StageStore(tmp_path)
    for key in ("one", "one", "two", "one"):
        np.testing.assert_array_equal(store.run("stage", key, Numbers, compute).values, np.arange(4))
    assert len(calls) == 3, "a new key replaces the old one"
    assert store.reused == ["stage"]


def test_a_stage_that_fails_leaves_nothing_behind(tmp_path):
    def fails():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        StageStore(tmp_path).run("stage", "key", Numbers, fails)
    assert not list(tmp_path.glob("*"))


def cut(path):
    path.write_bytes(path.read_bytes()[:-8])


def overwrite(path, place, data):
    """Put other bytes of the same length at a place, negative ones from the end."""
    whole = bytearray(path.read_bytes())
    place %= len(whole)
    assert whole[place : place + len(data)] != data
    whole[place : place + len(data)] = data
    path.write_bytes(whole)


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: cut(folder / "values.npy"),
        lambda folder: (folder / "values.npy").write_bytes(bytes((folder / "values.npy").stat().st_size)),
        lambda folder: overwrite(folder / "values.npy", 128, bytes(32)),
        lambda folder: overwrite(folder / "values.npy", 130, b"\x01"),
        lambda folder: overwrite(folder / "stage.json", -90, b"9"),
        lambda folder: (folder / "values.npy").unlink(),
        lambda folder: cut(folder / "stage.json"),
        lambda folder: (folder / "stage.json").unlink(),
    ],
    ids=["cut", "zeros", "zeros after the header", "a bit", "a digit of notes", "lost", "cut listing", "no listing"],
)
def test_a_damaged_stage_is_computed_again_and_found_the_next_time(tmp_path, harm):
    def run(value):
        result = StageStore(tmp_path).run("stage", "key", Numbers, lambda: Numbers(np.full(4, value), {"a": [0.5]}))
        return result.values[0], result.losses, result.more

    assert run(1) == (1, {"a": [0.5]}, None)
    assert run(2) == (1, {"a": [0.5]}, None), "found"
    harm(tmp_path / "stage-key")
    assert run(3) == (3, {"a": [0.5]}, None), "computed again"
    assert run(4) == (3, {"a": [0.5]}, None), "found"
    assert [path.name for path in tmp_path.iterdir()] == ["stage-key"]


def a_stage(size: int) -> Numbers:
    return Numbers(np.zeros(size, np.uint8))


def names(folder):
    return {place.name for place in folder.iterdir()}


def test_a_shared_folder_keeps_all_keys_while_they_have_room(tmp_path):
    shared = SharedStages(tmp_path, 10_000)
    for key in ("one", "two", "three"):
        StageStore(tmp_path / "own", shared).run("stage", key, Numbers, lambda: a_stage(1000))
    assert names(tmp_path) == {"stage-one", "stage-two", "stage-three"}


def test_those_used_longest_ago_go_first(tmp_path):
    shared = SharedStages(tmp_path, 4500)
    for age, key in enumerate(("one", "two", "three")):
        StageStore(tmp_path, shared).run("stage", key, Numbers, lambda: a_stage(1000))
        os.utime(tmp_path / f"stage-{key}" / LISTING, (1000 + age, 1000 + age))
    assert StageStore(tmp_path, shared).run("stage", "one", Numbers, lambda: pytest.fail("it is there")).values.size
    StageStore(tmp_path, shared).run("stage", "four", Numbers, lambda: a_stage(1000))
    assert names(tmp_path) == {"stage-one", "stage-three", "stage-four"}


def test_what_a_job_uses_itself_stays(tmp_path):
    store = StageStore(tmp_path, SharedStages(tmp_path, 10))
    for key in ("one", "two", "three"):
        store.run("stage", key, Numbers, lambda: a_stage(1000))
    assert names(tmp_path) == {"stage-one", "stage-two", "stage-three"}
    assert sorted(evict(tmp_path, 0)) == ["stage-one", "stage-three", "stage-two"]


def test_many_jobs_may_finish_the_same_stage_at_once(tmp_path):
    script = (
        "import sys, numpy as np; from pathlib import Path; from ani3dhuman.storage.stage_store import StageStore;"
        "from ani3dhuman.storage.stage_quota import SharedStages; from ani3dhuman.cloth.preroll import Preroll as K;"
        "folder = Path(sys.argv[1]); make = lambda: K(3, np.zeros(3), np.eye(3), np.arange(300_000.0));"
        "[StageStore(folder, SharedStages(folder, 10**9)).run('stage', str(k % 2), K, make) for k in range(12)]"
    )
    jobs = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) for _ in range(3)]
    assert [job.wait(300) for job in jobs] == [0, 0, 0]
    assert names(tmp_path) == {"stage-0", "stage-1"}


def test_what_a_killed_writer_left_is_swept(tmp_path):
    (tmp_path / ".stage-one.4711.partial").mkdir()
    (tmp_path / "stage-two").mkdir()
    sweep(tmp_path)
    assert names(tmp_path) == {"stage-two"}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read as Linux tells it")
def test_what_is_let_go_is_out_of_memory_and_reads_the_same_again(tmp_path):
    def held() -> int:
        status = Path("/proc/self/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("RssFile")).split()[1])

    np.save(tmp_path / "vertices.npy", np.arange(10_000_000, dtype=np.float32))  # 40 MB
    mapped = np.asarray(np.load(tmp_path / "vertices.npy", mmap_mode="r"))
    total, before = float(mapped.sum(dtype=np.float64)), held()
    let_go(mapped[5:], None, np.zeros(3))
    assert before - held() > 30_000
    assert float(mapped.sum(dtype=np.float64)) == total
