"""Where a job computes: one device, chosen once by the setting `device`; tensors stay there until a file needs arrays.

No torch before something is asked for: the engine and cloth alone do without.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ani3d_formats.errors import Ani3DError

if TYPE_CHECKING:
    from torch import Tensor

AUTO, CPU_NAME, CUDA = "auto", "cpu", "cuda"
CARD_VARIABLE = "ANI3D_CARD"  # number of the card that "auto" and "cuda" mean: an engine gives each process one
ALLOWED = "auto, cpu, cuda, or cuda:N for one of several cards"


def is_device(name: str) -> bool:
    """Whether the setting `device` may be `name`; whether there is such a device is another question."""
    return name in (AUTO, CPU_NAME, CUDA) or re.fullmatch(r"cuda:\d{1,3}", name) is not None


@dataclass(frozen=True)
class Compute:
    """A device for tensors.

    Results are the same to the bit on the CPU, whatever the threads; on CUDA the same seed gives nearly the same.

    Attributes:
        device: "cpu", "cuda:0", ... as torch names it.
        networks: the device for restoration's networks: the same, or a card on which Gaussians cannot be drawn.
        why: one clause that says why it was chosen.
        scratch: folder for what is kept for a while and is too much for the memory; None takes the system's.
    """

    device: str = CPU_NAME
    networks: str = CPU_NAME
    why: str = "it was asked for"
    scratch: Path | None = None

    @property
    def on_cpu(self) -> bool:
        return self.device == CPU_NAME

    def tensor(self, values: np.ndarray) -> Tensor:
        """`values` as float32 on the device; on the CPU the same memory where it is float32 and may be written."""
        import torch

        return torch.from_numpy(np.require(values, np.float32, ["C", "W"])).to(self.device)

    def integers(self, values: np.ndarray) -> Tensor:
        """`values` as int64 on the device."""
        import torch

        return torch.from_numpy(np.require(values, np.int64, ["C", "W"])).to(self.device)


CPU = Compute()


def to_numpy(tensor: Tensor) -> np.ndarray:
    """A tensor's numbers as an array; the one way by which numbers leave a device."""
    return tensor.detach().cpu().numpy()


def choose(wanted: str, draw_one: Callable[[str], None]) -> Compute:
    """The device for a job; "auto" takes the process's CUDA card where it can draw Gaussians, or else the CPU.

    Args:
        wanted: the setting.
        draw_one: tries to draw on a device, see `rendering.trial`.

    Raises:
        Ani3DError: ``compute.device``: `wanted` is none of `ALLOWED`; ``compute.no_cuda``: it asks for a card that
            is not there or that cannot be used.
    """
    if not is_device(wanted):
        raise Ani3DError("compute.device", f"There is no device {wanted!r}.", f"Choose {ALLOWED}.")
    if wanted == CPU_NAME:
        return CPU
    device = f"cuda:{os.environ.get(CARD_VARIABLE, '0')}" if wanted in (AUTO, CUDA) else wanted
    if not (why_not := _no_such_card(device)):
        import torch

        torch.cuda.set_device(device)  # what asks for "cuda" without a number gets this one
        why_not = _draws_nothing(device, draw_one)
        if not why_not:
            return Compute(device, device, "it is a CUDA card" if wanted == AUTO else "it was asked for")
        if wanted == AUTO:
            return Compute(CPU_NAME, device, why_not)
    if wanted == AUTO:
        return Compute(why=why_not)
    raise Ani3DError(
        "compute.no_cuda", f"Device {wanted} cannot be used: {why_not}.", "Set device to auto or cpu, or mend that."
    )


def _no_such_card(device: str) -> str:
    """Why there is no such CUDA device, or ""."""
    import torch

    if not torch.cuda.is_available():
        return no_cuda_in_torch() or "the driver shows no CUDA card"
    count = torch.cuda.device_count()
    if int(device.partition(":")[2]) >= count:
        return f"there are only {count} CUDA cards, counted from 0"
    return ""


def _draws_nothing(device: str, draw_one: Callable[[str], None]) -> str:
    """Why Gaussians cannot be drawn on a CUDA device, or ""."""
    try:
        draw_one(device)
    except (ImportError, OSError, RuntimeError) as error:
        return f"gsplat cannot draw on it ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
    return ""


def no_cuda_in_torch() -> str:
    """Why torch as it is installed cannot use CUDA, or ""; read from its files, since loading it takes seconds."""
    import importlib.util

    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return "torch is not installed"
    about = Path(found.origin).with_name("version.py")
    try:
        built = re.search(r"^cuda\b[^=]*=\s*(\S+)", about.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return ""
    return "torch is installed without CUDA" if built is not None and built[1] == "None" else ""
