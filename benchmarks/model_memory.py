"""Do the memory laws of `ani3dhuman.restoration.wan.memory` hold? Small random networks measured, real ones traced.

    python -m benchmarks.model_memory

Each measurement runs in a process of its own: weights are made, a first small pass warms everything up, and the
growth of the resident set over one forward pass is taken (float32, CPU). A line through measured against
predicted peaks gives the slope per family: 1 is a law that scales rightly, the intercept is what does not scale.
The real networks are traced on torch's "meta" device, which needs neither weights nor memory. Writes
out/bench/model_memory.json. Linux only.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLWan, WanVACETransformer3DModel

from ani3dhuman.models.registry import priors
from ani3dhuman.models.shapes import ClipShape, VaeShape, WanShape
from ani3dhuman.restoration.wan.memory import FULL, VIDEO_COPIES, decode_bytes, denoise_bytes, encode_bytes
from tools.live_bytes import peak_bytes

OUT = Path("out/bench/model_memory.json")
SMALL = ClipShape(64, 64, 5)
SIZES = ((256, 256, 9), (256, 256, 17), (320, 384, 17), (384, 512, 17), (480, 576, 21))  # width, height, frames
VAE_SIZES = ((256, 256, 9), (320, 320, 9), (384, 384, 9), (448, 512, 9), (512, 576, 13))
NETWORKS: dict[str, dict[str, Any]] = {
    "transformer, wide feed-forward": {"heads": 8, "ffn": 1536, "layers": 3, "vace": 2},
    "transformer, many control blocks": {"heads": 12, "ffn": 768, "layers": 5, "vace": 5},
    "vae decode": {"base": 16, "mode": "decode"},
    "vae encode": {"base": 16, "mode": "encode"},
}


def build(case: dict[str, Any], device: str = "cpu") -> Any:
    """The random network of a case."""
    with torch.device(device):
        if "base" in case:
            network: Any = AutoencoderKLWan(base_dim=case["base"])
            return network.eval()
        network = WanVACETransformer3DModel(
            num_attention_heads=case["heads"],
            attention_head_dim=case.get("head_dim", 32),
            ffn_dim=case["ffn"],
            num_layers=case["layers"],
            vace_layers=list(range(case["vace"])),
            text_dim=case.get("text", 64),
            freq_dim=64,
        )
        return network.eval()


def forward(
    network: Any, case: dict[str, Any], clip: ClipShape, dtype: torch.dtype, device: str = "cpu"
) -> Callable[[], Any]:
    """A function that runs the network once on random input, which exists already."""
    size = (clip.latent_frames, clip.height // 8, clip.width // 8)
    latents = torch.randn(1, 16, *size, dtype=dtype, device=device)
    if case.get("mode") == "decode":
        return lambda: network.decode(latents, return_dict=False)
    if case.get("mode") == "encode":
        video = torch.randn(1, 3, clip.frames, clip.height, clip.width, dtype=dtype, device=device)
        return lambda: network.encode(video, return_dict=False)
    control = torch.randn(1, 96, *size, dtype=dtype, device=device)
    text = torch.randn(1, 32, case.get("text", 64), dtype=dtype, device=device)
    step = torch.full((1,), 500.0, device=device)
    return lambda: network(latents, step, text, control_hidden_states=control, return_dict=False)


def predicted(case: dict[str, Any], clip: ClipShape, each: int = FULL) -> float:
    """Bytes by the law, without what the law adds for the pipeline around the network."""
    if case.get("mode") == "decode":
        return decode_bytes(VaeShape(base=case["base"]), clip, tiled=False, each=each)
    if case.get("mode") == "encode":
        pixels = VIDEO_COPIES * 3 * clip.width * clip.height * clip.frames * each
        return encode_bytes(VaeShape(base=case["base"]), clip, tiled=False, each=each) - pixels
    shape = WanShape(case["layers"], case["heads"], case.get("head_dim", 32), case["ffn"], case["vace"])
    return denoise_bytes(shape, clip, each)


def grown(case: dict[str, Any], size: tuple[int, int, int]) -> int:
    """Bytes by which the resident set of this process grows at the peak of one pass."""
    network, clip = build(case), ClipShape(*size)
    with torch.no_grad():
        forward(network, case, SMALL, torch.float32)()
        run = forward(network, case, clip, torch.float32)
        gc.collect()
        before = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        run()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before


def measure(name: str, size: tuple[int, int, int]) -> int:
    """`grown` in a process of its own, with large blocks given back to the system at once."""
    command = [sys.executable, "-m", "benchmarks.model_memory", "--case", json.dumps([name, size])]
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=300)
    return int(result.stdout.split()[-1])


def small_networks() -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of measured, traced and predicted megabytes, and the line through them by family."""
    rows, lines = [], {}
    for name, case in NETWORKS.items():
        of_family = []
        for size in VAE_SIZES if "base" in case else SIZES:
            clip = ClipShape(*size)
            traced = peak_bytes(forward(build(case, "meta"), case, clip, torch.float32, "meta"))
            row = {"network": name, "width": size[0], "height": size[1], "frames": size[2], "tokens": clip.tokens}
            row |= {"predicted_mb": predicted(case, clip) / 1e6, "traced_mb": traced / 1e6}
            row["measured_mb"] = measure(name, size) / 1e6
            row = {key: round(value, 1) if isinstance(value, float) else value for key, value in row.items()}
            of_family.append(row)
            print(" ".join(f"{value:>10}" if key != "network" else f"{value:<34}" for key, value in row.items()))
        law, found = (np.array([row[key] for row in of_family]) for key in ("predicted_mb", "measured_mb"))
        slope, intercept = np.polyfit(law, found, 1)
        lines[name] = {"slope": round(float(slope), 3), "intercept_mb": round(float(intercept), 1)}
        lines[name]["largest_error"] = round(float(np.abs(found / law - 1).max()), 3)
        rows += of_family
    return rows, lines


