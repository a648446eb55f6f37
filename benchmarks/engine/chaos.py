"""`python -m benchmarks.engine.chaos [--quick] [PART ...]`: what the engine survives; into out/bench/engine.json.

It may be stopped and started again: trials that are done are kept in out/chaos (`--anew` forgets them).
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from . import damage, fuzz, guided, hardship, kills
from .harness import DRAFT, SETTINGS, Trials, fresh, running
from .record import record

OUT = Path("out/chaos")


def _kills(place: Path, quick: bool) -> dict[str, float]:
    wanted = kills.reference(place / "reference")
    parts = {
        "kill": (("server", "worker", "both"), 40),
        "stop": (("stop",), 20),
        "freeze": (("freeze",), 10),
        "client": (("client",), 10),
    }
    total = lost = 0
    for kind, (choices, count) in parts.items():
        done = Trials(OUT, kind).run(count // 5 if quick else count, kills.trial(place / kind, wanted, choices))
        total += len(done)
        lost += sum(map(kills.is_lost, done))
    return {"kills": total, "kills_lost": lost}


def _damage(place: Path, quick: bool) -> dict[str, float]:
    whole, wanted = damage.make_store(place / "whole")
    done = Trials(OUT, "damage").run(20 if quick else 200, lambda dice: damage.damaged(whole, wanted, dice))
    return {
        "damaged": len(done),
        "damaged_wrong_done": sum(record["wrong"] > 0 for record in done),
        "damaged_unclear": sum(map(damage.is_bad, done)),
        "damaged_healed": sum(not record["errors"] for record in done),
    }


def _fuzz(place: Path, quick: bool) -> dict[str, float]:
    part = 10 if quick else 1
    codec_crashes = fuzz.decode_all(100_000 // part, 3)
    found = guided.search(120 / part, 5)
    with fresh(place / "fuzz") as folder, running(folder / "store") as engine:
        figures = fuzz.fuzz_messages(engine, 50_000 // part, 1)
        figures |= fuzz.below(engine, 600 // part, 2)
        figures |= fuzz.fuzz_shots(engine, 300 // part, 4)
        figures["fuzz_crashes"] += codec_crashes + found["guided_crashes"]
    return figures | found


def _crowd(place: Path, quick: bool) -> dict[str, float]:
    return hardship.crowd(place / "crowd", 200, 20, 3.0 if quick else 10.0)


def _disk(place: Path, quick: bool) -> dict[str, float]:
    wanted = kills.reference(place / "reference")
    left = hardship.LEFT[::3] if quick else hardship.LEFT
    try:
        done = [hardship.full_disk(place / "disk", wanted, megabytes) for megabytes in left]
        for settings, stages in ((SETTINGS, ("rigid", "cloth", "cache")), (DRAFT, ("restore", "pictures"))):
            wanted = kills.reference(place / "reference", settings)
            done += [hardship.full_disk_at(place / "disk", settings, wanted, stage) for stage in stages]
        settings = {**DRAFT, "sampling_steps": 8}  # what is written next, after a step, is the checkpoint
        wanted = kills.reference(place / "reference", settings)
        done.append(hardship.full_disk_at(place / "disk", settings, wanted, "restore", 2))
        done.append(hardship.full_disk_asked(place / "disk", SETTINGS, kills.reference(place / "reference")))
    except OSError as error:
        print(error)
        return {}
    for row in done:
        print(row, flush=True)
    clear = ("done", "disk.full", "failed disk.full")
    return {
        "disk_full": len(done),
        "disk_full_unclear": sum(not (row["equal"] and row["lives"] and row["first"] in clear) for row in done),
    }


def _clock(place: Path, quick: bool) -> dict[str, float]:
    wanted = kills.reference(place / "reference")
    done = [hardship.clock(place / "clock", wanted, days) for days in ((-2.0, 30.0) if quick else (-2.0, 30.0, -400.0))]
    for row in done:
        print(row, flush=True)
    good = [row["order"] and row["equal"] and set(row["ends"]) == {"done"} for row in done]
    return {"clock_jumps": len(done), "clock_jumps_lost": good.count(False)}


def _odd(place: Path, quick: bool) -> dict[str, float]:
    said = hardship.odd_stores(place / "odd")
    print(json.dumps(said, indent=1), flush=True)
    clear = [words.startswith("store.unusable: ") for words in said.values()]
    figures = {"odd_stores": float(len(said)), "odd_stores_unclear": float(clear.count(False))}
    figures |= hardship.full_queue(place / "queue", 50 if quick else 500)
    return figures | hardship.cancels(place / "cancels", 3 if quick else 10, 10_000 if quick else 250_000)


PARTS: dict[str, Callable[[Path, bool], dict[str, float]]] = {
    "kills": _kills,
    "damage": _damage,
    "fuzz": _fuzz,
    "crowd": _crowd,
    "disk": _disk,
    "clock": _clock,
    "odd": _odd,
}


def main() -> None:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine.chaos")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="a tenth of the trials")
    parser.add_argument("--anew", action="store_true", help="forget earlier trials")
    args = parser.parse_args()
    if args.anew:
        shutil.rmtree(OUT, ignore_errors=True)
    for part in args.parts or PARTS:
        place = Path(tempfile.mkdtemp(prefix="chaos-"))
        try:
            figures = PARTS[part](place, args.quick)
            record(figures)
            print(json.dumps(figures), flush=True)
        finally:
            shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
