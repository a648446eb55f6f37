"""A window of Blender as steps see it: keys, clicks, pictures, and how long it did not answer. Runs inside Blender."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy

Wait = float | Callable[[], bool]
"""What a step yields: seconds to wait, or what has to become true."""


class Window:
    """The one window that is open."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.ends = False  # set by a step that the next one shall follow in a new Blender
        self.longest = (0.0, 0.0)  # seconds of work, and in all, between two looks of the event loop, since `watch`
        self._last = (time.thread_time(), time.perf_counter())

    def figure(self, name: str, value: float) -> None:
        """Keep a measured figure beside those of other steps."""
        told = self.out / "figures.json"
        known = json.loads(told.read_text(encoding="utf-8")) if told.exists() else {}
        told.write_text(json.dumps(known | {name: round(value, 3)}), encoding="utf-8")
        print(f"  {name}: {value:.3f}")

    def beat(self) -> None:
        """Note that the event loop came by."""
        now = (time.thread_time(), time.perf_counter())
        self.longest = (max(self.longest[0], now[0] - self._last[0]), max(self.longest[1], now[1] - self._last[1]))
        self._last = now

    def watch(self) -> None:
        """Measure from now on."""
        self.longest, self._last = (0.0, 0.0), (time.thread_time(), time.perf_counter())

    @property
    def itself(self) -> bpy.types.Window:
        return bpy.context.window_manager.windows[0]

    @contextmanager
    def inside(self) -> Iterator[None]:
        """The context of the 3D view."""
        area = next(area for area in self.itself.screen.areas if area.type == "VIEW_3D")
        region = next(region for region in area.regions if region.type == "WINDOW")
        with bpy.context.temp_override(window=self.itself, area=area, region=region):
            yield

    def empty(self) -> None:
        """An empty file, the extension as it is."""
        with bpy.context.temp_override(window=self.itself):
            bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=False)

    def press(self, operator: str, **options: object) -> set[str]:
        """What a button of the operator does."""
        module, name = operator.split(".")
        with self.inside():
            return getattr(getattr(bpy.ops, module), name)("INVOKE_DEFAULT", **options)

    def key(self, kind: str, **held: bool) -> None:
        """A key pressed and let go over the 3D view: "ESC", "F12", "R" with shift=True."""
        x, y = self.middle()
        self.itself.event_simulate("MOUSEMOVE", "NOTHING", x=x, y=y)
        self.itself.event_simulate(kind, "PRESS", x=x, y=y, **held)
        self.itself.event_simulate(kind, "RELEASE", x=x, y=y, **held)

    def click(self, x: int, y: int) -> None:
        """The left button, at pixels from the lower left corner."""
        self.itself.event_simulate("MOUSEMOVE", "NOTHING", x=x, y=y)
        self.itself.event_simulate("LEFTMOUSE", "PRESS", x=x, y=y)
        self.itself.event_simulate("LEFTMOUSE", "RELEASE", x=x, y=y)

    def middle(self) -> tuple[int, int]:
        """A place in the 3D view without buttons."""
        area = next(area for area in self.itself.screen.areas if area.type == "VIEW_3D")
        return area.x + area.width // 3, area.y + area.height // 2

    def show_tab(self) -> Iterator[Wait]:
        """Open the sidebar at the extension's tab."""
        with self.inside():  # without a window Blender crashes here
            bpy.context.area.spaces.active.show_region_ui = True
        yield 1.0
        with self.inside():
            sidebar = next(region for region in bpy.context.area.regions if region.type == "UI")
            sidebar.active_panel_category = "Ani3D"
            bpy.context.area.tag_redraw()
        yield 0.5

    def works(self, name: str) -> bool:
        """Whether the modal operator of the identifier "ANI3D_OT_name" runs."""
        return any(each.bl_idname == name for each in self.itself.modal_operators)

    def modal(self) -> bool:
        """Whether an operator of the extension runs."""
        return any(each.bl_idname.startswith("ANI3D_OT") for each in self.itself.modal_operators)

    def picture(self, name: str) -> None:
        """What the screen shows; Blender's own screenshots of a software renderer are black."""
        with bpy.context.temp_override(window=self.itself):
            bpy.ops.wm.redraw_timer(type="DRAW_WIN_SWAP", iterations=1)
        subprocess.run(["scrot", "--overwrite", str(self.out / f"{name}.png")], check=True)
