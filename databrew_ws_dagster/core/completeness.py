"""Whether a window's tables hold everything that capture received, micro-batch by micro-batch. Pure comparison.

Counting what lies in raw and in the tables is `maintenance`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Judged:
    """What an ingest run wrote down of a micro-batch.

    `messages` = `control` + `empty` + those that `records` came from; `records` = `accepted` + `quarantined` +
    `duplicates`. Beside `messages`, `overlapping` are copies of them that a second connection brought.
    """

    messages: int
    records: int
    accepted: int
    quarantined: int
    duplicates: int
    control: int
    empty: int
    overlapping: int

    @property
    def received(self) -> int:
        """Messages that came, copies included."""
        return self.messages + self.overlapping


@dataclass(frozen=True, slots=True)
class Shortfall:
    """One thing that is not where it should be.

    Args:
        batch_id: The micro-batch concerned; empty when none is.
        problem: What is wrong, in words.
        can_heal: Whether judging the window again from raw would correct it.
    """

    batch_id: str
    problem: str
    can_heal: bool


def find_shortfalls(
    received: Mapping[str, int] | None,
    judged: Mapping[str, Judged],
    *,
    rows: Mapping[str, int],
    refused: Mapping[str, int] | None,
) -> tuple[Shortfall, ...]:
    """Compare what came with where it went: received = table + quarantine + duplicates + control + copies.

    Args:
        received: Messages by micro-batch, as raw holds them; None once raw is aged out.
        judged: By micro-batch.
        rows: Rows of the table by micro-batch.
        refused: Rows of the quarantine by micro-batch; None once those are aged out.
    """
    known = received if received is not None else {batch_id: each.received for batch_id, each in judged.items()}
    every = sorted({*known, *judged, *rows, *(refused or ())})
    return tuple(
        Shortfall(batch_id, problem, can_heal=batch_id in known)
        for batch_id in every
        for problem in _problems(
            known.get(batch_id),
            judged.get(batch_id),
            rows=rows.get(batch_id, 0),
            refused=refused.get(batch_id, 0) if refused is not None else None,
        )
    )


def _problems(messages: int | None, judged: Judged | None, *, rows: int, refused: int | None) -> Iterator[str]:
    if judged is None:
        yield f"{messages or 0:,} messages received, not judged yet"
        return
    if messages is None:
        yield f"{judged.received:,} messages judged, no longer in raw"
    elif messages != judged.received:
        yield f"{messages:,} messages received, {judged.received:,} judged"
    if judged.records != judged.accepted + judged.quarantined + judged.duplicates:
        yield (
            f"{judged.records:,} records, but {judged.accepted:,} accepted, {judged.quarantined:,} quarantined "
            f"and {judged.duplicates:,} duplicates"
        )
    if judged.accepted != rows:
        yield f"{judged.accepted:,} records accepted, {rows:,} rows in the table"
    if refused is not None and judged.quarantined != refused:
        yield f"{judged.quarantined:,} records refused, {refused:,} in the quarantine"
