"""Pauses between connection attempts: bounded, growing, spread by chance."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from databrew_ws_dagster.core.backoff import pause_after_failure, pause_after_refusal
from databrew_ws_dagster.core.definition.source import Backoff

BACKOFF = Backoff(initial_s=0.5, max_s=60.0)
chances = st.floats(0, 1, exclude_max=True)


@given(st.integers(1, 10_000), chances)
def test_a_pause_never_exceeds_its_bound(failures: int, chance: float) -> None:
    """However many failures there were, the pause is between 0 and the bound."""
    pause_s = pause_after_failure(BACKOFF, failures=failures, chance=lambda: chance)
    assert 0 <= pause_s <= min(60.0, 0.5 * 2.0 ** min(failures - 1, 40))


def test_the_bound_doubles() -> None:
    """Half a second, one, two, … up to a minute."""
    bounds = [pause_after_failure(BACKOFF, failures=n, chance=lambda: 1.0) for n in (1, 2, 3, 8, 100)]
    assert bounds == [0.5, 1.0, 2.0, 60.0, 60.0]


@given(st.integers(1, 10_000), chances)
def test_refused_credentials_are_not_hammered(failures: int, chance: float) -> None:
    """At least half a minute, at most a quarter of an hour."""
    assert 30 <= pause_after_refusal(failures=failures, chance=lambda: chance) <= 900
