"""A server that fails repeatedly is not called for a while, then tried once."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from models.scorers.remote.circuit import Circuit
from models.scorers.remote.failures import CircuitOpen
from tests.remote.servers.doubles import Turned


@pytest.fixture
def circuit(turned: Turned) -> Circuit:
    return Circuit("http://here:1", failures=3, open_s=10.0, clock=lambda: turned.now)


def opened(circuit: Circuit) -> Circuit:
    for _ in range(3):
        assert not circuit.enter()
        circuit.failed()
    return circuit


def test_circuit_opens_after_failures_in_a_row(circuit: Circuit) -> None:
    opened(circuit)
    with pytest.raises(CircuitOpen, match=r"http://here:1 failed 3 times in a row; it is tried again in 10\.0 s"):
        circuit.enter()


def test_a_success_in_between_starts_the_count_again(circuit: Circuit) -> None:
    for succeeds in (False, False, True, False, False):
        circuit.enter()
        (circuit.succeeded if succeeds else circuit.failed)()
    assert circuit.closed


def test_one_call_tries_an_open_circuit_after_its_time(circuit: Circuit, turned: Turned) -> None:
    opened(circuit)
    turned.now += 10
    assert circuit.enter()
    with pytest.raises(CircuitOpen, match="being tried now"):
        circuit.enter()
    circuit.succeeded()
    assert circuit.closed
    assert not circuit.enter()


def test_a_failed_try_opens_it_again_for_the_whole_time(circuit: Circuit, turned: Turned) -> None:
    opened(circuit)
    turned.now += 10
    circuit.enter()
    circuit.failed()
    turned.now += 9.9
    with pytest.raises(CircuitOpen):
        circuit.enter()
    turned.now += 0.1
    assert circuit.enter()


def test_an_abandoned_try_leaves_the_next_call_to_try(circuit: Circuit, turned: Turned) -> None:
    opened(circuit)
    turned.now += 10
    circuit.enter()
    circuit.abandoned()
    assert circuit.enter()


def test_late_failures_do_not_keep_it_open_longer(circuit: Circuit, turned: Turned) -> None:
    circuit.enter()
    opened(circuit)
    turned.now += 5
    circuit.failed()
    turned.now += 5
    assert circuit.enter()


@pytest.mark.parametrize("succeeds", [True, False])
def test_calls_during_the_try_wait_for_its_result(succeeds: bool, circuit: Circuit, turned: Turned) -> None:
    opened(circuit)
    turned.now += 10
    circuit.enter()
    with ThreadPoolExecutor(4) as threads:
        beside = [threads.submit(circuit.enter, 60.0) for _ in range(4)]
        (circuit.succeeded if succeeds else circuit.failed)()
        outcomes = [one.exception() or one.result() for one in beside]
    wanted = [False] * 4 if succeeds else [CircuitOpen] * 4
    assert [outcome if succeeds else type(outcome) for outcome in outcomes] == wanted
