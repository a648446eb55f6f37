"""What a machine has that the priors ask for."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

OPTIONAL = {
    "accelerate": "Wan's weights cannot be loaded without it",
    "peft": "adapters for few steps cannot be loaded without it",
    "warp": "cloth is solved on the CPU without it, though there be a CUDA card",
}


@dataclass(frozen=True)
class Device:
    """A CUDA device and its memory in 1e9 bytes."""

    name: str
    memory_gb: float


@dataclass(frozen=True)
class Machine:
    """Facts about this machine; `host_gb` and `disk_gb` (free) are in 1e9 bytes, 0 where unknown."""

    python: str
    system: str
    torch: str
    devices: tuple[Device, ...]
    gsplat: str
    host_gb: float
    disk_gb: float
    packages: dict[str, bool]

    @property
    def budget(self) -> tuple[str, float]:
        """Device and memory that plans are made for: the first card, or the host's memory."""
        if self.devices:
            return "cuda", self.devices[0].memory_gb
        return "cpu", self.host_gb

    def limited_to(self, device: str) -> Machine:
        """The machine as a job on `device` sees it, "cpu" or "cuda:N": without the cards that it does not use."""
        if device.startswith("cuda"):
            number = int(device.partition(":")[2] or 0)
            return replace(self, devices=self.devices[number : number + 1])
        return replace(self, devices=())


def look(root: Path) -> Machine:
    """Ask this machine; `root` is the folder of models, whose disk counts."""
    import torch

    devices = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(index)
            devices.append(Device(facts.name, facts.total_memory / 1e9))
    place = root
    while not place.exists():
        place = place.parent
    return Machine(
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        torch=torch.__version__,
        devices=tuple(devices),
        gsplat=_gsplat(bool(devices)),
        host_gb=_host_gb(),
        disk_gb=shutil.disk_usage(place).free / 1e9,
        packages={name: importlib.util.find_spec(name) is not None for name in OPTIONAL},
    )


def _gsplat(cuda: bool) -> str:
    try:
        import gsplat
    except (ImportError, OSError) as error:
        return f"cannot be imported ({error})"
    return f"{gsplat.__version__}" + ("" if cuda else ", unused without CUDA: the CPU kernels draw")


def _host_gb() -> float:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    except (AttributeError, ValueError, OSError):  # not on Windows
        return 0.0
