"""When a request is sent again, and after which pause. No test sleeps: time is an argument."""

import threading

import pytest

from models.scorers.base import WillNotLoad
from models.scorers.remote.calls import CONCURRENCY, Calls, slots_at
from models.scorers.remote.circuit import Circuit
from models.scorers.remote.failures import (
    AnswerMalformed,
    CallFailed,
    CircuitOpen,
    RecordsRefused,
    RequestRefused,
    ServerFailed,
    ServerUnavailable,
)
from tests.remote.servers.doubles import Turned


def calls(turned: Turned, deadline_s: float = 30.0, chance: float = 1.0, failures: int = 3) -> Calls:
    circuit = Circuit("http://here:1", failures, 10.0, lambda: turned.now)
    return Calls(circuit, threading.Semaphore(2), 5.0, deadline_s, turned.pace(chance))



class Attempts:
    """Fails with the given failures in turn, then answers; keeps the timeouts it was given."""

    def __init__(self, *failures: CallFailed) -> None:
        self.timeouts: list[float] = []
        self._failures = iter(failures)

    def __call__(self, timeout_s: float) -> str:
        self.timeouts.append(timeout_s)
        for failure in self._failures:
            raise failure
        return "answer"


def test_pauses_double_up_to_five_seconds(turned: Turned) -> None:
    attempt = Attempts(*[ServerUnavailable("down")] * 8)
    assert calls(turned).send(attempt) == "answer"
    assert turned.pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])


def test_half_of_a_pause_is_random(turned: Turned) -> None:
    calls(turned, chance=0.0).send(Attempts(ServerUnavailable("down"), ServerUnavailable("down")))
    assert turned.pauses == pytest.approx([0.05, 0.1])


def test_the_pause_a_server_asks_for_is_kept(turned: Turned) -> None:
    calls(turned).send(Attempts(ServerUnavailable("busy", retry_after_s=7.0)))
    assert turned.pauses == [7.0]


def test_a_pause_beyond_the_deadline_is_not_begun(turned: Turned) -> None:
    attempt = Attempts(ServerUnavailable("busy", retry_after_s=31.0))
    with pytest.raises(ServerUnavailable, match="busy"):
        calls(turned).send(attempt)
    assert (turned.pauses, len(attempt.timeouts)) == ([], 1)


def test_attempts_end_at_the_deadline(turned: Turned) -> None:
    attempt = Attempts(*[ServerUnavailable("down")] * 99)
    with pytest.raises(ServerUnavailable):
        calls(turned, deadline_s=2.0).send(attempt)
    assert sum(turned.pauses) < 2.0
    assert attempt.timeouts[0] == 2.0
    assert attempt.timeouts[-1] == pytest.approx(2.0 - sum(turned.pauses))


@pytest.mark.parametrize(
    ("failure", "sent"),
    [(ServerFailed, 3), (RecordsRefused, 1), (RequestRefused, 1), (AnswerMalformed, 1)],
)
def test_only_what_may_pass_is_sent_again(failure: type[CallFailed], sent: int, turned: Turned) -> None:
    attempt = Attempts(*[failure("no")] * 9)
    with pytest.raises(failure):
        calls(turned).send(attempt)
    assert len(attempt.timeouts) == sent


def test_an_open_circuit_sends_nothing_and_then_tries_once(turned: Turned) -> None:
    sender = calls(turned, deadline_s=1.0)
    for _ in range(3):
        with pytest.raises(ServerUnavailable):
            sender.send(Attempts(*[ServerUnavailable("down")] * 99))
    attempt = Attempts(*[ServerUnavailable("down")] * 99)
    with pytest.raises(CircuitOpen):
        sender.send(attempt)
    assert attempt.timeouts == []
    turned.now += 10
    with pytest.raises(ServerUnavailable):
        sender.send(attempt)
    assert len(attempt.timeouts) == 1
    turned.now += 10
    assert sender.send(Attempts()) == "answer"
    assert sender.send(Attempts()) == "answer"


def test_a_refused_record_says_that_the_server_is_up(turned: Turned) -> None:
    sender = calls(turned, deadline_s=0.05, failures=2)
    for failure in (ServerUnavailable("down"), RecordsRefused("no"), ServerUnavailable("down")):
        with pytest.raises(type(failure)):
            sender.send(Attempts(failure))
    assert sender.send(Attempts()) == "answer"


def test_no_more_requests_at_once_than_there_are_slots(turned: Turned) -> None:
    slots = threading.Semaphore(1)
    circuit = Circuit("http://here:1", 3, 10.0, lambda: turned.now)
    sender = Calls(circuit, slots, 5.0, 0.02, turned.pace())

    def inner(timeout_s: float) -> str:
        return sender.send(Attempts())

    with pytest.raises(ServerUnavailable, match=r"no request of this process ended; allowed: at most 0\.02 s"):
        sender.send(inner)
    assert sender.send(Attempts()) == "answer"


def test_a_bug_is_not_taken_for_a_failure_of_the_server(turned: Turned) -> None:
    def broken(timeout_s: float) -> str:
        raise ZeroDivisionError

    sender = calls(turned, failures=1)
    with pytest.raises(ZeroDivisionError):
        sender.send(broken)
    assert sender.send(Attempts()) == "answer"


@pytest.mark.parametrize("text", ["0", "1025", "many", "-1", "1.5", "²"])
def test_the_operators_bound_must_be_a_number(text: str) -> None:
    with pytest.raises(WillNotLoad, match=f"{CONCURRENCY} is .* allowed: a whole number from 1 to 1024"):
        slots_at("http://elsewhere:1", {CONCURRENCY: text})


def test_versions_on_one_server_share_its_slots() -> None:
    environ = {CONCURRENCY: "1"}
    assert slots_at("http://shared:1", environ) is slots_at("http://shared:1", environ)
    assert slots_at("http://shared:1", environ) is not slots_at("http://shared:2", environ)
