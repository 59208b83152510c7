"""What the database itself refuses, whatever program writes to it.

A job becomes `released` only with a gate pass or a reader's decision for the very output it shows; what was audited
is neither changed nor removed.
"""

from __future__ import annotations

from alembic import op

__all__ = ["make_triggers"]

_LET_OUT = (
    "EXISTS (SELECT 1 FROM gate WHERE gate.job = NEW.id AND gate.output_sha256 = NEW.output_sha256"
    " AND gate.word = 'released')"
    " OR EXISTS (SELECT 1 FROM decision WHERE decision.job = NEW.id"
    " AND decision.output_sha256 = NEW.output_sha256 AND decision.verdict = 'released')"
)


def make_triggers() -> None:
    """Make the triggers in the dialect of the connection."""
    if op.get_context().dialect.name == "sqlite":
        _sqlite()
    else:
        _postgresql()


def _sqlite() -> None:
    for deed in ("INSERT", "UPDATE"):
        op.execute(
            f"CREATE TRIGGER job_released_{deed.lower()} BEFORE {deed} ON job WHEN NEW.state = 'released'"
            f" AND NOT ({_LET_OUT}) BEGIN SELECT RAISE(ABORT, 'released without a pass or a decision'); END"
        )
    for deed in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_{deed.lower()} BEFORE {deed} ON audit"
            " BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END"
        )


def _postgresql() -> None:
    op.execute(
        "CREATE FUNCTION job_released() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF NEW.state = 'released' AND NOT ({_LET_OUT}) THEN"
        " RAISE EXCEPTION 'released without a pass or a decision' USING ERRCODE = 'check_violation'; END IF;"
        " RETURN NEW; END $$"
    )
    op.execute(
        "CREATE TRIGGER job_released BEFORE INSERT OR UPDATE ON job FOR EACH ROW EXECUTE FUNCTION job_released()"
    )
    op.execute(
        "CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'audit is append-only' USING ERRCODE = 'check_violation'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()"
    )
