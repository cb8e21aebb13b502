"""Definition files as text: Blink's own example, and small ones with a chosen part.

Only text; parsing it is what the tests do.
"""

from __future__ import annotations

from textwrap import indent

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.definition.parse import parse_definition
from databrew_ws_dagster.errors import DefinitionError, Mistake

BLINK_EXAMPLE = """\
service:
  id: 123
  pipeline_id: 1234
  reload_on_restart: false
  stream_schema:
    - stream: taxi_rides
      columns:
        - name: log_id
          databrewType: Int32
          nativeConnectorType: integer
          pk: true
          nullable: false
        - name: timestamp
          databrewType: String
          nativeConnectorType: varchar
          pk: false
          nullable: true
        - name: driver_id
          databrewType: Int32
          nativeConnectorType: numeric
          pk: false
          nullable: false
source:
  driver: websocket
  config:
    url: wss://example.com/ws
processors: []
sink:
  driver: stdout
  config: {}
"""

ID_COLUMN = "- {name: id, databrewType: Int64, pk: true}"


def document(*, columns: str = ID_COLUMN, config: str = "url: wss://example.com/ws", blocks: str = "") -> str:
    """A definition of the stream `s` with these columns, this `source.config`, and these top-level blocks."""
    return (
        "service:\n  stream_schema:\n    - stream: s\n      columns:\n"
        f"{indent(columns, ' ' * 8)}\n"
        f"source:\n  driver: websocket\n  config:\n{indent(config, ' ' * 4)}\n{blocks}"
    )


def parse(text: str, **environ: str) -> StreamDefinition:
    """The definition that a text declares in an environment."""
    return parse_definition(text, file="s.yaml", environ=environ)


def mistakes(text: str, **environ: str) -> tuple[Mistake, ...]:
    """Every mistake of a text; none when it is a definition."""
    try:
        parse(text, **environ)
    except DefinitionError as error:
        return error.mistakes
    return ()


def only_mistake(text: str, **environ: str) -> Mistake:
    """The one mistake of a text."""
    found = mistakes(text, **environ)
    assert len(found) == 1, [str(mistake) for mistake in found]
    return found[0]
