"""Commands to a playground: what is written is what happens, and a mistake names what is allowed."""

from __future__ import annotations

import json
import time
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from databrew_ws_dagster.playground.script import HELP, parse_command, parse_scheduled
from databrew_ws_dagster.playground.server import Playground

PATIENCE_S = 30.0


@pytest.mark.parametrize("verb", HELP)
def test_every_command_that_help_lists_is_understood_and_works_on_a_running_playground(verb: str) -> None:
    with Playground() as playground:
        parse_command(verb).perform(playground)


@pytest.mark.parametrize(("text", "share"), [("nulls", 0.3), ("nulls=80%", 0.8), ("nulls 0.8", 0.8), ("nulls=1", 1)])
def test_a_drift_takes_its_share_as_percent_or_fraction(text: str, share: float) -> None:
    with Playground(rate_per_s=5_000) as playground:
        parse_command(text).perform(playground)
        first = playground.ledger.counts.messages
        playground.ledger.wait_until(lambda ledger: ledger.counts.messages >= first + 2_000, timeout_s=PATIENCE_S)
        drifted = [json.loads(sent.message.payload)["driver_id"] for sent in playground.ledger.all()[first:]]
        assert drifted.count(None) / len(drifted) == pytest.approx(share, abs=0.05)


def test_drop_says_good_bye_and_drop_abrupt_does_not() -> None:
    codes = []
    with Playground() as playground:
        for text in ("drop", "drop=abrupt"):
            with connect(playground.url) as client:
                client.recv(timeout=PATIENCE_S)
                parse_command(text).perform(playground)
                with suppress(ConnectionClosed):
                    while True:
                        client.recv(timeout=PATIENCE_S)
                codes.append(client.close_code)
    assert codes == [1012, 1006]


def test_a_silence_lasts_as_long_as_it_is_told() -> None:
    with Playground(rate_per_s=500) as playground:
        parse_command("silence 500ms").perform(playground)
        last = playground.ledger.counts.messages
        silent_since_ns = time.time_ns()
        playground.ledger.wait_until(lambda ledger: ledger.counts.messages > last, timeout_s=PATIENCE_S)
        assert 0.45e9 <= playground.ledger.all()[last].sent_at_ns - silent_since_ns <= 5e9


@pytest.mark.parametrize(
    ("text", "after_s"), [("60s:change_type", 60), ("2m: drop=abrupt", 120), ("500ms:steady", 0.5)]
)
def test_a_scheduled_command_tells_when_it_is_due(text: str, after_s: float) -> None:
    scheduled = parse_scheduled(text)
    assert scheduled.after_s == after_s
    assert scheduled.command.text == text.partition(":")[2].strip()


@pytest.mark.parametrize(
    ("text", "explanation"),
    [
        ("chnge_type", "unknown command 'chnge_type'; allowed: change_type, .*did you mean 'change_type'"),
        ("", "unknown command ''; allowed: change_type"),
        ("nulls=0", "'0' is not a share"),
        ("nulls=101%", "'101%' is not a share"),
        ("nulls=nan", "'nan' is not a share"),
        ("nulls=some", "'some' is not a share"),
        ("silence=long", "'long' is not a duration; .*30s"),
        ("drop=gently", "'drop' does not take 'gently'; drop: close every connection"),
        ("steady now", "'steady' does not take 'now'"),
    ],
)
def test_a_mistaken_command_is_named_with_what_is_allowed(text: str, explanation: str) -> None:
    with pytest.raises(ValueError, match=explanation):
        parse_command(text)


@pytest.mark.parametrize(
    ("text", "explanation"),
    [
        ("steady", "'steady' has no time; write it as in 60s:steady"),
        ("soon:steady", "'soon' is not a duration"),
        ("60:steady", "'60' is not a duration"),
        ("60s:stedy", "did you mean 'steady'"),
    ],
)
def test_a_mistaken_schedule_is_named_with_what_is_allowed(text: str, explanation: str) -> None:
    with pytest.raises(ValueError, match=explanation):
        parse_scheduled(text)
