"""`ani3dhuman prior train`: train the compact prior, or fine-tune it on a character of one's own."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_to(parser: argparse.ArgumentParser) -> None:
    """Define the group's commands and options."""
    commands = parser.add_subparsers(dest="action", required=True)
    train = commands.add_parser("train", help="train on simulated clips; goes on where it stopped")
    train.add_argument("--clips", type=Path, action="append", required=True, help="folder of training clips")
    train.add_argument("-o", "--out", type=Path, required=True, help="folder for checkpoint, curve and model/")
    train.add_argument("--minutes", type=float, default=60.0, help="of training in all, over all runs (default: 60)")
    train.add_argument("--batch", type=int, default=4, help="windows a step (default: 4)")
    train.add_argument("--rate", type=float, default=1.5e-3, help="highest learning rate (default: 0.0015)")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--start", type=Path, help="folder of a prior to start from; 'shipped' is the one that ships")
    train.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> None:
    from ..progress import Progress
    from ..restoration.compact import WEIGHTS
    from ..training.train import TrainSettings, train
    from .common import watched

    start = WEIGHTS if options.start == Path("shipped") else options.start
    settings = TrainSettings(options.minutes, options.batch, options.rate, options.seed, start)
    with watched() as (bars, stopped):
        model = train(tuple(options.clips), options.out, settings, Progress("train", 1, bars.listen, stopped))
    print(f"the prior is in {model}; its loss curve in {options.out / 'loss.png'}")
