"""A client of the same user on the same machine lays large arrays into the engine's folder instead of sending them."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_process import running_engine, wait_state

from ani3d_formats.errors import Ani3DError
from engine.blobs import Blobs, table_of
from engine.uploads import Uploads
from engine.wire import messages as m
from engine.wire.credentials import READY_NAME
from engine.wire.upload import LOCAL, Upload, describe, lay

Shot = dict[str, np.ndarray]
LARGE = np.arange(m.LAID, dtype=np.uint8)


def no_end(size: int) -> Upload:
    return Upload(size, None, None)


def test_a_large_array_is_laid_and_a_small_one_sent(
    tmp_path: Path, shot: Shot, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_engine(tmp_path / "store") as engine, engine.client() as client:
        sent: list[m.Message] = []
        send = client._send
        monkeypatch.setattr(client, "_send", lambda message: (sent.append(message), send(message))[1])
        told: list[tuple[int, int]] = []
        job = client.submit({**shot, "large": LARGE}, {}, on_progress=lambda *done: told.append(done))
        puts = [message for message in sent if isinstance(message, m.Put)]
        assert [put.offset for put in puts if not put.data.size] == [LARGE.size]
        assert all(put.data.size < LARGE.size for put in puts) and told[-1][0] == told[-1][1]
        wait_state(client, job, "done")
        assert list((engine.store / "incoming").iterdir()) == []
        digest = describe({"large": LARGE})[0][0].sha256
        path = engine.store / "blobs" / digest[:2] / digest
        assert path.read_bytes() == LARGE.tobytes() and path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("named", ["another's", "open to all", "another engine's", "own"])
def test_only_the_engines_own_folder_is_written_to(
    tmp_path: Path, shot: Shot, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_engine(tmp_path / "store") as engine, engine.client() as client:
        folder = tmp_path / "elsewhere" / "incoming"
        folder.mkdir(parents=True, mode=0o700)
        ready = json.loads((engine.store / READY_NAME).read_text())
        if named == "another engine's":
            ready["token"] = "of a tunnel's other end"
        if named != "another's":
            (folder.parent / READY_NAME).write_text(json.dumps(ready))
        folder.chmod(0o755 if named == "open to all" else 0o700)
        asked, laid, told = client._ask, [], []

        def ask(message: m.Message, *rest: object) -> m.Message:
            reply = asked(message, *rest)  # type: ignore[arg-type]
            return m.Wanted(reply.arrays, str(folder)) if isinstance(reply, m.Wanted) else reply

        def noted(*given: Any) -> None:
            laid.append(given)
            lay(*given)

        monkeypatch.setattr(client, "_ask", ask)
        monkeypatch.setattr("engine.wire.client.lay", noted)
        job = client.submit({**shot, "large": LARGE}, {}, on_progress=lambda *done: told.append(done))
        wait_state(client, job, "done")
    assert bool(laid) == (named == "own") and not list(folder.iterdir())
    assert told[-1][0] == told[-1][1] == max(done for done, _ in told), "what was laid in vain counts once"


def test_what_was_laid_wrong_is_never_computed_with(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path / "incoming", Blobs(tmp_path / "blobs"))
    (info,), _held = describe({"large": LARGE})
    assert [missing.sha256 for missing in uploads.missing([info])] == [info.sha256]
    laid = tmp_path / "incoming" / f"{info.sha256}{LOCAL}"
    nothing = memoryview(b"")
    laid.write_bytes(b"short")
    assert uploads.put(info.sha256, info.nbytes, nothing) == 0, "of another size"
    laid.unlink()
    laid.symlink_to("/etc/passwd")
    assert uploads.put(info.sha256, info.nbytes, nothing) == 0, "a link"
    laid.unlink()
    (tmp_path / "kept").write_bytes(LARGE.tobytes())
    os.link(tmp_path / "kept", laid)
    assert uploads.put(info.sha256, info.nbytes, nothing) == 0, "under another name too"
    laid.unlink()
    laid.write_bytes(bytes(LARGE.size))
    assert uploads.put(info.sha256, info.nbytes, nothing) == info.nbytes
    with pytest.raises(Ani3DError) as caught:
        uploads.blobs.get(table_of([info]))
    assert caught.value.code == "store.corrupt"
    uploads.distrust([info.sha256])
    assert [missing.sha256 for missing in uploads.missing([info])] == [info.sha256], "it is asked for again"


def test_what_is_whole_does_not_give_way(tmp_path: Path) -> None:
    (info,), held = describe({"large": LARGE})
    uploads = Uploads(tmp_path / "incoming", Blobs(tmp_path / "blobs"))
    uploads.missing([info])
    place = uploads.blobs.path(info.sha256)
    place.parent.mkdir(parents=True)
    place.write_bytes(held[info.sha256])
    laid = tmp_path / "incoming" / f"{info.sha256}{LOCAL}"
    laid.write_bytes(bytes(LARGE.size))
    assert uploads.put(info.sha256, info.nbytes, memoryview(b"")) == info.nbytes
    assert place.read_bytes() == LARGE.tobytes() and not laid.exists()


def test_what_was_cut_short_leaves_nothing(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path / "incoming", Blobs(tmp_path / "blobs"))
    (info,), held = describe({"large": LARGE})
    stopped = Upload(info.nbytes, None, lambda: True)
    with pytest.raises(Ani3DError) as caught:
        lay(uploads.folder, info.sha256, held[info.sha256], stopped)
    assert caught.value.code == "cancelled" and not list(uploads.folder.iterdir())
    mine = uploads.folder / f"{info.sha256}.{os.getpid()}{LOCAL}"
    gone = uploads.folder / f"{info.sha256}.{2**22 + 1}{LOCAL}"  # no process has this number
    mine.touch()
    gone.touch()
    uploads.missing([info])
    assert mine.exists() and not gone.exists()
    mine.unlink()
    lay(uploads.folder, info.sha256, held[info.sha256], no_end(info.nbytes))
    assert uploads.put(info.sha256, info.nbytes, memoryview(b"")) == info.nbytes
    assert np.array_equal(uploads.blobs.get(table_of([info]))["large"], LARGE)


def test_a_full_disk_leaves_the_array_to_be_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (info,), held = describe({"large": LARGE})
    upload = Upload(info.nbytes, None, None)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="full"):
        lay(tmp_path, info.sha256, held[info.sha256], upload)
    assert upload.done == 0 and not list(tmp_path.iterdir())
