"""Alembic migrations of the job store; `medsr.jobs.migrate` runs them."""
