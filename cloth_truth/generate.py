"""Generate the benchmark: clothed humans in motion with true cloth, in splits.

    python -m cloth_truth.generate --out out/cloth_truth --jobs 2

A sequence depends on the seed, its split and its index alone. Finished sequences are kept, so the program can be
stopped with Ctrl-C and started again; dropped ones are replaced by the next index until each split has its number.
"""

from __future__ import annotations

import argparse
import atexit
import json
import multiprocessing
import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ani3d_formats.errors import Ani3DError

from .patterns import PALETTES
from .pools import BVH, SPLITS, Recipe, draw_recipe
from .produce import Simulator, produce, write_json
from .retarget import list_bvh
from .sequences import list_sequences

COUNTS = {"train": 96, "validation": 16, "test": 28, "held_out": 0}
SCHEMA, VERSION = "ani3dhuman.cloth_truth", 1
MAX_DROPPED = 0.5  # share of tries above which something is wrong and the program stops

_simulator: Simulator | None = None


@dataclass(frozen=True)
class Task:
    """A recipe, the folder its sequence goes to, and the folder of BVH files if it moves by one."""

    recipe: Recipe
    root: Path
    bvh: Path | None = None


def _start_worker() -> None:
    """Each worker keeps one Blender process; Ctrl-C is the main process's business."""
    global _simulator
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _simulator = Simulator()
    atexit.register(_simulator.close)


def _work(task: Task) -> tuple[Recipe, str | None]:
    assert _simulator is not None
    try:
        return task.recipe, produce(task.recipe, task.root, _simulator, bvh=task.bvh)
    except Exception as error:  # plain text crosses the process border whole, an Ani3DError does not
        raise RuntimeError(f"{task.recipe.name}: {type(error).__name__}: {error}") from None


def generate(root: Path, counts: dict[str, int], seed: int, jobs: int, bvh: Path | None = None) -> dict[str, Any]:
    """Fill `root` until each split has its count of kept sequences.

    Args:
        root: folder of the benchmark; counts: sequences by split; seed: of everything.
        jobs: worker processes, each with a Blender process of its own.
        bvh: folder of BVH files whose motions training draws from too.

    Returns:
        The manifest, which is written to `root/manifest.json` as well.

    Raises:
        Ani3DError: ``cloth_truth.blender``: there is none; ``motion.file``: a file that cannot be used;
            ``cloth_truth.motion``: a sequence in `root` was made with another motion.
    """
    files = list_bvh(bvh) if bvh else {}
    Simulator()  # says now, not in every worker, that Blender is missing
    root.mkdir(parents=True, exist_ok=True)
    tried = dict.fromkeys(SPLITS, 0)
    kept, dropped = dict.fromkeys(SPLITS, 0), dict.fromkeys(SPLITS, 0)
    with (
        multiprocessing.get_context("spawn").Pool(jobs, _start_worker) as pool,
        tqdm(total=sum(counts.values()), desc="sequences", unit="seq") as bar,
    ):
        while tasks := _round(root, counts, kept, tried, seed, bvh, files):
            for recipe, reason in pool.imap_unordered(_work, tasks):
                (kept if reason is None else dropped)[recipe.split] += 1
                bar.update(reason is None)
                bar.set_postfix(dropped=sum(dropped.values()))
                if reason is not None:
                    tqdm.write(f"{recipe.name} dropped: {reason}")
            if sum(dropped.values()) > MAX_DROPPED * sum(tried.values()) and sum(tried.values()) > 20:
                raise SystemExit(f"{sum(dropped.values())} of {sum(tried.values())} dropped: see {root}/dropped")
        pool.close()
        pool.join()
    return write_manifest(root, seed, counts, files)


def _round(
    root: Path,
    counts: dict[str, int],
    kept: dict[str, int],
    tried: dict[str, int],
    seed: int,
    bvh: Path | None,
    files: dict[str, str],
) -> list[Task]:
    """The next tries: as many as each split lacks, the splits mixed evenly; counts them in `tried`."""
    tasks: list[tuple[float, Task]] = []
    for split in SPLITS:
        missing = counts.get(split, 0) - kept[split]
        for k in range(missing):
            recipe = draw_recipe(split, tried[split] + k, seed, len(PALETTES), tuple(files))
            _check_motion(root, recipe, files)
            tasks.append(((k + 0.5) / missing, Task(recipe, root, bvh)))
        tried[split] += max(missing, 0)
    return [task for _, task in sorted(tasks, key=lambda entry: entry[0])]


def _check_motion(root: Path, recipe: Recipe, files: dict[str, str]) -> None:
    """Raise `Ani3DError` ``cloth_truth.motion`` where `root` has this sequence with another motion or BVH file."""
    for path in (root / recipe.name / "sequence.json", root / "dropped" / f"{recipe.name}.json"):
        about = json.loads(path.read_text()) if path.is_file() else None
        if about is None:
            continue
        made = (about["recipe"]["motion"], about.get("bvh", {}).get("sha256"))
        if made != (recipe.motion, files.get(recipe.motion)):
            why = f"the motion {made[0]}" if made[0] != recipe.motion else f"another file {made[0].removeprefix(BVH)}"
            raise Ani3DError(
                "cloth_truth.motion",
                f"{path} was made with {why}, this run wants {recipe.motion}.",
                "Give a new folder with --out, or the same --bvh as before.",
            )


def write_manifest(
    root: Path, seed: int, counts: dict[str, int], files: dict[str, str] | None = None
) -> dict[str, Any]:
    """Write `root/manifest.json` from what lies in the folder: what was kept, and what was dropped and why.

    `files` are BVH motions and their SHA-256, which it names too.
    """
    sequences = []
    for folder in list_sequences(root):
        about = json.loads((folder / "sequence.json").read_text())
        sequences.append({"name": folder.name, **about})
    dropped = [
        {"name": path.stem, **json.loads(path.read_text())} for path in sorted((root / "dropped").glob("*_[0-9]*.json"))
    ]
    manifest = {
        "schema": SCHEMA,
        "version": VERSION,
        "seed": seed,
        "wanted": counts,
        "kept": dict(Counter(s["recipe"]["split"] for s in sequences)),
        "dropped_count": dict(Counter(s["recipe"]["split"] for s in dropped)),
        "sequences": sequences,
        "dropped": dropped,
    }
    if files:
        manifest["bvh"] = [{"file": name.removeprefix(BVH), "sha256": sha256} for name, sha256 in files.items()]
    write_json(root / "manifest.json", manifest)
    return manifest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("out/cloth_truth"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="worker processes")
    parser.add_argument("--bvh", type=Path, help="folder of BVH files that training draws motions from too")
    for split, count in COUNTS.items():
        parser.add_argument(
            f"--{split.replace('_', '-')}", type=int, default=count, help=f"{split} sequences (default {count})"
        )
    options = parser.parse_args()
    counts = {split: getattr(options, split) for split in COUNTS}
    try:
        manifest = generate(options.out, counts, options.seed, options.jobs, options.bvh)
    except Ani3DError as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit("\nStopped; finished sequences are kept, run the same command to go on.") from None
    print(f"{options.out}: kept {manifest['kept']}, dropped {manifest['dropped_count']}")


if __name__ == "__main__":
    main()
