"""`labels.silent_after` of a job: how long the topic of labels may be silent reaches whoever reads it."""

from pathlib import Path

import pytest

from pipeline.endpoints.kafka.address import kafka_address
from pipeline.endpoints.kafka.source import ReadTopic
from pipeline.endpoints.labels.label_source import LabelSource, open_labels
from pipeline.endpoints.sources import Topic
from tests.pipeline.commands.commands import halflife

HOUR_US = 3_600_000_000
LINE = '{"id": "e1", "t": "2013-01-01T00:00:00Z", "paid": true}\n'


def opened(folder: Path, **stated: str) -> LabelSource:
    (folder / "labels.json").write_text(LINE)
    names = {"event_id": "id", "event_time": "t"}
    labels = {"uri": str(folder / "labels.json"), "format": "json", "column": "paid", **names, **stated}
    return open_labels({"events": {"uri": "none", **names}, "labels": labels}, "tests")


@pytest.mark.parametrize(
    ("stated", "hours"),
    [
        ({"horizon": "24h", "silent_after": "2h"}, 2.0),
        ({"horizon": "30d"}, 720.0),
        ({"horizon": "5m"}, 1.0),
        ({}, 1.0),
        ({"silent_after": "90s"}, 0.025),
    ],
    ids=["stated", "a long horizon", "a short one", "none", "seconds"],
)
def test_a_topic_may_be_silent_for_the_horizon_and_at_least_an_hour(
    tmp_path: Path, stated: dict[str, str], hours: float
) -> None:
    assert opened(tmp_path, **stated).spec.silent_after_us == hours * HOUR_US


def test_the_step_that_follows_the_topic_is_told(tmp_path: Path) -> None:
    spec = opened(tmp_path, silent_after="3h").spec
    source = LabelSource(spec, Topic(kafka_address("kafka://b:9092/labels", "labels.uri"), "json"))
    reading = source.read()
    assert isinstance(reading, ReadTopic)
    assert reading.silent_after_us == 3 * HOUR_US


@pytest.mark.parametrize("value", ["soon", "12", "-1h"])
def test_what_is_no_duration_is_refused_with_its_key(tmp_path: Path, value: str) -> None:
    (tmp_path / "job.yaml").write_text(f"labels: {{silent_after: '{value}'}}\n")
    ran = halflife("run", "--job", tmp_path / "job.yaml")
    assert ran.code == 2
    assert f"labels.silent_after: '{value}' is not allowed; expected: " in ran.err
