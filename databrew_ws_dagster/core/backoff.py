"""How long to wait before the next attempt.

Pure: chance and the server's answer are arguments; sleeping is capture's.
"""

from __future__ import annotations

from collections.abc import Callable

from databrew_ws_dagster.core.definition.source import Backoff

_DOUBLINGS_MAX = 32
_REFUSED_FROM_S = 60.0
_REFUSED_TO_S = 900.0
RETRY_AFTER_MAX_S = 3600.0
"""A server that asks for a longer pause is asked again after this one."""


def doubled_pause(first_s: float, *, longest_s: float, failures: int) -> float:
    """Seconds to wait after `failures` (≥ 1) in a row: twice as long after each, up to a bound."""
    return min(longest_s, first_s * 2.0 ** min(failures - 1, _DOUBLINGS_MAX))


def pause_after_failure(backoff: Backoff, *, failures: int, chance: Callable[[], float]) -> float:
    """Seconds to wait after `failures` (≥ 1) failed attempts in a row: full jitter.

    A random pause up to the bound spreads the clients of a server that comes back; a random addition to
    the bound would not.

    Args:
        chance: Uniform in [0, 1).
    """
    return doubled_pause(backoff.initial_s, longest_s=backoff.max_s, failures=failures) * chance()


def pause_after_refusal(*, failures: int, chance: Callable[[], float]) -> float:
    """Seconds to wait after the server refused our credentials: asking more often would not change them."""
    bound_s = doubled_pause(_REFUSED_FROM_S, longest_s=_REFUSED_TO_S, failures=failures)
    return bound_s * (0.5 + 0.5 * chance())
