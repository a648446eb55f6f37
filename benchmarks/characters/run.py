"""Every character through the whole tool with default settings, preset draft; pictures side by side, and figures.

python -m benchmarks.characters.run [NAME ...] [--out FOLDER] [--characters FOLDER]

Characters that ended well before are kept, as are times and tests of the same commit; `--again` runs all anew.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ani3dhuman.media.video import read_video, write_png

ROOT = Path(__file__).resolve().parents[2]
BLENDER = ROOT / ".venv-blender" / "bin" / "python"
NAMES = (
    "rigify_human", "rigify_cat", "mixamo", "vrm", "mpfb", "daz", "unreal", "robot", "dog", "centaur", "two_characters",
    "linked", "overridden", "instanced", "sheared", "stretchy", "modelled", "speaking", "particle_hair", "hair_curves",
)  # fmt: skip
OTHERS = tuple(f"{name}_{clip}" for name in ("mage", "rogue", "fox", "kenney", "robot_expressive") for clip in (1, 2))
EXACT = 1e-4  # of the character's height
# name, least, most
BARS = (
    ("characters_ok", 1.0, math.inf),
    ("cases_ok", 1.0, math.inf),
    ("largest_error", 0.0, EXACT),
    ("held_out_right", 0.95, math.inf),
    ("held_out_faces_called_cloth", 0.0, 0.0),
    ("misuse_kinds", 40, math.inf),
    ("misuse_bad", 0.0, 0.0),
    ("bind_and_export_s", 0.0, 30.0),
    ("sampling_over_playing", 0.0, 1.1),
)


def run_one(name: str, folder: Path, extension: Path, characters: Path) -> dict[str, Any]:
    """Export, animate and judge one character; what went wrong is in "problem"."""
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    command = [str(BLENDER), "-m", "benchmarks.characters.in_blender", name, str(folder), str(extension)]
    told = _run([*command, "--characters", str(characters)], folder / "blender.log")
    if told or not (folder / "export.json").exists():
        return {"problem": f"export: {told}"}
    figures: dict[str, Any] = json.loads((folder / "export.json").read_text())
    command = [
        sys.executable,
        "-m",
        "ani3dhuman.cli",
        "animate",
        str(folder / "shot.npz"),
        "-o",
        str(folder / "result"),
    ]
    told = _run([*command, "--preset", "draft"], folder / "animate.log")
    if told:
        return figures | {"problem": f"animate: {told}"}
    command = [str(BLENDER), "-m", "benchmarks.characters.in_blender", name, str(folder), str(extension), "--bring-in"]
    if told := _run(command, folder / "import.log"):
        return figures | {"problem": f"import: {told}"}
    figures["seconds"] = time.monotonic() - started
    figures["largest_error"] = max(figures["errors"].values(), default=0.0)
    figures["warnings"] = json.loads((folder / "result" / "report.json").read_text()).get("warnings", [])
    _picture(folder)
    if figures["largest_error"] > EXACT:
        figures["problem"] = f"vertices are {figures['largest_error']:.1e} of the height away from Blender's"
    return figures


def _run(command: list[str], log: Path) -> str:
    """Run a program; its last line where it failed."""
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    log.write_text(done.stdout, encoding="utf-8")
    if done.returncode == 0 and "Traceback" not in done.stdout:
        return ""
    return (done.stdout.strip().splitlines() or ["no output"])[-1][:300]


def _picture(folder: Path) -> None:
    """Blender's picture of the middle frame beside ours, rigid and refined."""
    blender = np.array(Image.open(folder / "blender.png").convert("RGB"))
    middle = [read_video(folder / "result" / "videos" / f"{layer}.mp4")[9] for layer in ("rigid", "refined")]
    height, width = blender.shape[:2]
    cells = [blender] + [_resized(frame, width, height) for frame in middle]
    write_png(folder / "side_by_side.png", np.concatenate(cells, axis=1))


