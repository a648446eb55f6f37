"""A model's folder in the layout of diffusers repositories, checked before anything is loaded; nothing is fetched.

folder/model_index.json        the class of the pipeline and of each part
folder/vae/, transformer/, ..  config.json and weights as safetensors, sharded or not
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from ani3d_formats.errors import Ani3DError

from .prompts import PromptEncoder, TextModel

FETCH = "Fetch the model again, whole and in diffusers' layout."


@dataclass(frozen=True)
class Family:
    """What a kind of model looks like on disk.

    Attributes:
        name: for messages, such as "Wan VACE".
        code: of its errors, ``restoration.CODE_missing`` and so on.
        pipeline: class of diffusers that model_index.json must name.
        classes: class of each part that is loaded.
        example: a model of that kind.
    """

    name: str
    code: str
    pipeline: str
    classes: Mapping[str, str]
    example: str


@dataclass(frozen=True)
class DiffusersFolder:
    """One such folder.

    All methods raise `Ani3DError`: ``restoration.CODE_missing``: no such folder, or none of a pipeline;
    ``restoration.CODE_class``: it holds another kind of model; ``restoration.CODE_partial``: files or weights are
    missing or damaged.
    """

    path: Path
    family: Family

    @cached_property
    def index(self) -> dict[str, Any]:
        """What `model_index.json` says, which is the family's pipeline."""
        path = self.path / "model_index.json"
        if not path.is_file():
            raise Ani3DError(
                f"restoration.{self.family.code}_missing",
                f"There is no {self.family.name} model in {self.path}: model_index.json is missing.",
                "Give the folder that holds model_index.json, or fetch the model first.",
            )
        try:
            index: dict[str, Any] = json.loads(path.read_text())
            name = index["_class_name"]
        except (ValueError, KeyError, TypeError) as error:
            raise Ani3DError(
                f"restoration.{self.family.code}_partial", f"{path} cannot be read: {error}.", FETCH
            ) from error
        if name != self.family.pipeline:
            raise self._other_class_error(f"{self.path} holds a {name}, not a {self.family.pipeline}.")
        return index

    def check(self, part: str, weights: str = "*.safetensors") -> None:
        """Raise unless a part is of the right class and all its files are there; `weights` is their pattern."""
        wanted = self.family.classes[part]
        name = (self.index.get(part) or [None, None])[1]
        if name != wanted:
            raise self._other_class_error(f"The {part} in {self.path} is a {name}, expected {wanted}.")
        if not (self.path / part / "config.json").is_file():
            raise self.partial_error(f"{part}/config.json")
        for shards in (self.path / part).glob("*.safetensors.index.json"):
            try:
                names = set(json.loads(shards.read_text())["weight_map"].values())
            except (ValueError, KeyError, AttributeError) as error:
                raise self.partial_error(f"a readable {part}/{shards.name}") from error
            lost = sorted(name for name in names if not (self.path / part / name).is_file())
            if lost:
                raise self.partial_error(", ".join(f"{part}/{name}" for name in lost))
        if not any((self.path / part).glob(weights)):
            raise self.partial_error(f"{part}/{weights}")

    def load(self, part: str, kind: Any, dtype: torch.dtype) -> Any:
        """A part as a network of diffusers or transformers, in eval mode; weights left to chance are an error."""
        with self.loading():
            network, report = kind.from_pretrained(
                self.path / part, torch_dtype=dtype, local_files_only=True, use_safetensors=True,
                output_loading_info=True,
            )  # fmt: skip
        lost = sorted(report["missing_keys"])
        if lost:
            raise self.partial_error(f"{len(lost)} weights, {lost[0]} first")
        return network.eval()

    def prompt_encoder(
        self,
        encoder: Any,
        tokenizer: Any,
        words: tuple[str, ...],
        *,
        dtype: torch.dtype,
        device: str | torch.device,
        cache: Path | None,
        max_tokens: int,
    ) -> PromptEncoder:
        """The prompt encoder; its weights are read when the first new prompt comes, and let go after it.

        Args:
            encoder, tokenizer: classes of transformers.
            words: names of the vocabulary's file in tokenizer/, of which one must be there.
            dtype, device: of the encoder.
            cache: folder that keeps embeddings, or None.
            max_tokens: of a prompt.
        """
        self.check("text_encoder")
        vocabulary = next((self.path / "tokenizer" / name for name in words if self._has("tokenizer", name)), None)
        if vocabulary is None:
            raise self.partial_error(f"tokenizer/{words[0]}")
        files = sorted((self.path / "text_encoder").glob("*.safetensors"))
        digest = hashlib.sha256((self.path / "text_encoder" / "config.json").read_bytes() + vocabulary.read_bytes())
        digest.update(json.dumps([str(dtype), *[(file.name, file.stat().st_size) for file in files]]).encode())

        def load() -> TextModel:
            with self.loading():
                tokens = tokenizer.from_pretrained(self.path / "tokenizer", local_files_only=True)
            return tokens, self.load("text_encoder", encoder, dtype).to(device)

        return PromptEncoder(load, digest.hexdigest(), cache, max_tokens)

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Turn what the libraries raise about damaged files into an error that says what to do."""
        try:
            yield
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise Ani3DError(
                f"restoration.{self.family.code}_partial", f"The model in {self.path} cannot be loaded: {error}.", FETCH
            ) from error

    def partial_error(self, lost: str) -> Ani3DError:
        """The error for something that is not there."""
        return Ani3DError(
            f"restoration.{self.family.code}_partial",
            f"The model in {self.path} is not whole: {lost} is missing.",
            FETCH,
        )

    def _other_class_error(self, message: str) -> Ani3DError:
        return Ani3DError(
            f"restoration.{self.family.code}_class",
            message,
            f"Use a {self.family.name} model in diffusers' layout, such as {self.family.example}.",
        )

    def _has(self, part: str, name: str) -> bool:
        return (self.path / part / name).is_file()


def models_key(*networks: Any) -> str:
    """Hash of configurations and of the first numbers of every weight: tells models apart, not single bits."""
    digest = hashlib.sha256()
    for network in networks:
        if network is None:
            continue
        config = network.config if isinstance(network.config, Mapping) else network.config.to_dict()
        shape = {name: value for name, value in config.items() if not name.startswith("_")}
        digest.update(json.dumps(shape, sort_keys=True, default=list).encode())
        for name, weight in network.named_parameters():
            digest.update(f"{name}{tuple(weight.shape)}{weight.dtype}".encode())
            digest.update(weight.detach().flatten()[:8].float().cpu().numpy().tobytes())
    return digest.hexdigest()
