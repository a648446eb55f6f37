"""Runs every measurement of the rasteriser and writes out/bench/render.json, a page of tables, and plots.

python -m benchmarks.render.run [--peers] [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from . import peers, plots
from .measure import (
    BACKWARD_FLOPS,
    FORWARD_FLOPS,
    Times,
    drawn_pairs,
    evaluated_pairs,
    forward,
    forward_backward,
    peak_gflops,
    timed,
    use_threads,
)
from .scenes import Scene, character, cloud

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "out" / "bench"
COUNTS = (20_000, 50_000, 200_000, 1_000_000)
SIZES = ((240, 416), (480, 832), (1080, 1920))
OVERLAPS = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8)  # sizes of the cloud's Gaussians, for the plot of growth
MAIN = (50_000, 480, 832)


def scenes(shot: Path, quick: bool) -> Iterator[Scene]:
    for width, height in SIZES[:2] if quick else SIZES:
        for count in COUNTS[:2] if quick else COUNTS:
            yield cloud(count, width, height)
            if shot.exists():
                yield character(shot, count, width, height)


def all_cores() -> int:
    return len(os.sched_getaffinity(0))


def grid(shot: Path, quick: bool) -> list[dict[str, object]]:
    """Forward, and forward with backward, of every scene, on one thread and on all, in turn."""
    rows = []
    for scene in scenes(shot, quick):
        row: dict[str, object] = {"scene": scene.name, "count": len(scene.means), "size": (scene.width, scene.height)}
        for threads in (1, all_cores()):
            use_threads(threads)
            row[f"forward_{threads}"] = timed(forward(scene))
            row[f"both_{threads}"] = timed(forward_backward(scene))
        rows.append(row)
        numbers = ", ".join(f"{k} {v}" for k, v in row.items() if isinstance(v, Times))
        print(f"{scene.name} {len(scene.means)} at {scene.width}x{scene.height}: {numbers}", flush=True)
    return rows


def scaling(scene: Scene) -> dict[str, float]:
    """Threads against one, the two timed in turn so that a drifting machine does not show."""
    ratios: dict[str, list[float]] = {"forward": [], "both": []}
    for _ in range(5):
        found = {}
        for threads in (1, all_cores()):
            use_threads(threads)
            found[threads] = (timed(forward(scene), 5).median, timed(forward_backward(scene), 5).median)
        ratios["forward"].append(found[1][0] / found[all_cores()][0])
        ratios["both"].append(found[1][1] / found[all_cores()][1])
    return {name: sorted(values)[2] for name, values in ratios.items()}


def beside_a_busy_core(scene: Scene) -> dict[str, float]:
    """All threads while another program takes one core whole: what a loaded workstation does to a frame."""
    use_threads(all_cores())
    quiet = timed(forward(scene), 25).median
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(0.5)
        contended = timed(forward(scene), 25).median
    finally:
        busy.kill()
        busy.wait()
    return {"busy_core_slowdown": contended / quiet}


def against_reference(scene: Scene) -> dict[str, float]:
    """The torch reference's time over ours, on the same threads, one run of it between ours."""
    figures = {}
    for threads in (1, all_cores()):
        use_threads(threads)
        before = timed(forward_backward(scene))
        slow = timed(forward_backward(scene, backend="reference"), 3)
        after = timed(forward_backward(scene))
        ours = (before.median + after.median) / 2
        figures[f"reference_ms_threads{threads}"] = slow.median
        figures[f"speedup_threads{threads}"] = slow.median / ours
        print(f"reference, {threads} threads: {slow} ms against {ours:.1f} ms", flush=True)
    return figures


def growth(shot: Path) -> list[dict[str, float]]:
    """Time on one thread against drawn pairs per pixel, the count of Gaussians held."""
    use_threads(1)
    count, width, height = MAIN
    rows = []
    for size in OVERLAPS:
        scene = cloud(count, width, height, size)
        rows.append(
            {
                "pairs_per_pixel": drawn_pairs(scene) / (width * height),
                "forward_ms": timed(forward(scene)).median,
                "both_ms": timed(forward_backward(scene)).median,
            }
        )
    return rows


def fraction_of_limit(scene: Scene) -> dict[str, float]:
    """Useful operations over what the processor's multiply-adds could do in the time taken, on one thread."""
    use_threads(1)
    pairs, peak = drawn_pairs(scene), peak_gflops()
    ahead, both = timed(forward(scene), 15), timed(forward_backward(scene), 15)
    return {
        "peak_gflops_1_core": peak,
        "pairs_per_pixel": pairs / (scene.width * scene.height),
        "lane_use": pairs / evaluated_pairs(scene),
        "fraction_forward": pairs * FORWARD_FLOPS / (ahead.median * peak * 1e6),
        "fraction_both": pairs * (FORWARD_FLOPS + BACKWARD_FLOPS) / (both.median * peak * 1e6),
    }


