"""The tree of a definition as plain data, its references replaced wherever no template is expected.

Which text is a template follows from the models; what the data must be is theirs to judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from databrew_ws_dagster.core.definition.document import Node, plain_value
from databrew_ws_dagster.core.definition.fields import Path, is_template
from databrew_ws_dagster.core.definition.template import reference_problem, resolve_references, unset_variables
from databrew_ws_dagster.errors import Mistake


@dataclass(slots=True)
class Resolver:
    """Turns nodes into plain data and remembers what became of their references.

    Args:
        model: What the data will be validated as.
        environ: Values of the references.
        replaced: The text that each scalar with references was replaced by.
        mistakes: For each scalar whose references cannot be replaced, why.
    """

    model: type[BaseModel]
    environ: Mapping[str, str]
    replaced: dict[Path, str] = field(default_factory=dict)
    mistakes: dict[Path, Mistake] = field(default_factory=dict)

    def plain(self, node: Node, path: Path = ()) -> Any:
        """The node's data: scalars, lists and dicts that JSON can hold."""
        match node.value:
            case dict():
                return {key: self.plain(child, (*path, key)) for key, child in node.value.items()}
            case tuple():
                return [self.plain(child, (*path, position)) for position, child in enumerate(node.value)]
            case str() if "${" in node.value:
                return self._replace(node.value, node, path)
            case _:
                return node.value

    def _replace(self, text: str, node: Node, path: Path) -> Any:
        problem = reference_problem(text, self.environ)
        if problem is not None:
            self.mistakes[path] = Mistake(problem, node.line, node.path, unset_variables(text, self.environ))
            return text
        if is_template(self.model, path):
            return text
        replaced = resolve_references(text, self.environ)
        self.replaced[path] = replaced
        return plain_value(replaced) if node.is_plain else replaced
