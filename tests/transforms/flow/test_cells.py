"""A method gets its cells as one object, and Beam still finds each of them."""

from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.coders import VarIntCoder
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, get_dofn_specs, on_timer
from apache_beam.utils.timestamp import Timestamp

from transforms.flow.cells import taking

_AT = TimerSpec("at", TimeDomain.WATERMARK)


class _Cells(NamedTuple):
    total: Any = beam.DoFn.StateParam(ReadModifyWriteStateSpec("total", VarIntCoder()))
    timer: Any = beam.DoFn.TimerParam(_AT)


class _SumFn(beam.DoFn):
    """The sum of a key's numbers, when the watermark reaches 5 s."""

    @taking(_Cells)
    def process(self, element: tuple[str, int], cells: _Cells) -> None:
        cells.total.write((cells.total.read() or 0) + element[1])
        cells.timer.set(Timestamp(5))

    @on_timer(_AT)
    @taking(_Cells, beam.DoFn.TimestampParam)
    def reached(self, at: Timestamp, cells: _Cells) -> Any:
        yield int(at.micros), cells.total.read()


def test_beam_finds_state_and_timers() -> None:
    states, timers = get_dofn_specs(_SumFn())  # type: ignore[no-untyped-call]  # Beam's DoFn has no types
    assert ({spec.name for spec in states}, timers) == ({"total"}, {_AT})


def test_a_step_with_its_cells_in_one_object_runs() -> None:
    with beam.Pipeline() as pipeline:
        pairs = pipeline | beam.Create([("a", 1), ("b", 5), ("a", 2)]).with_output_types(tuple[str, int])
        sums = pairs | beam.ParDo(_SumFn())  # type: ignore[no-untyped-call]  # as above
        assert_that(sums, equal_to([(5_000_000, 3), (5_000_000, 5)]))
