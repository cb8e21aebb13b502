"""What was seen of one field, over all records: how often, and values of which kinds and forms.

Counts only, and no value is kept; which type follows from them is `column`'s business.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from databrew_ws_dagster.core.drift import Verdict
from databrew_ws_dagster.core.judge.json_text import Kind, Node
from databrew_ws_dagster.core.judge.number import is_integer_token
from databrew_ws_dagster.core.judge.scalars import TEXT_FORMS, read_number
from databrew_ws_dagster.core.types import Scalar

_FORMS = frozenset(TEXT_FORMS)
_HEX_MARK = r"\x"
_INTEGERS_NARROWEST_FIRST = (Scalar.INT64, Scalar.UINT64)


@dataclass(slots=True)
class Observation:
    """Everything seen at one place of the records.

    `present` counts values, null among them; `fitting` holds the types that every number, or every string, so far
    could be stored as without loss of digits.
    """

    present: int = 0
    kinds: Counter[Kind] = field(default_factory=Counter)
    fractions: int = 0
    """Numbers written with a fraction or an exponent."""
    fitting: set[Scalar] = field(default_factory=lambda: {*_INTEGERS_NARROWEST_FIRST, Scalar.FLOAT64, *_FORMS})
    members: dict[str, Observation] = field(default_factory=dict)
    elements: Observation | None = None

    @property
    def nulls(self) -> int:
        """How many values were null."""
        return self.kinds[Kind.NULL]

    @property
    def value_kinds(self) -> frozenset[Kind]:
        """The kinds of the values that were not null."""
        return frozenset(kind for kind, count in self.kinds.items() if count and kind is not Kind.NULL)

    @property
    def integer_type(self) -> Scalar | None:
        """The narrowest of Int64 and Uint64 that holds every number seen; None if neither does."""
        return next((scalar for scalar in _INTEGERS_NARROWEST_FIRST if scalar in self.fitting), None)

    @property
    def text_type(self) -> Scalar:
        """The form that every string had, or String."""
        return next((form for form in TEXT_FORMS if form in self.fitting), Scalar.STRING)

    def see(self, node: Node) -> None:
        """Take in one value and all that is inside it."""
        self.present += 1
        self.kinds[node.kind] += 1
        match node.kind:
            case Kind.NUMBER:
                self._see_number(node.text)
            case Kind.STRING:
                self._see_text(node.text)
            case Kind.OBJECT:
                self._see_members(node)
            case Kind.ARRAY:
                self.elements = self.elements or Observation()
                for element in node.elements or ():
                    self.elements.see(element)

    def _see_number(self, token: str) -> None:
        self.fractions += not is_integer_token(token)
        for scalar in (*_INTEGERS_NARROWEST_FIRST, Scalar.FLOAT64):
            if scalar in self.fitting:
                defect = read_number(token, scalar).defect
                if defect is not None and (defect.verdict is Verdict.QUARANTINE or scalar is not Scalar.FLOAT64):
                    self.fitting.discard(scalar)

    def _see_text(self, text: str) -> None:
        for form in self.fitting & _FORMS:
            # Nearly any word is base64 of something; only the other spelling is unmistakable.
            is_ambiguous = form is Scalar.BYTEA and not text.startswith(_HEX_MARK)
            if is_ambiguous or TEXT_FORMS[form].read(text) is None:
                self.fitting.discard(form)

    def _see_members(self, node: Node) -> None:
        seen: set[str] = set()
        for key, member in node.members or ():
            if key not in seen:
                seen.add(key)
                self.members.setdefault(key, Observation()).see(member)


def observe(nodes: Iterable[Node]) -> Observation:
    """What was seen of these values, taken as values of one field."""
    observation = Observation()
    for node in nodes:
        observation.see(node)
    return observation
