"""Prompts as embeddings of a text encoder, made once, kept by the prompt's hash.

The encoder of the real models takes 11 to 23 GB, more than anything else, and is needed for a second. It is
loaded when a prompt is met that has no embedding yet, and let go before the video is touched.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from ani3d_formats.atomic import write_bytes
from ani3d_formats.errors import Ani3DError

TextModel = tuple[Any, Any]
"""A tokenizer and its encoder (UMT5 for Wan, T5 for LTX-Video), as diffusers' pipelines hold them."""


class PromptEncoder:
    """Turns prompts into embeddings and remembers them.

    Args:
        load: gives tokenizer and encoder; called when a prompt is new, and forgotten again after it.
        model_key: names the encoder's weights, so that a folder of embeddings may serve several models.
        folder: where embeddings are kept between runs (one safetensors file each), or None.
        max_tokens: of a prompt, its end mark included.
    """

    def __init__(
        self,
        load: Callable[[], TextModel],
        model_key: str,
        folder: Path | None = None,
        max_tokens: int = 512,
    ) -> None:
        self.max_tokens = max_tokens
        self._load = load
        self._model_key = model_key
        self._folder = folder
        self._known: dict[str, torch.Tensor] = {}

    def encode(self, prompts: Sequence[str]) -> list[torch.Tensor]:
        """Embeddings (1,max_tokens,D) of each prompt, on the CPU in the encoder's precision, 0 behind the prompt's end.

        Runs of white space count as one space.

        Raises:
            Ani3DError: ``restoration.prompt_length``: a prompt has more than `max_tokens` tokens. Pipelines would
                cut it silently.
        """
        clean = [" ".join(prompt.split()) for prompt in prompts]
        missing = [text for text in dict.fromkeys(clean) if not self._recall(text)]
        if missing:
            tokenizer, encoder = self._load()
            for text in missing:
                self._keep(text, self._embed(tokenizer, encoder, text))
        return [self._padded(self._known[self._key(text)]) for text in clean]

    @torch.no_grad()
    def _embed(self, tokenizer: Any, encoder: Any, text: str) -> torch.Tensor:
        tokens = tokenizer(text, add_special_tokens=True, return_tensors="pt").input_ids
        if tokens.shape[1] > self.max_tokens:
            raise Ani3DError(
                "restoration.prompt_length",
                f"The prompt '{text[:40]}..' has {tokens.shape[1]} tokens; the model reads {self.max_tokens}.",
                "Shorten it: a token is about three quarters of an English word.",
            )
        return encoder(tokens.to(encoder.device)).last_hidden_state[0].cpu()

    def _padded(self, embedding: torch.Tensor) -> torch.Tensor:
        rest = embedding.new_zeros(self.max_tokens - len(embedding), embedding.shape[1])
        return torch.cat([embedding, rest])[None]

    def _key(self, text: str) -> str:
        return hashlib.sha256(json.dumps([self._model_key, self.max_tokens, text]).encode()).hexdigest()

    def _path(self, text: str) -> Path | None:
        return self._folder and self._folder / f"prompt-{self._key(text)[:32]}.safetensors"

    def _recall(self, text: str) -> bool:
        """Whether the embedding is known, after a look into the folder; a damaged file counts as none."""
        key, path = self._key(text), self._path(text)
        if key not in self._known and path is not None and path.is_file():
            try:
                self._known[key] = safetensors.torch.load_file(path)["embedding"]
            except (OSError, KeyError, safetensors.SafetensorError):
                return False
        return key in self._known

    def _keep(self, text: str, embedding: torch.Tensor) -> None:
        self._known[self._key(text)] = embedding
        path = self._path(text)
        if path is not None:
            write_bytes(path, safetensors.torch.save({"embedding": embedding.contiguous()}))
