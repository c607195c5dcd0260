"""Remote kinds: the answer for a record is the server's for that record alone, whatever its neighbours."""

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.bundles.manifest import InvalidManifest, Output
from models.scorers.remote.tensors import scores_of
from tests.models.scorers.alone import Case, Model, differences, sampled
from tests.models.scorers.alone.cases import Record
from tests.remote.manifests import BASE, batch, loaded
from tests.remote.servers.doubles import Reply, Request, ScriptedServer
from tests.remote.servers.servers import KServe, MlServer, TfServing

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
SEEN: list[Record] = [
    {"delay": 31.0, "distance": 500, "weekend": True, "carrier": "AA"},
    {"delay": -4.5, "distance": 2400, "weekend": False, "carrier": "DL"},
    {"delay": 0.25, "distance": 100, "weekend": True, "carrier": "UA"},
]
NAMED: list[dict[str, Any]] = [
    {"name": "delay", "type": "number", "nullable": True},
    {"name": "distance", "type": "integer", "nullable": True, "default": 700},
    {"name": "weekend", "type": "boolean"},
    {"name": "carrier", "type": "string", "nullable": True},
]
NUMBERS: list[dict[str, Any]] = [
    {"name": "delay", "type": "number"},
    {"name": "distance", "type": "integer", "nullable": True, "default": 700},
    {"name": "weekend", "type": "boolean"},
]


def served(folder: Path, serving: TfServing, scheme: str) -> Model:
    """The model that the server holds, loaded from its own folder and asked for one record."""
    import tensorflow as tf

    model = tf.saved_model.load(str(serving.folder / "3"))
    types = {"delay": tf.float32, "distance": tf.int64, "weekend": tf.bool, "carrier": tf.string}

    def truth(record: Record) -> float:
        values = {**record, "carrier": record["carrier"] or ""}
        values["delay"] = np.nan if record["delay"] is None else record["delay"]
        tensors = {name: tf.constant(np.array([values[name]]), kind) for name, kind in types.items()}
        return float(model.signatures["serving_default"](**tensors)["score"].numpy()[0])

    parameters = {"url": serving.url(scheme), "model": "late", "version": "3", "feed": "named"}
    manifest = {"inputs": NAMED, "output": {"kind": "probability"}, "parameters": parameters}
    folder.mkdir(parents=True, exist_ok=True)
    return Model(manifest, truth, SEEN, tolerance=1e-5)


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_tfserving_answers_for_the_record_alone(tf_serving: TfServing, scheme: str, tmp_path: Path) -> None:
    case = Case("tfserving", scheme, partial(served, serving=tf_serving, scheme=scheme))
    found = differences(case, tmp_path, sampled)
    assert not found, "; ".join(map(str, found[:5]))


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_openinference_answers_for_the_record_alone(mlserver: MlServer, scheme: str, tmp_path: Path) -> None:
    def make(folder: Path) -> Model:
        folder.mkdir(parents=True, exist_ok=True)
        manifest = {
            "inputs": NUMBERS,
            "output": {"kind": "probability"},
            "parameters": {**BASE, "url": mlserver.url(scheme)},
        }
        kinds = {"number": pa.float64(), "integer": pa.int64(), "boolean": pa.bool_()}
        schema = pa.schema([(each["name"], kinds[each["type"]]) for each in NUMBERS])

        def truth(record: Record) -> float:
            with np.errstate(over="ignore"):
                return float(mlserver.expected(pa.RecordBatch.from_pylist([dict(record)], schema=schema))[0])

        return Model(manifest, truth, SEEN)

    found = differences(Case("openinference", scheme, make), tmp_path, sampled)
    assert not found, "; ".join(map(str, found[:5]))


def strained(record: Record) -> float:
    """What KServe's model `strain` answers."""
    delay, carrier = record["delay"], record["carrier"] or ""
    score = 5.0 if delay is None else float(np.arctan(delay / 50))
    carriers = len(carrier) % 7 + 3 * (carrier == "DL")
    return score + int(record["distance"]) % 1000 / 100 + 2 * bool(record["weekend"]) + carriers


# The protocol's JSON has no way to say that a number is null.
@pytest.mark.parametrize(
    ("scheme", "nullable", "chosen", "factor"),
    [
        ("http", False, {"output": "score"}, 1),
        ("grpc", True, {"output": "score"}, 1),
        ("http", False, {"output": "both", "column": 0}, -1),
        ("grpc", True, {"output": "both", "column": 1}, 10),
    ],
)
def test_kserve_answers_for_the_record_alone(
    kserve: KServe, scheme: str, nullable: bool, chosen: dict[str, Any], factor: int, tmp_path: Path
) -> None:
    def make(folder: Path) -> Model:
        folder.mkdir(parents=True, exist_ok=True)
        inputs: list[dict[str, Any]] = [{"name": "delay", "type": "number", "nullable": nullable}, *NAMED[1:]]
        parameters = {"url": kserve.url(scheme), "model": "strain", "feed": "named", **chosen}
        manifest = {"inputs": inputs, "output": {"kind": "regression"}, "parameters": parameters}
        return Model(manifest, lambda record: factor * strained(record), SEEN)

    found = differences(Case("openinference", f"kserve-{scheme}", make), tmp_path, sampled)
    assert not found, "; ".join(map(str, found[:5]))


