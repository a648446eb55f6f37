"""The models that restoration can use: where they come from, what they hold, what they need."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from .shapes import WanShape

COMPACT = "compact"  # the prior that ships in the package
FUN_CONTROL = "wan2.1-fun-1.3b-control"  # as which a folder of its kind is run


@dataclass(frozen=True)
class ModelFile:
    """One file of a repository; `sha256` is None where it is not known beforehand."""

    path: str
    sha256: str | None = None


@dataclass(frozen=True)
class Distilled:
    """What an adapter for few steps was made for: the names of its priors, and the number of sampling steps."""

    priors: tuple[str, ...]
    steps: int


@dataclass(frozen=True)
class Model:
    """One entry of `registry.toml`, or a model in a folder of the user's (`folder.model_in`).

    Attributes:
        name: what commands and settings call it; of a user's folder its path.
        kind: "prior", or "lora" for an adapter of a prior: low-rank changes, or a few-step base in place of its blocks.
        licence: SPDX name or a sentence.
        commercial: whether the licence allows commercial use.
        gigabytes: size of the download in 1e9 bytes, rounded.
        files: what must be there; a repository may hold more.
        needs: Python packages beyond the project's own.
        pipeline: class that runs it, of diffusers or of this package; None for a lora.
        loader: "module:function" that makes a prior of it, see `ani3dhuman.restoration.loading`; None for a lora and
            where nothing here runs it.
        repository: "owner/name" on the hub; None for what ships and for a user's folder.
        revision: commit hash of the repository; None where it is not pinned.
        local: the user's folder; None for what the registry names.
        parameters: count by component.
        experts: transformers that share the noise levels between them.
        boundary_ratio: noise level (share of the training steps) at which the second expert takes over, or None.
        transformer: shape of one transformer, or None.
        quantised_gb: size of all transformers where they are stored quantised (.gguf), else None.
        distilled: of an adapter for few steps, else None.
        beside: of a prior that is a transformer alone the prior whose VAE and text encoder it runs with, else None.
    """

    name: str
    kind: str
    licence: str
    gigabytes: float
    files: tuple[ModelFile, ...]
    needs: tuple[str, ...]
    notes: str
    pipeline: str | None = None
    loader: str | None = None
    repository: str | None = None
    revision: str | None = None
    local: Path | None = None
    parameters: dict[str, int] | None = None
    experts: int = 1
    boundary_ratio: float | None = None
    transformer: WanShape | None = None
    quantised_gb: float | None = None
    distilled: Distilled | None = None
    beside: str | None = None
    commercial: bool = True

    @property
    def ships(self) -> bool:
        """Whether the package holds it."""
        return self.repository is None and self.local is None

    @property
    def named_only(self) -> bool:
        """Whether nothing of its repository matters but the named files: of an adapter, or of a transformer alone."""
        return self.kind == "lora" or self.beside is not None

    def count(self, component: str) -> int:
        """Parameters of a component, 0 where there is none."""
        return (self.parameters or {}).get(component, 0)

    def weights_gb(self, bytes_each: float) -> float:
        """Gigabytes of all transformers at a precision: 4 float32, 2 bfloat16, 1 float8."""
        return (self.count("transformer") + self.count("transformer_2")) * bytes_each / 1e9


@cache
def known_models() -> dict[str, Model]:
    """All entries by name, in the order of the file."""
    text = resources.files(__package__).joinpath("registry.toml").read_text(encoding="utf-8")
    return {entry["name"]: _read(entry) for entry in tomllib.loads(text)["model"]}


def priors() -> list[Model]:
    """The priors that are Wan networks, smallest first."""
    return [model for model in known_models().values() if model.transformer]


def adapters_of(prior: str) -> list[Model]:
    """The adapters for few steps that are made for a prior and may be offered to anybody."""
    adapters = [model for model in known_models().values() if model.distilled and model.commercial]
    return [model for model in adapters if model.distilled and prior in model.distilled.priors]


def _read(entry: dict[str, Any]) -> Model:
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    fields["files"] = tuple(ModelFile(**file) for file in entry["files"])
    fields["pipeline"] = fields.pop("class", None)
    if "base" in fields:
        fields["distilled"] = Distilled(fields.pop("base"), fields.pop("steps"))
    if "transformer" in entry:
        fields["transformer"] = WanShape.from_config(entry["transformer"])
    return Model(**fields)
