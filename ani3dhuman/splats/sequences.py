"""A result's Gaussians as one file a frame, written by several threads."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from ani3d_formats.atomic import cannot_write, sync_folder
from ani3d_formats.frames import FrameCache
from ani3d_formats.names import safe_name
from ani3d_formats.progress import Progress

from .formats import encoded, written_format
from .splats import Splats

DIGITS = 4  # of a frame's number, as Blender counts them
WRITERS = 4  # files at a time: while some are synced others are made


def sequence_names(cache: FrameCache, ending: str, frames: range) -> list[str]:
    """NAME.0001.ply ... for scene frames; a minus sign stands before the digits."""
    stem = safe_name(cache.path.stem)
    return [f"{stem}.{frame:0{DIGITS + (frame < 0)}d}{ending}" for frame in frames]


def write_sequence(
    cache: FrameCache,
    folder: Path,
    ending: str,
    frames: range,
    axes: str | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Write Gaussians of scene frames as files with an ending of `formats.FORMATS`.

    The folder's other files stay. Files appear whole, all of them or, after an error or a stop, none.

    Args:
        axes: as of `formats.write_splats`. Places are relative to the cache's origin, as in the cache.
        progress: advanced once a frame.

    Raises:
        Ani3DError: as `formats.write_splats`; ``cache.frame``, ``cache.attributes``.
        Cancelled: within a frame of the request.
    """
    kind = written_format(Path(f"a.{ending.lstrip('.')}"))
    cache.check_gaussians()
    names = sequence_names(cache, kind.ending, frames)
    part = folder / f".{safe_name(cache.path.stem)}.partial"
    try:
        shutil.rmtree(part, ignore_errors=True)  # what a killed run left
        part.mkdir(parents=True)
        write = partial(_write, cache, part, axes)
        with ThreadPoolExecutor(WRITERS) as pool:
            tasks = [pool.submit(write, frame, name) for frame, name in zip(frames, names, strict=True)]
            try:
                for task in tasks:
                    task.result()
                    if progress:
                        progress.advance()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        for name in names:
            os.replace(part / name, folder / name)
        sync_folder(folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return [folder / name for name in names]


def _write(cache: FrameCache, folder: Path, axes: str | None, frame: int, name: str) -> None:
    """One file in a folder that nobody sees yet, synced."""
    parts = encoded(folder / name, Splats.of_frame(cache.frame(frame)), axes)
    with open(folder / name, "wb", buffering=0) as file:
        for part in parts:
            rest = memoryview(part).cast("B")
            while len(rest):
                rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
