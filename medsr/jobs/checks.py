"""Looking for damage: rows that are not what was written, files that do not hash to their names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from medsr.errors import IntegrityError, NotFound
from medsr.jobs.files import open_checked
from medsr.jobs.publish import HASHED, output_hash
from medsr.jobs.rows import checked, sealed
from medsr.jobs.store import Row, Store, many, reading
from medsr.jobs.tables import api_key, artefact, decision, gate, job, result

__all__ = ["Fault", "check_files", "check_rows"]

_PLAIN = frozenset({"row_hash"})
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Fault:
    """One damage: reason code, kind of the object and its id or hash."""

    code: str
    kind: str
    object_id: str


def check_rows(store: Store) -> tuple[Fault, ...]:
    """Every sealed row, the names and hashes of every result, and a pass or decision behind every release."""
    faults: list[Fault] = []
    with reading(store) as connection:
        for name, table, key in (("gate", gate, "job"), ("decision", decision, "id"), ("key", api_key, "id")):
            rows = many(connection, sa.select(table))
            faults += [
                Fault("store.row", name, row[key]) for row in rows if sealed(row, without=_PLAIN) != row["row_hash"]
            ]
        passes = {(row["job"], row["output_sha256"]) for row in _releasing(many(connection, sa.select(gate)), "word")}
        passes |= {
            (row["job"], row["output_sha256"]) for row in _releasing(many(connection, sa.select(decision)), "verdict")
        }
        for row in many(connection, sa.select(job)):
            try:
                checked(row)
            except IntegrityError as error:
                faults.append(Fault(error.code, "job", row["id"]))
            if row["state"] == "released" and (row["id"], row["output_sha256"]) not in passes:
                faults.append(Fault("store.row", "release", row["id"]))
            if row["output_sha256"] is not None:
                listed = sa.select(result).where(result.c.job == row["id"], result.c.kind.in_(HASHED))
                files = {found["name"]: found["sha256"] for found in many(connection, listed)}
                if output_hash(files) != row["output_sha256"]:
                    faults.append(Fault("store.hash", "result", row["id"]))
    return tuple(faults)


def check_files(store: Store) -> Iterator[Fault]:
    """Hash every file that a row keeps; reads the whole store, a fault at a time."""
    last = ""
    while True:
        wanted = sa.select(artefact.c.sha256).where(artefact.c.state == "kept", artefact.c.sha256 > last)
        with reading(store) as connection:
            batch = many(connection, wanted.order_by(artefact.c.sha256).limit(_BATCH))
        if not batch:
            return
        for row in batch:
            try:
                open_checked(store.files, row["sha256"]).close()
            except (NotFound, IntegrityError) as error:
                yield Fault(error.code, "file", row["sha256"])
        last = batch[-1]["sha256"]


def _releasing(rows: list[Row], column: str) -> list[Row]:
    return [row for row in rows if row[column] == "released"]
