"""The blocks `alerts`, `freshness` and `owners`: what they accept, refuse, and still say of a broken file."""

from __future__ import annotations

import pytest

from databrew_ws_dagster.core.definition.alerts import AlertSeverity, Breakthrough, salvage_alerts
from databrew_ws_dagster.errors import DefinitionError
from databrew_ws_dagster_tests.scenario import DEFINITION_TEXT, definition

ALERTS = "alerts:\n  error: ['${PAGER:}']\n  quiet_hours: {start: 22:00, end: 07:00, timezone: Europe/Berlin}\n"


def test_without_the_blocks_nobody_is_told_nothing_is_stale_and_nobody_owns_it() -> None:
    bare = definition()
    assert (bare.alerts.warn, bare.alerts.error, bare.alerts.critical, bare.alerts.quiet_hours) == ((), (), (), None)
    assert bare.freshness.fail_after_s is None
    assert bare.owners == ()


def test_times_of_day_need_no_quotes() -> None:
    quiet = definition(DEFINITION_TEXT + ALERTS).alerts.quiet_hours
    assert quiet is not None
    assert (quiet.start, quiet.end, quiet.timezone) == ("22:00", "07:00", "Europe/Berlin")
    assert quiet.breakthrough is Breakthrough.ERROR


@pytest.mark.parametrize(
    ("block", "mistake"),
    [
        ("alerts: {quiet_hours: {start: '24:00', end: '07:00'}}", "alerts.quiet_hours.start"),
        ("alerts: {quiet_hours: {start: '07:00', end: '07:00'}}", "quiet hours end when they begin"),
        ("alerts: {quiet_hours: {start: '22:00', end: '07:00', timezone: Middle/Earth}}", "is no time zone"),
        ("alerts: {quiet_hours: {start: '22:00', end: '07:00', timezone: ../../etc/passwd}}", "is no time zone"),
        ("freshness: {warn_after: 5m}", "needs `fail_after` too"),
        ("freshness: {warn_after: 5m, fail_after: 5m}", "not before `fail_after`"),
        ("freshness: {fail_after: 5s}", "at least 60"),
        ("owners: [somebody]", "owners[0]"),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_place(block: str, mistake: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        definition(f"{DEFINITION_TEXT}{block}\n")
    assert mistake in str(caught.value)


def test_who_is_told_of_a_file_that_is_broken_elsewhere_can_still_be_read() -> None:
    broken = DEFINITION_TEXT.replace("Int32", "Int31") + ALERTS
    (template,) = salvage_alerts(broken, environ={}).error
    assert template.resolve({"PAGER": "json://pager"}) == "json://pager"


@pytest.mark.parametrize("text", ["", "alerts: 7", "{", DEFINITION_TEXT, "alerts: {error: [1]}", "alerts:\n\t- x"])
def test_alerts_that_cannot_be_read_are_none(text: str) -> None:
    alerts = salvage_alerts(text, environ={})
    assert all(getattr(alerts, severity.value) == () for severity in AlertSeverity)


def test_breaking_through_quiet_hours_goes_by_severity() -> None:
    lets_through = {way: [severity for severity in AlertSeverity if way.lets_through(severity)] for way in Breakthrough}
    assert lets_through == {"error": ["error", "critical"], "critical": ["critical"], "never": []}
