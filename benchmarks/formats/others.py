"""Files in turns with programs of others: PlayCanvas' splat-transform and Khronos' glTF validator."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from ani3dhuman.splats.formats import read_splats, write_splats
from ani3dhuman.splats.splats import Splats

PACKAGES = ("@playcanvas/splat-transform@3.7.0", "gltf-validator@2.0.0-dev.3.10", "@spz-loader/core@0.3.1")
NEAR = 0.005  # metres, of the largest error of a place that counts as read
VALIDATE = """
const validator = require('gltf-validator'), fs = require('fs');
validator.validateBytes(new Uint8Array(fs.readFileSync(process.argv[1])))
  .then(report => console.log(JSON.stringify(report.issues)));
"""


def install(folder: Path) -> bool:
    """Install the packages from the npm registry; False, with a word, where that cannot be."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        (folder / "package.json").write_text("{}")  # else npm looks for one in the folders above
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"readers of others were not tried: {error}")
        return False
    return True


def transform(folder: Path, source: Path, target: Path) -> bool:
    """Let splat-transform make one file of another."""
    program = folder / "node_modules" / "@playcanvas" / "splat-transform" / "bin" / "cli.mjs"
    done = subprocess.run(
        ["node", str(program), "-q", "-w", "-g", "cpu", str(source), str(target)], capture_output=True
    )
    return done.returncode == 0


def furthest(splats: Splats, others: Splats) -> float:
    """Metres between the Gaussians of two sets that lie furthest from any of the other, half turns about up allowed."""
    half = np.diag([-1.0, -1, 1])
    flips = (np.eye(3), half, np.diag([1.0, -1, -1]), half @ np.diag([1.0, -1, -1]))
    return min(float(cKDTree(others.means).query(splats.turned(R).means)[0].max()) for R in flips)


def wrong_in(folder: Path, path: Path) -> list[str]:
    """What Khronos' validator finds wrong in a GLB; nothing where all is right.

    It does not know KHR_gaussian_splatting: the names of that extension's attributes are all that it may find wrong.
    """
    said = subprocess.run(["node", "-e", VALIDATE, str(path.resolve())], cwd=folder, capture_output=True, text=True)
    if said.returncode:
        return [f"no answer: {said.stderr[-300:]}"]
    messages = json.loads(said.stdout)["messages"]
    wrong = [each for each in messages if each["severity"] == 0 and "/KHR_gaussian_splatting:" not in each["pointer"]]
    return [str(each) for each in wrong]


def exchange(folder: Path, splats: Splats) -> dict[str, float]:
    """How many files of ours they read, and of theirs we: counts, and the counts that failed."""
    sound, ways = folder / "sound.ply", 0
    write_splats(sound, splats)
    failed: list[str] = []
    for ending in (".ply", ".compressed.ply", ".spz", ".splat", ".ksplat", ".sog"):
        ours, back = folder / f"ours{ending}", folder / f"ours{ending}.ply"
        write_splats(ours, splats)
        ways += 1
        if not transform(folder, ours, back) or furthest(splats, read_splats(back)) > NEAR:
            failed.append(f"they read {ending}")
    for ending in (".ply", ".compressed.ply", ".spz", ".sog", ".glb"):
        theirs = folder / f"theirs{ending}"
        ways += 1
        if not transform(folder, sound, theirs) or furthest(splats, read_splats(theirs)) > NEAR:
            failed.append(f"we read {ending}")
    write_splats(folder / "ours.glb", splats)
    wrong = wrong_in(folder, folder / "ours.glb")
    ways += 1
    failed += [f"glTF validator: {wrong}"] if wrong else []
    for text in failed:
        print(text)
    return {"exchanges": ways, "exchanges_failed": len(failed)}
