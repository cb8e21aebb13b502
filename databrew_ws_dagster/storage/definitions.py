"""Definition files on disk: one, or all of a folder, of which a broken one never hides the others.

What a file may say is `core.definition`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.core.definition.alerts import Alerts, salvage_alerts
from databrew_ws_dagster.core.definition.parse import parse_definition, salvage_name
from databrew_ws_dagster.errors import DefinitionError, Mistake
from databrew_ws_dagster.storage.layout import CONFIG_VARIABLE

SUFFIXES = (".yaml", ".yml")
MAX_FILE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class BrokenDefinition:
    """A file that holds no usable definition.

    Args:
        file: Its path.
        name: A name for its stream, made from the file's name: letters, digits and underscores. No two are the same.
        error: Every mistake in it.
        alerts: Who is to be told, as far as that can be read.
        stream: The stream that it declares, as far as that can be read. Another file may declare the same.
    """

    file: str
    name: str
    error: DefinitionError
    alerts: Alerts = field(default_factory=Alerts)
    stream: str | None = None


def load_definition(path: Path, environ: Mapping[str, str]) -> StreamDefinition:
    """Read one file.

    Raises:
        DefinitionError: the file cannot be read, or is no definition.
    """
    return parse_definition(_read_text(path), file=str(path), environ=environ)


def load_definitions(path: Path, environ: Mapping[str, str]) -> tuple[StreamDefinition | BrokenDefinition, ...]:
    """Read one file, or every `*.yaml` and `*.yml` of a folder in the order of their names.

    Two files that declare the same stream: the first keeps it, the second is broken.

    Raises:
        DefinitionError: there is neither a file nor a folder at `path`.
    """
    loaded: list[StreamDefinition | BrokenDefinition] = []
    files_by_stream: dict[str, str] = {}
    for file in _files_at(path):
        try:
            definition = load_definition(file, environ)
            # Folders and tables are named after streams, on file systems that may not tell case apart.
            first = files_by_stream.setdefault(definition.name.lower(), str(file))
            if first != str(file):
                problem = f"stream {definition.name!r} is already declared in {first}; give one of them another name"
                raise DefinitionError(str(file), (Mistake(problem),))
            loaded.append(definition)
        except DefinitionError as error:
            taken = [broken.name for broken in loaded if isinstance(broken, BrokenDefinition)]
            loaded.append(_broken(file, _free_name(file, taken), error, environ))
    return tuple(loaded)


def _files_at(path: Path) -> list[Path]:
    if path.is_dir():
        entries = sorted(path.iterdir())
        return [entry for entry in entries if entry.suffix in SUFFIXES and not entry.name.startswith(".")]
    if path.exists():
        return [path]
    problem = f"there is no file or folder here; set {CONFIG_VARIABLE} to a definition file or a folder of them"
    raise DefinitionError(str(path), (Mistake(problem),))


def _broken(file: Path, name: str, error: DefinitionError, environ: Mapping[str, str]) -> BrokenDefinition:
    try:
        text = _read_text(file)
    except DefinitionError:
        return BrokenDefinition(str(file), name, error)
    alerts, stream = salvage_alerts(text, environ=environ), salvage_name(text, environ=environ)
    return BrokenDefinition(str(file), name, error, alerts, stream)


def _free_name(file: Path, taken: Collection[str]) -> str:
    """A name made from the file's; several files may have names that differ in other characters only."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", file.stem)
    name = name if name[:1].isalpha() else f"stream_{name}"
    return next(free for free in chain([name], (f"{name}_{number}" for number in count(2))) if free not in taken)


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        problem = f"no such file; name a definition file, or set {CONFIG_VARIABLE}"
        raise DefinitionError(str(path), (Mistake(problem),)) from None
    except OSError as error:
        problem = f"cannot be read: {error.strerror or type(error).__name__}"
        raise DefinitionError(str(path), (Mistake(problem),)) from None
    if len(content) > MAX_FILE_BYTES:
        problem = f"the file is larger than {MAX_FILE_BYTES:,} bytes, the most that a definition may have"
        raise DefinitionError(str(path), (Mistake(problem),))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = "a byte that is not UTF-8; save the file as UTF-8"
        raise DefinitionError(str(path), (Mistake(problem, line),)) from None
