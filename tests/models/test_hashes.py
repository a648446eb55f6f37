"""A model's files are told by what they hold; large ones are read once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ani3dhuman.models import hashes
from ani3dhuman.models.hashes import REMEMBERED, content_hashes


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Names of the files that were read, where every file counts as large and long written."""
    read: list[str] = []
    real = hashes.sha256_of

    def counted(path: Path, *advance: object) -> str:
        read.append(path.name)
        return real(path)

    monkeypatch.setattr(hashes, "sha256_of", counted)
    monkeypatch.setattr(hashes, "LARGE", 0)
    monkeypatch.setattr(hashes, "SETTLED", -1.0)
    monkeypatch.setenv("ANI3DHUMAN_MODELS", str(tmp_path / "models"))
    return read


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    part = tmp_path / "mine" / "transformer"
    part.mkdir(parents=True)
    (part / "config.json").write_text("{}")
    (part / "model.safetensors").write_bytes(b"weights, first")
    (part / "notes.log").write_text("nothing loads this")
    return part.parent


def test_a_file_is_read_once_and_again_when_it_was_written_again(folder: Path, reads: list[str]) -> None:
    first = content_hashes(folder)
    assert set(first) == {"transformer/config.json", "transformer/model.safetensors"} and len(reads) == 2
    assert content_hashes(folder) == first and len(reads) == 2
    weights = folder / "transformer" / "model.safetensors"
    before = weights.stat()
    weights.write_bytes(b"weights, other")  # as long as before
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    second = content_hashes(folder)
    assert reads[2:] == ["model.safetensors"]
    assert second["transformer/model.safetensors"] != first["transformer/model.safetensors"]
    assert second["transformer/config.json"] == first["transformer/config.json"]


def test_small_and_fresh_files_are_always_read(
    folder: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(hashes, "SETTLED", 3600.0)
    content_hashes(folder)
    content_hashes(folder)
    assert len(reads) == 4 and not (tmp_path / "models" / REMEMBERED).exists()


def test_a_book_of_hashes_that_cannot_be_read_is_written_anew(folder: Path, reads: list[str], tmp_path: Path) -> None:
    first = content_hashes(folder)
    (tmp_path / "models" / REMEMBERED).write_text("[")
    assert content_hashes(folder) == first and len(reads) == 4
    assert content_hashes(folder) == first and len(reads) == 4
