"""The tables, alike on SQLite and PostgreSQL. Times are seconds since 1970 (UTC); JSON stands as canonical text.

`job.lease_until` alone is on the store's steady clock (`Store.steady`), of which `lease_epoch` names the start.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)  # fmt: skip

__all__ = [
    "METADATA", "api_key", "artefact", "audit", "audit_head", "decision", "event", "gate", "idempotency", "input_",
    "job", "outbox", "result", "session", "stage",
]  # fmt: skip

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_ID, _SHA = String(36), String(64)


def _sha(name: str, *, needed: bool = True) -> Column[str]:
    return Column(name, _SHA, nullable=not needed)


def _job_id(*, primary: bool = False) -> Column[str]:
    return Column("job", _ID, ForeignKey("job.id"), primary_key=primary, nullable=False)


job = Table(
    "job", METADATA,
    Column("id", _ID, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("owner", String(64), nullable=False),
    Column("api_key", String(64), nullable=False),
    Column("created", Double, nullable=False),
    Column("updated", Double, nullable=False),
    Column("started", Double),
    Column("finished", Double),
    Column("kind", String(16), nullable=False),
    Column("request", Text, nullable=False),
    _sha("input_sha256"),
    _sha("candidate_sha256", needed=False),
    Column("bundle", String(128)),
    _sha("bundle_sha256", needed=False),
    Column("policy", String(128), nullable=False),
    _sha("policy_sha256"),
    _sha("configuration_sha256"),
    _sha("calibration_sha256", needed=False),
    Column("token", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("worker", String(128)),
    Column("lease_epoch", String(64)),
    Column("lease_until", Double),
    Column("stage", String(32)),
    Column("fraction", Double, nullable=False),
    Column("cancel", Boolean, nullable=False),
    Column("reason", String(64)),
    Column("verdict", String(16)),
    Column("label", String(32)),
    Column("summary", Text),
    _sha("output_sha256", needed=False),
    Column("superseded_by", _ID),
    _sha("row_hash"),
)  # fmt: skip
Index("ix_job_queue", job.c.state, job.c.priority.desc(), job.c.created, job.c.id)
Index("ix_job_list", job.c.created.desc(), job.c.id.desc())
Index("ix_job_owner", job.c.owner, job.c.created.desc(), job.c.id.desc())
Index("ix_job_input", job.c.input_sha256)

event = Table(
    "event", METADATA,
    _job_id(primary=True),
    Column("seq", Integer, primary_key=True),
    Column("at", Double, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("data", Text, nullable=False),
)  # fmt: skip

artefact = Table(
    "artefact", METADATA,
    Column("sha256", _SHA, primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created", Double, nullable=False),
)  # fmt: skip

input_ = Table(
    "input", METADATA,
    Column("sha256", _SHA, ForeignKey("artefact.sha256"), primary_key=True),
    Column("owner", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("created", Double, nullable=False),
    _sha("study_sha256", needed=False),
)  # fmt: skip
Index("ix_input_study", input_.c.study_sha256)

result = Table(
    "result", METADATA,
    _job_id(primary=True),
    Column("name", String(255), primary_key=True),
    Column("sha256", _SHA, ForeignKey("artefact.sha256"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("bytes", BigInteger, nullable=False),
)  # fmt: skip
Index("ix_result_sha256", result.c.sha256)

stage = Table(
    "stage", METADATA,
    Column("input_sha256", _SHA, primary_key=True),
    Column("bundle_sha256", _SHA, primary_key=True),
    Column("configuration_sha256", _SHA, primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("sha256", _SHA, ForeignKey("artefact.sha256"), nullable=False),
    Column("created", Double, nullable=False),
)  # fmt: skip
Index("ix_stage_sha256", stage.c.sha256)

gate = Table(
    "gate", METADATA,
    _job_id(primary=True),
    Column("output_sha256", _SHA, primary_key=True),
    Column("word", String(16), nullable=False),
    Column("reasons", Text, nullable=False),
    _sha("pixels_sha256"),
    _sha("policy_sha256"),
    Column("at", Double, nullable=False),
    _sha("row_hash"),
)  # fmt: skip

decision = Table(
    "decision", METADATA,
    Column("id", _ID, primary_key=True),
    _job_id(),
    Column("number", Integer, nullable=False),
    _sha("output_sha256"),
    Column("verdict", String(16), nullable=False),
    Column("api_key", String(64), nullable=False),
    Column("identity", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Double, nullable=False),
    _sha("release_sha256"),
    _sha("row_hash"),
)  # fmt: skip
Index("ix_decision_job", decision.c.job, decision.c.number, unique=True)

outbox = Table(
    "outbox", METADATA,
    Column("id", _ID, primary_key=True),
    _job_id(),
    Column("destination", String(64), nullable=False),
    _sha("output_sha256"),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_try", Double, nullable=False),
    Column("proof", Text),
)  # fmt: skip
Index("ix_outbox_due", outbox.c.state, outbox.c.next_try)
Index("ix_outbox_job", outbox.c.job)

idempotency = Table(
    "idempotency", METADATA,
    Column("owner", String(64), primary_key=True),
    Column("name", String(255), primary_key=True),
    _sha("body_sha256"),
    _job_id(),
    Column("created", Double, nullable=False),
)  # fmt: skip
Index("ix_idempotency_job", idempotency.c.job)

api_key = Table(
    "api_key", METADATA,
    Column("id", String(64), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("label", String(128), nullable=False),
    Column("scopes", String(64), nullable=False),
    _sha("secret_sha256"),
    Column("created", Double, nullable=False),
    Column("expires", Double),
    Column("revoked", Double),
    _sha("row_hash"),
)  # fmt: skip

session = Table(
    "session", METADATA,
    Column("cookie_sha256", _SHA, primary_key=True),
    Column("api_key", String(64), ForeignKey("api_key.id"), nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double, nullable=False),
)  # fmt: skip

audit = Table(
    "audit", METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("deed", String(32), nullable=False),
    Column("object", String(64), nullable=False),
    Column("data", Text, nullable=False),
    _sha("prev_hash"),
    _sha("hash"),
)  # fmt: skip

audit_head = Table(
    "audit_head", METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", Integer, nullable=False),
    _sha("hash"),
)  # fmt: skip
