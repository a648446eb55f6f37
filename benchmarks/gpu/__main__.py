"""Check a CUDA card in one command: is everything right on it, how fast, and were the predictions right?

    make gpu-check                                  # at most eight minutes; the demo's shot where there is one
    python -m benchmarks.gpu --device cpu --tiny    # the same script on small things, for want of a card

Writes out/bench/gpu.json. Parts for which there is no time left are named in it as not run.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ani3d_formats.atomic import write_bytes

from . import cloth, fit, job, wan

OUT = Path("out/bench/gpu.json")
SECONDS = 480.0  # of everything


def contract(device: str) -> dict[str, Any]:
    """The contract tests of the rasteriser on the device's own kernels."""
    kind = device.partition(":")[0]
    command = [sys.executable, "-m", "pytest", "tests/rendering/test_contract.py", "-q", "-k", kind]
    done = subprocess.run([*command, "-p", "no:cacheprovider"], capture_output=True, text=True, check=False)
    last = done.stdout.strip().splitlines()[-1:] or [done.stderr[-200:]]
    return {"contract": last[0], "contract_passed": done.returncode == 0}


def machine(device: str) -> dict[str, Any]:
    """What it is."""
    import torch

    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else platform.processor() or "CPU"
    return {"device": device, "name": name, "torch": torch.__version__, "date": time.strftime("%Y-%m-%d")}


def main() -> int:
    """Run all parts that there is time for; 1 where one of them failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--tiny", action="store_true", help="small things instead of those of full size")
    parser.add_argument("--shot", type=Path, default=Path("out/demo/shot.npz"))
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    started, rows = time.monotonic(), machine(options.device)
    parts: dict[str, tuple[float, Callable[[], dict[str, Any]]]] = {
        "contract": (60, lambda: contract(options.device)),
        "cloth": (90, lambda: cloth.compared(options.device, options.tiny)),
        "fit": (60, lambda: fit.compared(options.device, options.shot, options.tiny)),
        "wan": (90, lambda: wan.measured(options.device, options.tiny)),
        "job": (150, lambda: job.compared(options.device, options.shot, options.tiny)),
    }
    for name, (needed, part) in parts.items():
        left = SECONDS - (time.monotonic() - started)
        if left < needed:
            rows[f"{name}_error"] = f"not run: {left:.0f} s were left"
            continue
        try:
            rows |= part()
        except Exception as error:  # what one part meets must not hide what the others find
            rows[f"{name}_error"] = f"{type(error).__name__}: {error}"
        print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
    rows["seconds"] = round(time.monotonic() - started, 1)
    write_bytes(options.out, json.dumps(rows, indent=1).encode())
    print(json.dumps(rows, indent=1))
    failed = any(name.endswith("_error") or (name.endswith("_passed") and not rows[name]) for name in rows)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
