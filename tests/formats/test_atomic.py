"""What is published is whole, on the disk with its name, and replaces what was there only when all went well."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ani3d_formats.atomic import atomic_path, cannot_write, publish, write_bytes
from ani3d_formats.errors import Ani3DError


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What reached the disk, in order: "file" and "folder" for syncs, "rename"."""
    seen: list[str] = []
    sync, replace = os.fsync, os.replace

    def fsync(handle: int) -> None:
        seen.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        sync(handle)

    def rename(source: Path, target: Path) -> None:
        seen.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", rename)
    return seen


def test_a_file_is_synced_renamed_and_its_folder_synced(tmp_path: Path, events: list[str]) -> None:
    write_bytes(tmp_path / "new" / "a.json", b"{}")
    assert events == ["file", "rename", "folder"]
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.json"]


def test_a_folder_replaces_an_older_one_with_all_its_files_synced(tmp_path: Path, events: list[str]) -> None:
    for name, content in (("stage", b"old"), (".stage.partial", b"new")):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "a").write_bytes(content)
        (tmp_path / name / "inner" / "b").write_bytes(content)
    publish(tmp_path / ".stage.partial", tmp_path / "stage")
    assert sorted(events[:4]) == ["file", "file", "folder", "folder"] and events[4:] == ["rename", "folder"]
    assert (tmp_path / "stage" / "inner" / "b").read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["stage"]


def test_a_failure_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "a") as partial:
        partial.write_bytes(b"half")
        raise RuntimeError
    (tmp_path / "stage").mkdir()
    (tmp_path / ".stage.partial").mkdir()

    def refuse(*_: object) -> None:
        raise PermissionError(13, "no")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError):
        publish(tmp_path / ".stage.partial", tmp_path / "stage")
    assert (tmp_path / "a").read_bytes() == b"old" and (tmp_path / "stage").is_dir()
    assert sorted(p.name for p in tmp_path.iterdir()) == [".stage.partial", "a", "stage"]


def test_errors_of_writing_say_what_and_why(tmp_path: Path) -> None:
    full = cannot_write(tmp_path / "a", OSError(28, "No space left on device"), 5_500_000)
    assert full.code == "disk.full" and "5,500,000 bytes are needed" in full.message and "are free" in full.message
    other = cannot_write(tmp_path / "a", PermissionError(13, "Permission denied"))
    assert other.code == "file.unwritable" and "Permission denied" in other.message and isinstance(other, Ani3DError)
