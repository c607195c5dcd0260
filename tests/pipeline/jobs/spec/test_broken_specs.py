"""A broken job spec or command line exits 2 and says in one line where, what, and what is allowed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from pipeline.command_line.options import parse_run_options
from tests.pipeline.jobs.flows import COLUMNS, Flow, json_lines, said_nothing_of_python, trips

Change = Callable[[dict[str, Any]], object]
WINDOWED = {"name": "w", "key": "carrier", "column": "delay", "aggregate": "mean", "size": "1h", "every": "5m"}


def windowed(**changes: Any) -> Change:
    """Adds a windowed feature; a change to None takes the key out."""
    feature = {key: value for key, value in {**WINDOWED, **changes}.items() if value is not None}
    return lambda spec: spec["features"].append(feature)


def private(keys: str | None = "keys", subject: str | None = "carrier", segments: Any = (), **others: Any) -> Change:
    """Adds privacy, and what it needs."""

    def change(spec: dict[str, Any]) -> None:
        spec["privacy"] = {**({} if keys is None else {"keys": keys}), **others}
        spec["events"] |= {} if subject is None else {"subject": subject}
        spec["drift"] = {"segments": list(segments)}

    return change


def beside_scores(spec: dict[str, Any]) -> None:
    private(keys=f"file://{spec['sinks']['scores']}/../scores/keys")(spec)


# What is changed in a valid spec, and what the error must say.
BROKEN: list[tuple[Change, tuple[str, ...]]] = [
    (lambda spec: spec.pop("job"), ("job: missing", "a name")),
    (private(keys=None), ("privacy.keys: missing", "a path or URI")),
    (private(kees="k"), ("privacy.kees: unknown key", "did you mean 'keys'?")),
    (private(keys="kafka://h:1/t"), ("privacy.keys: 'kafka://h:1/t'", "a path, file:///path, s3://")),
    (private(keys="s3://u:p@b/k"), ("privacy.keys: ", "with credentials in the environment")),
    (private(keys="${HALFLIFE_NO_SUCH}/k"), ("privacy.keys: ", "next: export HALFLIFE_NO_SUCH=")),
    (private(subject=None), ("events.subject: missing", "the column with the person")),
    (private(hide=["ditance"]), ("privacy.hide[0]: 'ditance'", "event_id, or a column", "did you mean 'distance'?")),
    (private(hide=["distance", "at"]), ("privacy.hide[1]: 'at'", "another column than that of the event time")),
    (private(hide=["carrier"], segments=["carrier"]), ("privacy.hide[0]: 'carrier'", "drift.segments")),
    (private(hide="carrier"), ("privacy.hide: 'carrier'", "a list")),
    (private(after_erasure="forget"), ("privacy.after_erasure: 'forget'", "new_key, refuse")),
    (lambda spec: spec.update(privacy=[]), ("privacy: []", "a mapping")),
    (beside_scores, ("privacy.keys: ", "a folder or bucket apart from sinks.scores")),
    (lambda spec: spec.pop("events"), ("events: missing", "a mapping")),
    (lambda spec: spec.update(job="9 lives"), ("job: '9 lives'", "a letter, then letters")),
    (lambda spec: spec.update(evnts={}), ("evnts: unknown key", "did you mean 'events'?")),
    (lambda spec: spec["events"].update(time="at"), ("events.time: unknown key", "event_time")),
    (lambda spec: spec["events"].update(format="xml"), ("events.format: 'xml'", "csv, parquet, json, avro")),
    (lambda spec: spec["events"].update(uri=""), ("events.uri: ''", "a path or URI")),
    (lambda spec: spec["events"].update(uri="ftp://x/y"), ("events.uri: 'ftp://x/y'", "file, gs, s3")),
    (lambda spec: spec["events"].update(uri="s3:x"), ("events.uri: 's3:x'", "file, gs, s3")),
    (lambda spec: spec["events"].update(event_id="idd"), ("events.event_id: 'idd'", "did you mean 'id'?")),
    (lambda spec: spec["events"].update(event_time="time"), ("events.event_time: 'time'", "a column of")),
    (lambda spec: spec["events"].update(subject="whom"), ("events.subject: 'whom'", "a column of")),
    (lambda spec: spec["events"].update(event_id="__id"), ("events.event_id: '__id'", "Halflife's own")),
    (lambda spec: spec["events"].update(time_unit="min"), ("events.time_unit: 'min'", "s, ms, us, ns, days")),
    (lambda spec: spec["events"].update(max_out_of_orderness="5 min"), ("events.max_out_of_orderness", "such as 30s")),
    (lambda spec: spec["events"].update(time_range=["2013-01-01"]), ("events.time_range", "two RFC 3339 times")),
    (
        lambda spec: spec["events"].update(time_range=["a", "2013-01-01"]),
        ("events.time_range[0]: 'a'", "an RFC 3339 time"),
    ),
    (
        lambda spec: spec["events"].update(time_range=["2014-01-01", "2013-01-01"]),
        ("events.time_range", "a first time before the second"),
    ),
    (
        lambda spec: spec["events"].update(columns={"delay": "float"}),
        ("events.columns.delay: 'float'", "number, integer"),
    ),
    (
        lambda spec: spec["events"].update(columns={"delay": "number", "carrier": "string"}),
        ("features[1]: 'distance'", "delay", "events.columns is there, so no other column is read off the input"),
    ),
    (lambda spec: spec.update(features=[]), ("features: []", "a list of at least 1 item")),
    (lambda spec: spec["features"].append("dely"), ("features[3]: 'dely'", "did you mean 'delay'?")),
    (lambda spec: spec["features"].append("delay"), ("features[3]: 'delay'", "each event column once")),
    (lambda spec: spec["features"].append(5), ("features[3]: 5", "the name of an event column")),
    (windowed(aggregate="middle"), ("features[3].aggregate: 'middle'", "count, sum, mean")),
    (windowed(aggregate="quantile"), ("features[3].q: missing", "between 0 and 1")),
    (windowed(aggregate="quantile", q=1), ("features[3].q: 1", "between 0 and 1")),
    (windowed(q=0.5), ("features[3].q: 0.5", "no q: only quantile has one")),
    (windowed(column=None), ("features[3].column: missing", "without one only count, rate, time_since_last")),
    (windowed(column="carrier"), ("features[3].aggregate: 'mean'", "the column carrier is text")),
    (windowed(key="airport"), ("features[3].key: 'airport'", "a column of")),
    (windowed(name="delay"), ("features[3].name: 'delay'", "no event column and no other feature")),
    (windowed(name="n"), ("features[3].name: 'n'", "no event column and no other feature")),
    (windowed(size="1 hour"), ("features[3].size: '1 hour'", "a duration such as")),
    (windowed(every="0s"), ("features[3].every: '0s'", "at least 1ms")),
    (windowed(size=None), ("features[3].size: missing", "a duration such as")),
    (windowed(aggregate="quantile", q=0.5, size="all"), ("features[3].size: 'all'", "there are only count, sum, mean")),
    (windowed(aggregate="decayed_sum", half_life="1h", size="all"), ("features[3].size: 'all'", "a duration; of all")),
    (windowed(half_life="1h"), ("features[3].half_life: '1h'", "only decayed_count, decayed_sum, decayed_mean have")),
    (windowed(aggregate="decayed_sum"), ("features[3].half_life: missing", "the time in which a value's weight")),
    (windowed(aggregate="decayed_sum", half_life="soon"), ("features[3].half_life: 'soon'", "a duration such as")),
    (
        windowed(aggregate="decayed_mean", half_life="1s", size="1h"),
        ("features[3].size: '1h'", "at most 1,000 half-lives"),
    ),
    (windowed(size="365d", every="1ms"), ("features of key carrier", "at most 100000 tiles")),
    (lambda spec: spec["model"].pop("store"), ("model.store: missing", "a path or URI")),
    (lambda spec: spec["model"].update(store="http://x/y"), ("model.store: 'http://x/y'", "s3://bucket/path")),
    (lambda spec: spec["model"].update(poll="often"), ("model.poll: 'often'", "a duration such as")),
    (
        lambda spec: spec["model"].update(trusted_key="no/such.pem"),
        ("model.trusted_key: 'no/such.pem'", "a PEM file"),
    ),
    (lambda spec: spec.update(windows={"shards": 0}), ("windows.shards: 0", "from 1 to 4096")),
    (lambda spec: spec.update(drift={"segments": ["carier"]}), ("drift.segments[0]: 'carier'", "'carrier'?")),
    (lambda spec: spec.update(drift={"ks": 2}), ("drift.ks: 2", "at most 1")),
    (lambda spec: spec.update(drift=None), ("drift: null", "a mapping")),
    (lambda spec: spec.update(explain={"top": 0}), ("explain.top: 0", "from 1 to 1000")),
    (lambda spec: spec.update(explain={"when": "late"}), ("explain.when: 'late'", "or a list of decisions")),
    (lambda spec: spec.update(explain={"when": []}), ("explain.when: ", "at least 1")),
    (lambda spec: spec.update(explain={"budget": -0.1}), ("explain.budget: -0.1", "a number from 0 to")),
    (lambda spec: spec.update(labels={**spec["events"]}), ("labels.column: missing", "an event column")),
    (lambda spec: spec["sinks"].update(scores="amqp://h/t"), ("sinks.scores: 'amqp://h/t'", "stdout:")),
    (lambda spec: spec["sinks"].update(scores="kafka://h/t"), ("sinks.scores: 'kafka://h/t'", "kafka://host:port/topic")),
    (lambda spec: spec["sinks"].update(score="x"), ("sinks.score: unknown key", "did you mean 'scores'?")),
]
TEXTS: list[tuple[str, tuple[str, ...]]] = [
    ("job: [", ("--job", "a YAML file")),
    ("- a\n- b\n", ("holds ['a', 'b']", "a mapping with the keys job, events, features, model")),
    ("", ("holds nothing", "a mapping")),
    (
        "job: a\nevents: {uri: x,\n  format: avro, uri: y}\n",
        ("events.uri: given twice, in lines 2 and 3", "each key once"),
    ),
    ("job: a\nmodel: {}\njob: b\n", ("job: given twice, in lines 1 and 3", "each key once")),
    ("job: &a [*a]\n", ("--job", "recursion")),
    ("true: 1\njob: a\n", ("document: True", "put the key in quotes")),
]
ARGUMENTS: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    (("--set", "model.poll"), ("--set: 'model.poll'", "path=value")),
    (("--set", "=1"), ("--set: '=1'", "path=value")),
    (("--set", ".=1"), ("--set: '.'", "a dotted path")),
    (("--set", "features[x]=1"), ("--set: 'features[x]'", "list indexes as numbers")),
    (("--set", "features[-1]=a"), ("--set: 'features[-1]'", "list indexes as numbers")),
    (("--set", "features[99]=a"), ("--set: 'features[99]'", "a path into the job spec")),
    (("--set", "job.name=a"), ("--set: 'job.name'", "a path into the job spec")),
    (("--set", "model={a"), ("--set: 'model={a'", "YAML")),
    (("--set", "model.pol=1s"), ("model.pol: unknown key", "did you mean 'poll'?")),
    (("--sumary", "x"), ("'--sumary'", "did you mean --summary?")),
    (("--streeming",), ("'--streeming'", "did you mean --streaming?")),
    (("extra",), ("'extra' is not known",)),
    (("--runner=FlinkRunner", "--sumary=x"), ("'--sumary=x'", "did you mean --summary?")),
    (("--direct_num_workers=many",), ("--direct_num_workers", "invalid int value")),
    (("--sdk_harness_log_level_overrides=1",), ("'--sdk_harness_log_level_overrides=1' is not allowed",)),
    (("--runner=FlinkRuner",), ("--runner: 'FlinkRuner' is not known", "did you mean FlinkRunner?")),
    (("--runner=nowhere.Runner",), ("--runner: 'nowhere.Runner' is not known", "FlinkRunner", "dotted name")),
    (("--runner=apache_beam.Pipeline",), ("--runner: 'apache_beam.Pipeline' is not known",)),
    (("--runner=DataflowRunner", "--num_workes=2"), ("'--num_workes=2'", "did you mean --num_workers or ")),
    (("--runner=FlinkRunner", "--paralelism=2"), ("'--paralelism=2'", "did you mean --parallelism")),
    (("--runner=flink", "--checkpointing_intervall=5"), ("did you mean --checkpointing_interval?",)),
    (("--runner=FlinkRunner", "extra"), ("'extra' is not known",)),
    (("--runner=SparkRunner", "--num_workes=2"), ("did you mean --num_workers or ",)),
]


@pytest.fixture
def fed(flow: Flow) -> Flow:
    """A job whose input is whole."""
    flow.feed(json_lines(trips(3)))
    return flow


@pytest.mark.parametrize(("change", "says"), BROKEN, ids=[says[0][:40] for _, says in BROKEN])
def test_broken_spec_exits_2_with_path_value_and_allowed(fed: Flow, change: Change, says: tuple[str, ...]) -> None:
    spec = fed.spec()
    change(spec)
    outcome = fed.run(spec)
    assert (outcome.code, outcome.out) == (2, "")
    assert said_nothing_of_python(outcome), outcome.err
    assert [text for text in says if text not in outcome.err] == [], outcome.err


@pytest.mark.parametrize(("text", "says"), TEXTS, ids=[says[0][:40] for _, says in TEXTS])
def test_text_that_is_no_spec_exits_2(fed: Flow, text: str, says: tuple[str, ...]) -> None:
    outcome = fed.run(text)
    assert (outcome.code, outcome.out) == (2, "")
    assert said_nothing_of_python(outcome), outcome.err
    assert [part for part in says if part not in outcome.err] == [], outcome.err


@pytest.mark.parametrize(("arguments", "says"), ARGUMENTS, ids=[given[-1] for given, _ in ARGUMENTS])
def test_wrong_argument_exits_2(fed: Flow, arguments: tuple[str, ...], says: tuple[str, ...]) -> None:
    outcome = fed.run(fed.spec(columns=COLUMNS), *arguments)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    assert [text for text in says if text not in outcome.err.splitlines()[-1]] == [], outcome.err


@pytest.mark.parametrize("given", ["flink", "flinkrunner", "apache_beam.runners.portability.flink_runner.FlinkRunner"])
def test_runner_has_one_name_however_it_is_given(given: str) -> None:
    words = [f"--runner={given}", "--checkpointing_interval", "5000", "--object_reuse"]
    options = parse_run_options(words, "halflife run")
    assert PipelineOptions(list(options.beam)).view_as(StandardOptions).runner == "FlinkRunner"
    assert options.beam[: len(words)] == tuple(words)


def test_job_server_that_nobody_listed_is_asked_itself() -> None:
    words = ["--runner=SparkRunner", "--spark_only=1"]
    assert parse_run_options(words, "halflife run").beam == tuple(words)


def test_whole_process_exits_2_for_a_file_that_is_not_there(tmp_path: Path, root: Path) -> None:
    command = [sys.executable, "-m", "pipeline", "--job", str(tmp_path / "none.yaml")]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert "none.yaml" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_times_in_yaml_need_no_quotes(fed: Flow) -> None:
    document = fed.write_spec(fed.spec(time_range=["@", "#"])).read_text()
    outcome = fed.run(document.replace("'@'", "2014-01-01").replace("'#'", "2013-01-01T00:00:00Z"))
    assert "a first time before the second" in outcome.err
