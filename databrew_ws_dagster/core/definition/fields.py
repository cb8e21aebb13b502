"""What a model expects at a path of its data: which block stands there, and whether text stays a template.

Reads the models' annotations, so that a new block is known here without being told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from databrew_ws_dagster.core.definition.template import Template

Path = tuple[str | int, ...]


def block_at(root: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """The model of the block at a path, or None if something else stands there."""
    blocks = (option for option in _expected(root, path) if isinstance(option, type) and issubclass(option, BaseModel))
    return next(blocks, None)


def is_template(root: type[BaseModel], path: Path) -> bool:
    """Whether the value at a path is text whose references stay unresolved."""
    return Template in _expected(root, path)


def may_hold_secret(root: type[BaseModel], path: Path) -> bool:
    """Whether the value at a path is a template, or a list, mapping or block of templates, or was meant as one."""
    return any(_mentions_template(option) for option in _expected(root, path))


def _mentions_template(option: Any) -> bool:
    if isinstance(option, type) and issubclass(option, BaseModel):
        return any(field.annotation is Template for field in option.model_fields.values())
    return option is Template or any(_mentions_template(argument) for argument in get_args(option))


def keys_of(block: type[BaseModel]) -> tuple[str, ...]:
    """The keys that a block may have in a file."""
    return tuple(field.alias or name for name, field in block.model_fields.items())


def _expected(root: type[BaseModel], path: Path) -> list[Any]:
    options: list[Any] = [root]
    for step in path:
        options = [inner for option in options for inner in _step(option, step)]
    return options


def _step(option: Any, step: str | int) -> Iterable[Any]:
    if isinstance(option, type) and issubclass(option, BaseModel):
        fields = (field for name, field in option.model_fields.items() if step == (field.alias or name))
        return (inner for field in fields for inner in _options(field.annotation))
    arguments = get_args(option)
    if isinstance(step, int) and get_origin(option) in (tuple, list):
        return _options(arguments[0])
    if get_origin(option) is dict:
        return _options(arguments[1])
    return ()


def _options(annotation: Any) -> Iterator[Any]:
    """The members of a union, without their annotations."""
    if get_origin(annotation) is Annotated:
        yield from _options(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for member in get_args(annotation):
            yield from _options(member)
    else:
        yield annotation
