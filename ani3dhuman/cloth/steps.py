"""Who advances cloth through a frame, the CPU's compiled kernels or a card's: the one place where that is chosen."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from ..device import CPU_NAME
from .kernels import step_frame

Step = Callable[..., tuple[int, int]]
"""Called as `kernels.step_frame` is."""


def steps_on(device: str) -> Step:
    """What advances one piece of cloth on a device, as of `Compute.device`."""
    if device == CPU_NAME:
        found: Step = step_frame
        return found
    from .card.steps import DeviceSteps

    return DeviceSteps(device)


def why_not(device: str) -> str:
    """Why cloth cannot be solved on a device, or "": the CPU has to do it then."""
    if device == CPU_NAME:
        return ""
    if find_spec("warp") is None:
        return "warp is not installed, which ani3dhuman[cuda] brings"
    try:
        from .card.steps import try_device

        try_device(device)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        return f"warp cannot use {device} ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
    return ""
