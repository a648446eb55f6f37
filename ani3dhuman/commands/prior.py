"""`ani3dhuman prior train`: train the compact prior, or fine-tune it on a character of one's own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ani3d_formats.errors import Ani3DError

from .common import add_spread

RATE, FINE_TUNING_RATE = 1.5e-3, 3e-4


def add_to(parser: argparse.ArgumentParser) -> None:
    """Define the group's commands and options."""
    commands = parser.add_subparsers(dest="action", required=True)
    train = commands.add_parser("train", help="train on simulated clips; goes on where it stopped")
    train.add_argument("--clips", type=Path, action="append", default=[], help="folder of training clips")
    train.add_argument("--blend", type=Path, help="your character: takes of it are simulated in Blender, then learned")
    train.add_argument("-o", "--out", type=Path, required=True, help="folder for checkpoint, curve and model/")
    train.add_argument("--minutes", type=float, default=60.0, help="of training in all, over all runs (default: 60)")
    train.add_argument("--batch", type=int, default=4, help="windows a step (default: 4)")
    train.add_argument("--rate", type=float, help=f"highest learning rate ({RATE}; with --blend {FINE_TUNING_RATE})")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument(
        "--start", type=Path, help="folder of a prior to start from; 'shipped', the one that ships, with --blend"
    )
    takes = train.add_argument_group("with --blend")
    takes.add_argument(
        "--blender", metavar="PROGRAM", help="Blender, or a Python with bpy (ANI3DHUMAN_BLENDER, blender)"
    )
    takes.add_argument("--takes", type=int, default=16, help="takes to simulate (default: 16)")
    takes.add_argument("--frames", type=int, default=48, help="frames a take (default: 48)")
    takes.add_argument("--views", type=int, default=4, help="cameras a take (default: 4)")
    add_spread(takes)
    train.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> None:
    if not options.clips and options.blend is None:
        raise Ani3DError("training.nothing", "There is nothing to train on.", "Give --blend or --clips.")
    for name, least in (("takes", 1), ("frames", 2), ("views", 1)):
        if getattr(options, name) < least:
            raise Ani3DError("cli.range", f"--{name} {getattr(options, name)} is too few.", f"Give at least {least}.")

    from ani3d_formats.progress import Progress

    from ..restoration.compact.prior import WEIGHTS
    from ..training.blender import record_takes
    from ..training.takes import clips_of_takes, finished_takes
    from ..training.train import TrainSettings, train
    from .common import spread_as_asked, watched

    tuned = options.blend is not None
    wanted = options.start or (Path("shipped") if tuned else None)
    start = WEIGHTS if wanted == Path("shipped") else wanted
    rate = (FINE_TUNING_RATE if tuned else RATE) if options.rate is None else options.rate
    settings = TrainSettings(options.minutes, options.batch, rate, options.seed, start)
    folders = list(options.clips)
    with watched() as (bars, stopped):
        if tuned:
            takes, clips = options.out / "takes", options.out / "clips"
            progress = Progress("takes", 1, bars.listen, stopped)
            record_takes(options.blend, takes, options.takes, options.frames, options.seed, options.blender, progress)
            made = len(finished_takes(takes))
            if made < options.takes:
                lost = options.takes - made
                bars.close()
                print(f"{lost} of {options.takes} takes were dropped: see dropped.txt in {takes}", file=sys.stderr)
            with spread_as_asked(options):
                clips_of_takes(takes, clips, options.views, Progress("clips", 1, bars.listen, stopped), options.seed)
            folders.append(clips)
        model = train(tuple(folders), options.out, settings, Progress("train", 1, bars.listen, stopped))
    print(f"the prior is in {model}; its loss curve in {options.out / 'loss.png'}")
