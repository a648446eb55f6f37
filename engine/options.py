"""Options of the engine's command line that several of its commands share."""

from __future__ import annotations

import argparse
import math

from ani3dhuman.storage.stage_quota import ROOM

from .executors import Watch
from .job_quota import Quota


def add_quota(parser: argparse.ArgumentParser) -> None:
    """What of ended jobs is kept."""
    parser.add_argument("--keep-days", type=float, default=math.inf, help="forget jobs that are older (default: none)")
    parser.add_argument("--keep-gb", type=float, default=math.inf, help="... and the oldest of more than so much")


def add_stages(parser: argparse.ArgumentParser) -> None:
    """How much of finished stages is kept."""
    help_text = "room for finished stages that jobs share; those used longest ago go first (default %(default)s)"
    parser.add_argument("--stages-gb", type=float, default=ROOM / 1e9, help=help_text)


def add_workers(parser: argparse.ArgumentParser) -> None:
    """How many jobs run at once, and what each may do."""
    usual = Watch()
    parser.add_argument(
        "--executor", choices=("local", "ray"), default="local", help="where jobs run (default %(default)s)"
    )
    parser.add_argument("--ray-address", default="", help="of a Ray cluster; by default one of this machine is started")
    parser.add_argument("--ray-cpus", type=float, default=1.0, help="cores a job has there (default %(default)s)")
    parser.add_argument("--ray-gpus", type=float, default=0.0, help="and graphics cards (default %(default)s)")
    parser.add_argument("--workers", default="1", metavar="N", help="jobs at once, or auto (default %(default)s)")
    parser.add_argument(
        "--silence",
        type=float,
        default=usual.silence,
        help="seconds after which a silent worker is ended (%(default)s)",
    )
    parser.add_argument("--job-hours", type=float, default=math.inf, help="longest time of a job (default: any)")
    parser.add_argument("--job-gb", type=float, default=math.inf, help="most memory of a job (Linux; default: any)")
    parser.add_argument(
        "--warm", type=float, default=usual.warm, help="seconds that a worker waits for another job (%(default)s)"
    )
    parser.add_argument(
        "--nice", type=int, default=usual.nice, help="how far jobs step back behind other programs (%(default)s)"
    )


def quota(args: argparse.Namespace) -> Quota:
    """The quota that was chosen."""
    return Quota(args.keep_days, args.keep_gb * 1e9)


def watch(args: argparse.Namespace) -> Watch:
    """What a worker may do."""
    return Watch(args.silence, args.job_hours * 3600, args.job_gb * 1e9, args.warm, args.nice)
