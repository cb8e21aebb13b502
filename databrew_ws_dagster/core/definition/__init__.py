"""The definition file: its value (`model`, `source`), its text with references (`template`), and reading it."""

from databrew_ws_dagster.core.definition.model import Column, StreamDefinition

__all__ = ["Column", "StreamDefinition"]
