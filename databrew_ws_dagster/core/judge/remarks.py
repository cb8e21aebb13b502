"""What is said of records, as columns: many records are one case, and differ by their samples alone.

Kept and put in order here; what is to be said is found elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, compress
from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from databrew_ws_dagster.core.definition.contract import Contract
from databrew_ws_dagster.core.drift import Verdict
from databrew_ws_dagster.core.finding import Reason, worst_verdict

Key: TypeAlias = tuple[int, int]
"""Row of the judged messages, and position of the record inside that message."""

Samples: TypeAlias = tuple[str, ...]
"""One for each reason of a case; empty where there is nothing to show."""

NOTHING, CONTROL = 0, 1
"""Codes of the cases of which there are no reasons: a record as declared, and a control message."""


@dataclass(frozen=True, slots=True)
class Case:
    """Reasons, without their samples, and what they together do to a record."""

    verdict: Verdict
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Remark:
    """A record, or a message that yielded none, that was not simply accepted.

    Args:
        message: Row of the judged messages.
        record: Position inside the message.
    """

    message: int
    record: int
    verdict: Verdict
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Remarks:
    """One remark for each record that was not simply accepted, in order.

    Args:
        messages: By remark the row of its message.
        records: By remark the position inside the message.
        codes: By remark its case, as an index into `cases`.
        samples: By remark those of its reasons.
    """

    messages: npt.NDArray[np.int64]
    records: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int64]
    samples: Sequence[Samples]
    cases: Sequence[Case]

    def __len__(self) -> int:
        return len(self.codes)

    def __iter__(self) -> Iterator[Remark]:
        columns = (self.messages.tolist(), self.records.tolist(), self.codes.tolist(), self.samples)
        for message, record, code, samples in zip(*columns, strict=True):
            case = self.cases[code]
            reasons = tuple([_sampled(*each) for each in zip(case.reasons, samples, strict=True)])
            yield Remark(message, record, case.verdict, reasons)

    def reason(self, position: int, at: int) -> Reason:
        """One of the reasons of one remark, with its sample."""
        return _sampled(self.cases[self.codes[position]].reasons[at], self.samples[position][at])

    def by_case(self, part: slice) -> Iterator[tuple[Case, npt.NDArray[np.int64]]]:
        """The cases of a part of the remarks, in order of appearance, each with the positions of its remarks."""
        codes = self.codes[part]
        order = np.argsort(codes, kind="stable")
        groups = np.split(order + part.start, np.flatnonzero(np.diff(codes[order])) + 1) if len(codes) else []
        for positions in sorted(groups, key=lambda positions: int(positions[0])):
            yield self.cases[self.codes[positions[0]]], positions

    def are(self, verdict: Verdict) -> npt.NDArray[np.bool_]:
        """By remark, whether this is its verdict."""
        of_case = np.array([case.verdict is verdict for case in self.cases], dtype=bool)
        return of_case[self.codes]


def _sampled(reason: Reason, sample: str) -> Reason:
    return msgspec.structs.replace(reason, sample=sample) if sample else reason


class Cases:
    """All cases met so far, each once, with the verdicts that a contract gives them."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._cases = [Case(Verdict.ACCEPT, ()), Case(Verdict.CONTROL, ())]
        self._codes: dict[tuple[Reason, ...], int] = {(): NOTHING}
        self._joined: dict[tuple[int, ...], int] = {}

    def __getitem__(self, code: int) -> Case:
        return self._cases[code]

    def __iter__(self) -> Iterator[Case]:
        return iter(self._cases)

    def code(self, reasons: Iterable[Reason]) -> int:
        """The code of the case with these reasons, whatever their samples."""
        bare = tuple([Reason(r.drift, r.verdict, r.column, r.expected, r.seen) for r in reasons])
        code = self._codes.get(bare)
        if code is None:
            settled = tuple(
                msgspec.structs.replace(each, verdict=self._contract.verdict_on(each.drift, each.verdict))
                for each in bare
            )
            code = self._codes.setdefault(settled, len(self._cases))
            if code == len(self._cases):
                self._cases.append(Case(worst_verdict(settled), settled))
            self._codes[bare] = code
        return code

    def joined(self, codes: tuple[int, ...]) -> int:
        """The code of the case with the reasons of several, in their order."""
        code = self._joined.get(codes)
        if code is None:
            reasons = chain.from_iterable(self._cases[each].reasons for each in codes)
            code = self._joined[codes] = self.code(reasons)
        return code


class Notes:
    """Remarks as they are made, in any order and any number to a record."""

    def __init__(self, cases: Cases) -> None:
        self.cases = cases
        self._messages: list[int] = []
        self._records: list[int] = []
        self._codes: list[int] = []
        self._samples: list[Samples] = []

    def add(self, key: Key, reasons: Sequence[Reason]) -> None:
        """Note what is to be said about a record, after what is noted about it already."""
        self.extend([key[0]], [key[1]], [self.cases.code(reasons)], [tuple([each.sample for each in reasons])])

    def add_control(self, message: int) -> None:
        """Note that a message is a control message."""
        self.extend([message], [0], [CONTROL], [()])

    def extend(
        self, messages: Iterable[int], records: Iterable[int], codes: Sequence[int], samples: Iterable[Samples]
    ) -> None:
        """Note of each record its case, unless there is nothing to be said of it."""
        self._messages.extend(compress(messages, codes))
        self._records.extend(compress(records, codes))
        self._samples.extend(compress(samples, codes))
        self._codes.extend(filter(None, codes))

    def refused(self) -> set[Key]:
        """The records that are to be quarantined for what was noted so far."""
        verdicts = [case.verdict for case in self.cases]
        keys = zip(self._messages, self._records, strict=True)
        return {key for key, code in zip(keys, self._codes, strict=True) if verdicts[code] is Verdict.QUARANTINE}

    def remarks(self) -> Remarks:
        """All that was noted, in order, as one remark to a record."""
        messages, records = np.array(self._messages, np.int64), np.array(self._records, np.int64)
        order = np.lexsort((records, messages))
        messages, records, codes = messages[order], records[order], np.array(self._codes, np.int64)[order]
        samples = [self._samples[at] for at in order.tolist()]
        is_first = np.ones(len(codes), dtype=bool)
        is_first[1:] = (np.diff(messages) != 0) | (np.diff(records) != 0)
        firsts = np.flatnonzero(is_first)
        counts = np.diff(np.append(firsts, len(codes)))
        for first, count in zip(firsts[counts > 1], counts[counts > 1], strict=True):
            several = slice(first, first + count)
            codes[first] = self.cases.joined(tuple(codes[several].tolist()))
            samples[first] = tuple(chain.from_iterable(samples[several]))
        return Remarks(
            messages[firsts], records[firsts], codes[firsts], list(compress(samples, is_first)), tuple(self.cases)
        )
