"""Builds the engine's wheel and sdist, and tries them as a user would: python -m tools.build_wheel --out dist

Each goes into an environment of its own, made anew below build/, the sdist by pip, the wheel by `uv tool install`: the
prior is inside, `doctor` runs, the program that Blender starts answers, and a shot is animated - from an empty folder,
so that nothing of the project helps. With `--shot` it is a shot of your own, such as the demo's.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TORCH = os.environ.get("TORCH", "torch==2.13.0")
PROGRAMS = "Scripts" if os.name == "nt" else "bin"
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check", "install")
PRIOR = "import ani3dhuman, pathlib; print(*pathlib.Path(ani3dhuman.__file__).parent.glob('assets/**/*'), sep=chr(10))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--environment", type=Path, default=ROOT / "build" / "wheel-environment")
    parser.add_argument("--shot", type=Path, help="a shot to animate instead of a tiny one")
    parser.add_argument("--untried", action="store_true", help="build only")
    options = parser.parse_args()
    wheel, sdist = build(options.out)
    print(f"{wheel} ({wheel.stat().st_size / 1e6:.1f} MB)\n{sdist} ({sdist.stat().st_size / 1e6:.1f} MB)")
    if not options.untried:
        for package, install in ((wheel, installed_as_tool), (sdist, installed_by_pip)):
            shutil.rmtree(options.environment, ignore_errors=True)
            used(package, install(package, options.environment), options.shot)
            print(f"{package.name}: prior inside, doctor runs, the engine answers, a shot is animated", flush=True)


def build(out: Path) -> tuple[Path, Path]:
    """The wheel and the sdist in `out`, of a copy of what belongs in them: setuptools looks into every folder."""
    from setuptools import build_meta

    out = out.resolve()  # here, as the build goes on in another folder
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ani3d-wheel-") as folder:
        for name in ("ani3d_formats", "ani3dhuman", "engine"):
            shutil.copytree(ROOT / name, Path(folder) / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, folder)
        with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
            names = [build_meta.build_sdist(str(out)), build_meta.build_wheel(str(out))]
    return out / names[1], out / names[0]


def installed_by_pip(package: Path, environment: Path) -> Path:
    """Install a package into a fresh environment, and the tools to build it; the Python there."""
    venv.create(environment, with_pip=True)
    python = environment / PROGRAMS / "python"
    run(python, *PIP, "--no-deps", "-r", ROOT / "requirements" / "engine.txt")
    run(python, *PIP, TORCH)
    run(python, *PIP, "--no-deps", "--no-build-isolation", package.resolve())
    return python


def installed_as_tool(package: Path, environment: Path) -> Path:
    """`uv tool install`, with the tools and programs in a folder of their own; the Python there."""
    places = {"UV_TOOL_DIR": str(environment), "UV_TOOL_BIN_DIR": str(environment / PROGRAMS)}
    if links := os.environ.get("PIP_FIND_LINKS"):
        places["UV_FIND_LINKS"] = links
    options = ("--python", sys.executable, "--constraints", ROOT / "requirements" / "engine.txt", "--with", TORCH)
    run(sys.executable, "-m", "uv", "tool", "install", *options, package.resolve(), more=places)
    program = environment / PROGRAMS / "ani3dhuman-engine"
    if not list(program.parent.glob(program.name + "*")):
        raise SystemExit(f"uv tool install put no {program.name} into {program.parent}.")
    return environment / "ani3dhuman" / PROGRAMS / "python"


def used(package: Path, python: Path, shot: Path | None) -> None:
    """Use what is installed of a package for `python`. Raises `SystemExit` that says what did not go."""
    programs = python.parent
    with tempfile.TemporaryDirectory(prefix="ani3d-wheel-") as folder:
        found = run(python, "-c", PRIOR, cwd=folder)
        if "compact" not in found:
            raise SystemExit(f"{package.name} has no prior inside: {found}")
        run(programs / "ani3dhuman", "doctor", cwd=folder)
        run(programs / "ani3dhuman-engine", "--version", cwd=folder)
        if shot is None:
            shot = Path(folder) / "shot.npz"
            make = f"from tests.synthetic import make_shot; make_shot().save({str(shot)!r})"
            run(sys.executable, "-c", make, cwd=ROOT)
        run(programs / "ani3dhuman", "animate", shot.resolve(), "-o", "out", "--preset", "draft", cwd=folder)
        report = json.loads((Path(folder) / "out" / "report.json").read_text(encoding="utf-8"))
        if not list((Path(folder) / "out").glob("*.ani3d")) or report["settings"].get("prior") == "none":
            raise SystemExit(f"{package.name}: the shot was not animated whole.")


def run(*arguments: object, cwd: str | Path | None = None, more: dict[str, str] | None = None) -> str:
    """What a program says; `SystemExit` with all of it where it fails."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    clean |= more or {}
    result = subprocess.run([*map(str, arguments)], capture_output=True, text=True, cwd=cwd, env=clean)
    if result.returncode:
        raise SystemExit(f"{' '.join(map(str, arguments))} failed:\n{result.stdout}{result.stderr}")
    return str(result.stdout)


if __name__ == "__main__":
    main()
