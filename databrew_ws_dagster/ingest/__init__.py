"""From sealed micro-batches to tables: read, have the core judge, commit. No socket and no Dagster."""
