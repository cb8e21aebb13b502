"""The feed: deterministic rides, and drifts that do what their description says."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from databrew_ws_dagster.playground.feed import Drift, make_messages, make_ride

log_ids = st.integers(1, 2**31 - 1)
seeds = st.integers()


@given(log_id=log_ids, seed=seeds, drift=st.sampled_from([None, *Drift]))
def test_the_same_seed_and_ride_always_give_the_same_messages(log_id: int, seed: int, drift: Drift | None) -> None:
    assert make_messages(log_id, seed=seed, drift=drift) == make_messages(log_id, seed=seed, drift=drift)


@given(log_id=log_ids, seed=seeds)
def test_a_ride_has_the_declared_fields_in_the_declared_types(log_id: int, seed: int) -> None:
    ride = make_ride(log_id, seed=seed)
    assert [(name, type(value)) for name, value in ride.items()] == [
        ("log_id", int),
        ("timestamp", str),
        ("driver_id", int),
    ]
    assert ride["log_id"] == log_id


def test_another_seed_gives_other_rides() -> None:
    assert make_ride(1, seed=1) != make_ride(1, seed=2)


@given(log_id=log_ids, seed=seeds, drift=st.sampled_from(Drift))
def test_an_affected_ride_keeps_its_number_and_tells_whether_it_is_still_good(
    log_id: int, seed: int, drift: Drift
) -> None:
    messages = make_messages(log_id, seed=seed, drift=drift, share=1.0)
    assert {message.log_id for message in messages} == {log_id}
    for message in messages:
        assert message.is_good_row == (drift in {Drift.ADD_FIELD, Drift.DUPLICATES})


@pytest.mark.parametrize(
    ("drift", "expected"),
    [
        (Drift.CHANGE_TYPE, {"driver_id": "D-{driver_id}"}),
        (Drift.ADD_FIELD, {"driver_id": "{driver_id}", "tip": "3.5"}),
        (Drift.DROP_FIELD, {}),
        (Drift.RENAME_FIELD, {"driver": "{driver_id}"}),
        (Drift.NULLS, {"driver_id": "null"}),
    ],
)
def test_a_drift_changes_exactly_what_its_description_says(drift: Drift, expected: dict[str, str]) -> None:
    ride = make_ride(7, seed=1)
    (message,) = make_messages(7, seed=1, drift=drift, share=1.0)
    values = {name: form.format(driver_id=ride["driver_id"]) for name, form in expected.items()}
    sent = json.loads(message.payload)
    assert (sent.pop("log_id"), sent.pop("timestamp")) == (7, ride["timestamp"])
    as_text = {name: value if isinstance(value, str) else json.dumps(value) for name, value in sent.items()}
    assert as_text == values
    assert isinstance(sent.get("driver_id"), str) == (drift is Drift.CHANGE_TYPE)


def test_garbage_is_not_json() -> None:
    (message,) = make_messages(7, seed=1, drift=Drift.GARBAGE, share=1.0)
    with pytest.raises(json.JSONDecodeError):
        json.loads(message.payload)


def test_a_duplicate_is_the_same_message_twice() -> None:
    first, second = make_messages(7, seed=1, drift=Drift.DUPLICATES, share=1.0)
    assert first == second == make_messages(7, seed=1)[0]


@pytest.mark.parametrize("drift", Drift)
@pytest.mark.parametrize("share", [None, 0.1, 0.8, 1.0])
def test_a_drift_affects_about_the_share_it_is_told(drift: Drift, share: float | None) -> None:
    rides = range(1, 5_001)
    affected = sum(
        make_messages(log_id, seed=3, drift=drift, share=share) != make_messages(log_id, seed=3) for log_id in rides
    )
    assert affected / len(rides) == pytest.approx(drift.usual_share if share is None else share, abs=0.03)
