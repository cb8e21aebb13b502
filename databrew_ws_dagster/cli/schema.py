"""`databrew-ws schema`: the JSON Schema of the definition file, for editors.

Making it is `core.definition.schema`.
"""

from __future__ import annotations

import json

import click

from databrew_ws_dagster.core.definition.schema import definition_schema


@click.command(epilog="Example: databrew-ws schema > definition.schema.json")
def command() -> None:
    """Print the JSON Schema (draft 2020-12) of a definition file.

    An editor with a YAML language server follows it when the file begins with
    `# yaml-language-server: $schema=definition.schema.json`.
    """
    click.echo(json.dumps(definition_schema(), indent=2))
