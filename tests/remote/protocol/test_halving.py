"""A request is halved down to the record that the server refuses, without asking a broken server 2n times."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from models.scorers.remote.failures import CallFailed, RecordsRefused, RequestRefused, ServerFailed, ServerUnavailable
from models.scorers.remote.halving import Halving


class Model:
    """Scores a record by its number, and refuses a request with one that `refuses` names."""

    def __init__(self, refuses: Callable[[int], bool], failure: type[CallFailed] = RecordsRefused) -> None:
        self.sent: list[int] = []
        self._refuses, self._failure = refuses, failure

    def __call__(self, batch: pa.RecordBatch, once: bool) -> npt.NDArray[np.float64]:
        self.sent.append(batch.num_rows)
        numbers = batch.column(0).to_pylist()
        wrong = next((number for number in numbers if self._refuses(number)), None)
        if wrong is not None:
            raise self._failure(f"record {wrong}")
        return np.array(numbers, dtype=np.float64)


def records(count: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"number": range(count)})


@pytest.mark.parametrize("failure", [RecordsRefused, ServerFailed])
@pytest.mark.parametrize("poison", [0, 300, 511])
def test_one_bad_record_costs_one_failure(poison: int, failure: type[CallFailed]) -> None:
    model = Model(lambda number: number == poison, failure)
    scores, failures = Halving(model).score(records(512))
    assert failures == {poison: (failure.__name__, f"record {poison}")}
    assert np.flatnonzero(np.isnan(scores)).tolist() == [poison]
    assert np.delete(scores, poison).tolist() == [number for number in range(512) if number != poison]
    assert len(model.sent) == 1 + 2 * 9


def test_a_server_that_refuses_everything_is_not_asked_2n_times() -> None:
    model = Model(lambda number: True)
    with pytest.raises(RecordsRefused, match="record 0"):
        Halving(model).score(records(512))
    assert len(model.sent) == 2 * 9 + 4


def test_many_bad_records_fail_the_remaining_records_together() -> None:
    model = Model(lambda number: number % 3 == 0)
    scores, failures = Halving(model).score(records(512))
    assert len(model.sent) <= 64 + 512
    assert set(failures) == set(np.flatnonzero(np.isnan(scores)).tolist())
    assert {number for number in range(512) if number % 3 == 0} <= set(failures)
    _, detail = failures[511]
    assert detail.startswith("one of ")
    assert "not tried one by one: record " in detail


def test_a_server_that_becomes_unreachable_while_halving_is_not_called_again() -> None:
    class Dying(Model):
        def __call__(self, batch: pa.RecordBatch, once: bool) -> npt.NDArray[np.float64]:
            if len(self.sent) == 4:
                self._failure, self._refuses = ServerUnavailable, lambda number: True
            return super().__call__(batch, once)

    model = Dying(lambda number: number == 40)
    scores, failures = Halving(model).score(records(64))
    assert len(model.sent) == 5
    assert set(failures) == set(np.flatnonzero(np.isnan(scores)).tolist())
    assert np.isfinite(scores).sum() == 32


@pytest.mark.parametrize("failure", [RequestRefused, ServerUnavailable])
def test_failure_that_no_record_causes_is_not_halved(failure: type[CallFailed]) -> None:
    model = Model(lambda number: number == 1, failure)
    with pytest.raises(failure):
        Halving(model).score(records(8))
    assert model.sent == [8]


def test_halves_are_sent_once_each() -> None:
    attempts: list[bool] = []

    def send(batch: pa.RecordBatch, once: bool) -> npt.NDArray[np.float64]:
        attempts.append(once)
        return Model(lambda number: number == 2)(batch, once)

    Halving(send).score(records(4))
    assert attempts == [False, True, True, True, True]