def agreement() -> dict[str, float]:
    """Largest differences to the float64 oracle over the scenes of the tests."""
    value, gradient, left_out, scenes = in_process("tests/rendering/agreement_figures.py")
    return {
        "max_value_error": value,
        "max_gradient_error": gradient,
        "max_left_out": left_out,
        "agreement_scenes": int(scenes),
    }


def in_process(*arguments: object) -> list[float]:
    """Numbers that Python prints when it runs alone with these arguments."""
    command = [sys.executable, *map(str, arguments)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [float(word) for word in ran.stdout.split()]


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return f"{model}, {all_cores()} cores, {platform.system()}, Python {platform.python_version()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shot", type=Path, default=ROOT / "out" / "demo" / "shot.npz", help="for the character")
    parser.add_argument("--peers", action="store_true", help="also time the renderers that benchmarks/peers installed")
    parser.add_argument("--quick", action="store_true", help="only two counts and two sizes")
    options = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    print(f"{machine()}, {time.strftime('%Y-%m-%d')}")
    if not options.shot.exists():
        print(f"No {options.shot}: the character is NOT measured. `make demo` makes it.")
    main_scene = cloud(*MAIN)
    in_process("-m", "benchmarks.render.start")  # compiles what is missing
    figures = {
        "start_first_picture_s": in_process("-m", "benchmarks.render.start")[0],
        "start_first_gradients_s": in_process("-m", "benchmarks.render.start")[1],
    }
    use_threads(all_cores())
    figures["forward_fps_50k_480x832"] = 1000 / timed(forward(main_scene), 15).median
    ratios = scaling(main_scene)
    figures |= {"threads2_scaling_480x832": ratios["both"], "threads2_scaling_forward_480x832": ratios["forward"]}
    figures |= beside_a_busy_core(main_scene)
    reference = against_reference(main_scene)
    figures["speedup_vs_torch_50k_480x832"] = min(v for k, v in reference.items() if k.startswith("speedup"))
    figures |= reference
    limit = fraction_of_limit(main_scene)
    figures |= {"fraction_of_limit_50k_480x832": limit["fraction_both"], **limit}
    before, peak = in_process("-m", "benchmarks.render.memory", 1_000_000, 1080, 1920)
    figures |= {"memory_gb_1m_1080p": peak, "memory_gb_1m_1080p_before": before}
    figures |= agreement()
    growing = growth(options.shot)
    rows = grid(options.shot, options.quick)
    others = peers.time_peers(main_scene, OUT) if options.peers else []
    for other in others:
        figures |= {f"peer_{other.name}_forward_ms": other.forward_ms, f"peer_{other.name}_psnr_db": other.psnr_db}
        if other.both_ms is not None:
            figures[f"peer_{other.name}_both_ms"] = other.both_ms
    if others:
        figures |= {"peers_ours_forward_ms": others[0].ours_forward_ms, "peers_ours_both_ms": others[0].ours_both_ms}
    for row in rows:
        name = "{}_{}k_{}x{}".format(row["scene"], cast(int, row["count"]) // 1000, *cast(tuple[int, int], row["size"]))
        figures |= {f"{name}_{k}threads_ms": v.median for k, v in row.items() if isinstance(v, Times)}
    text = json.dumps({k: float(f"{v:.6g}") for k, v in figures.items()}, indent=2)
    (OUT / "render.json").write_text(text, encoding="utf-8")
    (OUT / "render_tables.md").write_text(tables(rows) + peers.table(others), encoding="utf-8")
    plots.growth(growing, OUT / "render_growth.png")
    plots.grid(rows, all_cores(), OUT / "render_grid.png")
    print(text)
    print(f"written: {OUT}/render.json, render_tables.md, render_growth.png, render_grid.png")


def tables(rows: list[dict[str, object]]) -> str:
    """Markdown of the grid: median (least-most) milliseconds."""
    threads = all_cores()
    lines = [
        f"| scene | Gaussians | size | forward, 1 thread | forward, {threads} | both, 1 thread | both, {threads} |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        width, height = cast(tuple[int, int], row["size"])
        cells = [row[f"{what}_{n}"] for what in ("forward", "both") for n in (1, threads)]
        lines.append(f"| {row['scene']} | {row['count']:,} | {width}x{height} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
