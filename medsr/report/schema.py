"""The published JSON schema of report.json: ``python -m medsr.report.schema > docs/report-schema.json``."""

from __future__ import annotations

import json
import sys

from medsr.report.document import SCHEMA, Report

__all__ = ["schema_bytes"]


def schema_bytes() -> bytes:
    """The JSON schema (draft 2020-12) of :class:`medsr.report.document.Report`."""
    schema = Report.model_json_schema(by_alias=True, mode="serialization")
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{SCHEMA.replace('/', ':')}",
        **schema,
    }
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"


if __name__ == "__main__":
    sys.stdout.buffer.write(schema_bytes())
