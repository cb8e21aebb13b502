"""The Dagster side: assets, checks, jobs, sensors. Gathers, calls the layers below, converts; no logic of its own."""
