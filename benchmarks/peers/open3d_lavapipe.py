"""Times Open3D's Gaussian splatting (Vulkan compute shaders) on Mesa's lavapipe, a Vulkan driver that runs on the CPU.

Forward only. A frame is `OffscreenRenderer.render_to_image` from a camera set anew: project, sort, composite and read
back. The colour target has 8 bits a channel, centres and distances are stored coarsely, and under this driver Open3D
leaves a tile or two of 16 pixels black, so pictures agree with a float rasteriser elsewhere only.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy as np

HARMONIC_0 = 0.28209479177387814  # the constant spherical harmonic, by which colours are stored


def choose_lavapipe() -> None:
    """Hide every other Vulkan driver, a graphics card's above all."""
    found = sorted(str(path) for path in Path("/usr/share/vulkan/icd.d").glob("lvp_icd*.json"))
    if not found:
        raise SystemExit("Open3D needs the Vulkan driver lavapipe (Debian: mesa-vulkan-drivers)")
    os.environ["VK_ICD_FILENAMES"] = os.environ["VK_DRIVER_FILES"] = found[0]
    os.environ["LP_NUM_THREADS"] = str(len(os.sched_getaffinity(0)))


def keep_stdout() -> TextIO:
    """The real stdout, for our line alone: what Open3D's C++ prints there goes to stderr from now on."""
    ours = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return ours


def build(scene: dict[str, np.ndarray]) -> tuple[Any, Callable[[], None]]:
    """An off-screen renderer holding the Gaussians over black, and what points its camera."""
    import open3d as o3d

    o3d.utility.set_verbosity_level(o3d.utility.VerbosityLevel.Error)
    width, height = int(scene["width"]), int(scene["height"])
    opacities = np.clip(scene["opacities"].astype(float), 1e-6, 1 - 1e-6)
    fields = {
        "scale": scene["scales"],
        "rot": scene["quats"] / np.linalg.norm(scene["quats"], axis=1, keepdims=True),
        "opacity": np.log(opacities / (1 - opacities))[:, None],
        "f_dc": (scene["colors"] - 0.5) / HARMONIC_0,
    }
    cloud = o3d.t.geometry.PointCloud(np.ascontiguousarray(scene["means"], np.float32))
    for name, values in fields.items():
        cloud.point[name] = o3d.core.Tensor(np.ascontiguousarray(values, np.float32))
    material = o3d.visualization.rendering.MaterialRecord()
    material.shader = "gaussianSplat"
    renderer = o3d.visualization.rendering.OffscreenRenderer(width, height)
    renderer.scene.set_background([0, 0, 0, 1])
    renderer.scene.add_geometry("gaussians", cloud, material)
    K, viewmat = scene["K"].astype(float), scene["viewmat"].astype(float)
    return renderer, lambda: renderer.setup_camera(K, viewmat, width, height)


def main() -> None:
    """Draw, time, print the line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    choose_lavapipe()
    stdout = keep_stdout()
    with np.load(arguments.scene) as file:
        renderer, point_camera = build(dict(file))
    times, picture = [], np.empty(0)
    for _ in range(arguments.repeats + 2):  # two to warm up: the first compiles the shaders
        start = time.perf_counter()
        point_camera()
        picture = np.asarray(renderer.render_to_image())
        times.append((time.perf_counter() - start) * 1e3)
    image = arguments.scene.with_name(f"{arguments.scene.stem}_open3d.npy").absolute()
    np.save(image, picture[..., :3].astype(np.float32) / 255)
    print(
        json.dumps({"forward_ms": times[2:], "forward_backward_ms": None, "image": str(image)}), file=stdout, flush=True
    )


if __name__ == "__main__":
    main()
