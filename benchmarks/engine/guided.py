"""A coverage-guided search for messages that the codec does not expect: what reaches new lines is changed further."""

from __future__ import annotations

import random
import sys
import time
from types import FrameType
from typing import Any

import msgpack

from ani3d_formats.errors import Ani3DError
from engine.wire import codec
from engine.wire import messages as m

from .fuzz import ODD, VALID, message

Path_ = frozenset[tuple[int, int]]


class _Lines:
    """The pairs of lines of codec and messages that one call goes through."""

    FILES = (codec.__file__, m.__file__)

    def __init__(self) -> None:
        self.pairs: set[tuple[int, int]] = set()
        self._last = 0

    def __call__(self, frame: FrameType, event: str, _value: Any) -> Any:
        if frame.f_code.co_filename not in self.FILES:
            return None
        if event == "line":
            here = hash((frame.f_code.co_filename, frame.f_lineno))
            self.pairs.add((self._last, here))
            self._last = here
        return self


def _decode(frames: list[bytes]) -> None:
    codec.decode(codec.read_header(frames), frames[1:], m.REQUESTS | m.REPLIES)


def traced(frames: list[bytes]) -> tuple[Path_, str]:
    """The lines that decoding goes through, and what it raised that is no `Ani3DError`."""
    lines, raised = _Lines(), ""
    sys.settrace(lines)
    try:
        _decode(frames)
    except Ani3DError:
        pass
    except Exception as error:
        raised = f"{type(error).__name__}: {error}"
    finally:
        sys.settrace(None)
    return frozenset(lines.pairs), raised


def _changed(frames: list[bytes], dice: random.Random) -> list[bytes]:
    frames = list(frames)
    try:
        header = msgpack.unpackb(frames[0])
    except Exception:
        header = None
    if isinstance(header, dict) and dice.random() < 0.6:
        _change_inside(header, dice)
        try:
            frames[0] = msgpack.packb(header)
        except (ValueError, OverflowError, TypeError):
            return frames
    else:
        place = dice.randrange(len(frames))
        data = bytearray(frames[place])
        for _ in range(dice.randrange(1, 4)):
            if data:
                data[dice.randrange(len(data))] = dice.randrange(256)
        frames[place] = bytes(data)
    if dice.random() < 0.1:
        frames.append(dice.randbytes(dice.randrange(9)))
    return frames


def _change_inside(value: Any, dice: random.Random) -> None:
    """Change one thing somewhere in a tree of maps and lists."""
    for _ in range(8):
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = dice.choice(keys)
        if isinstance(value[key], dict | list) and value[key] and dice.random() < 0.7:
            value = value[key]
            continue
        value[key] = dice.choice([*ODD, value[dice.choice(keys)]])
        return


def search(seconds: float, seed: int) -> dict[str, float]:
    """Search for so long; how many messages, paths and surprises there were."""
    dice = random.Random(seed)
    corpus = [[bytes(frame) for frame in codec.encode(each, 7)] for each in VALID]
    corpus += [frames for frames in (message(dice) for _ in range(50)) if frames]
    seen: set[tuple[int, int]] = set()
    tried, surprises = 0, set()
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        frames = _changed(dice.choice(corpus), dice)
        pairs, raised = traced(frames)
        tried += 1
        if raised and raised not in surprises:
            surprises.add(raised)
            print(f"the codec raises {raised} for {[frame[:200] for frame in frames]}", flush=True)
        if not pairs <= seen:
            seen |= pairs
            corpus.append(frames)
    return {"guided": tried, "guided_paths": len(seen), "guided_crashes": len(surprises)}
