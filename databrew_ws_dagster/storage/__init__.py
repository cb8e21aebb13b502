"""Disk: where things are kept, segments, micro-batches, tables. No socket and no Dagster."""
