"""From the text of a definition file to a checked `StreamDefinition`, or to every mistake in it.

Reading the file is `storage.definitions`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from databrew_ws_dagster.core.definition.column import refused_names
from databrew_ws_dagster.core.definition.digest import with_digests
from databrew_ws_dagster.core.definition.document import Node, read_document
from databrew_ws_dagster.core.definition.explain import explain
from databrew_ws_dagster.core.definition.fields import Path
from databrew_ws_dagster.core.definition.model import STREAM_NAME_PATTERN, StreamDefinition
from databrew_ws_dagster.core.definition.resolve import Resolver
from databrew_ws_dagster.core.definition.shape import shape_document
from databrew_ws_dagster.core.definition.template import reference_problem, resolve_references
from databrew_ws_dagster.errors import DefinitionError, Mistake


def parse_definition(text: str, *, file: str, environ: Mapping[str, str]) -> StreamDefinition:
    """Read a definition.

    Args:
        text: YAML in Blink's format, with this project's optional blocks.
        file: Name of the file, for messages and for `StreamDefinition.file`.
        environ: Values of the `${VAR}` references. Templates keep theirs; every other value is replaced.

    Raises:
        DefinitionError: the text is no definition; holds every mistake, in the order of the file.
    """
    document, mistakes = read_document(text)
    if document is None:
        raise DefinitionError(file, mistakes)
    shape = shape_document(document, environ=environ)
    root = Node(shape.parts, document.line, document.path)
    resolver = Resolver(StreamDefinition, environ)
    data = {**resolver.plain(root), "file": file, "digest": "", "capture_digest": "", "warnings": shape.warnings}
    found = [*mistakes, *shape.mistakes, *resolver.mistakes.values(), *_refused_names(data, root)]
    try:
        definition = StreamDefinition.model_validate_json(
            json.dumps(data), context={"environ": environ}, by_alias=True, by_name=False
        )
    except ValidationError as error:
        found += explain(error, root=root, resolver=resolver)
        raise DefinitionError(file, _in_file_order(found)) from None
    if found:
        raise DefinitionError(file, _in_file_order(found))
    return with_digests(definition)


def salvage_name(text: str, *, environ: Mapping[str, str]) -> str | None:
    """The stream that a broken file declares, as far as that can be read."""
    document, _ = read_document(text)
    node = shape_document(document, environ=environ).parts.get("name") if document is not None else None
    if node is None or not isinstance(node.value, str) or reference_problem(node.value, environ) is not None:
        return None
    name = resolve_references(node.value, environ)
    return name if re.fullmatch(STREAM_NAME_PATTERN, name) else None


def mistakes_at(text: str, problems: Iterable[tuple[Path, str]], *, environ: Mapping[str, str]) -> tuple[Mistake, ...]:
    """Problems of a definition that was parsed well, each with its line, in the order of the file.

    Args:
        text: Of the definition.
        problems: Where in the definition, such as `("columns", 0, "name")`, and what.
    """
    document, _ = read_document(text)
    if document is None:
        return ()
    root = Node(shape_document(document, environ=environ).parts, document.line, document.path)
    nodes = ((root.nearest(place), problem) for place, problem in problems)
    return _in_file_order([Mistake(problem, node.line, node.path) for node, problem in nodes])


def _refused_names(data: Mapping[str, Any], root: Node) -> Iterator[Mistake]:
    """Names are compared here too, because the model compares them only if all else is right."""
    for place, problem in refused_names(data.get("columns")):
        node = root.nearest(("columns", *place))
        yield Mistake(problem, node.line, node.path)


def _in_file_order(mistakes: list[Mistake]) -> tuple[Mistake, ...]:
    return tuple(sorted(dict.fromkeys(mistakes), key=lambda mistake: mistake.line or 0))
