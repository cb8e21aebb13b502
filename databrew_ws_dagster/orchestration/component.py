"""A stream as a Dagster component: the door to `build_stream_definitions` for a project that is somebody else's.

Nothing is built here. A definition that stands inline in `defs.yaml` is read from that file like any other, so that
mistakes name its lines and every command takes it (`core.definition.document`).
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any

import dagster as dg
from dagster.components.component_scaffolding import scaffold_component
from pydantic import Field, PrivateAttr

from databrew_ws_dagster.errors import DefinitionError, Mistake
from databrew_ws_dagster.orchestration.build import build_stream_definitions
from databrew_ws_dagster.storage.definitions import load_definition
from databrew_ws_dagster.storage.layout import Layout

_SCAFFOLD = """\
# A WebSocket stream. Make the definition your own, or let `databrew-ws init URL` write it to a file by listening.
# Check it: dg check yaml && dg check defs. Hear whether it fits: databrew-ws check --live on this file.
type: {type}

attributes:
  # key_prefix: transport/rides   # comes before the key of every asset
  # group_name: rides             # of the assets; without it, the stream's name

  # A definition, or the path to one from here: definition: {stream}.yaml
  definition:
    service:
      stream_schema:
        - stream: {stream}
          columns:
            - name: log_id            # the key in the JSON message
              databrewType: Int32     # judged strictly: "12" is not 12
              pk: true                # a repeat is stored once
              nullable: false         # null or missing: quarantined, with the reason
            - name: timestamp
              databrewType: String
            - name: driver_id
              databrewType: Int32
              nullable: false
    source:
      driver: websocket
      config:
        # ${{NAME:default}} is read from the environment at every connect; secrets need no other place.
        url: ${{{variable}_URL:ws://127.0.0.1:8765}}
"""


class _Scaffolder(dg.Scaffolder[Any]):
    """Writes a `defs.yaml` that says what to change in it."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        if request.scaffold_format == "python" or request.append:
            scaffold_component(request)
            return
        stream = re.sub(r"[^A-Za-z0-9_]", "_", request.target_path.name)
        text = _SCAFFOLD.format(type=request.type_name, stream=stream, variable=stream.upper())
        (request.target_path / "defs.yaml").write_text(text, encoding="utf-8")


@dg.scaffold_with(_Scaffolder)
class WebSocketStream(dg.Component, dg.Model, dg.Resolvable):
    """A WebSocket stream: captured without pause, judged against its definition, every difference named."""

    definition: Annotated[
        str | dict[str, Any],
        Field(description="What the messages look like and where they come from: a path from here, or all of it."),
    ]
    key_prefix: Annotated[
        str,
        Field(
            pattern=r"^([A-Za-z0-9_]+(/[A-Za-z0-9_]+)*)?$",
            description="Comes before the key of every asset, and so in the names of jobs and sensors.",
            examples=["transport/rides"],
        ),
    ] = ""
    group_name: Annotated[
        str | None,
        Field(pattern=r"^[A-Za-z0-9_]+$", description="Of the assets; without it, the stream's name."),
    ] = None

    _stream: str | None = PrivateAttr(None)

    @property
    def stream(self) -> str | None:
        """The stream's name, once it is built."""
        return self._stream

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Everything Dagster shows of the stream.

        Raises:
            DefinitionError: the definition is wrong, or another component has a stream of this name.
        """
        file = self._file(context.path)
        definition = load_definition(file, os.environ)
        # Spool and tables are found by the stream's name alone.
        others = (other for other in context.component_tree.get_all_components(WebSocketStream) if other is not self)
        if definition.name.lower() in {other.stream.lower() for other in others if other.stream}:
            problem = f"another component has the stream {definition.name!r}; a prefix tells assets apart, not tables"
            raise DefinitionError(str(file), (Mistake(f"{problem}: give one of them another name"),))
        self._stream = definition.name
        return build_stream_definitions(
            definition,
            layout=Layout.from_environ(os.environ),
            environ=os.environ,
            key_prefix=self.key_prefix.split("/") if self.key_prefix else (),
            group_name=self.group_name,
        )

    def _file(self, place: Path) -> Path:
        """Where the definition stands: `place` is the component's folder, or its file if it is made in Python."""
        folder = place if place.is_dir() else place.parent
        if isinstance(self.definition, str):
            return folder / self.definition
        found = (folder / name for name in ("defs.yaml", "defs.yml") if place.is_dir())
        file = next((file for file in found if file.is_file()), None)
        if file is None:
            problem = "a definition can stand inline in a `defs.yaml` only; give the path of its file instead"
            raise DefinitionError(str(place), (Mistake(problem),))
        return file
