"""A bundle is complete and unchanged, or it is not used."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from support import bundles

from medsr.errors import IntegrityError, MedsrError, Refusal, UsageError
from medsr.models import bundle as module
from medsr.models.bundle import MANIFEST_FILES, bundle_folders, find_bundle, load_bundle, load_network
from medsr.models.catalogue import bundle_record, card, installed, named


def code_of(folder: Path) -> str:
    with pytest.raises(MedsrError) as caught:
        load_network(load_bundle(folder))
    return caught.value.code


def test_a_bundle_gives_back_its_network(tmp_path: Path) -> None:
    made = bundles.bundle(tmp_path / "made")
    assert made.name == "made"
    assert made.tasks == ("denoise", "superres")
    network = load_network(made)
    wanted = bundles.network().state_dict()
    assert all(torch.equal(value, wanted[name].half().float()) for name, value in network.state_dict().items())


@pytest.mark.parametrize("name", [*MANIFEST_FILES, "manifest.json"])
def test_a_missing_file_breaks_the_bundle(tmp_path: Path, name: str) -> None:
    folder = bundles.write(tmp_path / "made")
    (folder / name).unlink()
    assert code_of(folder) == "bundle.broken"


@pytest.mark.parametrize("name", MANIFEST_FILES)
@pytest.mark.parametrize("place", [0, -1])
def test_a_changed_byte_is_found(tmp_path: Path, name: str, place: int) -> None:
    folder = bundles.write(tmp_path / "made")
    data = bytearray((folder / name).read_bytes())
    data[place] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(IntegrityError, match=r"\[bundle\.hash\]"):
        load_bundle(folder)


def test_weights_swapped_after_the_check_are_found(tmp_path: Path) -> None:
    """The bytes that are hashed are the bytes that are loaded."""
    made = bundles.bundle(tmp_path / "made")
    other = bundles.write(tmp_path / "other", weights=bundles.network(seed=1).state_dict())
    (other / "models" / "model.safetensors").replace(made.folder / "models" / "model.safetensors")
    with pytest.raises(IntegrityError, match=r"\[bundle\.hash\]"):
        load_network(made)


def test_the_hash_of_a_bundle_changes_with_any_of_its_files(tmp_path: Path) -> None:
    one = bundles.bundle(tmp_path / "made")
    (one.folder / "configs" / "inference.json").write_bytes(b"{ }")
    assert load_bundle(bundles.seal(one.folder)).sha256 != one.sha256


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    """Overflow of float16 included."""
    weights = dict(bundles.network().state_dict())
    weights["head.bias"] = torch.full_like(weights["head.bias"], value)
    assert code_of(bundles.write(tmp_path / "made", weights=weights)) == "bundle.weights"


def _without(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in weights.items() if name != "tail.bias"}


def _more(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {**weights, "tail.extra": torch.zeros(1)}


def _reshaped(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {**weights, "tail.bias": torch.zeros(7)}


@pytest.mark.parametrize("change", [_without, _more, _reshaped])
def test_weights_of_another_network_are_refused(tmp_path: Path, change: object) -> None:
    folder = bundles.write(tmp_path / "made", weights=change(bundles.network().state_dict()))
    assert code_of(folder) == "bundle.weights"


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    """Even with a manifest that vouches for it, a pickle is no safetensors file and runs nothing."""
    folder = bundles.write(tmp_path / "made")
    flag = tmp_path / "executed"

    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (flag,)

    (folder / "models" / "model.safetensors").write_bytes(pickle.dumps(Payload()))
    assert code_of(bundles.seal(folder)) == "bundle.weights"
    assert not flag.exists()


@pytest.mark.parametrize(
    ("record", "code"),
    [
        ({}, "bundle.broken"),
        ({"tasks": 3}, "bundle.broken"),
        ({"network": "large"}, "bundle.broken"),
        ({"network": {"width": "64"}}, "bundle.network"),
        ({"network": {"width": 0}}, "bundle.network"),
        ({"network": {"slices": 4}}, "bundle.network"),
        ({"network": {"depth": 3}}, "bundle.network"),
    ],
)
def test_a_record_that_says_nonsense_is_refused(tmp_path: Path, record: dict[str, object], code: str) -> None:
    whole = {
        "name": "made", "modality": "MR", "method": "regress", "plane": "inplane", "tasks": ["denoise"],
        "network": bundles.SMALL.to_record(),
    }  # fmt: skip
    folder = bundles.write(tmp_path / "made", record={**whole, **record} if record else {})
    assert code_of(folder) == code


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"files": []}', '{"files": {"a": "b"}}'])
def test_a_manifest_that_says_nonsense_is_refused(tmp_path: Path, text: str) -> None:
    folder = bundles.write(tmp_path / "made")
    (folder / "manifest.json").write_text(text)
    with pytest.raises(Refusal, match=r"\[bundle\.broken\]"):
        load_bundle(folder)


def test_metadata_without_a_medsr_section_are_refused(tmp_path: Path) -> None:
    folder = bundles.write(tmp_path / "made")
    (folder / "configs" / "metadata.json").write_text(json.dumps({"version": "1"}))
    assert code_of(bundles.seal(folder)) == "bundle.broken"


def test_the_bundle_that_serves_a_task_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [bundles.write(tmp_path / "a", "CT"), bundles.write(tmp_path / "b", "MR")]
    monkeypatch.setattr(module, "bundle_folders", lambda: folders)
    assert find_bundle("MR", task="denoise").name == "b"
    assert find_bundle("CT", task="superres").name == "a"
    for wanted in (
        {"task": "inpaint"},
        {"task": "denoise", "method": "gan"},
        {"task": "denoise", "through_plane": True},
    ):
        with pytest.raises(UsageError, match=r"\[bundle\.none\]"):
            find_bundle("MR", **wanted)


def test_every_shipped_bundle_is_whole() -> None:
    """Verified, loadable, with a card and a licence."""
    found = installed()
    assert {"mr-inplane", "ct-inplane"} <= {made.name for made in found}
    for made in found:
        assert bundle_record(made)["sha256_short"] == made.sha256[:12]
        assert "Not a medical device" in card(made)
        assert (made.folder / "LICENSE").is_file()
        load_network(made)


def test_an_unknown_name_is_told_with_what_there_is() -> None:
    with pytest.raises(UsageError, match=r"no bundle 'none' among .*mr-inplane.* \[bundle\.unknown\]"):
        named("none")


def test_a_bundle_without_a_card_says_so(tmp_path: Path) -> None:
    made = bundles.bundle(tmp_path / "made")
    (made.folder / "docs" / "README.md").unlink()
    with pytest.raises(Refusal, match=r"\[bundle\.broken\]"):
        card(made)


def test_folders_are_sorted_by_name() -> None:
    names = [folder.name for folder in bundle_folders()]
    assert names == sorted(names)
