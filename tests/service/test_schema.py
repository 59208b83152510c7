"""The OpenAPI document is current, and the api keeps it: schemathesis with all its checks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.serving import served
from support.stores import queued, run

from medsr.service.api import ApiSettings
from medsr.service.api.document import document

SUPPORT = Path(__file__).resolve().parents[1] / "support"
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"


def test_the_document_that_is_kept_is_current():
    """`python -m medsr.service.api.document > docs/openapi.json` writes it again."""
    if not DOCUMENT.is_file():
        pytest.skip("tools/ is not beside the tests: an installed copy has no documentation to compare")
    assert DOCUMENT.read_text(encoding="utf-8") == document()


def test_every_route_documents_its_problems_and_an_example_of_its_body():
    found = json.loads(document())
    for path, item in found["paths"].items():
        for method, operation in item.items():
            place = f"{method} {path}"
            assert operation["description"] or operation["summary"], place
            if path.startswith("/v1"):
                assert "401" in operation["responses"], place
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if body is not None:
                name = body["schema"]["$ref"].rpartition("/")[2]
                assert found["components"]["schemas"][name].get("examples"), place


@pytest.mark.slow
def test_schemathesis_finds_nothing_with_all_its_checks(store, tmp_path):
    """Made requests, well-formed and not, alone and in chains; endless streams and revoked keys are tested elsewhere.

    The same by hand: `schemathesis --config-file tests/support/schemathesis.toml run URL/openapi.json --checks all`.
    """
    for word in ("review", "released"):
        queued(store)
        run(store, tmp_path / word, word, image=b"")
    queued(store)
    program = Path(sys.executable).with_name("schemathesis")
    chosen = ApiSettings(requests_per_s=1e6, failures_per_minute=10**6)
    with served(store, chosen) as api:
        key = api.key("submit", "read", "review", "admin", owner="ward")
        ran = subprocess.run(
            [
                program, "--config-file", SUPPORT / "schemathesis.toml", "run", f"{api.url}/openapi.json",
                "--header", f"Authorization: Bearer {key}", "--checks", "all", "--max-examples", "3", "--seed", "7",
                "--generation-database", "none", "--request-timeout", "10", "--exclude-path-regex",
                "/events$|/v1/keys/", "--suppress-health-check", "all", "--no-color",
            ],
            env={**os.environ, "SCHEMATHESIS_HOOKS": "support.schemathesis_hooks", "PYTHONPATH": str(SUPPORT.parent)},
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]
