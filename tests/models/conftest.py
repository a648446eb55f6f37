"""A tiny model in the registry, and a stand-in for the hub that has it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hub_stand_in import COMMIT, FILES, Hub, serve

from ani3dhuman.models import registry as registry_module
from ani3dhuman.models.registry import Model, ModelFile


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Model:
    """A registry of one pinned prior called "tiny"."""
    model = Model(
        name="tiny",
        kind="prior",
        licence="CC0",
        gigabytes=0.0006,
        files=(ModelFile("model_index.json"), ModelFile("transformer/config.json")),
        needs=(),
        notes="",
        repository="someone/tiny",
        revision=COMMIT,
    )
    monkeypatch.setattr(registry_module, "known_models", lambda: {"tiny": model})
    return model


@pytest.fixture
def change(monkeypatch: pytest.MonkeyPatch, tiny: Model):
    """Replace fields of the tiny model in the registry."""

    def apply(**fields: object) -> None:
        model = replace(tiny, **fields)
        monkeypatch.setattr(registry_module, "known_models", lambda: {"tiny": model})

    return apply


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The stand-in, which the code takes for the hub."""
    import huggingface_hub.constants as constants

    with serve(dict(FILES), "someone/tiny") as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        template = running.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield running


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"
