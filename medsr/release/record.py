"""Signed records: which bytes the gate let out, under which judgement, provable without medsr's own word for it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from medsr.errors import IntegrityError, UsageError
from medsr.resources import write_bytes
from medsr.settings import settings

__all__ = ["RECORD_SUFFIX", "file_sha256", "parse_signed", "signed", "signing_key", "verify_file"]

RECORD_SUFFIX = ".medsr.json"
_LARGEST_RECORD = 1 << 20


def signing_key() -> Ed25519PrivateKey:
    """The key of MEDSR_SIGNING_KEY, else the user's own, made with mode 0600 at first use.

    Raises
    ------
    UsageError : ``record.key``, if the file is no Ed25519 private key.
    """
    stated = settings().signing_key
    path = stated or Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "medsr" / "signing-key.pem"
    if not path.is_file():
        if stated:
            raise UsageError("record.key", f"MEDSR_SIGNING_KEY names {path.name}, which is not there")
        make_signing_key(path)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise UsageError("record.key", f"{path.name} holds no private key without password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError("record.key", f"{path.name} holds a key of another kind than Ed25519")
    return key


def signed(record: Mapping[str, object], key: Ed25519PrivateKey) -> bytes:
    """A record with its public key and signature, as UTF-8 JSON.

    The signature is over the canonical form (sorted keys, no spaces) of everything but itself.
    """
    public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    body = {**record, "public_key": base64.b64encode(public).decode()}
    signature = base64.b64encode(key.sign(_canonical(body))).decode()
    text = json.dumps({**body, "signature": signature}, indent=2, sort_keys=True, ensure_ascii=False)
    return (text + "\n").encode()


def parse_signed(path: Path, *, key: Path | None = None) -> dict[str, object]:
    """Read a signed record and check its signature against its own or the given public key (PEM).

    Raises
    ------
    IntegrityError : ``record.broken``, ``record.signature``.
    UsageError : ``record.key``, if `key` is no Ed25519 public key.
    """
    try:
        if path.stat().st_size > _LARGEST_RECORD:
            raise IntegrityError("record.broken", f"{path.name} is larger than any record")
        record = json.loads(path.read_bytes())
        body = {name: value for name, value in record.items() if name != "signature"}
        signature = base64.b64decode(record["signature"], validate=True)
        own = Ed25519PublicKey.from_public_bytes(base64.b64decode(record["public_key"], validate=True))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError("record.broken", f"{path.name} is no signed record") from error
    public = own if key is None else _public_key(key)
    try:
        public.verify(signature, _canonical(body))
    except InvalidSignature as error:
        raise IntegrityError("record.signature", f"the signature of {path.name} is not of that key") from error
    return cast(dict[str, object], record)


def verify_file(path: Path, *, key: Path | None = None) -> list[str]:
    """Check a result, or all that a record lists, against the signed record; returns what to tell the user.

    Raises
    ------
    UsageError : ``record.none``, if no record beside the file lists it.
    IntegrityError : ``record.hash`` for changed or missing bytes, ``record.signature``, ``record.broken``.
    """
    place = path if path.name.endswith(RECORD_SUFFIX) else _record_of(path)
    record = parse_signed(place, key=key)
    files = cast(Mapping[str, str], record["files"])
    for name, wanted in files.items():
        _check(place.parent / name, wanted)
    for name, wanted in cast(Mapping[str, str], record.get("reports", {})).items():
        beside = [folder / name for folder in (place.parent, place.parent.parent) if (folder / name).is_file()]
        if beside:
            _check(beside[0], wanted)
    gate = cast(Mapping[str, object], record["gate"])
    label = f" ({gate['label']})" if gate.get("label") else ""
    fingerprint = hashlib.sha256(base64.b64decode(str(record["public_key"]))).hexdigest()[:16]
    whose = "the key you gave" if key else f"the key {fingerprint}, which the record itself names: compare it"
    return [
        f"{', '.join(files)}: unchanged since medsr judged {'it' if len(files) == 1 else 'them'}",
        f"gate: {gate['word']}{label}, policy {gate['policy']}",
        f"signed by {whose}",
    ]


def file_sha256(path: Path) -> str:
    """sha256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check(path: Path, wanted: str) -> None:
    if not path.is_file():
        raise IntegrityError("record.hash", f"{path.name} is missing beside its record")
    found = file_sha256(path)
    if found != wanted:
        raise IntegrityError("record.hash", f"{path.name} hashes to {found[:12]}, its record says {wanted[:12]}")


def _record_of(path: Path) -> Path:
    root = path.parent
    for place in sorted({*root.glob(f"*{RECORD_SUFFIX}"), *root.parent.glob(f"*{RECORD_SUFFIX}")}):
        record = parse_signed(place)
        files = record.get("files")
        inside = path.resolve().relative_to(place.parent.resolve()).as_posix()
        if isinstance(files, dict) and inside in files:
            return place
    raise UsageError("record.none", f"no signed record beside {path.name} lists it")


def _canonical(body: Mapping[str, object]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def make_signing_key(path: Path) -> None:
    """Write a new Ed25519 private key, for its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_bytes(path, pem, mode=0o600)


def _public_key(path: Path) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError("record.key", f"{path.name} holds no public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError("record.key", f"{path.name} holds a key of another kind than Ed25519")
    return key
