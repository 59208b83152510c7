"""STOW-RS: a study in, one input out."""

from __future__ import annotations

import io
import zipfile

import pytest
from support.serving import nothing_left, problem, served

from medsr.jobs.files import file_path
from medsr.service.api import ApiSettings

OBJECT = bytes(128) + b"DICM" + b"payload" * 50
HEADERS = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'}


def study(*payloads: bytes, media_type: str = "application/dicom") -> bytes:
    pieces = [b"--b\r\nContent-Type: " + media_type.encode() + b"\r\n\r\n" + one + b"\r\n" for one in payloads]
    return b"".join(pieces) + b"--b--\r\n"


def test_a_study_becomes_one_input_that_holds_every_object(api, store):
    others = [OBJECT + bytes([number]) * 3_000_000 for number in range(2)]
    client = api.client("submit")
    answer = client.post("/v1/studies", content=study(OBJECT, *others), headers=HEADERS)
    assert (answer.status_code, answer.json()) == (200, {})
    found = client.get(answer.headers["location"]).json()
    with zipfile.ZipFile(io.BytesIO(file_path(store.files, found["sha256"]).read_bytes())) as archive:
        assert [archive.read(name) for name in archive.namelist()] == [OBJECT, *others]
    assert (found["kind"], nothing_left(store)) == ("zip", True)


def test_the_same_study_is_the_same_input(api):
    client = api.client("submit")
    first, second = (client.post("/v1/studies", content=study(OBJECT), headers=HEADERS) for _ in range(2))
    assert first.headers["location"] == second.headers["location"]


def test_a_part_that_is_no_object_fails_alone(api):
    answer = api.client("submit").post("/v1/studies", content=study(OBJECT, b"no object"), headers=HEADERS)
    assert answer.status_code == 202
    assert answer.json() == {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0xC000]}}]}}
    assert answer.headers["content-type"] == "application/dicom+json"


@pytest.mark.parametrize(
    "body",
    [study(b"nothing", b""), study(OBJECT, media_type="application/pdf"), b"--b--\r\n"],
    ids=["text", "pdf", "none"],
)
def test_where_no_part_is_an_object_nothing_is_stored(api, store, body):
    problem(api.client("submit").post("/v1/studies", content=body, headers=HEADERS), 409, "studies.none_stored")
    assert nothing_left(store)


def test_a28_a_cut_body_and_a_foreign_type_are_refused(api, store):
    client = api.client("submit")
    problem(client.post("/v1/studies", content=study(OBJECT)[:-8], headers=HEADERS), 400, "studies.multipart")
    wrong = {"Content-Type": "multipart/form-data; boundary=b"}
    problem(client.post("/v1/studies", content=study(OBJECT), headers=wrong), 415, "studies.media_type")
    assert nothing_left(store)


def test_a28_floods_of_parts_and_bytes_end_at_their_limits(store):
    with served(store, ApiSettings(max_objects=10, max_object_bytes=1 << 20, max_upload_bytes=2 << 20)) as api:
        client = api.client("submit")
        many = client.post("/v1/studies", content=study(*[b"x"] * 100), headers=HEADERS)
        problem(many, 413, "io.too_many")
        for size, count in ((2 << 20, 1), (900_000, 5)):
            large = client.post("/v1/studies", content=study(*[OBJECT + bytes(size)] * count), headers=HEADERS)
            problem(large, 413, "http.too_large")
    assert nothing_left(store)
