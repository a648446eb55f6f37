"""How long a quality takes on this machine is told before it ran here, as an estimate."""

from __future__ import annotations

import time

import bpy
import pytest
import rigs
from test_panels import _draw


@pytest.fixture
def module(part):
    return part("pace")


def test_what_ran_here_is_told_as_it_was(module):
    assert module.seconds_a_frame("draft", {"draft": 0.7, "cloth": 9.0}, 3.0) == (0.7, False)


def test_another_quality_that_ran_here_tells_how_slow_the_machine_is(module):
    took = {"cloth": 2 * module.REFERENCE["cloth"], "of another engine": 70.0}
    assert module.seconds_a_frame("final", took, 9.0) == (2 * module.REFERENCE["final"], True)


def test_else_a_small_work_tells_it(module):
    assert module.seconds_a_frame("preview", {}, 3.0) == (3 * module.REFERENCE["preview"], True)
    assert module.seconds_a_frame("preview", {}, 0.0) == (0.0, True)
    assert module.seconds_a_frame("of another engine", {}, 3.0) == (0.0, True)


def test_qualities_are_in_the_order_of_their_work(module, part):
    items = part("properties").Ani3DScene.bl_rna.properties["preset"].enum_items.keys()
    assert list(module.REFERENCE) == items
    assert list(module.REFERENCE.values()) == sorted(module.REFERENCE.values()) and module.REFERENCE["cloth"] > 0


def test_the_quickest_of_some_rounds_counts_and_is_measured_once(module, monkeypatch):
    rounds = iter([0.5, 0.2, 0.4, 0.3, 0.9])
    monkeypatch.setattr(module, "small_work", lambda: next(rounds))
    pace = module.Pace()
    assert pace.slower == 0
    for _ in range(2):
        pace.begin()
    deadline = time.monotonic() + 10
    while not pace.slower and time.monotonic() < deadline:
        time.sleep(0.01)
    assert pace.slower == pytest.approx(0.2 / module.REFERENCE_WORK)


def test_the_small_work_takes_time(module):
    assert 0 < module.small_work() < 60


def test_the_panel_says_that_it_is_an_estimate(addon, module, part, monkeypatch):
    rigs.character(frames=48)
    monkeypatch.setattr(module.pace, "slower", 2.0)
    chosen = bpy.context.preferences.addons[addon.__name__].preferences
    bpy.context.scene.ani3d.preset = "cloth"
    frames = bpy.context.scene.frame_end - bpy.context.scene.frame_start + 1

    def told() -> list[str]:
        return [line for line in _draw(part, "AnimatePanel").drawn if "on this computer" in line]

    chosen.took = ""
    seconds = round(2 * frames * module.REFERENCE["cloth"])
    assert told() == [f"Estimated {seconds} s on this computer"]
    chosen.took = '{"cloth": 1.0}'
    assert told() == [f"About {frames} s on this computer"]
    chosen.took = ""
