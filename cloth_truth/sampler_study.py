"""What the sampler forgets: ODE against SGSS from good and from bad starts, and sweeps of its parameters.

    python -m cloth_truth.sampler_study claims --split test
    python -m cloth_truth.sampler_study sweep --split validation --count 6
    python -m cloth_truth.sampler_study report

Init sensitivity is a figure from a clean start (the true offsets) minus the same from a degraded start, with the same
noise. Results are the sampled offsets on the rigid layer (`CoarseClip.base`), so that what the start leaves behind
comes through the latents alone. What ships for a faulty layer, the setting `repair`, is "repair": the sample on cloth
simulated anew. Finished sequences are kept.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ani3d_formats.atomic import write_bytes
from ani3dhuman.clip import CoarseClip
from ani3dhuman.metrics.identity import face_distance
from ani3dhuman.metrics.perceptual import perceptual_distance
from ani3dhuman.metrics.pictures import psnr
from ani3dhuman.metrics.table import mean_ci
from ani3dhuman.restoration import CompactPrior, EncodedClip, RestoreConfig, load_compact_prior
from ani3dhuman.restoration.compact.network import DisplacementNet
from ani3dhuman.restoration.compact.prior import MIN_COVERAGE, WEIGHTS

from .degrade import degraded
from .rows import Judged, restored
from .sequences import Sequence, add_choice, chosen, load_sequence
from .study_plots import plot_sweep

OUT = Path("out/sampler_study")
JOINTS = ("upperarm", "lowerarm", "upperleg", "lowerleg")
EVERY = 4  # how many frames from one that the nets see to the next
PINNED = 0.5  # preserve mask above which a cell of cloth counts as preserved
SGSS = RestoreConfig(strength=0.7, guidance_scale=0.05)
Figures = dict[str, float]


@dataclass(frozen=True)
class Variant:
    """A way to sample; `white` takes white noise in place of the prior's own."""

    config: RestoreConfig
    white: bool = False


VARIANTS = {
    "ODE": Variant(replace(SGSS, stochastic=False, guidance_scale=0.0)),
    "ODE + guidance": Variant(replace(SGSS, stochastic=False)),
    "SDE": Variant(replace(SGSS, guidance_scale=0.0)),
    "SGSS": Variant(SGSS),
}
STRENGTHS, STEPS, SCALES = (0.3, 0.5, 0.7, 0.9, 1.0), (4, 10, 20), (0.0, 0.05, 0.2, 0.5, 1.0)


def sweep() -> Iterator[tuple[str, Variant]]:
    """Variants of strength, steps (of the whole schedule), guidance and noise, each about the default."""
    for name in ("ODE", "SGSS"):
        config = VARIANTS[name].config
        for strength in STRENGTHS:
            yield f"{name}, strength {strength}", Variant(replace(config, strength=strength))
        for steps in STEPS:
            yield f"{name}, steps {steps}", Variant(replace(config, schedule_steps=steps))
        yield f"{name}, noise white", Variant(config, white=True)
    for scale in SCALES:
        yield f"SGSS, guidance {scale}", Variant(replace(SGSS, guidance_scale=scale))


class WhitePrior(CompactPrior):
    """The compact prior, which has learnt coloured noise, given white."""

    def colour_noise(self, white: torch.Tensor) -> torch.Tensor:
        return white


@dataclass(frozen=True)
class Start:
    """A coarse layer to start from, encoded; `true` are the true latents (T,3,h,w)."""

    clip: CoarseClip
    encoded: EncodedClip
    true: np.ndarray

    def preserved_error(self, latents: np.ndarray, scale: float) -> float:
        """RMS error, millimetres, of sampled offsets in cells of pinned cloth."""
        cloth = self.encoded.conditions[:, :2].sum(1, keepdim=True) >= MIN_COVERAGE
        kept = ((self.encoded.preserve > PINNED) & cloth).numpy()
        error = ((latents - self.true) ** 2).sum(1, keepdims=True)
        return float(1000 * scale * np.sqrt(error[kept].mean())) if kept.any() else float("nan")


