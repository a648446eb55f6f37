"""Starts Blender in a window with the extension as users install it, and has the steps done.

python -m tests.gui.run [STEP ...] [--blender PROGRAM] [--root FOLDER] [--out FOLDER]

Without a Blender of your own, one of Debian sid is installed below FOLDER (root and 700 MB are needed). The screen is
virtual. Pictures and report.json lie in the folder of results afterwards, figures in out/bench/window.json.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BESIDE = ("rigs.py", "fingerprint.py")  # of tests/blender
SCREEN = "1600x1000x24"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("steps", nargs="*", help="which steps; all when empty")
    parser.add_argument("--blender", default="", help="a program of your own; xvfb-run and scrot are needed")
    parser.add_argument("--root", type=Path, default=ROOT / "build" / "blender-window")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "gui")
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True)
    if not options.blender:
        subprocess.run([ROOT / "tools" / "blender_window.sh", options.root], check=True)
    job = options.out.resolve() if options.blender else options.root / "job"
    seen_from = job if options.blender else Path("/job")
    for old in job.glob("*"):
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    for file in [*HERE.glob("*.py"), *(HERE.parent / "blender" / name for name in BESIDE)]:
        shutil.copy(file, job / file.name)
    package = shutil.copy(_extension(options.out), job)
    if not options.steps or any("demo" in name for name in options.steps):
        scene = [ROOT / ".venv-blender" / "bin" / "python", ROOT / "examples" / "demo" / "build_scene.py"]
        subprocess.run([*scene, "--out", job / "demo.blend"], check=True, capture_output=True)
    (job / "results").mkdir()
    blender = [
        "xvfb-run", "-a", "-s", f"-screen 0 {SCREEN}", options.blender or "blender", "--factory-startup",
        "--enable-event-simulate", "--window-geometry", "0", "0", "1600", "1000", "--python", seen_from / "drive.py",
        "--", seen_from / Path(package).name, seen_from / "results",
    ]  # fmt: skip
    if not options.blender:
        blender = [ROOT / "tools" / "blender_window.sh", options.root, *blender]
    with _engine(options.out, job), (options.out / "blender.log").open("wb") as log:
        ended, steps, left = 0, options.steps, job / "results" / "left.json"
        while not ended:
            left.unlink(missing_ok=True)
            ended = subprocess.run([*blender, *steps], stdout=log, stderr=subprocess.STDOUT).returncode
            if not left.exists() or not (steps := json.loads(left.read_text())):
                break
    for file in [*(job / "results").glob("*.png"), *(job / "results").glob("*.json")]:
        shutil.copy(file, options.out / file.name)
    _keep_figures(options.out / "figures.json")
    return _judged(options.out, ended, options.steps)


@contextmanager
def _engine(out: Path, job: Path) -> Iterator[None]:
    """An engine outside the window, which the file engine.json leads to."""
    command = [ROOT / ".venv" / "bin" / "python", "-m", "engine", "--port", "0", "--store", out / "store"]
    with (out / "engine.log").open("wb") as log:
        process = subprocess.Popen([*command, "--ready-file", job / "engine.json"], cwd=ROOT, stdout=log, stderr=log)
        try:
            while not (job / "engine.json").exists():
                if process.poll() is not None:
                    raise SystemExit(f"The engine did not start: {out / 'engine.log'}")
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait()


def _extension(out: Path) -> Path:
    python = ROOT / ".venv-blender" / "bin" / "python"
    command = [python, "-m", "tools.build_extension", "--out", out / "dist"]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return Path(built.stdout.strip().splitlines()[-1])


def _keep_figures(found: Path) -> None:
    """Add what the steps measured to out/bench/window.json; figures of steps that were not done stay."""
    bench = ROOT / "out" / "bench" / "window.json"
    bench.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(file.read_text(encoding="utf-8")) for file in (bench, found) if file.exists()]
    bench.write_text(json.dumps({name: value for row in rows for name, value in row.items()}, indent=1) + "\n")


def _judged(out: Path, ended: int, wanted: list[str]) -> int:
    """Print how each step ended; 0 where all did well and nothing broke outside them."""
    told = out / "report.json"
    report: dict[str, str] = json.loads(told.read_text()) if told.exists() else {}
    log = (out / "blender.log").read_text(encoding="utf-8", errors="replace")
    print("\n".join(line for line in log.splitlines() if line.startswith("  ")))
    for name, outcome in report.items():
        print(f"{outcome:8} {name}" if outcome == "passed" else f"{name}: {outcome}")
    problems = [outcome for outcome in report.values() if outcome != "passed"]
    if ended:
        problems.append(f"Blender ended with {ended}")
    if "Traceback" in log:
        problems.append("a traceback is in the log")
    if not report or set(wanted) - set(report):
        problems.append("not all steps were done")
    print(f"{len(report) - len([o for o in report.values() if o != 'passed'])} passed, {len(problems)} failed; {out}")
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
