"""The plan of a soak and its account, without any machine: the account finds what it should."""

from collections import Counter
from itertools import islice
from typing import Any

import pytest

from examples.flights.service import Event
from schemas.times import format_time_us
from tests.flink.running import answers_of
from tests.flink.soak.account import Account, Left, account_of, sizes, table
from tests.flink.soak.plan import AWAY_SECONDS, DECK, planned, steps
from tests.flink.soak.stream import endless
from tests.flink.soak.trial import Trial, middle_us
from tests.flink.soak.watch import Seen

SECOND = 1_000_000


def score(event: str, at_seconds: int, **more: Any) -> dict[str, Any]:
    answer = {"score_id": f"s{event}", "event_id": event, "score": 0.5, "version": "v1", "late": False}
    return answer | {"scored_at": format_time_us(at_seconds * SECOND)} | more


def receipt(event: str, **more: Any) -> dict[str, Any]:
    return {"score_id": f"s{event}", "event_id": event, "score": 0.5, "version": "v1", "features": {"x": 1}} | more


def accounted(*, restores: tuple[int, ...] = (), **found: Any) -> Account:
    """Two events that were scored at 1 s and 3 s, except for what `found` states otherwise."""
    receipts = [receipt("a"), receipt("b")]
    undisturbed = answers_of(receipts)
    left = Left(["a", "b"], [score("a", 1), score("b", 3)], receipts, [], undisturbed)
    return account_of(left._replace(**found), Seen({at * SECOND for at in restores}, [1000, 2000]), Counter())


def test_accounting_passes_where_every_event_has_its_answer() -> None:
    account = accounted()
    assert account.holds
    assert (account.events, account.scored, account.lost, account.differing) == (2, 2, [], [])
    assert account.silent_seconds == 2.0


@pytest.mark.parametrize(
    "found",
    [
        {"scores": [score("a", 1)]},
        {"receipts": [receipt("a")]},
        {"scores": [score("a", 1)], "receipts": [receipt("a")]},
    ],
    ids=["score", "receipt", "both"],
)
def test_event_without_score_or_receipt_is_lost(found: dict[str, Any]) -> None:
    account = accounted(**found)
    assert account.lost == ["b"]
    assert not account.holds
    assert "1, such as b" in table(account)


@pytest.mark.parametrize("other", [{"version": "v2"}, {"score": 0.7}, {"features": {"x": 2}}], ids=str)
def test_second_receipt_with_another_content_differs(other: dict[str, Any]) -> None:
    account = accounted(receipts=[receipt("a"), receipt("b"), receipt("b", **other)])
    assert [answer.score_id for answer in account.differing] == ["sb"]
    assert not account.holds


def test_score_that_is_not_its_receipts_differs() -> None:
    account = accounted(scores=[score("a", 1), score("b", 3, score=0.7)])
    assert [answer.score_id for answer in account.differing] == ["sb"]


def test_score_of_an_event_that_was_never_sent_fails_the_accounting() -> None:
    assert not accounted(scores=[score("a", 1), score("b", 3), score("c", 4)]).holds


def test_dead_letter_fails_the_accounting() -> None:
    assert not accounted(dead_letters=[{"error": "no_model"}]).holds


def test_score_written_twice_needs_a_restore_between() -> None:
    twice = [score("a", 1), score("b", 3), score("b", 9)]
    explained = accounted(scores=twice, restores=(5,))
    assert (explained.repeated, explained.unexplained) == (1, 0)
    assert accounted(scores=twice, restores=(2, 11)).unexplained == 1
    assert accounted(scores=twice, restores=(2, 11)).holds


def test_silence_counts_first_answers_only() -> None:
    assert accounted(scores=[score("a", 1), score("a", 5), score("b", 9)]).silent_seconds == 8.0


def test_sizes_are_those_of_start_quarters_and_end() -> None:
    assert sizes([size * 1000 for size in range(1, 10)]) == "1 → 3 → 5 → 7 → 9"
    assert sizes([]) == ""


def test_plan_of_a_seed_is_the_same_again_and_another_for_another() -> None:
    assert planned(30, 100, 7) == planned(30, 100, 7)
    assert planned(30, 100, 7) != planned(30, 100, 8)


def test_hundred_failures_are_those_of_the_deck() -> None:
    plan = planned(30, 100, 7)
    assert [failure.at for failure in plan] == sorted(failure.at for failure in plan)
    assert plan[-1].at <= 1800
    died = Counter(failure.kind for failure in plan)
    assert all(abs(died[kind] - 5 * times) <= 2 for kind, times in DECK.items())


def test_no_machine_is_killed_while_it_is_down_and_all_start_again() -> None:
    for kind in AWAY_SECONDS:
        order = [step.kill for step in steps(planned(30, 300, 7)) if step.kind == kind]
        assert order == [True, False] * (len(order) // 2)


def test_cut_over_divides_the_events_of_a_trial_and_no_two_have_one_id(month: list[Event]) -> None:
    sent = list(islice(endless(month), 200 + 36_000))
    at_us = middle_us(Trial(minutes=30, kills=1, seed=1, per_second=20.0), month)
    times = [int(event["departed_at"].timestamp() * 1e6) for event in sent]
    assert abs(sum(time < at_us for time in times) - 18_200) < 20
    assert times == sorted(times)
    assert len({event["id"] for event in sent}) == len(sent)
