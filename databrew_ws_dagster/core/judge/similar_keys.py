"""Recognises a declared key that arrived under another name: other case, lookalike letters, another spelling.

Compares names; whether the value fits is for the caller to check.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher

MIN_SIMILARITY = 0.72
_MAX_CANDIDATES = 64
_MAX_KEY_CHARACTERS = 128

# Cyrillic and Greek letters that look like Latin ones: a homoglyph is a rename nobody can see.
_LOOKALIKES = str.maketrans(
    "аеорсухіјѕԁһԛԝкмтвнАВЕКМНОРСТХУІЈЅαοριτυνκΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "aeopcyxijsdhqwkmtbhABEKMHOPCTXYIJSaopituvkABEZHIKMNOPTYX",
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An undeclared key that may be a declared one: `similarity` is 1.0 when only case or spelling differ."""

    key: str
    similarity: float
    is_case_change: bool


def find_candidate(name: str, keys: Iterable[str]) -> Candidate | None:
    """The undeclared key most like `name`; None if none is like it."""
    best: Candidate | None = None
    plain, skeleton = name.casefold(), skeleton_of(name)
    for position, key in enumerate(keys):
        if position == _MAX_CANDIDATES:
            break
        if len(key) > _MAX_KEY_CHARACTERS:
            continue
        if key.casefold() == plain:
            return Candidate(key, 1.0, is_case_change=True)
        other = skeleton_of(key)
        similarity = 1.0 if other == skeleton else SequenceMatcher(None, skeleton, other).ratio()
        if similarity >= MIN_SIMILARITY and (best is None or similarity > best.similarity):
            best = Candidate(key, similarity, is_case_change=False)
    return best


def skeleton_of(key: str) -> str:
    """What is left of a key when case, separators, invisible characters and lookalikes are taken away."""
    normal = unicodedata.normalize("NFKC", key).translate(_LOOKALIKES)
    return "".join(char for char in normal if char.isalnum()).casefold()
