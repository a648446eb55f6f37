# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the extension: python -m tools.build_extension --out dist

The zip brings everything it needs, since nothing may be installed into Blender: pyzmq and msgpack as wheels from
the package index, the code that it shares with the engine inside its own package (see carry.py). Blender's own tool,
found inside bpy, checks and packs it. Blender 4.2-5.0 has Python 3.11, later ones 3.13, and Linux distributions build
theirs with 3.14; Blender unpacks the wheels that fit.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from .carry import carry

ROOT = Path(__file__).resolve().parents[1]
ADDON = ROOT / "blender_addon"
REQUIREMENTS = ("pyzmq==27.3.0", "msgpack==1.2.4")
PYTHONS = ("3.11", "3.13", "3.14")
# Blender's name of a platform -> the tags that wheels for it carry, the newest first
PLATFORMS = {
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    "windows-x64": ("win_amd64",),
    "macos-arm64": ("macosx_11_0_arm64", "macosx_10_15_universal2", "macosx_10_9_universal2"),
    "macos-x64": (
        "macosx_10_15_universal2",
        "macosx_10_9_universal2",
        "macosx_10_15_x86_64",
        "macosx_10_13_x86_64",
        "macosx_10_9_x86_64",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the Blender extension.")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for the zip")
    parser.add_argument("--platforms", nargs="+", choices=[*PLATFORMS, "all"], default=[this_platform()])
    parser.add_argument("--wheels", type=Path, default=ROOT / "build" / "wheels", help="folder of downloaded wheels")
    parser.add_argument("--blender-ext", type=Path, help="Blender's blender_ext.py; found in bpy otherwise")
    parser.add_argument("--index", action="store_true", help="make OUT a repository that any web server can offer")
    chosen = parser.parse_args()
    platforms = list(PLATFORMS) if "all" in chosen.platforms else chosen.platforms
    tool = chosen.blender_ext or find_blender_ext()
    print(build(chosen.out, platforms, chosen.wheels, tool))
    if chosen.index:
        _run(tool, "server-generate", "--repo-dir", chosen.out, "--html")


def build(out: Path, platforms: list[str], downloads: Path, blender_ext: Path) -> Path:
    """Build and validate the extension zip in `out`; returns its path."""
    manifest = (ADDON / "blender_manifest.toml").read_text(encoding="utf-8")
    version = tomllib.loads(manifest)["version"]
    with tempfile.TemporaryDirectory(prefix="ani3d-build-") as folder:
        stage = Path(folder) / "ani3dhuman"
        shutil.copytree(ADDON, stage, ignore=shutil.ignore_patterns("__pycache__"))
        carry(stage)
        (stage / "wheels").mkdir()
        for name in platforms:
            for python in PYTHONS:
                for wheel in downloaded_wheels(downloads, name, python):
                    shutil.copy(wheel, stage / "wheels")
        names = sorted(wheel.name for wheel in (stage / "wheels").glob("*.whl"))
        listed = "".join(f'  "./wheels/{name}",\n' for name in names)
        known = ", ".join(f'"{name}"' for name in platforms)
        manifest = manifest.replace("wheels = []", f"wheels = [\n{listed}]\nplatforms = [{known}]")
        (stage / "blender_manifest.toml").write_text(manifest, encoding="utf-8")
        _run(blender_ext, "validate", stage)
        out.mkdir(parents=True, exist_ok=True)
        target = out / f"ani3dhuman-{version}.zip"
        _run(blender_ext, "build", "--source-dir", stage, "--output-filepath", target)
        _run(blender_ext, "validate", target)
    return target


def downloaded_wheels(downloads: Path, name: str, python: str) -> list[Path]:
    """Wheels of REQUIREMENTS for one platform and Python, from the index unless they are there already."""
    folder = downloads / f"{name}-py{python}"
    wanted = [requirement.replace("==", "-") for requirement in REQUIREMENTS]
    found = [wheel for start in wanted for wheel in sorted(folder.glob(f"{start}-*.whl"))]
    if len(found) == len(REQUIREMENTS):
        return found
    tags = [argument for tag in PLATFORMS[name] for argument in ("--platform", tag)]
    short = "cp" + python.replace(".", "")
    _run(
        *(
            "-m",
            "pip",
            "--disable-pip-version-check",
            "download",
            "-q",
            "--no-deps",
            "--only-binary",
            ":all:",
        ),
        *("--implementation", "cp", "--python-version", python, "--abi", short, "--abi", "abi3"),
        *(*tags, "--dest", folder, *REQUIREMENTS),
    )
    return [wheel for start in wanted for wheel in sorted(folder.glob(f"{start}-*.whl"))]


def this_platform() -> str:
    """Blender's name of the platform this runs on."""
    system = {"Linux": "linux", "Windows": "windows", "Darwin": "macos"}[platform.system()]
    return f"{system}-{'arm64' if platform.machine() in ('arm64', 'aarch64') else 'x64'}"


def find_blender_ext() -> Path:
    """Blender's extension tool inside bpy: of this environment, else of .venv-blender beside the project."""
    spec = importlib.util.find_spec("bpy")
    folders = [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []
    folders += sorted((ROOT / ".venv-blender").glob("[Ll]ib/**/site-packages/bpy"))
    for folder in folders:
        for tool in sorted(folder.glob("*/scripts/addons_core/bl_pkg/cli/blender_ext.py")):
            return tool
    raise SystemExit("Blender's blender_ext.py was not found. Install bpy, or give its path with --blender-ext.")


def _run(*arguments: object) -> None:
    result = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT)
    if result.returncode:
        raise SystemExit(f"{' '.join(map(str, arguments))} failed:\n{result.stdout}{result.stderr}")


if __name__ == "__main__":
    main()
