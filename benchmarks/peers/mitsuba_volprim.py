"""Times Mitsuba 3 (LLVM on the CPU): its `ellipsoids` shape, ray traced by the `volprim_rf_basic` integrator.

The same Gaussians, another method: each pixel's ray takes every Gaussian at its peak along the ray, in the order in
which it enters their hulls, instead of a projected 2D Gaussian in the order of the centres, and nothing is widened by a
low-pass filter (eps2d). So pictures agree closely but not exactly. Building the scene (its ray-tracing tree included)
is not timed, although moving Gaussians would need it again.
"""

import argparse
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

OLDEST_LLVM = 19  # 15 aborts on the integrator's code ("Cannot select: fminimum")
EXTENT = 3.33  # standard deviations after which opacity 1 falls below 1/255, where rasterisers stop too
HARMONIC_0 = 0.28209479177387814  # the constant spherical harmonic, by which colours are stored


def find_llvm() -> None:
    """Point Dr.Jit at the newest LLVM library, since by itself it may take one too old for this integrator."""
    if "DRJIT_LIBLLVM_PATH" in os.environ:
        return
    libraries = Path("/usr/lib").glob("*/libLLVM*.so*")
    found = [(int(number.group()), str(p)) for p in libraries if (number := re.search(r"\d+", p.name))]
    if not found or max(found)[0] < OLDEST_LLVM:
        raise SystemExit(f"Mitsuba needs the LLVM library, {OLDEST_LLVM} or newer (Debian: libllvm{OLDEST_LLVM})")
    os.environ["DRJIT_LIBLLVM_PATH"] = max(found)[1]


def build(scene: dict[str, np.ndarray]) -> object:
    """The Mitsuba scene, one ray through the middle of each pixel."""
    import mitsuba as mi

    width, height, K = int(scene["width"]), int(scene["height"]), scene["K"].astype(float)
    if not np.isclose(K[0, 0], K[1, 1]):
        raise SystemExit("Mitsuba's camera has square pixels only: K needs fx = fy")
    to_world = np.linalg.inv(scene["viewmat"].astype(float)) @ np.diag([-1.0, -1.0, 1.0, 1.0])  # its x left, y up
    quats = scene["quats"] / np.linalg.norm(scene["quats"], axis=1, keepdims=True)
    film = {
        "type": "hdrfilm", "width": width, "height": height, "rfilter": {"type": "box"},
        "pixel_format": "rgb", "component_format": "float32",
    }  # fmt: skip
    sensor = {
        "type": "perspective", "fov_axis": "x", "fov": float(np.degrees(2 * np.arctan(width / 2 / K[0, 0]))),
        "principal_point_offset_x": float(0.5 - K[0, 2] / width),
        "principal_point_offset_y": float(0.5 - K[1, 2] / height),
        "near_clip": 0.01, "far_clip": 1e4, "to_world": mi.ScalarTransform4f(to_world), "film": film,
        "sampler": {"type": "stratified", "sample_count": 1, "jitter": False},
    }  # fmt: skip
    gaussians = {
        "type": "ellipsoids", "extent": EXTENT, "extent_adaptive_clamping": True,  # hulls end where alpha is invisible
        "data": mi.TensorXf(np.concatenate([scene["means"], scene["scales"], quats[:, [1, 2, 3, 0]]], 1)),
        "opacities": mi.TensorXf(scene["opacities"][:, None]),
        "sh_coeffs": mi.TensorXf((scene["colors"] - 0.5) / HARMONIC_0),
    }  # fmt: skip
    integrator = {"type": "volprim_rf_basic", "max_depth": -1, "srgb_primitives": False}
    return mi.load_dict({"type": "scene", "integrator": integrator, "sensor": sensor, "gaussians": gaussians})


def milliseconds(work: Callable[[], object], repeats: int) -> list[float]:
    """Times of `work` after one run that is not counted (it compiles)."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1e3)
    return times[1:]


def main() -> None:
    """Draw, time, print the line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    find_llvm()
    import drjit as dr
    import mitsuba as mi

    mi.set_variant("llvm_ad_rgb")
    dr.set_thread_count(len(os.sched_getaffinity(0)))
    with np.load(arguments.scene) as file:
        scene = build(dict(file))
    parameters = mi.traverse(scene)
    leaves = [parameters[f"gaussians.{name}"] for name in ("data", "opacities", "sh_coeffs")]
    picture = None

    def forward() -> None:
        nonlocal picture
        picture = mi.render(scene, spp=1)
        dr.eval(picture)
        dr.sync_thread()

    def forward_backward() -> None:
        for leaf in leaves:
            dr.clear_grad(leaf)
        rendered = mi.render(scene, parameters, spp=1)
        dr.backward(dr.mean(rendered * rendered, axis=None))
        dr.eval([dr.grad(leaf) for leaf in leaves])
        dr.sync_thread()

    forward_ms = milliseconds(forward, arguments.repeats)
    image = arguments.scene.with_name(f"{arguments.scene.stem}_mitsuba.npy").absolute()
    np.save(image, np.array(picture, np.float32)[..., :3])
    for leaf in leaves:
        dr.enable_grad(leaf)
    both_ms = milliseconds(forward_backward, arguments.repeats)
    print(json.dumps({"forward_ms": forward_ms, "forward_backward_ms": both_ms, "image": str(image)}))


if __name__ == "__main__":
    main()
