"""Signed records prove which bytes were let out."""

from __future__ import annotations

import json
import stat

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support import results

from medsr.errors import IntegrityError, UsageError
from medsr.release import advance, verify_file
from medsr.release.record import signing_key
from medsr.settings import settings


@pytest.fixture
def out(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    made, rules = results.restoration(), results.policy()
    judged = results.judgement(made)
    advance(
        made, judged, results.verdict(made, judged, rules), policy=rules, stored=results.stored_of(made),
        rendered=results.RENDERED, output=tmp_path / "out",
    )  # fmt: skip
    return tmp_path / "out"


def public_pem(key, path):
    path.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return path


def test_an_untouched_result_verifies_by_file_and_by_record(out):
    for name in ("made_restored.nii.gz", "made_restored.json", "made_restored.medsr.json"):
        lines = verify_file(out / name)
        assert any("released (UNVERIFIED)" in line for line in lines)


@pytest.mark.parametrize("name", ["made_restored.nii.gz", "made_restored.json", "report.json", "report.html"])
def test_one_flipped_byte_is_found(out, name):
    data = bytearray((out / name).read_bytes())
    data[len(data) // 2] ^= 1
    (out / name).write_bytes(data)
    with pytest.raises(IntegrityError) as caught:
        verify_file(out / "made_restored.nii.gz")
    assert caught.value.code == "record.hash"


def test_an_edited_record_is_found(out):
    path = out / "made_restored.medsr.json"
    record = json.loads(path.read_bytes())
    record["gate"]["label"] = ""
    path.write_text(json.dumps(record))
    with pytest.raises(IntegrityError) as caught:
        verify_file(path)
    assert caught.value.code == "record.signature"


def test_a_record_of_another_signer_is_found_with_the_signers_key(out, tmp_path):
    own = public_pem(signing_key(), tmp_path / "own.pem")
    assert verify_file(out / "made_restored.nii.gz", key=own)
    with pytest.raises(IntegrityError) as caught:
        verify_file(out / "made_restored.nii.gz", key=public_pem(Ed25519PrivateKey.generate(), tmp_path / "other.pem"))
    assert caught.value.code == "record.signature"


def test_a_missing_file_is_found(out):
    (out / "made_restored.json").unlink()
    with pytest.raises(IntegrityError):
        verify_file(out / "made_restored.nii.gz")


def test_a_file_without_a_record_is_said(tmp_path):
    (tmp_path / "scan.nii.gz").write_bytes(b"x")
    with pytest.raises(UsageError) as caught:
        verify_file(tmp_path / "scan.nii.gz")
    assert caught.value.code == "record.none"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"signature": 3, "public_key": "x"}', "not json"])
def test_a_damaged_record_is_said(tmp_path, text):
    (tmp_path / "x.medsr.json").write_text(text)
    with pytest.raises(IntegrityError) as caught:
        verify_file(tmp_path / "x.medsr.json")
    assert caught.value.code == "record.broken"


def test_the_users_key_is_made_once_and_readable_by_him_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    first = signing_key().private_bytes_raw()
    path = tmp_path / "medsr" / "signing-key.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert signing_key().private_bytes_raw() == first


@pytest.mark.parametrize("content", [None, b"", b"no key"])
def test_a_stated_key_that_is_none_is_an_error(tmp_path, monkeypatch, content):
    if content is not None:
        (tmp_path / "key.pem").write_bytes(content)
    monkeypatch.setenv("MEDSR_SIGNING_KEY", str(tmp_path / "key.pem"))
    settings.cache_clear()
    try:
        with pytest.raises(UsageError) as caught:
            signing_key()
        assert caught.value.code == "record.key"
    finally:
        settings.cache_clear()


def test_a_public_key_of_another_kind_is_an_error(out, tmp_path):
    (tmp_path / "odd.pem").write_text("no key")
    with pytest.raises(UsageError) as caught:
        verify_file(out / "made_restored.nii.gz", key=tmp_path / "odd.pem")
    assert caught.value.code == "record.key"
