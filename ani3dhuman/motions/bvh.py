"""Motions from BVH files: joints, offsets and turns as the file has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from ani3d_formats.errors import Ani3DError

from .motion import Motion

EXPORT = "Export the motion again as BVH, one line of numbers for each frame."


def read_bvh(path: Path) -> Motion:
    """Read a BVH file: any order of rotations, positions on any joint (they stand in for its offset), degrees.

    Raises:
        Ani3DError: ``motion.file``: the file is missing or damaged; says in which line.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise Ani3DError("motion.file", f"{path} cannot be read: {error.strerror}.", "Check the path.") from None
    start = next((i for i, line in enumerate(lines) if line.strip().upper() == "MOTION"), None)
    if start is None:
        raise _damaged_error(path, len(lines), "the file ends without a MOTION section")
    names, parents, offsets, channels = _hierarchy(path, lines[:start])
    rows, frame_time = _rows(path, lines, start, sum(map(len, channels)))
    positions = np.repeat(offsets[None], len(rows), 0)
    rotations = np.tile(np.eye(3), (len(rows), len(names), 1, 1))
    column = 0
    for j, own in enumerate(channels):
        for channel in own:
            axis, values = channel[0], rows[:, column]
            if channel.endswith("position"):
                positions[:, j, "xyz".index(axis)] = values
            else:
                rotations[:, j] = rotations[:, j] @ rotation_about(axis, np.radians(values))
            column += 1
    return Motion.of_local(Path(path), names, parents, offsets, positions, rotations, frame_time)


def _damaged_error(path: Path, line: int, what: str, hint: str = EXPORT) -> Ani3DError:
    return Ani3DError("motion.file", f"{path}, line {line}: {what}.", hint)


def _pieces(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Line number and words of each statement; braces are statements of their own."""
    for number, line in enumerate(lines, 1):
        for piece in re.split(r"([{}])", line):
            if piece.strip():
                yield number, piece.split()


def _hierarchy(path: Path, lines: list[str]) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, list[list[str]]]:
    """Names, parents, offsets and channels (lower case) of the joints, End Sites with them."""
    names: list[str] = []
    parents: list[int] = []
    offsets: list[np.ndarray | None] = []
    channels: list[list[str]] = []
    stack: list[int] = []
    number = 1
    for number, words in _pieces(lines):
        key = words[0].upper()
        if key == "HIERARCHY":
            continue
        if key in ("ROOT", "JOINT", "END"):
            if (key == "ROOT") == bool(names) or (names and not stack):
                raise _damaged_error(
                    path, number, f"'{' '.join(words)}' is out of place; a file has one ROOT and one tree"
                )
            parents.append(stack[-1] if stack else -1)
            names.append("" if key == "END" else " ".join(words[1:]))
            offsets.append(None)
            channels.append([])
        elif key == "{" and len(names) and len(names) - 1 not in stack:
            stack.append(len(names) - 1)
        elif key == "}" and stack:
            stack.pop()
        elif key == "OFFSET" and stack:
            offsets[stack[-1]] = _numbers(path, number, words[1:], 3, "OFFSET")
        elif key == "CHANNELS" and stack:
            own = [word.lower() for word in words[2:]]
            wrong = [word for word in own if not re.fullmatch("[xyz](position|rotation)", word)]
            if wrong:
                raise _damaged_error(path, number, f"there is no channel '{wrong[0]}'")
            if len(words) < 2 or words[1] != str(len(own)) or len(set(own)) != len(own):
                told = words[1] if len(words) > 1 else "no number of"
                raise _damaged_error(path, number, f"CHANNELS says {told} channels and names {len(set(own))}")
            channels[stack[-1]] = own
        else:
            raise _damaged_error(path, number, f"'{' '.join(words)}' is not understood here")
    if stack or not names:
        raise _damaged_error(path, number, "a brace is not closed" if names else "there is no ROOT joint")
    places = []
    for name, offset in zip(names, offsets, strict=True):
        if offset is None:
            raise _damaged_error(path, number, f"joint '{name or 'End Site'}' has no OFFSET")
        places.append(offset)
    return tuple(names), np.array(parents), np.array(places), channels


def _rows(path: Path, lines: list[str], start: int, width: int) -> tuple[np.ndarray, float]:
    """(T,width) numbers of the MOTION section that starts after line `start`, and the frame time in seconds."""
    rest = [(i + 1, lines[i].split()) for i in range(start + 1, len(lines)) if lines[i].strip()]
    head = [" ".join(words).lower().replace(" :", ":") for _, words in rest[:2]]
    if len(head) < 2 or not re.fullmatch(r"frames:\s*\d+", head[0]) or not head[1].startswith("frame time:"):
        raise _damaged_error(path, start + 1, "MOTION is not followed by 'Frames: N' and 'Frame Time: SECONDS'")
    count = int(head[0].partition(":")[2])
    number = rest[1][0]
    frame_time = float(_numbers(path, number, head[1].partition(":")[2].split(), 1, "Frame Time")[0])
    if not 1e-4 <= frame_time <= 10:
        raise _damaged_error(path, number, f"a frame time of {frame_time:g} seconds is not possible")
    body = rest[2:]
    if count == 0 or len(body) != count:
        what = f"the file says {count} frames and has {len(body)}" if count or body else "the file has zero frames"
        raise _damaged_error(path, rest[0][0], what)
    return np.array([_numbers(path, number, words, width, "the frame") for number, words in body]), frame_time


def _numbers(path: Path, line: int, words: list[str], count: int, what: str) -> np.ndarray:
    if len(words) != count:
        raise _damaged_error(path, line, f"{what} has {len(words)} numbers in place of {count}")
    try:
        values = np.array(words, float)
    except ValueError:
        raise _damaged_error(path, line, f"{what} has something that is not a number") from None
    if not np.isfinite(values).all():
        raise _damaged_error(path, line, f"{what} has a number that is not finite")
    return values


def rotation_about(axis: str, angles: np.ndarray) -> np.ndarray:
    """(T,3,3) rotations about "x", "y" or "z" by angles (T,) in radians."""
    return Rotation.from_euler(axis, angles[:, None]).as_matrix()
