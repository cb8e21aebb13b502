"""A Dagster project with a WebSocket stream in it."""
