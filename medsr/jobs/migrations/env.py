"""Run by Alembic; the connection, in its own transaction, comes from `medsr.jobs.migrate`."""

from alembic import context

from medsr.jobs.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    # Alembic thinks SQLite's DDL is not transactional. It is, once the driver does not begin and commit by itself.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
