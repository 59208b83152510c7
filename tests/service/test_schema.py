"""The OpenAPI document is current, and the api keeps it: schemathesis with all its checks."""

from __future__ import annotations

from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.config import SchemathesisConfig
from support.serving import served
from support.stores import SCAN, held_job, queued, run, upload

from medsr.jobs.keys import add_key
from medsr.jobs.store import close_store, open_store
from medsr.service.api import ApiSettings
from medsr.service.api.document import document

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"


def test_the_document_that_is_kept_is_current():
    """`python -m medsr.service.api.document > docs/openapi.json` writes it again."""
    if not DOCUMENT.is_file():
        pytest.skip("tools/ is not beside the tests: an installed copy has no documentation to compare")
    assert DOCUMENT.read_text(encoding="utf-8") == document()


def test_every_route_documents_its_problems_and_an_example_of_its_body():
    import json

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
