"""How drift counts are added and encoded in Beam: a CombineFn, and coders that write the format's version first."""

from collections.abc import Iterable
from typing import Any

import apache_beam as beam
from apache_beam.coders import Coder, registry

from transforms.drift.drift_groups import GroupCounts
from transforms.drift.drift_sums import Tally, decode_counts, encode_counts
from transforms.flow.coders import decode_kept, encode_kept


class GroupCountsCoder(Coder):
    """`GroupCounts` as `encode_counts` writes them, format version first; kept in memory where batches are. Not
    deterministic: never a key."""

    def encode(self, value: GroupCounts) -> bytes:
        return encode_kept(value, encode_counts)

    def decode(self, encoded: bytes) -> GroupCounts:
        return decode_kept(encoded, decode_counts)

    def estimate_size(self, value: GroupCounts) -> int:
        """An estimate for the runner's size metrics, which would otherwise encode all counts a second time."""
        return sum(array.nbytes for array in (value.keys, value.counts, value.blocks.keys, value.blocks.counts))

    def is_deterministic(self) -> bool:
        return False

    def to_type_hint(self) -> type:
        return GroupCounts

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


class _TallyCoder(GroupCountsCoder):
    """A growing sum, which is never kept: more may be added to it."""

    def encode(self, value: Any) -> bytes:
        return encode_counts(value.sums())

    def decode(self, encoded: bytes) -> Any:
        tally = Tally()
        tally.add(decode_counts(encoded))
        return tally

    def estimate_size(self, value: Any) -> int:
        return int(value.size) * 8

    def to_type_hint(self) -> type:
        return Tally


registry.register_coder(GroupCounts, GroupCountsCoder)
registry.register_coder(Tally, _TallyCoder)


class TallyFn(beam.CombineFn):
    """Adds `GroupCounts` of one version: associative and commutative, exact in int64."""

    def create_accumulator(self) -> Tally:
        return Tally()

    def add_input(self, accumulator: Tally, element: GroupCounts) -> Tally:
        accumulator.add(element)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Tally]) -> Tally:
        total = Tally()
        for accumulator in accumulators:
            total.add(accumulator.sums())
        return total

    def extract_output(self, accumulator: Tally) -> GroupCounts:
        return accumulator.sums()

    def get_accumulator_coder(self) -> Coder:
        return _TallyCoder()
