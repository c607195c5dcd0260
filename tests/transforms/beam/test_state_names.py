"""State names no class and no module: those may be moved or renamed before a savepoint is read again."""

import re
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import registry
from apache_beam.utils.timestamp import Timestamp

from tests.transforms.beam.state_values import RELEASE, TOPIC, VALUES, coders, is_same, value_of
from transforms.releases.spread_releases import EventsOrReleases, _SpreadFn
from transforms.scoring.score_events import _FollowFn

ROOMS = [path.parent.name for path in Path(__file__).parents[3].glob("*/__init__.py")]
LIBRARIES = ["numpy", "pandas", "pyarrow", "apache_beam", "msgspec"]
# A module's name, or the first bytes of a pickle of any protocol.
NAMES = re.compile(rb"(?:%s)\.|\x80[\x02-\x05]" % "|".join([*ROOMS, *LIBRARIES, "endpoints"]).encode())


def test_the_rules_find_what_they_look_for() -> None:
    assert {"transforms", "models", "pipeline", "schemas"} <= set(ROOMS)
    assert NAMES.search(registry.get_coder(object).encode(RELEASE))


@pytest.mark.parametrize("name", coders())
def test_state_names_no_module_and_is_no_pickle(name: str) -> None:
    coder, value = coders()[name], value_of(name)
    encoded = coder.encode(value)
    assert NAMES.search(encoded) is None, encoded
    assert is_same(coder.decode(encoded), value)


def test_releases_on_their_way_to_the_shards_name_no_module() -> None:
    spreading = _SpreadFn()  # type: ignore[no-untyped-call]  # Beam's DoFn has no types
    spreading.start_bundle()
    spreading.process(VALUES["releases"], Timestamp(0))
    elements: list[Any] = [told.value for told in spreading.finish_bundle()]
    coder = registry.get_coder(EventsOrReleases)
    assert all(NAMES.search(coder.encode(element)) is None for element in elements)
    assert _FollowFn.RELEASES.coder.decode(coder.decode(coder.encode(elements[0]))[1][0]) == VALUES["releases"]


def test_checkpoint_of_a_topics_reader_names_no_module() -> None:
    pipeline = beam.Pipeline()
    topic = pipeline | beam.Create([TOPIC], reshuffle=False)
    assert type(registry.get_coder(topic.element_type)) is type(coders()["topic"])
