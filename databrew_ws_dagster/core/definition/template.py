"""Text with `${VAR}` and `${VAR:default}` references, kept unresolved so that no secret lives in a value.

Resolving takes the environment as an argument; who reads it decides when (capture: at every connect).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from databrew_ws_dagster.core.definition.url import public_form

REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::([^}]*))?\}")
_AUTHORITY = re.compile(r"[a-z]+://[^/?#]*[/?#]", re.IGNORECASE)
_REST_OF_USERINFO = re.compile(r"[^/?#]*@")


class UnsetVariableError(ValueError):
    """A `${VAR}` without default names a variable that is not set."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"environment variable {name} is not set; set it, or write ${{{name}:default}} for a default")


def resolve_references(text: str, environ: Mapping[str, str]) -> str:
    """Replace every reference in `text` by its value.

    Raises:
        UnsetVariableError: a variable without default is not set.
    """
    return REFERENCE.sub(lambda match: _value_of(match, environ), text)


def _value_of(reference: re.Match[str], environ: Mapping[str, str]) -> str:
    name, default = reference[1], reference[2]
    if name in environ:
        return environ[name]
    if default is None:
        raise UnsetVariableError(name)
    return default


def reference_problem(text: str, environ: Mapping[str, str]) -> str | None:
    """What keeps the references of a text from being resolved, or None.

    `${` that begins no reference is a typo that would otherwise be sent as it stands.
    """
    if "${" in REFERENCE.sub("", text):
        return "`${` begins a reference; write ${NAME} or ${NAME:default}"
    try:
        resolve_references(text, environ).encode()
    except UnsetVariableError as error:
        return str(error)
    except UnicodeEncodeError:
        return "an environment variable named here is not valid UTF-8"
    return None


def unset_variables(text: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The variables for whose absence alone the references of a text cannot be resolved."""
    if "${" in REFERENCE.sub("", text):
        return ()
    names = [match[1] for match in REFERENCE.finditer(text) if match[2] is None]
    return tuple(name for name in dict.fromkeys(names) if name not in environ)


class Template:
    """Text that may hold references. Its `repr` and `str` never show more than the references' names."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def resolve(self, environ: Mapping[str, str]) -> str:
        """The text with every reference replaced; the only way to the secret itself.

        Raises:
            UnsetVariableError: a variable without default is not set.
        """
        return resolve_references(self._text, environ)

    @property
    def unresolved(self) -> str:
        """The text as written in the file. May hold a literal secret: for hashing, never for output."""
        return self._text

    @property
    def has_references(self) -> bool:
        """Whether the text depends on the environment."""
        return REFERENCE.search(self._text) is not None

    def public_url(self, environ: Mapping[str, str]) -> str:
        """A URL without user, password, query and fragment: what logs and metadata may show.

        References to the right of the host stay references, for a token may stand in the path; those to its
        left are left out, for a password with a slash would be taken for a path.

        Raises:
            UnsetVariableError: a variable without default is not set.
        """
        shown = ""
        end = 0
        for reference in REFERENCE.finditer(self._text):
            shown += self._text[end : reference.start()]
            end = reference.end()
            if _AUTHORITY.match(shown):
                shown += f"${{{reference[1]}}}"
            elif not _REST_OF_USERINFO.match(REFERENCE.sub("", self._text[end:])):
                shown += _value_of(reference, environ)
        return public_form(shown + self._text[end:])

    def __repr__(self) -> str:
        names = ", ".join(match[1] for match in REFERENCE.finditer(self._text))
        return f"Template({names})" if names else "Template(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        from_text = core_schema.no_info_after_validator_function(cls, core_schema.str_schema(strict=True))
        return core_schema.json_or_python_schema(
            json_schema=from_text,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), from_text]),
            serialization=core_schema.plain_serializer_function_ser_schema(repr),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "description": "Text; ${VAR} and ${VAR:default} are replaced at run time."}
