"""Any value of state is decoded as it was, to the last bit, also by a coder that was pickled with a graph."""

import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.admission.watcher import Progress
from models.releases.release import AdmittedRelease, Challenger, Release
from pipeline.endpoints.kafka.address import KafkaAddress
from pipeline.endpoints.kafka.progress import TopicStretch
from tests.transforms.beam.state_values import coders, is_same, observed, plan
from transforms.arrivals.seen_ids import run_of
from transforms.features.feature_state import Grains, Layout
from transforms.features.join_features import Joins
from transforms.features.tiles import fold, fold_grains
from transforms.features.waiting import Waits

CODERS = {name.partition(" of ")[0]: coder for name, coder in coders().items()}
ints, texts = st.integers(-(2**62), 2**62), st.text(st.characters(codec="utf-8"), max_size=20)
shares = st.floats(0, 1)
finite = st.floats(allow_nan=False, allow_infinity=False)
jsons = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**39), 10**39) | finite | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
challengers = st.builds(Challenger, texts, shares)
releases = st.builds(
    Release,
    *(st.integers(1, 99_999_999), texts, ints, texts, st.lists(challengers, max_size=3).map(tuple)),
    *(st.lists(texts, max_size=3).map(tuple), texts, texts, texts, ints, texts, texts),
    previous=st.none() | texts,
    digests=st.none() | st.dictionaries(texts, texts, max_size=3),
    signature=st.none() | texts | st.dictionaries(texts, jsons, max_size=3),
)
sequences = st.frozensets(st.integers(1, 99_999_999), max_size=5)
offsets = st.dictionaries(st.integers(0, 2**31), st.integers(0, 2**62), max_size=5)
waits = st.builds(Waits, st.tuples(ints, ints, ints), st.tuples(ints, ints), ints)
counts = st.lists(ints, min_size=1, max_size=6).map(tuple)
plain: dict[str, st.SearchStrategy[Any]] = {
    "progress": st.builds(Progress, ints, st.lists(releases, max_size=3).map(tuple), sequences, sequences),
    "releases": st.builds(AdmittedRelease, releases, st.dictionaries(texts, texts, max_size=3), texts),
    "run": texts,
    "silences": st.integers(0, 2**62),
    "waits": waits,
    "joins": st.builds(Joins, counts, counts, waits),
    "stretch": st.builds(TopicStretch, offsets, st.none() | offsets),
    "topic": st.builds(
        KafkaAddress, texts, texts, texts, st.booleans(), st.none() | texts, ints, texts, texts, texts,
        st.lists(st.tuples(texts, texts), max_size=3).map(tuple), texts,
    ),
}  # fmt: skip
keys = st.none() | st.sampled_from("uvw") | texts
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32)
events = st.lists(st.tuples(keys, numbers, st.integers(0, 3_600_000_000)), max_size=30)


def comes_back(name: str, value: Any) -> None:
    coder = pickle.loads(pickle.dumps(CODERS[name]))
    assert is_same(coder.decode(CODERS[name].encode(value)), value)


@pytest.mark.parametrize("name", plain)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_plain_values_come_back(name: str, data: st.DataObject) -> None:
    comes_back(name, data.draw(plain[name]))


@settings(max_examples=100, deadline=None)
@given(ids=st.lists(texts, max_size=30), first_us=ints)
def test_seen_ids_come_back(ids: list[str], first_us: int) -> None:
    comes_back("seen", run_of(pa.array(ids, pa.string()), np.arange(len(ids)) + first_us))


@settings(max_examples=150, deadline=None)
@given(events, st.sampled_from((3, 100)), ints)
def test_tiles_and_grains_come_back(rows: list[tuple[Any, Any, int]], most: int, watermark_us: int) -> None:
    batch = observed(*(list(column) for column in zip(*rows, strict=True))) if rows else observed([], [], [])
    comes_back("tiles", (Layout(60_000_000, 8), watermark_us, fold(plan(), batch, most)))
    comes_back("tiles", (Layout(60_000_000, 8), watermark_us, None))
    grains = fold_grains(plan(), batch, most)
    if grains is not None:
        comes_back("grains", Grains(0, grains))


def test_a_release_that_was_written_before_a_field_was_added_has_its_default() -> None:
    coder, release = CODERS["releases"], Release(1, "m", 2, "v1")
    encoded = coder.encode(AdmittedRelease(release, {}, "r"))
    field = b"\xa9signature\xc0"  # a map's entry: a name of nine bytes, and nil
    count = encoded.index(b"release\x8f") + len(b"release")
    fewer = encoded[:count] + b"\x8e" + encoded[count + 1 :].replace(field, b"")
    assert len(fewer) == len(encoded) - len(field)
    assert coder.decode(fewer) == AdmittedRelease(release, {}, "r")
