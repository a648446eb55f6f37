"""Builds the engine's wheel and sdist, and tries them as a user would: python -m tools.build_wheel --out dist

Both go into an environment of their own, made anew below build/: the prior is inside, `doctor` runs, the program that
Blender starts answers, and a tiny shot is animated - from an empty folder, so that nothing of the project helps.
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
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check", "install")
PRIOR = "import ani3dhuman, pathlib; print(*pathlib.Path(ani3dhuman.__file__).parent.glob('assets/**/*'), sep=chr(10))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--environment", type=Path, default=ROOT / "build" / "wheel-environment")
    parser.add_argument("--untried", action="store_true", help="build only")
    options = parser.parse_args()
    wheel, sdist = build(options.out)
    print(f"{wheel} ({wheel.stat().st_size / 1e6:.1f} MB)\n{sdist} ({sdist.stat().st_size / 1e6:.1f} MB)")
    if not options.untried:
        for package in (sdist, wheel):
            tried(package, options.environment)
            print(f"{package.name}: prior inside, doctor runs, the engine answers, a shot is animated")


def build(out: Path) -> tuple[Path, Path]:
    """The wheel and the sdist in `out`, of a copy of what belongs in them: setuptools looks into every folder."""
    from setuptools import build_meta

    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ani3d-wheel-") as folder:
        for name in ("ani3d_formats", "ani3dhuman", "engine"):
            shutil.copytree(ROOT / name, Path(folder) / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, folder)
        with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
            names = [build_meta.build_sdist(str(out.resolve())), build_meta.build_wheel(str(out.resolve()))]
    return out / names[1], out / names[0]


def tried(package: Path, environment: Path) -> None:
    """Install a package into a fresh environment and use it. Raises `SystemExit` that says what did not go."""
    venv.create(environment, clear=True, with_pip=True)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    run(python, *PIP, "--no-deps", "-r", ROOT / "requirements" / "engine.txt")
    run(python, *PIP, TORCH)
    run(python, *PIP, "--no-deps", "--no-build-isolation", package.resolve())
    used(package, python)


def used(package: Path, python: Path) -> None:
    """Use what is installed of a package for `python`, as `tried` says."""
    programs = python.parent
    with tempfile.TemporaryDirectory(prefix="ani3d-wheel-") as folder:
        found = run(python, "-c", PRIOR, cwd=folder)
        if "compact" not in found:
            raise SystemExit(f"{package.name} has no prior inside: {found}")
        run(programs / "ani3dhuman", "doctor", cwd=folder)
        run(programs / "ani3dhuman-engine", "--version", cwd=folder)
        shot = Path(folder) / "shot.npz"
        run(sys.executable, "-c", f"from tests.synthetic import make_shot; make_shot().save({str(shot)!r})", cwd=ROOT)
        run(programs / "ani3dhuman", "animate", shot, "-o", "out", "--preset", "draft", cwd=folder)
        report = json.loads((Path(folder) / "out" / "report.json").read_text(encoding="utf-8"))
        if not list((Path(folder) / "out").glob("*.ani3d")) or report["settings"].get("prior") == "none":
            raise SystemExit(f"{package.name}: the shot was not animated whole.")


def run(*arguments: object, cwd: str | Path | None = None) -> str:
    """What a program says; `SystemExit` with all of it where it fails."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    result = subprocess.run([*map(str, arguments)], capture_output=True, text=True, cwd=cwd, env=clean)
    if result.returncode:
        raise SystemExit(f"{' '.join(map(str, arguments))} failed:\n{result.stdout}{result.stderr}")
    return str(result.stdout)


if __name__ == "__main__":
    main()
