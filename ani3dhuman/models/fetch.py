"""Fetch a model from the Hugging Face hub: resumable to the byte, checked, and never a pickle.

huggingface_hub lists the repository and opens the streams. Its own `snapshot_download` begins a file anew
after an interruption, which costs up to 5 GB a time (docs/notes/fetching.md); so files are streamed here
into ``NAME.ID.partial`` and continued from where they ended.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ani3d_formats.atomic import full_disk_reported, publish
from ani3d_formats.errors import Ani3DError, Cancelled
from ani3d_formats.progress import Progress, Report

from .find import find
from .registry import Model
from .store import (
    PARTIAL,
    folder_of,
    local_path,
    missing_files,
    refuse_pickles,
    sha256_of,
    write_lock,
    wrong_hash_error,
)

RESERVE = 1 << 29  # bytes that stay free on the disk
PIECE = 1 << 20  # bytes between two looks at whether to stop
PATIENCE = 6  # connections in a row that may break without a byte


@dataclass(frozen=True)
class RemoteFile:
    """A file of the repository; `sha256` is "" where the hub keeps it in git itself; `mark` follows the content."""

    path: str
    bytes: int
    sha256: str
    mark: str


def fetch(
    name: str,
    root: Path | None = None,
    offline: bool = False,
    listener: Callable[[Report], None] | None = None,
    should_cancel: Callable[[], bool] = lambda: False,
) -> Path:
    """Fetch what is not there yet, check everything, write the lock; returns the model's folder.

    Args:
        name: entry of the registry.
        root: folder of all models; None takes the default.
        offline: do not touch the network; succeeds only if everything is there.
        listener: hears the progress in bytes, in two stages.
        should_cancel: polled at every piece; partial files stay for the next call.

    Raises:
        Ani3DError: ``models.unknown``, ``models.offline`` (says how to fetch elsewhere), ``models.repository``,
            ``models.pickle``, ``models.disk``, ``models.wrong_hash``; `Cancelled`.
    """
    model = find(name)
    folder = folder_of(model, root)
    if model.repository is None or (offline and not missing_files(model, folder)):
        return local_path(name, root)
    if offline:
        raise offline_error(model, folder, "--offline was given")
    revision, files = list_remote(model, folder)
    if not model.named_only:
        refuse_pickles(model, [file.path for file in files])
    files = [file for file in files if wanted(model, file.path)]
    lacking = {file.path for file in model.files} - {file.path for file in files}
    if lacking:
        raise Ani3DError(
            "models.repository",
            f"{model.repository} at {revision[:12]} lacks {', '.join(sorted(lacking))}.",
            "The repository has changed; update this package, which knows the new layout, or report it.",
        )
    try:
        present = _hash([file for file in files if _whole(folder, file)], folder, listener, should_cancel)
        rest = [file for file in files if not _right(model, file, present.get(file.path))]
        _download(rest, model, folder, revision, listener, should_cancel)
        hashes = present | _hash(rest, folder, listener, should_cancel)
    except Cancelled as stop:
        raise Cancelled(f"fetching {name}", "What has come so far is kept; run it again to go on.") from stop
    for file in rest:
        if not _right(model, file, hashes[file.path]):
            (folder / file.path).unlink()
            raise wrong_hash_error(name, folder / file.path, _expected(model, file), hashes[file.path])
    write_lock(folder, revision, hashes)
    for leftover in folder.rglob(f"*{PARTIAL}"):
        leftover.unlink()
    return local_path(name, root)


def wanted(model: Model, path: str) -> bool:
    """Whether a file of the repository is fetched: safetensors, JSON and tokenizer files of the components."""
    if model.named_only:
        return path in {file.path for file in model.files}
    folder, _, name = path.rpartition("/")
    if not folder:
        return name == "model_index.json"
    return name.endswith((".safetensors", ".json")) or (folder == "tokenizer" and name.endswith((".model", ".txt")))


def list_remote(model: Model, folder: Path) -> tuple[str, list[RemoteFile]]:
    """Commit hash and files of the repository at the pinned commit, or at the newest where none is pinned."""
    from huggingface_hub import HfApi

    with _hub_reported(model, folder):
        info = HfApi().model_info(str(model.repository), revision=model.revision, files_metadata=True)
    files = []
    for entry in info.siblings or []:
        sha = entry.lfs.sha256 if entry.lfs else ""
        files.append(RemoteFile(entry.rfilename, entry.size or 0, sha, sha or entry.blob_id or ""))
    return info.sha or "", files


@contextmanager
def _hub_reported(model: Model, folder: Path) -> Iterator[None]:
    """Turn what the hub raises into errors that say what to do."""
    import httpx2
    from huggingface_hub.errors import (
        GatedRepoError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except (GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise Ani3DError(
            "models.repository",
            f"The hub has no {model.repository} at {model.revision or 'its newest commit'} for you.",
            "It may be gone, renamed, or want a login (hf auth login); a newer version of this package may know more.",
        ) from error
    except (OfflineModeIsEnabled, httpx2.HTTPError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "no answer"
        raise offline_error(model, folder, f"{type(error).__name__}: {reason}") from error
    except OSError as error:
        if error.errno is not None:  # of the disk, not of the network
            raise
        raise Ani3DError(
            "models.interrupted", f"Fetching {model.name} broke off: {error}", "Run it again to go on from there."
        ) from error


def offline_error(model: Model, folder: Path, reason: str) -> Ani3DError:
    """The error of a machine that cannot reach the hub, with the commands that fetch elsewhere."""
    what = " ".join(f'"{file.path}"' for file in model.files)
    if not model.named_only:
        what = '--include "model_index.json" --include "*/*.json" --include "*/*.safetensors" --include "tokenizer/*"'
    at = f" --revision {model.revision}" if model.revision else ""
    return Ani3DError(
        "models.offline",
        f"{model.name} cannot be fetched: {reason}.",
        "On a machine with network (pip install huggingface_hub):\n"
        f"  hf download {model.repository}{at} {what} --local-dir {model.name}\n"
        f"Copy that folder to {folder}, then check it with:\n"
        f"  ani3dhuman models verify {model.name} --root {folder.parent}",
    )


def _expected(model: Model, file: RemoteFile) -> str:
    """The hash a file must have: the registry's, else the hub's, else ""."""
    return {known.path: known.sha256 for known in model.files}.get(file.path) or file.sha256


def _whole(folder: Path, file: RemoteFile) -> bool:
    path = folder / file.path
    return path.is_file() and path.stat().st_size == file.bytes


def _partial(folder: Path, file: RemoteFile) -> Path:
    return folder / f"{file.path}.{file.mark[:8]}{PARTIAL}"


def _right(model: Model, file: RemoteFile, found: str | None) -> bool:
    return found is not None and _expected(model, file) in ("", found)


def _hash(
    files: list[RemoteFile],
    folder: Path,
    listener: Callable[[Report], None] | None,
    should_cancel: Callable[[], bool],
) -> dict[str, str]:
    """SHA-256 of the files by path."""
    progress = Progress("checking", sum(file.bytes for file in files), listener, should_cancel)
    return {file.path: sha256_of(folder / file.path, progress.advance) for file in files}


def _download(
    files: list[RemoteFile],
    model: Model,
    folder: Path,
    revision: str,
    listener: Callable[[Report], None] | None,
    should_cancel: Callable[[], bool],
) -> None:
    """Stream the files one after the other, each continued from its partial file."""
    have = {file.path: _partial(folder, file) for file in files}
    left = {file.path: file.bytes - _size(have[file.path], file) for file in files}
    _check_disk(model, folder, sum(left.values()))
    progress = Progress("fetching", sum(left.values()), listener, should_cancel)
    for number, file in enumerate(files, 1):
        progress.advance(0, f"{number}/{len(files)} {Path(file.path).name}")
        partial = have[file.path]
        partial.parent.mkdir(parents=True, exist_ok=True)
        done = _size(partial, file)
        with full_disk_reported(partial), open(partial, "r+b" if done else "wb") as stream:
            stream.seek(done)
            with _hub_reported(model, folder):
                _stream(str(model.repository), revision, file, stream, done, progress)
        publish(partial, folder / file.path)


def _size(partial: Path, file: RemoteFile) -> int:
    """Bytes of a partial file that can be continued; 0 where it is longer than the file should be."""
    size = partial.stat().st_size if partial.is_file() else 0
    return size if size <= file.bytes else 0


def _stream(repository: str, revision: str, file: RemoteFile, stream: IO[bytes], done: int, progress: Progress) -> None:
    """Append to `stream` what comes after byte `done`; where the connection breaks it is taken up again."""
    import httpx2
    from huggingface_hub import hf_hub_url, hf_raise_for_status
    from huggingface_hub.constants import HF_HUB_DOWNLOAD_TIMEOUT
    from huggingface_hub.utils import build_hf_headers, http_stream_backoff

    url = hf_hub_url(repository, file.path, revision=revision)
    patience = PATIENCE
    while done < file.bytes:
        headers = build_hf_headers() | {"Range": f"bytes={done}-"}
        try:
            with http_stream_backoff(
                "GET", url, headers=headers, timeout=HF_HUB_DOWNLOAD_TIMEOUT, retry_on_exceptions=()
            ) as answer:
                hf_raise_for_status(answer)
                if answer.status_code != 206:  # all of it comes, from its first byte
                    done = stream.seek(0)
                    stream.truncate()
                for piece in answer.iter_bytes(PIECE):
                    stream.write(piece)
                    done, patience = done + len(piece), PATIENCE
                    progress.advance(len(piece))
            if done != file.bytes:
                raise OSError(f"{file.path} came with {done} bytes instead of {file.bytes}")
        except (httpx2.ConnectError, httpx2.TimeoutException, httpx2.RemoteProtocolError):
            patience -= 1
            if not patience:
                raise
            time.sleep(1)


def _check_disk(model: Model, folder: Path, needed: int) -> None:
    """Raise ``models.disk`` where the files do not fit."""
    place = folder
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed + RESERVE > free:
        raise Ani3DError(
            "models.disk",
            f"{model.name} needs {needed / 1e9:.1f} GB more, and the disk of {place} has {free / 1e9:.1f} GB free.",
            "Free some space, or choose another disk with --root or ANI3DHUMAN_MODELS.",
        )
