"""Other renderers on the same scene in the same run, each in its own environment (see benchmarks/peers)."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from .measure import forward, forward_backward, timed, use_threads
from .scenes import Scene

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 900  # seconds a peer may take


@dataclass(frozen=True)
class Peer:
    """Median milliseconds of a peer and of ours just before and after it, and how alike the pictures are."""

    name: str
    forward_ms: float
    both_ms: float | None
    ours_forward_ms: float
    ours_both_ms: float
    psnr_db: float


def time_peers(scene: Scene, out: Path, repeats: int = 3) -> list[Peer]:
    """Every peer that is installed, on one core as ours is; one that fails is named and left out."""
    path = out / "peers_scene.npz"
    arrays = {n: getattr(scene, n).detach().numpy() for n in ("means", "quats", "scales", "opacities", "colors")}
    arrays |= {"viewmat": scene.viewmats[0].detach().numpy(), "K": scene.Ks[0].numpy()}
    arrays |= {"width": np.array(scene.width), "height": np.array(scene.height)}
    np.savez(path, **cast(Any, arrays))
    use_threads(1)
    image = forward(scene)()[0][0].numpy()
    found = []
    for script in sorted((ROOT / "benchmarks" / "peers").glob("[a-z]*.py")):
        python = ROOT / ".venv-peers" / script.stem / "bin" / "python"
        if not python.exists():
            print(f"peer {script.stem}: not installed (benchmarks/peers/setup.sh), NOT timed", flush=True)
            continue
        command = ["taskset", "-c", "0", str(python), str(script), str(path), "--repeats", str(repeats)]
        before = timed(forward(scene)), timed(forward_backward(scene))
        try:
            ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
            answer = json.loads(ran.stdout.splitlines()[-1])
        except (subprocess.SubprocessError, ValueError, IndexError) as problem:
            said = getattr(problem, "stderr", "") or str(problem)
            print(f"peer {script.stem}: failed, NOT timed: {str(said).strip()[-300:]}", flush=True)
            continue
        after = timed(forward(scene)), timed(forward_backward(scene))
        theirs = np.load(answer["image"])
        psnr = -10 * np.log10(np.mean((np.clip(theirs, 0, 1) - np.clip(image, 0, 1)) ** 2))
        both = answer["forward_backward_ms"]
        peer = Peer(
            script.stem,
            float(np.median(answer["forward_ms"])),
            None if both is None else float(np.median(both)),
            (before[0].median + after[0].median) / 2,
            (before[1].median + after[1].median) / 2,
            float(psnr),
        )
        found.append(peer)
        print(peer, flush=True)
    return found


def table(peers: list[Peer]) -> str:
    """Markdown, or nothing where no peer was timed."""
    if not peers:
        return ""
    lines = [
        "",
        "| renderer | forward | ours beside it | both | ours beside it | PSNR to ours |",
        "|---|---|---|---|---|---|",
    ]
    for p in peers:
        both = "-" if p.both_ms is None else f"{p.both_ms:,.0f} ({p.both_ms / p.ours_both_ms:.0f}x)"
        ahead = f"{p.forward_ms:,.0f} ({p.forward_ms / p.ours_forward_ms:.0f}x)"
        name = f"`{p.name}`"
        lines.append(
            f"| {name} | {ahead} | {p.ours_forward_ms:.1f} | {both} | {p.ours_both_ms:.1f} | {p.psnr_db:.1f} dB |"
        )
    return "\n".join(lines) + "\n"