def _resized(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    rows = (np.arange(height) + 0.5) * picture.shape[0] / height
    columns = (np.arange(width) + 0.5) * picture.shape[1] / width
    return picture[rows.astype(int)][:, columns.astype(int)]


def sheet(out: Path, names: tuple[str, ...]) -> None:
    """All side-by-side pictures, three to a row."""
    files = [out / name / "side_by_side.png" for name in names]
    found = [np.array(Image.open(file)) for file in files if file.exists()]
    if not found:
        return
    found += [np.zeros_like(found[0])] * (-len(found) % 3)
    rows = [np.concatenate(found[i : i + 3], axis=1) for i in range(0, len(found), 3)]
    write_png(out / "characters.png", np.concatenate(rows))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="which characters; all when empty")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "characters")
    parser.add_argument("--characters", type=Path, default=ROOT.parent / "shared" / "characters")
    parser.add_argument("--again", action="store_true", help="run also those that ended well before")
    options = parser.parse_args()
    extension = _extension(options.out)
    names = NAMES + (OTHERS if options.characters.is_dir() else ())
    if not options.characters.is_dir():
        print(f"The characters of others are not at {options.characters}: they are left out.")
    for name in options.names or names:
        folder = options.out / name
        done = folder / "figures.json"
        if done.exists() and not options.again and "problem" not in json.loads(done.read_text()):
            continue
        figures = run_one(name, folder, extension, options.characters)
        done.write_text(json.dumps(figures, indent=1), encoding="utf-8")
        print(f"{name}: {figures.get('problem', 'ok')} ({figures.get('seconds', 0):.0f} s)", flush=True)
    if not options.names:
        again = ["--again"] if options.again else []
        cases = ["benchmarks.characters.cases", "--out", str(options.out / "cases.json"), *again]
        subprocess.run([sys.executable, "-m", *cases], cwd=ROOT)
        subprocess.run([sys.executable, "-m", "benchmarks.regions"], cwd=ROOT, check=True, capture_output=True)
        speed = options.out / "speed.json"
        if options.again or not speed.exists():
            command = [str(BLENDER), "-m", "benchmarks.characters.speed", str(extension), "--out", str(speed)]
            subprocess.run(command, cwd=ROOT, check=True)
    return report(options.out, names)


def _extension(out: Path) -> Path:
    command = [str(BLENDER), "-m", "tools.build_extension", "--out", str(out / "dist")]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return Path(built.stdout.strip().splitlines()[-1])


def report(out: Path, names: tuple[str, ...]) -> int:
    """Write out/bench/characters.json, the sheet, and what failed; 0 when all are well."""
    rows = {n: json.loads((out / n / "figures.json").read_text()) for n in names if (out / n / "figures.json").exists()}
    sheet(out, names)
    well = [name for name, row in rows.items() if "problem" not in row]
    flat: dict[str, float] = {
        "characters": len(names),
        "characters_ok": len(well) / len(names),
        "largest_error": max((row.get("largest_error", 0.0) for row in rows.values()), default=0.0),
    }
    flat |= {f"{name}_error": row["largest_error"] for name, row in rows.items() if "largest_error" in row}
    for file in (out / "speed.json", out / "cases.json", ROOT / "out" / "bench" / "regions.json"):
        if file.exists():
            flat |= json.loads(file.read_text())
    path = ROOT / "out" / "bench" / "characters.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(flat, indent=2), encoding="utf-8")
    for name, row in rows.items():
        if "problem" in row:
            print(f"{name}: {row['problem']}")
    missed = [bar for bar in BARS if not _shown(flat, *bar)]
    print(f"Pictures: {out / 'characters.png'}")
    return 1 if missed else 0


def _shown(flat: dict[str, float], name: str, least: float, most: float) -> bool:
    """Print a figure beside its bar; whether it is met."""
    value = flat.get(name)
    met = value is not None and least <= value <= most
    bar = f"at least {least:g}" if most == math.inf else f"at most {most:g}"
    print(f"{name:24} {'not measured' if value is None else f'{value:.3g}':>12}   {bar}{'' if met else '   MISSED'}")
    return met


if __name__ == "__main__":
    raise SystemExit(main())
