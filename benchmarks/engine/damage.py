"""One file of a store cut, zeroed, flipped by a bit or removed: healed, or one clear error, never a wrong `done`."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import file_sha256

from .harness import ROOT, SETTINGS, UNEQUAL, ended, hashes, running, tiny_shot

HARMS = ("cut", "zero", "flip", "remove", "empty")
LATER = {**SETTINGS, "seed": 5}


def make_store(folder: Path) -> tuple[Path, dict[str, dict[str, str]]]:
    """A store with two jobs that are done, and the hashes of their results."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    wanted = {}
    with running(folder / "store") as engine, engine.client() as client:
        for settings in (SETTINGS, LATER):
            job = client.submit(tiny_shot(), settings)
            assert ended(client, job) == "done"
            wanted[job] = hashes(client, job)
    return folder / "store", wanted


def harm(path: Path, how: str, dice: random.Random) -> None:
    data = bytearray(path.read_bytes())
    if how == "remove":
        path.unlink()
        return
    if how == "cut":
        data = data[: dice.randrange(len(data)) if data else 0]
    elif how == "zero":
        start = dice.randrange(len(data)) if data else 0
        data[start:] = bytes(len(data) - start)
    elif how == "empty":
        data = bytearray()
    elif data:
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    path.write_bytes(data)


def damaged(whole: Path, wanted: dict[str, dict[str, str]], dice: random.Random) -> dict[str, Any]:
    """Damage one file of a copy of the store, then ask for every result, and make what depends on it anew."""
    store = whole.with_name("damaged") / "store"
    shutil.rmtree(store.parent, ignore_errors=True)
    shutil.copytree(whole, store)
    files = sorted(path for path in store.rglob("*") if path.is_file() and path.suffix not in (".log", ".lock"))
    groups = sorted({path.relative_to(store).parts[0] for path in files})
    group = dice.choice(groups)  # the database is one file of hundreds, and matters as much
    path = dice.choice([path for path in files if path.relative_to(store).parts[0] == group])
    how = dice.choice(HARMS)
    harm(path, how, dice)
    record: dict[str, Any] = {"file": str(path.relative_to(store)), "how": how, "wrong": 0, "errors": [], "healed": 0}
    if group.startswith("jobs.sqlite"):
        command = [sys.executable, "-m", "engine", "repair", "--store", str(store)]
        said = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        record["repair"] = said.returncode
    try:
        with running(store) as engine, engine.client(60) as client:
            for settings in (SETTINGS, LATER):
                for again in range(2):
                    try:
                        job = client.submit(tiny_shot(), settings)
                        end = ended(client, job)
                        if end != "done":
                            record["errors"].append(end)
                            continue
                        for name, digest in wanted[job].items():
                            fetched = client.fetch(job, name, store.parent / "fetched" / Path(name).name)
                            record["wrong"] += file_sha256(fetched) != digest
                        assert {f.name for f in client.files(job)} >= set(wanted[job]) and UNEQUAL
                        record["healed"] += 1
                        if not again:  # what lies in stages and arrays has to be read too
                            client.delete(job)
                    except Ani3DError as error:
                        record["errors"].append(error.code)
    except Ani3DError as error:
        record["errors"].append(f"{error.code}: {error.message}"[:300])
    shutil.rmtree(store.parent, ignore_errors=True)
    return record


def is_bad(record: dict[str, Any]) -> bool:
    """Whether something wrong was called done, or an error was none that says something."""
    unclear = [e for e in record["errors"] if any(word in e for word in ("internal", "job.failed", "engine.start"))]
    return bool(record["wrong"]) or bool(unclear) or record["healed"] + len(record["errors"]) < 4
