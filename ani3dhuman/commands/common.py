"""What several commands share: progress with Ctrl-C, and options that spell numbers."""

from __future__ import annotations

import argparse
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import TYPE_CHECKING

from ani3d_formats.errors import Ani3DError

if TYPE_CHECKING:
    from ..presentation.terminal import Bars

ROOT_HELP = "folder of all models (default: ANI3DHUMAN_MODELS, else your data folder)"


@contextmanager
def watched() -> Iterator[tuple[Bars, Callable[[], bool]]]:
    """Progress bars, and a function that says whether Ctrl-C was pressed meanwhile."""
    from ..presentation.terminal import Bars

    stopping = [False]

    def stop(signum: int, frame: FrameType | None) -> None:
        stopping[0] = True

    previous = signal.signal(signal.SIGINT, stop)
    bars = Bars()
    try:
        yield bars, lambda: stopping[0]
    finally:
        bars.close()
        signal.signal(signal.SIGINT, previous)


def add_spread(parser: argparse._ActionsContainer) -> None:
    """The option that names a cluster."""
    parser.add_argument("--ray", metavar="ADDRESS", help="spread the work over this Ray cluster, such as HEAD:6379")


@contextmanager
def spread_as_asked(options: argparse.Namespace) -> Iterator[None]:
    """In the block, work that falls into parts is done where ``--ray`` says. Raises Ani3DError ``farm.ray``."""
    from ..spread import RaySpread, spread_by

    with spread_by(RaySpread(options.ray)) if options.ray else nullcontext():
        yield


def numbers(option: str, text: str | None, pattern: str, hint: str, base: int = 10) -> list[int] | None:
    """The whole numbers that an option's text spells, or None where it is not given."""
    if text is None:
        return None
    match = re.fullmatch(pattern, text)
    if not match:
        raise Ani3DError("cli.syntax", f"{option} {text} cannot be read.", hint)
    return [int(group, base) for group in match.groups() if group is not None]


def size(option: str, text: str | None) -> list[int] | None:
    """Width and height that ``WxH`` spells, or None where it is not given."""
    return numbers(option, text, r"(\d{1,5})x(\d{1,5})", f"Write it as {option} 1920x1080.")
