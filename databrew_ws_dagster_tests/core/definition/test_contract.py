"""A contract takes what can be kept, and names what cannot, class by class."""

from __future__ import annotations

import pytest

from databrew_ws_dagster.core.definition.contract import Action, allowed_actions
from databrew_ws_dagster.core.drift import CATALOGUE, Drift, Severity, Verdict
from databrew_ws_dagster_tests.core.definition.documents import document, mistakes, only_mistake, parse


def _contract(classes: str) -> str:
    return document(blocks=f"contract:\n  classes:\n    {classes}\n")


@pytest.mark.parametrize("drift", Drift)
def test_exactly_the_allowed_actions_of_a_class_can_be_set(drift: Drift) -> None:
    for action in Action:
        found = mistakes(_contract(f"{drift}: {action}"))
        assert bool(found) == (action not in allowed_actions(drift))


def test_a_class_without_a_value_to_store_is_refused_with_its_name_line_and_choices() -> None:
    mistake = only_mistake(_contract("V01: accept"))
    assert mistake.message == (
        "V01 (JSON type changed) cannot be set to accept: it leaves no value to store; allowed: quarantine, fail"
    )
    assert mistake.line == _contract("V01: accept").splitlines().index("    V01: accept") + 1


def test_what_is_said_of_batches_can_be_muted_or_softened_and_no_more() -> None:
    contract = parse(_contract("Q01: warn\n    Q02: accept")).contract
    assert contract.severity_of(Drift.SILENCE) is Severity.WARN
    assert contract.severity_of(Drift.SEQUENCE_GAP) is Severity.ERROR
    assert contract.is_silent(Drift.VOLUME_COLLAPSE, Verdict.OBSERVE)
    assert not contract.is_silent(Drift.SILENCE, Verdict.OBSERVE)
    assert only_mistake(_contract("Q02: fail")).message == (
        "Q02 (volume collapsed) cannot be set to fail: it is about a batch or a window, of which every record may be "
        "good; allowed: accept, warn"
    )


def test_a_class_that_is_settled_elsewhere_is_refused_with_the_place() -> None:
    assert "set contract.quarantine_share" in only_mistake(_contract("Q05: warn")).message


def test_an_unknown_code_and_an_unknown_action_are_both_named() -> None:
    messages = [each.message for each in mistakes(_contract("F99: warn\n    F01: ignore"))]
    assert len(messages) == 2
    assert any("'quarantine'" in message for message in messages)


def test_no_action_makes_a_verdict_milder_that_leaves_nothing_to_store() -> None:
    for drift in Drift:
        for action in allowed_actions(drift):
            contract = parse(_contract(f"{drift}: {action}")).contract
            assert contract.verdict_on(drift, Verdict.QUARANTINE) is Verdict.QUARANTINE
            assert contract.verdict_on(drift, Verdict.DUPLICATE) is Verdict.DUPLICATE


def test_without_a_contract_every_verdict_is_the_default() -> None:
    contract = parse(document()).contract
    assert all(contract.verdict_on(drift, line.verdict) is line.verdict for drift, line in CATALOGUE.items())


def test_a_warning_after_the_error_is_refused() -> None:
    mistake = only_mistake(document(blocks="contract: {quarantine_share: {warn: 10%, error: 1%}}"))
    assert mistake.message.startswith("an error from 1.000% on would hide the warning")
