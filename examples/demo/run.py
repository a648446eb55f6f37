"""The whole demo with one command: scene, extension, Blender session, engine, pictures, table.

Run by `make demo` in the engine's environment. Stages that finished before are reused.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ani3d_formats.progress import Report
from ani3dhuman.pipeline.settings import PRESETS
from ani3dhuman.presentation.terminal import Bars, table
from ani3dhuman.storage.stage_store import content_key

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
PREFIX = "@progress "


class Failed(Exception):
    """A part of the demo ended badly; its own output says why."""


class Interrupted(Exception):
    """The user pressed Ctrl-C."""


def run(command: list[str], log: Path, bars: Bars | None = None) -> None:
    """Run a program, its output into `log`; progress lines move the bars. Ctrl-C ends the program too."""
    with open(log, "w", encoding="utf-8") as record:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if bars and line.startswith(PREFIX):
                    moment = json.loads(line[len(PREFIX) :])
                    bars.listen(Report(**moment))
                else:
                    record.write(line)
                    record.flush()
            code = process.wait()
        except KeyboardInterrupt:
            _stop(process)
            raise Interrupted from None
    if code == 130:
        raise Interrupted
    if code:
        tail = "".join(log.read_text(encoding="utf-8").splitlines(keepends=True)[-15:])
        raise Failed(f"{tail}\n{command[1] if len(command) > 1 else command[0]} failed; all of its output: {log}")


def _stop(process: subprocess.Popen[str]) -> None:
    """Ask a program to stop as Ctrl-C would, then insist."""
    for sign, patience in ((signal.SIGINT, 15), (signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            return


def fresh(target: Path, key: str) -> bool:
    """Whether `target` was made from inputs of this key."""
    mark = target.with_name(f".{target.name}.key")
    return target.exists() and mark.exists() and mark.read_text() == key


def remember(target: Path, key: str) -> None:
    target.with_name(f".{target.name}.key").write_text(key)


def files_key(*places: Path) -> str:
    """Key of source files: those given, and all below the folders given."""
    inside = [p for place in places for p in ([place] if place.is_file() else place.rglob("*"))]
    files = sorted(p for p in inside if p.suffix in (".py", ".npz", ".toml"))
    return content_key(*[p.read_bytes().hex() for p in files])


def build_scene(out: Path, bars: Bars, blender: str) -> float:
    """demo.blend from the baked character; reused while nothing of it changed."""
    blend = out / "demo.blend"
    key = files_key(*(p for p in HERE.glob("*.*") if p.name not in ("run.py", "session.py")))
    started = time.monotonic()
    bars.listen(Report("scene", 0, 1, 0.0, 0.0, "found finished" if fresh(blend, key) else ""))
    if not fresh(blend, key):
        run([blender, str(HERE / "build_scene.py"), "--out", str(blend)], out / "scene.log")
        remember(blend, key)
    bars.listen(Report("scene", 1, 1, 0.0, time.monotonic() - started))
    return time.monotonic() - started


def build_extension(out: Path, bars: Bars, blender: str) -> float:
    """The extension zip, as a release is built."""
    started = time.monotonic()
    bars.listen(Report("extension", 0, 1, 0.0, 0.0))
    zips = list((ROOT / "dist").glob("ani3dhuman-*.zip"))
    key = files_key(ROOT / "blender_addon", ROOT / "engine" / "wire", ROOT / "ani3d_formats")
    if not zips or not fresh(zips[0], key):
        shutil.rmtree(ROOT / "dist", ignore_errors=True)
        run([blender, "-m", "tools.build_extension", "--out", str(ROOT / "dist")], out / "extension.log")
        remember(next((ROOT / "dist").glob("ani3dhuman-*.zip")), key)
    bars.listen(Report("extension", 1, 1, 0.0, time.monotonic() - started))
    return time.monotonic() - started


def write_figures(report: dict[str, Any], figures: dict[str, float]) -> None:
    """out/bench/demo.json, flat: what docs/benchmarks/demo.md is written from."""
    figures |= {f"{stage}_s": seconds for stage, seconds in report["seconds"].items()}
    figures |= {f"hem_{layer}_cm": value for layer, value in report["hem_amplitude_cm"].items()}
    figures |= {"peak_gb": max(report["peak_gb"].values()), "gaussians": report["gaussians"]}
    path = ROOT / "out" / "bench" / "demo.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({name: round(value, 3) for name, value in figures.items()}, indent=2), encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "demo")
    parser.add_argument("--preset", default="preview", choices=sorted(PRESETS), help="how much work the engine does")
    options = parser.parse_args()
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    blender = str(ROOT / ".venv-blender" / "bin" / "python")
    bars = Bars()
    started = time.monotonic()
    try:
        scene_seconds = build_scene(out, bars, blender)
        extension_seconds = build_extension(out, bars, blender)
        extension = next((ROOT / "dist").glob("ani3dhuman-*.zip"))
        command = [blender, str(HERE / "session.py"), "--blend", str(out / "demo.blend"), "--extension", str(extension)]
        engine = str(Path(sys.executable).parent / "ani3dhuman-engine")
        chosen = json.dumps({"preset": options.preset, "layer_videos": True})  # a column each in the video
        command += ["--engine", engine, "--out", str(out), "--settings", chosen]
        session_started = time.monotonic()
        run(command, out / "session.log", bars)
        session_seconds = time.monotonic() - session_started
    except Interrupted:
        bars.close()
        print("\nStopped. Run the demo again to go on from the last finished stage.", file=sys.stderr)
        return 130
    except Failed as problem:
        bars.close()
        print(f"\n{problem}", file=sys.stderr)
        return 1
    bars.close()
    report = json.loads((out / "result" / "report.json").read_text(encoding="utf-8"))
    pictures = ["contact_sheet.png", "conditions.png", "videos/side_by_side.mp4"]
    pictures = [name for name in pictures if (out / "result" / name).exists()]  # cloth alone has none
    for name in pictures:
        shutil.copy2(out / "result" / name, out / Path(name).name)
    figures = {"scene_s": scene_seconds, "extension_s": extension_seconds, "session_s": session_seconds}
    if pictures:
        write_figures(report, {**figures, "demo_s": time.monotonic() - started})
    print()
    print(table(report))
    print(
        f"scene {scene_seconds:.1f} s, extension {extension_seconds:.1f} s, Blender session with engine "
        f"{session_seconds:.1f} s, in all {time.monotonic() - started:.1f} s"
    )
    seen = "side_by_side.mp4, contact_sheet.png, demo.blend and " if pictures else ""
    print(f"\nLook at {out}/{seen}demo_result.blend")
    return 0


if __name__ == "__main__":
    sys.exit(main())
