"""Run the hard set, judge it, and write the table: python -m benchmarks.cloth [NAME ...] [--again].

Rows are kept in out/cloth_hard until a sequence, the solver or the judge changes; a stopped run goes on where it was.
With names only these are run, and no page is written.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

from .demo import demo_figures, refined_figures
from .hard_set import SEQUENCES
from .peers import CHOSEN, COMMANDS, peer_row
from .report import write
from .rows import HARD, ROOT, row, shot_file, told
from .speed import measured, skirt, slope, timed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="sequences; all when empty")
    parser.add_argument("--again", action="store_true", help="also those that are kept")
    parser.add_argument(
        "--peers", type=int, default=0, help="so many sequences by other solvers as well, which is slow"
    )
    parser.add_argument("--limit", type=float, default=100.0, help="processor seconds of another solver on a sequence")
    parser.add_argument("--refined", type=Path, help="vertices.npy of the demo's refined layer")
    parser.add_argument("--scenes", action="store_true", help="build the sequences as .blend files too, run nothing")
    parser.add_argument("--report", action="store_true", help="write the page from what is kept, run nothing")
    options = parser.parse_args()
    if options.scenes:
        return scenes(options.names or list(SEQUENCES))
    rows = []
    for name in [] if options.report else options.names or SEQUENCES:
        rows.append(row(name, options.again))
        print(told(rows[-1]), flush=True)
    if options.names:
        print(f"{sum(one['success'] for one in rows)} of {len(rows)} hold; pictures: {HARD / 'pictures'}")
        return 0
    for name in CHOSEN[: options.peers]:
        for solver in COMMANDS:
            print(f"{name} by {solver}: {peer_row(name, solver, options.limit)}", flush=True)
    if not options.report:
        timed(skirt(500, 3))  # compiles, or loads what was compiled
    speed = measured(run=not options.report)
    others = {**(slope(speed) if len(speed) > 1 else {}), **demo_figures()}
    if options.refined:
        others |= refined_figures(options.refined)
        others["hem_refined_over_coarse"] = others["hem_refined_cm"] / others["hem_coarse_cm"]
    found = write(speed, others)
    for name, value in found.items():
        if not name.endswith(("_success", "_cpu_frame")):
            print(f"{name}: {value:g}")
    return 0


def scenes(names: list[str]) -> int:
    """Build sequences in Blender, as out/cloth_hard/scenes/NAME.blend."""
    folder = HARD / "scenes"
    folder.mkdir(parents=True, exist_ok=True)
    python = str(ROOT / ".venv-blender" / "bin" / "python")
    for name in names:
        command = [python, "-m", "benchmarks.cloth.scene", str(shot_file(name)), str(folder / f"{name}.blend")]
        subprocess.run(command, cwd=ROOT, check=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
