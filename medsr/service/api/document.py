"""The OpenAPI document as a file: ``python -m medsr.service.api.document > docs/openapi.json``."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from medsr.jobs.store import close_store, open_store
from medsr.service.api.app import create_app
from medsr.service.api.settings import ApiSettings

__all__ = ["document"]


def document() -> str:
    """The document, in the form in which it is kept."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "store")
        try:
            found = create_app(store, ApiSettings.model_construct()).openapi()
        finally:
            close_store(store)
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
