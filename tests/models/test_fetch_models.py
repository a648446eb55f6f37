"""Fetching from the hub: whole, resumed, refused, offline. The hub is a stand-in on this machine."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from diffusers import WanVACETransformer3DModel
from hub_stand_in import COMMIT, FILES, SHARDS
from tiny_networks import transformer

from ani3d_formats.errors import Ani3DError, Cancelled
from ani3dhuman.models import store
from ani3dhuman.models.fetch import fetch
from ani3dhuman.models.registry import ModelFile
from ani3dhuman.models.store import LOCK, local_path, sha256_of, verify

WANTED = set(FILES) - {"README.md", "transformer/training_state.bin", "whole_model.safetensors"}


def files_in(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_fetch_takes_components_only_and_writes_the_lock(tiny, hub, root):
    folder = fetch("tiny", root)
    assert folder == root / "tiny" == local_path("tiny", root)
    assert files_in(folder) == WANTED | {LOCK}
    for name in WANTED:
        assert (folder / name).read_bytes() == FILES[name]
    lock = json.loads((folder / LOCK).read_text())
    assert lock["revision"] == COMMIT and set(lock["files"]) == WANTED
    assert lock["files"]["tokenizer/spiece.model"] == sha256_of(folder / "tokenizer/spiece.model")
    assert "as the lock says" in str(verify("tiny", root))


def test_fetched_networks_load_and_are_those_that_were_saved(tiny, hub, root, tmp_path):
    network = transformer()
    network.save_pretrained(tmp_path / "saved", max_shard_size="300KB")
    for name in [name for name in hub.files if name.startswith("transformer/")]:
        del hub.files[name]
    for path in (tmp_path / "saved").iterdir():
        hub.files[f"transformer/{path.name}"] = path.read_bytes()
    assert sum(name.endswith(".safetensors") for name in hub.files) > 2  # several shards and their index
    fetch("tiny", root)
    loaded = WanVACETransformer3DModel.from_pretrained(local_path("tiny", root), subfolder="transformer")
    for one, other in zip(network.parameters(), loaded.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_second_fetch_downloads_nothing(tiny, hub, root):
    fetch("tiny", root)
    hub.asked.clear()
    fetch("tiny", root)
    assert hub.asked == []


def test_cancelled_fetch_goes_on_from_the_byte_where_it_ended(tiny, hub, root):
    big = next(iter(SHARDS))
    hub.files[big] = bytes(range(256)) * 100_000  # 25.6 MB: more than one piece
    seen = []

    def stop():
        return any(report.stage == "fetching" and report.step > 12_000_000 for report in seen)

    with pytest.raises(Cancelled):
        fetch("tiny", root, listener=seen.append, should_cancel=stop)
    partial = next((root / "tiny").rglob("*.partial"))
    done = partial.stat().st_size
    assert 0 < done < len(hub.files[big])
    with pytest.raises(Ani3DError, match="ani3dhuman models fetch tiny"):
        local_path("tiny", root)
    hub.asked.clear()
    folder = fetch("tiny", root)
    assert (big, done) in hub.asked
    assert (folder / big).read_bytes() == hub.files[big]
    assert not list(folder.rglob("*.partial"))


def test_broken_connection_is_mended_within_one_fetch(tiny, hub, root):
    hub.break_after = 100_000
    folder = fetch("tiny", root)
    assert [name for name, _ in hub.asked].count(next(iter(SHARDS))) == 2
    for name, data in SHARDS.items():
        assert (folder / name).read_bytes() == data


def test_corrupt_download_is_named_and_removed_then_mended(tiny, hub, root):
    hub.corrupt = True
    with pytest.raises(Ani3DError) as caught:
        fetch("tiny", root)
    assert caught.value.code == "models.wrong_hash" and "model-00001" in caught.value.message
    hub.corrupt = False
    fetch("tiny", root)


def test_damaged_file_is_found_by_verify_and_fetched_again(tiny, hub, root):
    folder = fetch("tiny", root)
    shard = folder / next(iter(SHARDS))
    shard.write_bytes(b"\0" * shard.stat().st_size)
    with pytest.raises(Ani3DError, match="models fetch tiny") as caught:
        verify("tiny", root)
    assert caught.value.code == "models.wrong_hash" and shard.name in caught.value.message
    fetch("tiny", root)
    assert verify("tiny", root).lock == len(WANTED)


def test_registry_hash_outranks_what_the_hub_says(tiny, change, hub, root):
    path = next(iter(SHARDS))
    change(files=(*tiny.files, ModelFile(path, "f" * 64)))
    with pytest.raises(Ani3DError) as caught:
        fetch("tiny", root)
    assert caught.value.code == "models.wrong_hash"


def test_component_with_pickles_only_is_refused_before_anything_is_fetched(tiny, hub, root):
    hub.files["vae/diffusion_pytorch_model.bin"] = b"a pickle"
    with pytest.raises(Ani3DError) as caught:
        fetch("tiny", root)
    assert caught.value.code == "models.pickle" and "vae/diffusion_pytorch_model.bin" in caught.value.message
    assert hub.asked == []


def test_adapter_takes_its_own_files_only(tiny, change, hub, root):
    hub.files |= {"one.safetensors": b"1", "two.safetensors": b"2", "other/old.pth": b"a pickle"}
    change(kind="lora", files=(ModelFile("one.safetensors"),))
    assert files_in(fetch("tiny", root)) == {"one.safetensors", LOCK}


def test_copied_pickle_is_refused_when_it_would_be_used(tiny, hub, root):
    folder = fetch("tiny", root)
    (folder / "vae").mkdir()
    (folder / "vae" / "weights.ckpt").write_bytes(b"")
    with pytest.raises(Ani3DError) as caught:
        local_path("tiny", root)
    assert caught.value.code == "models.pickle"


def test_unpinned_model_is_pinned_by_the_lock(tiny, change, hub, root):
    change(revision=None)
    fetch("tiny", root)
    assert verify("tiny", root).revision == COMMIT


def test_missing_commit_and_missing_file_are_said(tiny, change, hub, root):
    change(revision="f" * 40)
    with pytest.raises(Ani3DError) as caught:
        fetch("tiny", root)
    assert caught.value.code == "models.repository" and "f" * 40 in caught.value.message
    change(files=(*tiny.files, ModelFile("vae/config.json", "")))
    with pytest.raises(Ani3DError, match=r"lacks vae/config\.json"):
        fetch("tiny", root)


def test_no_network_says_how_to_fetch_elsewhere_and_a_copy_works(tiny, hub, root, tmp_path, monkeypatch):
    import huggingface_hub.constants as constants

    elsewhere = fetch("tiny", tmp_path / "elsewhere")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(Ani3DError) as caught:
        fetch("tiny", root)
    assert caught.value.code == "models.offline"
    assert f"hf download someone/tiny --revision {COMMIT}" in caught.value.hint
    assert str(root / "tiny") in caught.value.hint
    shutil.copytree(elsewhere, root / "tiny")
    assert fetch("tiny", root, offline=True) == root / "tiny"
    assert verify("tiny", root).lock == len(WANTED)


def test_offline_touches_no_network(tiny, hub, root):
    with pytest.raises(Ani3DError) as caught:
        fetch("tiny", root, offline=True)
    assert caught.value.code == "models.offline" and hub.asked == []


def test_full_disk_is_said_before_anything_is_fetched(tiny, hub, root, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(Ani3DError) as caught:
        fetch("tiny", root)
    assert caught.value.code == "models.disk" and hub.asked == []


def test_missing_shard_is_named(tiny, hub, root):
    folder = fetch("tiny", root)
    (folder / LOCK).unlink()  # as when the folder was copied by other means
    shard = next(iter(SHARDS))
    (folder / shard).unlink()
    with pytest.raises(Ani3DError, match="model-00001-of-00002") as caught:
        local_path("tiny", root)
    assert caught.value.code == "models.missing"


def test_folder_without_lock_is_said_to_be_unchecked(tiny, hub, root):
    folder = fetch("tiny", root)
    (folder / LOCK).unlink()
    assert "no hash known; not pinned" in str(verify("tiny", root))


def test_root_comes_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv(store.ROOT_VARIABLE, str(tmp_path))
    assert store.default_root() == tmp_path
    monkeypatch.delenv(store.ROOT_VARIABLE)
    monkeypatch.setattr(store.sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert store.default_root() == tmp_path / "data" / "ani3dhuman" / "models"
