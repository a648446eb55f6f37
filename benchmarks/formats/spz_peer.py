"""SPZ read by us and by the reference library, as @spz-loader/core has it compiled for Node.js, in turns."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import numpy as np

from ani3dhuman.splats.formats import write_splats
from ani3dhuman.splats.spz import read_spz

from .samples import some

COUNT, ROUNDS = 300_000, 5
READ = """
import { readFileSync } from 'fs';
process.type = 'renderer';  // else it asks for what its bundle has not, once it knows that this is Node.js
globalThis.WorkerGlobalScope = function () {};
const { loadSpz } = await import('@spz-loader/core');
const data = readFileSync(process.argv[1]), times = [];
let count = 0;
for (let k = 0; k < 6; k++) {
  const start = performance.now();
  const splat = await loadSpz(new Uint8Array(data));
  times.push((performance.now() - start) / 1000);
  count = splat.numPoints;
}
console.log(JSON.stringify({ seconds: times.slice(1), count }));
"""


def beside_reference(folder: Path, peers: Path) -> dict[str, float]:
    """Our seconds for a file of degree 3, and how many times as long the reference takes; the best of some each."""
    path = folder / "peer.spz"
    write_splats(path, some(COUNT, 3))
    ours = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        read_spz(path)
        ours.append(time.perf_counter() - start)
    command = ["node", "--input-type=module", "-e", READ, str(path.resolve())]
    done = subprocess.run(command, cwd=peers, capture_output=True, text=True, timeout=300)
    if done.returncode:
        print(f"the reference library of SPZ was not tried: {done.stderr[-300:]}")
        return {}
    theirs = json.loads(done.stdout)
    if theirs["count"] != COUNT:
        print(f"the reference library of SPZ read {theirs['count']} of {COUNT} Gaussians")
        return {}
    return {"spz_read_seconds": min(ours), "spz_over_reference": float(np.min(theirs["seconds"])) / min(ours)}
