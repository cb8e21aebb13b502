"""The Dagster code location: every stream whose definition file is in `DATABREW_WS_CONFIG`."""

import os

import dagster as dg

from databrew_ws_dagster.orchestration.build import build_broken_definitions, build_stream_definitions
from databrew_ws_dagster.storage.definitions import BrokenDefinition, load_definitions
from databrew_ws_dagster.storage.layout import Layout, config_path


@dg.definitions
def defs() -> dg.Definitions:
    """Everything Dagster shows; a broken definition file shows as one asset and disables only its own stream."""
    layout = Layout.from_environ(os.environ)
    loaded = load_definitions(config_path(os.environ), os.environ)
    streams = {stream.name for stream in loaded if not isinstance(stream, BrokenDefinition)}
    return dg.Definitions.merge(
        *(
            build_broken_definitions(stream, streams=streams)
            if isinstance(stream, BrokenDefinition)
            else build_stream_definitions(stream, layout=layout, environ=os.environ)
            for stream in loaded
        )
    )