def joints_of(sequence: Sequence) -> np.ndarray:
    """(T,J,3) heads of the limbs' bones, world metres."""
    names = list(sequence.shot.meta.bones)
    chosen = [i for i, name in enumerate(names) if name.split(".")[0] in JOINTS]
    return np.asarray(sequence.shot["bone_pose"][:, chosen][..., :3, 3])


class Study:
    """One sequence with its two starts."""

    def __init__(self, sequence: Sequence, net: DisplacementNet, seed: int) -> None:
        self.judged = Judged.of(sequence)
        self.net, self.seed = net, seed
        self.coarse = {
            "clean": replace(self.judged.clip, vertices=sequence.truth),
            "degraded": degraded(self.judged.clip, joints_of(sequence), seed),
        }
        self.coarse = {name: replace(clip, base=clip.rigid_vertices) for name, clip in self.coarse.items()}
        prior = CompactPrior(net)
        encoded = {name: prior.encode(clip) for name, clip in self.coarse.items()}
        true = encoded["clean"].latents.numpy()
        self.starts = {name: Start(clip, encoded[name], true) for name, clip in self.coarse.items()}

    def sample(self, start: str, variant: Variant) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (T,V,3) and latents (T,3,h,w)."""
        prior = (WhitePrior if variant.white else CompactPrior)(self.net)
        at = self.starts[start]
        return restored(prior, at.clip, at.encoded, replace(variant.config, seed=self.seed))

    def repaired(self) -> np.ndarray:
        """(T,V,3) the degraded layer as the setting `repair` restores it."""
        clip = replace(self.coarse["degraded"], base=self.judged.physics.vertices)
        prior = CompactPrior(self.net)
        return restored(prior, clip, prior.encode(clip), replace(SGSS, seed=self.seed))[0]

    def meshes(self, start: str, variant: Variant) -> Figures:
        """Figures that need no picture."""
        vertices, latents = self.sample(start, variant)
        figures = self.judged.figures(replace(self.judged.truth, pictures=None, vertices=vertices))
        error = self.starts[start].preserved_error(latents, self.net.config["offset_scale"])
        return {**figures, "preserved_error_mm": error}

    def pictures(self, vertices: np.ndarray, perceptual: bool = True) -> Figures:
        """Those of the mesh, and of the picture what this study shows."""
        version, truth, face = self.judged.version(vertices), self.judged.truth, self.judged.setting.face
        assert version.pictures is not None and truth.pictures is not None and face is not None
        assert version.garment is not None and truth.garment is not None
        region, pair = version.garment | truth.garment, (version.pictures, truth.pictures)
        figures = self.judged.figures(replace(truth, pictures=None, vertices=vertices))
        figures |= {"frame_psnr_db": psnr(*pair), "garment_psnr_db": psnr(*pair, region)}
        if perceptual:
            figures["garment_lpips"] = perceptual_distance(*pair, region, EVERY)
            figures["face_lpips"] = face_distance(*pair, face, EVERY)
        return figures

    def claims(self) -> dict[str, Figures]:
        """Figures by "variant / start", with pictures; the coarse layers and the undegraded one among them.

        From the clean start only ODE and SGSS, for their sensitivity to it.
        """
        found = {"coarse / degraded": self.pictures(self.coarse["degraded"].vertices)}
        found["rigid / none"] = self.pictures(self.judged.clip.rigid_vertices)
        found["physics / none"] = self.pictures(self.judged.physics.vertices)
        found["repair / degraded"] = self.pictures(self.repaired())
        for name, variant in VARIANTS.items():
            for start in ("degraded", "clean") if name in ("ODE", "SGSS") else ("degraded",):
                vertices, latents = self.sample(start, variant)
                error = self.starts[start].preserved_error(latents, self.net.config["offset_scale"])
                figures = self.pictures(vertices, perceptual=start == "degraded")
                found[f"{name} / {start}"] = {**figures, "preserved_error_mm": error}
        return found

    def sweep(self) -> dict[str, Figures]:
        return {f"{name} / {start}": self.meshes(start, variant) for name, variant in sweep() for start in self.starts}


def run(what: str, options: argparse.Namespace) -> None:
    net = load_compact_prior(options.prior).net
    for folder in tqdm(chosen(options), desc=what):
        target = OUT / what / f"{folder.name}.json"
        if target.exists():
            continue
        study = Study(load_sequence(folder), net, options.seed)
        found = study.claims() if what == "claims" else study.sweep()
        target.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(target, json.dumps(found, indent=1).encode())


def read(what: str) -> dict[str, dict[str, list[float]]]:
    """Figures of all sequences by "variant / start" and name."""
    collected: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted((OUT / what).glob("*.json")):
        for name, figures in json.loads(path.read_text()).items():
            for key, value in figures.items():
                collected[name][key].append(value)
    return collected


def sensitivity(found: dict[str, dict[str, list[float]]], name: str, key: str) -> tuple[float, float]:
    """Mean and half width of |clean - degraded|, signed so that a better clean start is positive, by sequence."""
    clean, bad = (np.array(found[f"{name} / {start}"][key]) for start in ("clean", "degraded"))
    return mean_ci((clean - bad) * (1 if key.endswith("_db") else -1))


def headline() -> dict[str, float]:
    """The flat figures of the degraded case and of init sensitivity, each with its half width."""
    found = read("claims")
    best, coarse, rigid = found["repair / degraded"], found["coarse / degraded"], found["rigid / none"]

    def paired(key: str, other: dict[str, list[float]], relative: bool) -> tuple[float, float]:
        a, b = np.array(best[key]), np.array(other[key])
        return mean_ci(1 - a / b if relative else a - b)

    def relative(key: str, other: dict[str, list[float]]) -> tuple[float, float]:
        """Of the mean over sequences, since single ones may be next to nothing; the interval is of differences."""
        a, b = np.array(best[key]), np.array(other[key])
        mean, half = mean_ci(a - b)
        return mean / float(np.nanmean(b)), half / float(np.nanmean(b))

    cells = {
        "degraded_psnr_gain_db": paired("frame_psnr_db", coarse, False),
        "degraded_perceptual_reduction": paired("garment_lpips", coarse, True),
        "degraded_identity_change": relative("face_lpips", found["physics / none"]),
        "degraded_identity_change_to_rigid": relative("face_lpips", rigid),
        "init_sensitivity_ode_db": sensitivity(found, "ODE", "garment_psnr_db"),
        "init_sensitivity_sgss_db": sensitivity(found, "SGSS", "garment_psnr_db"),
        "init_sensitivity_ode_cm": sensitivity(found, "ODE", "node_error_cm"),
        "init_sensitivity_sgss_cm": sensitivity(found, "SGSS", "node_error_cm"),
    }
    flat: dict[str, float] = {}
    for name, (mean, half) in cells.items():
        flat[name], flat[f"{name}_ci95"] = mean, half
    return flat


SHOWN = {
    "claims": ("frame_psnr_db", "garment_psnr_db", "garment_lpips", "face_lpips", "preserved_error_mm"),
    "sweep": ("preserved_error_mm",),
}
MESHES = ("node_error_cm", "acceleration_ratio", "amplitude_ratio", "fold_ratio", "edge_p99")


def table(what: str) -> str:
    """Markdown of one study: a line for each variant and start."""
    found = read(what)
    keys = (*SHOWN[what], *MESHES)
    lines = ["| variant / start | " + " | ".join(keys) + " |", "|---" * (len(keys) + 1) + "|"]
    for name, figures in found.items():
        cells = [mean_ci(figures[key]) if key in figures else None for key in keys]
        lines.append(
            f"| {name} | " + " | ".join("-" if c is None else f"{c[0]:.3f} ± {c[1]:.3f}" for c in cells) + " |"
        )
    return "\n".join(lines)


def report() -> None:
    flat = headline()
    write_bytes(Path("out/bench/sampler_study.json"), json.dumps(flat, indent=1).encode())
    text = f"{table('claims')}\n\n{table('sweep')}\n"
    write_bytes(Path("out/bench/sampler_study.md"), text.encode())
    plot_sweep(read("sweep"), Path("out/bench/sampler_study.png"))
    print(text)
    print(json.dumps(flat, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("claims", "sweep", "report"))
    add_choice(parser, "validation")
    parser.add_argument("--prior", type=Path, default=WEIGHTS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.what == "report":
        report()
    else:
        run(options.what, options)


if __name__ == "__main__":
    main()
