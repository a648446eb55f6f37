"""Options of the engine's command line that several of its commands share."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

from ani3dhuman.storage.stage_quota import ROOM

from .executors import Watch
from .job_quota import Quota


@dataclass(frozen=True)
class Number:
    """The type of an option: a number from `low` to `high`, a whole one where it has to be."""

    low: float
    high: float = math.inf
    whole: bool = False

    def __call__(self, text: str) -> float:
        """The number. Raises argparse.ArgumentTypeError."""
        try:
            value = int(text) if self.whole else float(text)
        except ValueError:
            value = math.nan
        if not self.low <= value <= self.high:
            kind = "a whole number" if self.whole else "a number"
            span = f"of at least {self.low:g}" if self.high == math.inf else f"from {self.low:g} to {self.high:g}"
            raise argparse.ArgumentTypeError(f"{text!r} is not {kind} {span}")
        return value


def _workers(text: str) -> str:
    return text if text == "auto" else str(Number(1, 1000, whole=True)(text))


def add_quota(parser: argparse.ArgumentParser) -> None:
    """What of ended jobs is kept."""
    parser.add_argument(
        "--keep-days", type=Number(0), default=math.inf, help="forget jobs that are older (default: none)"
    )
    parser.add_argument("--keep-gb", type=Number(0), default=math.inf, help="... and the oldest of more than so much")


def add_stages(parser: argparse.ArgumentParser) -> None:
    """How much of finished stages is kept."""
    help_text = "room for finished stages that jobs share; those used longest ago go first (default %(default)s)"
    parser.add_argument("--stages-gb", type=Number(0, 1e6), default=ROOM / 1e9, help=help_text)


def add_workers(parser: argparse.ArgumentParser) -> None:
    """How many jobs run at once, and what each may do."""
    usual = Watch()
    parser.add_argument(
        "--executor", choices=("local", "ray"), default="local", help="where jobs run (default %(default)s)"
    )
    parser.add_argument("--ray-address", default="", help="of a Ray cluster; by default one of this machine is started")
    parser.add_argument(
        "--ray-cpus", type=Number(0, 1000), default=1.0, help="cores a job has there (default %(default)s)"
    )
    parser.add_argument(
        "--ray-gpus", type=Number(0, 1000), default=0.0, help="and graphics cards (default %(default)s)"
    )
    parser.add_argument(
        "--workers", type=_workers, default="1", metavar="N", help="jobs at once, or auto (default %(default)s)"
    )
    parser.add_argument(
        "--silence",
        type=Number(5),
        default=usual.silence,
        help="seconds after which a silent worker is ended (%(default)s)",
    )
    parser.add_argument(
        "--job-hours", type=Number(0.001), default=math.inf, help="longest time of a job (default: any)"
    )
    parser.add_argument(
        "--job-gb", type=Number(0.5), default=math.inf, help="most memory of a job (Linux; default: any)"
    )
    parser.add_argument(
        "--warm", type=Number(0), default=usual.warm, help="seconds that a worker waits for another job (%(default)s)"
    )
    parser.add_argument(
        "--nice",
        type=Number(0, 19, whole=True),
        default=usual.nice,
        help="how far jobs step back behind other programs (%(default)s)",
    )


def quota(args: argparse.Namespace) -> Quota:
    """The quota that was chosen."""
    return Quota(args.keep_days, args.keep_gb * 1e9)


def watch(args: argparse.Namespace) -> Watch:
    """What a worker may do."""
    return Watch(args.silence, args.job_hours * 3600, args.job_gb * 1e9, args.warm, args.nice)