def real_networks() -> list[dict[str, Any]]:
    """Predicted against traced gigabytes of the priors in bfloat16 and of Wan's VAE in float32, 480 x 832."""
    rows: list[dict[str, Any]] = []
    for frames in (17, 49, 81):
        clip = ClipShape(480, 832, frames)
        for model in priors()[:2]:  # the third has the second's shape
            shape = model.transformer
            assert shape is not None
            case: dict[str, Any] = {"heads": shape.heads, "head_dim": shape.head_dim, "ffn": shape.ffn}
            case |= {"layers": shape.layers, "vace": shape.vace, "text": shape.text_dim}
            network = build(case, "meta").to(torch.bfloat16)
            traced = peak_bytes(forward(network, case, clip, torch.bfloat16, "meta"))
            rows.append({"network": model.name, "frames": frames, "traced_gb": traced / 1e9})
            rows[-1]["predicted_gb"] = denoise_bytes(shape, clip) / 1e9
        for mode in ("decode", "encode"):
            case = {"base": 96, "mode": mode}
            traced = peak_bytes(forward(build(case, "meta"), case, clip, torch.float32, "meta"))
            rows.append({"network": f"vae {mode}", "frames": frames, "traced_gb": traced / 1e9})
            rows[-1]["predicted_gb"] = predicted(case, clip) / 1e9
    for row in rows:
        row["error"] = round(row["predicted_gb"] / row["traced_gb"] - 1, 3)
        row |= {key: round(row[key], 3) for key in ("traced_gb", "predicted_gb")}
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Measured memory against the laws.")
    parser.add_argument("--case", help=argparse.SUPPRESS)  # what the processes of `measure` run
    options = parser.parse_args()
    if options.case:
        name, size = json.loads(options.case)
        print(grown(NETWORKS[name], size))
        return
    rows, lines = small_networks()
    real = real_networks()
    for name, line in lines.items():
        print(f"{name:<34} slope {line['slope']}, intercept {line['intercept_mb']} MB, worst {line['largest_error']}")
    for row in real:
        print(
            f"{row['network']:<18} {row['frames']:>3} frames: traced {row['traced_gb']} GB, error {row['error']:+.1%}"
        )
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"small": rows, "lines": lines, "real": real}, indent=1), encoding="utf-8")
    print(f"written to {OUT}")


if __name__ == "__main__":
    main()
