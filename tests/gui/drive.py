"""Runs the steps in Blender: blender --enable-event-simulate --python drive.py -- ZIP OUT [STEP ...]

A timer leads them; each one's outcome is written to OUT/report.json as soon as it is known, since Blender may crash.
After a step that ends the window OUT/left.json has the steps that wait for a new one.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).parent))

import result_steps  # noqa: F401 - adds its steps
from steps import STEPS, UNDISTURBED
from window import Window

PATIENCE = 600.0  # seconds for one wait
TICK = 0.02


class Course:
    """The way through the steps."""

    def __init__(self, out: Path, names: list[str]) -> None:
        self.window, self.out = Window(out), out
        self.names = names
        told = out / "report.json"
        self.report: dict[str, str] = json.loads(told.read_text()) if told.exists() else {}
        self._running = iter(())
        self._name, self._until, self._deadline = "", lambda: True, 0.0

    def tick(self) -> float | None:
        self.window.beat()
        try:
            if not self._until():
                assert time.monotonic() < self._deadline, f"nothing came of it in {PATIENCE:.0f} s"
                return TICK
            wait = next(self._running)
            ready = time.monotonic() + wait if isinstance(wait, float) else 0.0
            self._until = (lambda: time.monotonic() >= ready) if isinstance(wait, float) else wait
            self._deadline = time.monotonic() + PATIENCE
        except StopIteration:
            return self._next()
        except Exception as problem:
            traceback.print_exc()
            self._told(f"failed: {problem}")
            return self._next()
        return TICK

    def _next(self) -> float | None:
        if self._name and self._name not in self.report:
            self._told("passed")
        if not bpy.app.use_event_simulate:  # for the step before: it cannot be switched on again
            self.window.ends = True
        if self.window.ends:
            (self.out / "left.json").write_text(json.dumps(self.names), encoding="utf-8")
        if not self.names or self.window.ends:
            bpy.ops.wm.quit_blender()
            return None
        self._name = self.names.pop(0)
        print(self._name, flush=True)
        if self._name in UNDISTURBED:
            bpy.app.use_event_simulate = False
        self._running, self._until = STEPS[self._name](self.window), lambda: True
        return TICK

    def _told(self, outcome: str) -> None:
        self.report[self._name] = outcome
        (self.out / "report.json").write_text(json.dumps(self.report, indent=1), encoding="utf-8")


def main() -> None:
    package, out, *names = sys.argv[sys.argv.index("--") + 1 :]
    bpy.context.preferences.view.show_splash = False
    bpy.ops.extensions.package_install_files(filepath=package, repo="user_default", enable_on_install=True)
    course = Course(Path(out), names or list(STEPS))
    bpy.app.timers.register(course.tick, first_interval=2.0, persistent=True)


main()
