"""How sums of quality are added and encoded in Beam: a CombineFn, and coders that write the format's version first."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import apache_beam as beam
import msgspec
import numpy as np
from apache_beam.coders import Coder, registry

from schemas.expectations import wants
from transforms.quality.sums.exact_sums import ExactSums, Ints
from transforms.quality.sums.group_sums import GroupSums, added_sums
from transforms.quality.sums.score_tables import ScoreTable

FORMAT_VERSION = 1
_Array: TypeAlias = tuple[tuple[int, ...], bytes]
_Sums: TypeAlias = tuple[int, _Array]
_Encoded: TypeAlias = tuple[
    int, tuple[tuple[int, str], ...], _Array, _Sums, _Array, _Sums, _Array, _Sums,
    tuple[_Array, _Array, _Array, _Array, _Array]
]  # fmt: skip


def encode_sums(sums: GroupSums) -> bytes:
    """The sums as MessagePack, arrays as little-endian int64; the first item is the format's version."""
    fields = [_sums_of(each) if isinstance(each, ExactSums) else _array_of(each) for each in sums[1:7]]
    return msgspec.msgpack.encode((FORMAT_VERSION, sums.groups, *fields, tuple(map(_array_of, sums.table))))


def decode_sums(encoded: bytes) -> GroupSums:
    """The inverse of `encode_sums`.

    Raises:
        ValueError: the bytes are corrupt or of another format version.
    """
    found = msgspec.msgpack.decode(encoded)
    if not found or found[0] != FORMAT_VERSION:
        version = found[0] if found else None
        raise ValueError(f"sums of quality of format {version} cannot be read; {wants(f'format {FORMAT_VERSION}')}")
    _, groups, counts, sums, in_span, losses, in_bin, in_bins, table = msgspec.convert(found, _Encoded)
    return GroupSums(groups, _read(counts), _read_sums(sums), _read(in_span), _read_sums(losses), _read(in_bin),
                     _read_sums(in_bins), ScoreTable(*map(_read, table)))  # fmt: skip


def _array_of(array: Ints) -> _Array:
    return array.shape, array.astype("<i8", copy=False).tobytes()


def _sums_of(sums: ExactSums) -> _Sums:
    return sums.low, _array_of(sums.digits)


def _read(array: _Array) -> Ints:
    shape, data = array
    return np.frombuffer(data, "<i8").reshape(shape)


def _read_sums(sums: _Sums) -> ExactSums:
    return ExactSums(sums[0], _read(sums[1]))


class GroupSumsCoder(Coder):
    """`GroupSums` as `encode_sums` writes them. Not deterministic: never a key."""

    def encode(self, value: GroupSums) -> bytes:
        return encode_sums(value)

    def decode(self, encoded: bytes) -> GroupSums:
        return decode_sums(encoded)

    def is_deterministic(self) -> bool:
        return False

    def to_type_hint(self) -> type:
        return GroupSums

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


class _PartsCoder(Coder):
    """The accumulator: at most one sum, in a list."""

    def encode(self, value: Any) -> bytes:
        return encode_sums(added_sums(value)) if value else b""

    def decode(self, encoded: bytes) -> Any:
        return [decode_sums(encoded)] if encoded else []

    def is_deterministic(self) -> bool:
        return False


registry.register_coder(GroupSums, GroupSumsCoder)


class SumsFn(beam.CombineFn):
    """Adds `GroupSums` of one version and role: associative and commutative, exact."""

    def create_accumulator(self) -> list[GroupSums]:
        return []

    def add_input(self, accumulator: list[GroupSums], element: GroupSums) -> list[GroupSums]:
        return [*accumulator, element] if len(accumulator) < 8 else [added_sums([*accumulator, element])]

    def merge_accumulators(self, accumulators: Iterable[list[GroupSums]]) -> list[GroupSums]:
        return [sums for accumulator in accumulators for sums in accumulator]

    def extract_output(self, accumulator: list[GroupSums]) -> GroupSums:
        return added_sums(accumulator)

    def get_accumulator_coder(self) -> Coder:
        return _PartsCoder()
