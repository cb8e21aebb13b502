"""Routes against a real receiver that refuses, delays and fails: one notice each, none lost, one recovery."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from databrew_ws_dagster.core.definition.alerts import Alerts, AlertSeverity, Breakthrough, QuietHours
from databrew_ws_dagster.core.definition.template import Template
from databrew_ws_dagster.orchestration.delivery import Route, RouteMemory, deliver, routes_of, take_note
from databrew_ws_dagster.orchestration.incidents import STEADY, Problem
from databrew_ws_dagster_tests.orchestration.receiver import Receiver

NIGHT = datetime(2026, 1, 5, 22, 30, tzinfo=UTC)
MORNING = datetime(2026, 1, 6, 7, 0, tzinfo=UTC)
QUIET = QuietHours(start="22:00", end="07:00")
BAD = Problem("types_match", AlertSeverity.ERROR, "driver_id: expected Int32, saw text")
ODD = Problem("no_unexpected_fields", AlertSeverity.WARN, "tip: expected no such thing, saw number")


class Watch:
    """Some routes, and the time at which they are looked at."""

    def __init__(
        self, *receivers: Receiver, severity: AlertSeverity = AlertSeverity.WARN, quiet: QuietHours | None = None
    ) -> None:
        self.routes = [Route(f"route {number}", receiver.url, severity) for number, receiver in enumerate(receivers)]
        self.memories = {route.name: RouteMemory() for route in self.routes}
        self.quiet = quiet
        self.now = datetime(2026, 1, 5, 12, tzinfo=UTC)

    def look(self, *current: Problem, seen: Sequence[Problem] = (), after: timedelta = STEADY) -> dict[str, str]:
        self.now += after
        for route in self.routes:
            take_note(route, self.memories[route.name], stream="rides", seen=seen, current=current, now=self.now)
        return deliver(self.routes, self.memories, stream="rides", quiet_hours=self.quiet, now=self.now)


def test_an_incident_is_one_notice_and_its_end_another(receiver: Receiver) -> None:
    watch = Watch(receiver)
    for current in ([BAD], [BAD], [], []):
        assert watch.look(*current) == {}
    assert receiver.titles == ["rides: types_match", "rides: recovered"]
    assert [notice.kind for notice in receiver.notices] == ["failure", "success"]
    assert "driver_id: expected Int32" in receiver.notices[0].body


def test_what_is_refused_is_tried_again_until_it_is_taken_and_in_order(receiver: Receiver) -> None:
    """Also what began and ended meanwhile."""
    watch = Watch(receiver)
    receiver.status = 500
    assert "did not take" in watch.look(BAD)["route 0"]
    for _ in range(3):
        assert "route 0" in watch.look()
    receiver.status = 200
    assert watch.look(after=timedelta(minutes=5)) == {}
    assert watch.look() == {}
    assert receiver.titles == ["rides: types_match", "rides: recovered"]


def test_pauses_between_attempts_grow_up_to_five_minutes(receiver: Receiver) -> None:
    watch = Watch(receiver)
    receiver.status = 500
    watch.look(BAD)
    for _ in range(4 * 60):
        watch.look(BAD, after=timedelta(seconds=15))
    assert 12 <= receiver.attempts <= 20


def test_a_route_that_fails_neither_silences_nor_repeats_another(receiver: Receiver) -> None:
    with Receiver() as broken:
        broken.status = 500
        watch = Watch(broken, receiver)
        for _ in range(4):
            watch.look(BAD, after=timedelta(minutes=5))
        assert broken.attempts == 4
    assert receiver.titles == ["rides: types_match"]


def test_a_slow_receiver_is_told_once(receiver: Receiver) -> None:
    receiver.delay_s = 0.5
    watch = Watch(receiver)
    watch.look(BAD)
    watch.look(BAD)
    assert receiver.attempts == 1


def test_a_route_hears_only_what_is_loud_enough_for_it(receiver: Receiver) -> None:
    watch = Watch(receiver, severity=AlertSeverity.ERROR)
    watch.look(ODD)
    assert receiver.attempts == 0
    watch.look(ODD, BAD)
    watch.look(ODD)
    assert receiver.titles == ["rides: types_match", "rides: recovered"]


def test_in_quiet_hours_warnings_wait_and_are_told_together_at_their_end(receiver: Receiver) -> None:
    watch = Watch(receiver, quiet=QUIET)
    watch.now = NIGHT
    watch.look(ODD)
    watch.look()
    assert receiver.attempts == 0
    watch.look(after=MORNING - watch.now)
    assert receiver.titles == ["rides: 2 notices"]
    assert "2026-01-05 22:31 UTC rides: no_unexpected_fields" in receiver.notices[0].body
    assert "rides: recovered" in receiver.notices[0].body


def test_errors_break_through_quiet_hours_and_their_end_too(receiver: Receiver) -> None:
    watch = Watch(receiver, quiet=QUIET)
    watch.now = NIGHT
    watch.look(ODD)
    watch.look(ODD, BAD)
    assert receiver.titles == ["rides: got worse: types_match"]
    watch.look()
    assert receiver.titles[1:] == ["rides: recovered"]


def test_unless_told_otherwise(receiver: Receiver) -> None:
    watch = Watch(receiver, quiet=QUIET.model_copy(update={"breakthrough": Breakthrough.NEVER}))
    watch.now = NIGHT
    watch.look(BAD)
    assert receiver.attempts == 0
    watch.look(BAD, after=MORNING - watch.now)
    assert receiver.titles == ["rides: types_match"]


def test_what_is_owed_stays_small_however_long_a_receiver_is_down(receiver: Receiver) -> None:
    watch = Watch(receiver)
    receiver.status = 500
    for number in range(300):
        watch.look(*([Problem(f"check {number}", AlertSeverity.ERROR, "x" * 3000)] if number % 2 else []))
    memory = watch.memories["route 0"]
    assert len(memory.owed) <= 20
    assert sum(len(notice.body) for notice in memory.owed) < 100_000


def test_quiet_hours_are_those_of_the_time_zone_and_may_span_midnight() -> None:
    berlin = QuietHours(start="22:00", end="07:00", timezone="Europe/Berlin")
    assert berlin.hold(datetime(2026, 7, 1, 20, 0, tzinfo=UTC))
    assert not berlin.hold(datetime(2026, 1, 1, 20, 0, tzinfo=UTC))
    assert berlin.hold(datetime(2026, 1, 1, 21, 0, tzinfo=UTC))
    assert not berlin.hold(datetime(2026, 1, 1, 6, 0, tzinfo=UTC))


def test_routes_are_the_urls_that_are_set_each_with_its_severity() -> None:
    alerts = Alerts(warn=(Template("${CHAT}"),), critical=(Template("${PAGER:}"), Template("json://pager/${UNSET}")))
    (route,) = routes_of(alerts, {"CHAT": "json://chat"})
    assert (route.name, route.url, route.severity) == ("warn 1", "json://chat", AlertSeverity.WARN)