def reckoned(values: list[float | int]) -> float:
    """What the container answers: it minds the last digit of a whole number."""
    delay, distance, weekend = values
    return float(delay % 7) + float(int(distance) % 1000) + 2000 * float(weekend)


def lines_of_csv(request: Request) -> Reply:
    rows = [[json.loads(field) for field in line.split(",")] for line in request.body.decode().split("\n")]
    return Reply("\n".join(repr(reckoned(row)) for row in rows).encode(), headers={"Content-Type": "text/csv"})


def instances(request: Request) -> Reply:
    answers = [reckoned(row) for row in json.loads(request.body)["instances"]]
    return Reply(json.dumps({"predictions": answers}).encode(), headers={"Content-Type": "application/json"})


@pytest.fixture
def endpoint(scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> ScriptedServer:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", f"http://127.0.0.1:{scripted.port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    return scripted


@pytest.mark.parametrize(("form", "answer"), [("csv", lines_of_csv), ("json", instances)])
def test_sagemaker_answers_for_the_record_alone(
    endpoint: ScriptedServer, form: str, answer: Callable[[Request], Reply], tmp_path: Path
) -> None:
    endpoint.answer = answer

    def make(folder: Path) -> Model:
        folder.mkdir(parents=True, exist_ok=True)
        parameters = {"url": "sagemaker://us-east-1/late", "format": form}
        manifest = {"inputs": NUMBERS, "output": {"kind": "regression"}, "parameters": parameters}
        return Model(manifest, lambda record: reckoned([record[each["name"]] for each in NUMBERS]), SEEN)

    found = differences(Case("sagemaker", form, make), tmp_path, sampled)
    assert not found, "; ".join(map(str, found[:5]))


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_line_of_several_classes_is_one_records_in_a_batch_of_one_too(
    endpoint: ScriptedServer, rows: int, tmp_path: Path
) -> None:
    endpoint.answer = lambda request: Reply(b"\n".join([b"0.25,0.75"] * (request.body.count(b"\n") + 1)))
    scorer = loaded(tmp_path, "sagemaker", {"url": "sagemaker://us-east-1/late"})
    assert scorer.score(batch(rows)).tolist() == [0.75] * rows


@pytest.mark.parametrize(
    ("positive", "parameters", "scores"),
    [
        (None, {}, [0.75]),
        ("1", {}, [0.75]),
        ("0", {}, [0.25]),
        ("no", {"classes": ["no", "yes"]}, [0.25]),
        ("anything", {"column": 1}, [0.75]),
    ],
)
def test_positive_class_is_the_one_whose_probability_is_read(
    endpoint: ScriptedServer, positive: str | None, parameters: dict[str, Any], scores: list[float], tmp_path: Path
) -> None:
    endpoint.answer = lambda request: Reply(b"0.25,0.75")
    output = {"kind": "probability"} | ({} if positive is None else {"positive": positive})
    scorer = loaded(tmp_path, "sagemaker", {"url": "sagemaker://us-east-1/late", **parameters}, output=output)
    assert scorer.score(batch(1)).tolist() == scores


@pytest.mark.parametrize(("positive", "classes"), [("late", None), ("late", ["no", "yes"])])
def test_positive_class_that_nobody_names_is_refused(
    endpoint: ScriptedServer, positive: str, classes: list[str] | None, tmp_path: Path
) -> None:
    parameters = {"url": "sagemaker://us-east-1/late"} | ({} if classes is None else {"classes": classes})
    with pytest.raises(InvalidManifest, match=r"'late' is not allowed; (expected: an index|allowed: no, yes)"):
        loaded(tmp_path, "sagemaker", parameters, output={"kind": "probability", "positive": positive})


@pytest.mark.parametrize(
    ("answer", "kind", "column", "scores"),
    [
        ([0.25, 0.75], "class", None, [0.0, 1.0]),
        ([2.0, 0.0], "class", None, [2.0, 0.0]),
        ([[0.25], [0.75]], "probability", 0, [0.75, 0.25]),
        ([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]], "probability", 2, [0.7, 0.1]),
    ],
)
def test_one_value_is_the_probability_of_the_second_of_two_classes(
    answer: list[Any], kind: Any, column: int | None, scores: list[float]
) -> None:
    assert scores_of(np.array(answer), 2, Output(kind), None, column).tolist() == scores
