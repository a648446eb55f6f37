"""`ani3dhuman models`: list, fetch, verify, path."""

from __future__ import annotations

import argparse
from pathlib import Path

from ani3d_formats.errors import Ani3DError

from .common import ROOT_HELP


def add_to(parser: argparse.ArgumentParser) -> None:
    """Define the group's commands and options."""
    commands = parser.add_subparsers(dest="action", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--root", type=Path, help=ROOT_HELP)

    listing = commands.add_parser("list", parents=[shared], help="what there is, and what is installed")
    listing.set_defaults(run=_list)
    fetch = commands.add_parser("fetch", parents=[shared], help="fetch a model from the hub; goes on where it stopped")
    fetch.add_argument("name")
    fetch.add_argument(
        "--non-commercial", action="store_true", help="you use it under a licence without commercial use"
    )
    fetch.add_argument("--offline", action="store_true", help="do not touch the network; check what is there")
    fetch.set_defaults(run=_fetch)
    verify = commands.add_parser("verify", parents=[shared], help="check the hash of every file")
    verify.add_argument("name", nargs="?", help="default: all that are installed")
    verify.set_defaults(run=_verify)
    path = commands.add_parser("path", parents=[shared], help="print the folder of a model that is whole")
    path.add_argument("name")
    path.set_defaults(run=_path)


def listing(root: Path | None) -> str:
    """The table of all models."""
    from ..models.registry import known_models
    from ..models.store import state

    head = f"{'name':<25}{'kind':<7}{'GB':>7}  {'weights bf16/fp8':<18}{'here':<12}{'pinned':<14}licence"
    rows = [head]
    for model in known_models().values():
        weights = f"{model.weights_gb(2):.1f} / {model.weights_gb(1):.1f} GB" if model.transformer else "-"
        pinned = "ships" if model.ships else model.revision[:12] if model.revision else "not pinned"
        rows.append(
            f"{model.name:<25}{model.kind:<7}{model.gigabytes:>7.3g}  {weights:<18}{state(model, root):<12}"
            f"{pinned:<14}{model.licence}"
        )
    return "\n".join(rows)


def _list(options: argparse.Namespace) -> None:
    from ..models.store import default_root

    print(listing(options.root))
    print(f"\nmodels are kept in {options.root or default_root()}")


def _fetch(options: argparse.Namespace) -> None:
    from ..models.fetch import fetch
    from ..models.find import find
    from .common import watched

    model = find(options.name)
    if not (model.commercial or options.non_commercial):
        raise Ani3DError(
            "models.non_commercial",
            f"The licence of {model.name} allows no commercial use ({model.licence}).",
            "Where yours is none, fetch it with --non-commercial.",
        )
    if not model.ships:
        print(f"{model.name}: {model.repository}, {model.gigabytes:.3g} GB, licence: {model.licence}")
    with watched() as (bars, stopped):
        folder = fetch(options.name, options.root, options.offline, bars.listen, stopped)
    print(f"{options.name} is in {folder}")
    if model.needs:
        print(f"it needs: pip install {' '.join(model.needs)}")


def _verify(options: argparse.Namespace) -> None:
    from ani3d_formats.progress import Progress

    from ..models.find import find
    from ..models.registry import known_models
    from ..models.store import local_path, state, verify
    from .common import watched

    names = (
        [options.name]
        if options.name
        else [name for name, model in known_models().items() if state(model, options.root) == "installed"]
    )
    for name in names:
        find(name)
        folder = local_path(name, options.root)
        total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        with watched() as (bars, stopped):
            progress = Progress(f"checking {name}", total, bars.listen, stopped)
            found = verify(name, options.root, progress.advance)
        print(f"{name}: {found}")


def _path(options: argparse.Namespace) -> None:
    from ..models.store import local_path

    print(local_path(options.name, options.root))
