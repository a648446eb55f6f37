"""`ani3dhuman doctor`: what this machine has, which priors run on it and how, and how long a shot takes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ani3d_formats.errors import Ani3DError

from .common import ROOT_HELP, size

if TYPE_CHECKING:
    from ..models.machine import Machine
    from ..models.shapes import ClipShape
    from ..restoration.wan.memory import MemoryPlan

DEFAULT_SIZE = (480, 832)


def add_to(parser: argparse.ArgumentParser) -> None:
    """Define the command's options."""
    parser.add_argument("--root", type=Path, help=ROOT_HELP)
    parser.add_argument("--table", action="store_true", help="predicted peak memory of every prior on every card")
    parser.add_argument("--shot", metavar="WxH", help="size of a shot: minutes on known cards; sets --table's size too")
    parser.add_argument("--frames", type=int, default=81, help="length of the shot (default: 81)")
    parser.set_defaults(run=_doctor)


def _doctor(options: argparse.Namespace) -> None:
    from ..models.machine import look
    from ..models.shapes import ClipShape
    from ..models.store import default_root
    from ..restoration.wan.cost import WINDOW

    width, height = size("--shot", options.shot) or DEFAULT_SIZE
    if options.frames < 1 or min(width, height) < 64:
        raise Ani3DError("cli.shot", "The shot is too small to restore.", "Give --shot from 64x64 and --frames from 1.")
    clip = ClipShape(width, height, min(options.frames, WINDOW), references=1)
    if options.table:
        print(memory_table(clip))
    if options.shot:
        print(time_table(width, height, options.frames))
    if not (options.table or options.shot):
        from ..device import AUTO, choose
        from ..pipeline.compile_ahead import are_compiled
        from ..rendering.trial import draw_one

        root, taken = options.root or default_root(), choose(AUTO, draw_one)
        print(report(look(root), root, clip))
        print(f"jobs compute on {taken.device}: {taken.why}; --set device=cpu, cuda or cuda:N chooses another")
        told = "compiled" if are_compiled() else "not compiled yet; `ani3dhuman compile` does it, else the first job"
        print(f"kernels: {told}")


def report(machine: Machine, root: Path, clip: ClipShape) -> str:
    """The machine, the models on it, and the plan of each."""
    from ..models.machine import OPTIONAL
    from ..models.registry import known_models, priors
    from ..models.store import state

    lines = [f"Python {machine.python}, {machine.system}, PyTorch {machine.torch}"]
    cards = [f"{device.name}, {device.memory_gb:.1f} GB" for device in machine.devices]
    lines.append(f"CUDA: {'; '.join(cards) or 'none'}")
    lines.append(f"gsplat: {machine.gsplat}")
    lines.append(f"memory: {machine.host_gb:.1f} GB; free disk for models: {machine.disk_gb:.1f} GB in {root}")
    for name, there in machine.packages.items():
        lines.append(f"{name}: {'installed' if there else 'not installed'} ({OPTIONAL[name]})")
    lines.append("")
    for model in known_models().values():
        lines.append(f"{model.name:<25}{state(model, root)}")
    device, budget = machine.budget
    tier = _tier(budget) if device == "cuda" else "CPU"
    lines += ["", f"memory tier: {tier}; one window of {clip.width}x{clip.height}, {clip.frames} frames:"]
    lines.append(f"{'compact':<25}runs here")
    lines += [f"{model.name:<25}{_advice(model.name, clip, budget, device, machine.host_gb)}" for model in priors()]
    if device == "cpu":
        lines.append("Without CUDA a Wan prior takes hours for seconds of film, where it fits at all; use compact.")
    return "\n".join(lines)


def _tier(budget: float) -> str:
    from ..restoration.wan.memory import TIERS

    below = [tier for tier in TIERS if tier <= budget]
    return f"{below[0]} GB" if below else f"below {TIERS[-1]} GB"


def _advice(name: str, clip: ClipShape, budget: float, device: str, host_gb: float) -> str:
    from ..restoration.wan.memory import plan_for

    try:
        plan = plan_for(name, clip, budget, device)
    except Ani3DError as error:
        return f"does not fit: {error.message} {error.hint}"
    short = f"; {plan.host_gb:.0f} GB of host memory wanted" if plan.host_gb > host_gb else ""
    return f"{plan.peak_gb:.1f} GB predicted, with {', '.join(plan.measures)}{short}"


def memory_table(clip: ClipShape) -> str:
    """Predicted peaks in GB by stage, for every prior on every tier and on the CPU, with the rung that fits."""
    from ..models.registry import priors
    from ..restoration.wan.memory import TIERS, plan_for

    lines = [f"predicted peak GB, one window of {clip.width}x{clip.height}, {clip.frames} frames"]
    lines.append(f"{'model':<25}{'tier':<7}{'text':>6}{'encode':>8}{'denoise':>9}{'decode':>8}{'host':>7}  measures")
    for model in priors():
        for tier in (*TIERS, 0):
            head = f"{model.name:<25}{f'{tier} GB' if tier else 'CPU':<7}"
            try:
                plan = plan_for(model.name, clip, tier or float("inf"), "cuda" if tier else "cpu")
            except Ani3DError as error:
                lines.append(f"{head}  does not fit. {error.hint}")
                continue
            lines.append(head + _peaks(plan))
    return "\n".join(lines)


def _peaks(plan: MemoryPlan) -> str:
    stages = plan.predicted_peak_gb
    text = f"{stages['text']:.1f}" if stages["text"] else "-"
    return (
        f"{text:>6}{stages['encode']:>8.1f}{stages['denoise']:>9.1f}{stages['decode']:>8.1f}{plan.host_gb:>7.1f}"
        f"  {', '.join(plan.measures)}"
    )


def time_table(width: int, height: int, frames: int) -> str:
    """Minutes of every prior, plain and with its adapter for few steps, on the cards of `CARDS`."""
    from ..models.registry import adapters_of, priors
    from ..models.shapes import ClipShape
    from ..restoration.wan.cost import CARDS, UTILISATION, WINDOW, minutes, shot_cost
    from ..restoration.wan.memory import plan_for

    clip = ClipShape(width, height, min(frames, WINDOW), references=1)
    lines = [f"expected minutes for {frames} frames of {width}x{height} at {UTILISATION:.0%} of the card's peak"]
    lines.append(f"{'model':<25}{'steps':<25}{'PFLOP':>7}" + "".join(f"{card.name:>16}" for card in CARDS))
    for model in priors():
        adapters = [other.name for other in adapters_of(model.name)]
        for adapter in ("", *adapters):
            cost = shot_cost(model.name, width, height, frames, adapter)
            times = []
            for card in CARDS:
                try:
                    plan_for(model.name, clip, card.memory_gb)
                    times.append(f"{minutes(cost, card):.1f}")
                except Ani3DError:
                    times.append("does not fit")
            total = (cost.transformer + cost.vae + cost.text) / 1e15
            label = f"{cost.passes} passes" + (f", {adapter}" if adapter else "")
            lines.append(f"{model.name:<25}{label:<25}{total:>7.1f}" + "".join(f"{time:>16}" for time in times))
    lines.append("A factor of two either way is to be expected; loading the weights is not included.")
    return "\n".join(lines)
