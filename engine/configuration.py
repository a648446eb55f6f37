"""What an engine is started with, from the first of these that says: flags, environment, a file, the defaults.

The environment's names are those of the flags: ANI3D_ENGINE_KEEP_DAYS=30. The file is TOML with the same names,
`keep-days = 30`; `--config` or ANI3D_ENGINE_CONFIG names it, else it is ~/.config/ani3dhuman/engine.toml where there is
one.
"""

from __future__ import annotations

import argparse
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ani3d_formats.errors import Ani3DError
from ani3dhuman import __version__

from .executors import Watch
from .job_quota import Quota
from .options import Number, add_quota, add_stages, add_workers, quota, watch
from .wire import DEFAULT_ENDPOINT, PROTOCOL_VERSION
from .wire.credentials import TOKEN_VARIABLE, default_store

PREFIX = "ANI3D_ENGINE_"
USUAL_FILE = Path(".config") / "ani3dhuman" / "engine.toml"  # in the user's home
_NOT_IN_FILES = ("help", "version", "config")


@dataclass(frozen=True)
class Configuration:
    """What an engine is started with; sizes in GB of 1e9 bytes."""

    host: str
    port: int
    store: Path
    ready_file: Path | None
    keys: Path | None
    allow_path: tuple[Path, ...]
    parent_pid: int | None
    stages_gb: float
    executor: str
    ray_address: str
    ray_cpus: float
    ray_gpus: float
    workers: str
    watch: Watch
    quota: Quota


def read(arguments: Sequence[str], commands: Sequence[str], environment: Mapping[str, str]) -> Configuration:
    """The configuration that flags, environment and file give together; `commands` are named in the help.

    Raises:
        Ani3DError: `engine.config` for a file that cannot be read, an option or a variable that is none, a value that
            it cannot have.
    """
    parser = _parser(commands)
    options = {a.dest: a for a in parser._actions if a.dest not in _NOT_IN_FILES}
    chosen = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    chosen.add_argument("--config", type=Path, default=environment.get(f"{PREFIX}CONFIG"))
    path = chosen.parse_known_args(arguments)[0].config
    usual: dict[str, Any] = {}
    if path or (Path.home() / USUAL_FILE).is_file():
        usual |= _from_file(Path(path or Path.home() / USUAL_FILE).expanduser(), options)
    usual |= _from_environment(environment, options)
    folders = usual.pop("allow_path", [])  # as a default, flags would add to it
    parser.set_defaults(**usual)
    args = parser.parse_args(arguments)
    taken = {name: value for name, value in vars(args).items() if name in Configuration.__dataclass_fields__}
    allowed = tuple(folders if args.allow_path is None else args.allow_path)
    return Configuration(**{**taken, "allow_path": allowed, "watch": watch(args), "quota": quota(args)})


def _from_file(path: Path, options: Mapping[str, argparse.Action]) -> dict[str, Any]:
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise Ani3DError("engine.config", f"{path} cannot be read: {why}.", "See docs/engine.md.") from error
    values = {}
    for name, value in said.items():
        option = options.get(name.replace("-", "_"))
        if option is None:
            known = ", ".join(sorted(name.replace("_", "-") for name in options))
            raise Ani3DError("engine.config", f"{path}: there is no option '{name}'.", f"Known are {known}.")
        many = isinstance(option, argparse._AppendAction)
        parts = value if many and isinstance(value, list) else [value]
        number = isinstance(option.type, Number)
        for part in parts:
            if isinstance(part, bool) or not isinstance(part, int | float if number else str | int):
                kind = "a number" if number else "text"
                raise Ani3DError("engine.config", f"{path}: '{name}' is {part!r}, not {kind}.", "See docs/engine.md.")
        converted = [_converted(f"{path}: '{name}'", option, str(part)) for part in parts]
        values[option.dest] = converted if many else converted[0]
    return values


def _from_environment(environment: Mapping[str, str], options: Mapping[str, argparse.Action]) -> dict[str, Any]:
    values = {}
    names = {f"{PREFIX}{dest.upper()}": (dest, option) for dest, option in options.items()}
    for name in environment:
        if name.startswith(PREFIX) and name not in (*names, f"{PREFIX}CONFIG", TOKEN_VARIABLE):
            known = ", ".join(sorted(names))
            raise Ani3DError("engine.config", f"No option has the variable {name}.", f"Known are {known}.")
    for name, (dest, option) in names.items():
        if name in environment:
            many = isinstance(option, argparse._AppendAction)
            parts = environment[name].split(os.pathsep) if many else [environment[name]]
            converted = [_converted(name, option, part) for part in parts]
            values[dest] = converted if many else converted[0]
    return values


def _converted(where: str, option: argparse.Action, text: str) -> Any:
    """The value of an option that was written as text. Raises Ani3DError `engine.config`."""
    try:
        value = option.type(text) if callable(option.type) else text
        if isinstance(value, Path):
            value = value.expanduser()
    except argparse.ArgumentTypeError as error:
        raise Ani3DError("engine.config", f"{where}: {error}.", "See `ani3dhuman-engine --help`.") from None
    except (ValueError, RuntimeError):  # the latter for the home of somebody who is not known
        said = f"{where} is '{text}', which this option cannot be."
        raise Ani3DError("engine.config", said, "See `ani3dhuman-engine --help`.") from None
    if option.choices is not None and value not in option.choices:
        said = f"{where} is '{text}'; it may be {' or '.join(map(str, option.choices))}."
        raise Ani3DError("engine.config", said, "See `ani3dhuman-engine --help`.")
    return value


def _parser(commands: Sequence[str]) -> argparse.ArgumentParser:
    default_port = int(DEFAULT_ENDPOINT.rpartition(":")[2])
    described = f"Serve ani3dhuman to Blender. Other commands, each with --help: {', '.join(commands)}."
    parser = argparse.ArgumentParser(prog="ani3dhuman-engine", description=described, allow_abbrev=False)
    usual = f"TOML file of these options (default: ~/{USUAL_FILE} where there is one)"
    parser.add_argument("--config", type=Path, metavar="FILE", help=usual)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default %(default)s)")
    parser.add_argument(
        "--port",
        type=Number(0, 65535, whole=True),
        default=default_port,
        help="0 takes a free one (default %(default)s)",
    )
    parser.add_argument(
        "--store",
        type=Path,
        default=default_store(),
        help="folder of jobs and results (default %(default)s)",
    )
    parser.add_argument("--ready-file", type=Path, help="gets endpoint and token as JSON once the engine listens")
    parser.add_argument("--keys", type=Path, help="folder of CURVE keys, which an address beyond loopback needs")
    parser.add_argument(
        "--allow-path",
        type=Path,
        action="append",
        metavar="FOLDER",
        help="settings of jobs may name files and models in it; besides it only the folder of models",
    )
    parser.add_argument("--parent-pid", type=Number(1, 2**31, whole=True), help="stop when this process is gone")
    add_stages(parser)
    add_workers(parser)
    add_quota(parser)
    parser.add_argument("--version", action="version", version=f"{__version__}, protocol {PROTOCOL_VERSION}")
    return parser
