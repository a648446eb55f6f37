"""Many files of Gaussians at once, by several threads: a result as a file a frame, and files from format to format."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from threading import Event

from ani3d_formats.atomic import cannot_write, sync_folder
from ani3d_formats.errors import Ani3DError, Cancelled
from ani3d_formats.frames import FrameCache
from ani3d_formats.names import safe_name
from ani3d_formats.progress import Progress

from .formats import encoded, read_splats, written_format
from .splats import Parts, Splats

DIGITS = 4  # of a frame's number, as Blender counts them
WRITERS = 4  # files at a time: while some are synced others are made
WAIT = 0.2  # seconds between looks at whether to stop


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
        Cancelled: soon after the request, see `splats.Parts`.
    """
    kind = written_format(Path(f"a.{ending.lstrip('.')}"))
    cache.check_gaussians()

    def parts(frame: int, path: Path) -> Parts:
        return encoded(path, Splats.of_frame(cache.frame(frame)), axes)

    names = sequence_names(cache, kind.ending, frames)
    made = {name: partial(parts, frame) for name, frame in zip(names, frames, strict=True)}
    return _write_together(folder, made, progress)


def convert_files(
    sources: Sequence[Path],
    targets: Sequence[Path],
    axes: str | None = None,
    to_axes: str | None = None,
    progress: Progress | None = None,
) -> list[tuple[int, int]]:
    """Write each of `sources` as the file of `targets` at its place; all in one folder, all of them or none.

    Args:
        axes, to_axes: of the sources and targets, as of `formats.read_splats` and `formats.write_splats`.
        progress: advanced when a file is read, and again when it is written.

    Returns:
        How many Gaussians each source has, and the degree of its colours.

    Raises:
        Ani3DError: as `formats.read_splats` and `formats.write_splats`; ``splats.twice`` for targets of one name.
        Cancelled: soon after the request, see `splats.Parts`.
    """
    names = [target.name for target in targets if written_format(target)]
    if len(set(names)) < len(names):
        name = next(name for name in names if names.count(name) > 1)
        raise Ani3DError("splats.twice", f"Two of the files would become {name}.", "Convert them into two folders.")
    found: dict[Path, tuple[int, int]] = {}

    def parts(source: Path, path: Path) -> Parts:
        splats = read_splats(source, axes)
        found[source] = splats.count, splats.degree
        return encoded(path, splats, to_axes)

    made = {name: partial(parts, source) for name, source in zip(names, sources, strict=True)}
    _write_together(targets[0].parent, made, progress, lambda: len(found))
    return [found[source] for source in sources]


def _write_together(
    folder: Path,
    made: Mapping[str, Callable[[Path], Parts]],
    progress: Progress | None,
    steps: Callable[[], int] = lambda: 0,
) -> list[Path]:
    """Files of a folder by name, from functions that make their parts, of their path; all of them or none.

    Args:
        steps: how many steps beside the written files are done.
    """
    part = folder / f".{next(iter(made))}.partial"
    stopped = Event()
    try:
        shutil.rmtree(part, ignore_errors=True)  # what a killed run left
        part.mkdir(parents=True)
        with ThreadPoolExecutor(WRITERS) as pool:
            try:
                waiting = {pool.submit(_write, part / name, make, stopped) for name, make in made.items()}
                while waiting:
                    done, waiting = wait(waiting, WAIT, FIRST_COMPLETED)
                    for task in done:
                        task.result()
                    if progress:
                        progress.advance(len(made) - len(waiting) + steps() - progress.step)
            except BaseException:
                stopped.set()
                pool.shutdown(cancel_futures=True)
                raise
        for name in made:
            os.replace(part / name, folder / name)
        sync_folder(folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return [folder / name for name in made]


def _write(path: Path, make: Callable[[Path], Parts], stopped: Event) -> None:
    """One file in a folder that nobody sees yet, synced; what others want stopped is left."""
    with open(path, "wb", buffering=0) as file:
        for part in make(path):
            rest = memoryview(part).cast("B")
            while len(rest):
                rest = rest[file.write(rest) :]
            if stopped.is_set():
                raise Cancelled(path.name)
        os.fsync(file.fileno())
