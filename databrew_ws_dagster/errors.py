"""The errors this project raises, one tree.

    DatabrewWsError
    ├── DefinitionError        a definition file is wrong: file, line, culprit, what is allowed
    ├── LeaseHeldError         another capture of the same stream is alive
    ├── ContractError          messages are of a drift class that the definition's contract fails
    ├── StorageError           a folder or table cannot be read or written
    │   ├── RawMissingError    what a window was made of is no longer in raw, so it stays as it is
    │   └── OvertakenError     another run has written the same place of a table meanwhile
    ├── ListenError            a server of ours cannot listen at its address
    ├── InferenceError         messages say nothing from which a definition could be made
    └── CaptureError           the socket side cannot go on

Every error takes its culprit as data and ends with what to do. Nothing here imports anything.
"""

from __future__ import annotations

from dataclasses import dataclass


class DatabrewWsError(Exception):
    """Base of every error that this project raises on purpose."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong in a definition file.

    Args:
        message: What is wrong, naming the culprit, and what is allowed.
        line: 1-based line in the file, or None when no single line is to blame.
        path: Dotted path inside the document, such as `source.config.url`.
        unset_variables: Environment variables that are not set, where nothing else is wrong.
    """

    message: str
    line: int | None = None
    path: str = ""
    unset_variables: tuple[str, ...] = ()

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line is not None else ""
        where = f"{self.path}: " if self.path else ""
        return f"{place}{where}{self.message}"


class DefinitionError(DatabrewWsError):
    """A definition file is wrong; `mistakes` holds every one found, in file order."""

    def __init__(self, file: str, mistakes: tuple[Mistake, ...]) -> None:
        self.file = file
        self.mistakes = mistakes
        super().__init__("\n".join(f"{file}: {mistake}" for mistake in mistakes))

    @property
    def unset_variables(self) -> tuple[str, ...]:
        """Environment variables that are not set, if that is all that is wrong: then only here; else none."""
        if not all(mistake.unset_variables for mistake in self.mistakes):
            return ()
        return tuple(dict.fromkeys(name for mistake in self.mistakes for name in mistake.unset_variables))


class LeaseHeldError(DatabrewWsError):
    """Another process captures this stream on this host."""

    def __init__(self, stream: str, holder: str) -> None:
        self.stream = stream
        self.holder = holder
        super().__init__(
            f"stream {stream!r} is already being captured by {holder}; "
            "stop that one first, or let it go on: one capture per stream is enough"
        )


class ContractError(DatabrewWsError):
    """Messages are of a drift class for which the contract says `fail`; nothing of what was judged is committed."""

    def __init__(self, stream: str, *, breach: str, first: str, file: str, fix: str) -> None:
        self.stream = stream
        self.breach = breach
        self.first = first
        super().__init__(
            f"stream {stream!r}: {breach}, first at {first} (epoch/connection/ordinal), and its contract in {file} "
            f"says fail; nothing was committed and raw is kept. {fix}"
        )


class StorageError(DatabrewWsError):
    """A folder, file or table cannot be read or written."""

    def __init__(self, path: str, problem: str, fix: str) -> None:
        self.path = path
        self.problem = problem
        self.fix = fix
        super().__init__(f"{path}: {problem}; {fix}")


class RawMissingError(StorageError):
    """What a window was made of is no longer in raw: it cannot be judged again, and stays as it is."""


class OvertakenError(StorageError):
    """Another run has written the same place of a table meanwhile: nothing is written, and the next run goes on."""


class ListenError(DatabrewWsError):
    """A server of ours cannot listen at its address."""

    def __init__(self, host: str, port: int, problem: str, fix: str) -> None:
        self.host = host
        self.port = port
        self.problem = problem
        self.fix = fix
        super().__init__(f"cannot listen on {host} port {port}: {problem}; {fix}")


class InferenceError(DatabrewWsError):
    """Messages say nothing from which a definition could be made."""

    def __init__(self, problem: str, fix: str) -> None:
        self.problem = problem
        self.fix = fix
        super().__init__(f"{problem}; {fix}")


class CaptureError(DatabrewWsError):
    """The socket side of a stream cannot go on without a change by a person."""

    def __init__(self, stream: str, problem: str, fix: str) -> None:
        self.stream = stream
        self.problem = problem
        self.fix = fix
        super().__init__(f"stream {stream!r}: {problem}; {fix}")
