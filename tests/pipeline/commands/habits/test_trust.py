"""A model with types of other libraries: published by naming them, opened by a job that names them too or whose key
signed the bundle."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from models.scorers import WillNotLoad, load_scorer
from models.scorers.sklearn.skops_files import load_skops, refused_types
from models.store.store import ModelStore
from tests.models.broken import new_key
from tests.pipeline.commands.commands import Ran, halflife

TYPES = ["xgboost.core.Booster", "xgboost.sklearn.XGBClassifier"]
TRUSTED = [word for name in TYPES for word in ("--trust", name)]


class Foreign(NamedTuple):
    """A pipeline of scikit-learn with an estimator of XGBoost, and where it is published."""

    root: Path

    @property
    def location(self) -> list[str]:
        return ["--store", str(self.root / "store"), "--model", "late"]

    def publish(self, version: str, *words: object) -> Ran:
        sample = "--sample", self.root / "sample.csv"
        said = "--version", version, "--trained_at", "now", *sample
        return halflife("models", "publish", self.root / "m.skops", *said, *words, *self.location)

    def spec(self, **model: Any) -> Path:
        events = {"uri": str(self.root / "events.json"), "format": "json", "event_id": "id", "event_time": "at"}
        sinks = {"scores": str(self.root / "scores")}
        where = {"name": "late", "store": str(self.root / "store"), **model}
        document = {"job": "late", "events": events, "features": ["delay", "dist"], "model": where, "sinks": sinks}
        (self.root / "job.yaml").write_text(yaml.safe_dump(document))
        return self.root / "job.yaml"


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Foreign:
    import pandas as pd
    import skops.io
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from xgboost import XGBClassifier

    found = Foreign(tmp_path_factory.mktemp("foreign"))
    rows = pd.DataFrame({"delay": [n % 9 for n in range(90)], "dist": [float(n) for n in range(90)]})
    model = make_pipeline(StandardScaler(), XGBClassifier(n_estimators=3)).fit(rows, rows.delay > 4)
    skops.io.dump(model, found.root / "m.skops")
    rows.to_csv(found.root / "sample.csv", index=False)
    at = "2026-01-01T00:00:00Z"
    lines = [json.dumps({"id": f"e{n}", "at": at, "delay": n % 9, "dist": float(n)}) + "\n" for n in range(20)]
    (found.root / "events.json").write_text("".join(lines))
    assert found.publish("v1", *TRUSTED).code == 0
    released = halflife("models", "release", "--champion", "v1", "--from", "2025-01-01", *TRUSTED, *found.location)
    assert released.code == 0, released.err
    return found


def test_error_says_how_to_publish_it(foreign: Foreign) -> None:
    ran = foreign.publish("v2")
    assert ran.code == 1
    assert f"next: halflife models publish {' '.join(TRUSTED)}, and model.trust in the job's spec" in ran.err


def test_manifest_records_what_is_trusted(foreign: Foreign) -> None:
    shown = halflife("models", "show", "v1", "--json", *foreign.location).json["manifest"]
    assert (shown["trust"], shown["format"]) == (TYPES, 2)


def test_job_opens_it_only_if_it_lists_the_types(foreign: Foreign) -> None:
    ran = halflife("run", "--job", foreign.spec(), "--sinks", "replace")
    assert ran.code == 1
    assert f"types that are not trusted here: {', '.join(TYPES)}; expected: model" in ran.err + ran.out
    part = halflife("models", "check", "v1", "--job", foreign.spec(trust=TYPES[:1]))
    assert "not trusted here: xgboost.sklearn.XGBClassifier; expected: model.trust" in part.err
    ran = halflife("run", "--job", foreign.spec(trust=TYPES), "--sinks", "replace", "--json")
    assert (ran.code, ran.json["scored"]) == (0, 20)


def test_signature_by_the_jobs_key_is_trust(foreign: Foreign) -> None:
    (foreign.root / "keys").mkdir()
    keys = new_key(foreign.root / "keys")
    assert foreign.publish("signed", *TRUSTED, "--sign_key", keys.private).code == 0
    spec = foreign.spec(trusted_key=str(keys.public))
    assert halflife("models", "check", "signed", "--job", spec).code == 0
    refused = halflife("models", "check", "v1", "--job", spec)
    assert (refused.code, "bad_signature" in refused.err) == (1, True)


def test_a_manifest_alone_makes_nothing_trusted(foreign: Foreign, tmp_path: Path) -> None:
    store = ModelStore(str(foreign.root / "store"), "late")
    manifest = store.read_manifest("v1")
    store.fetch("v1", tmp_path, manifest.digest)
    with pytest.raises(WillNotLoad, match=r"untrusted types xgboost\.core\.Booster"):
        load_scorer("sklearn", tmp_path, manifest)


def test_trust_is_in_types_that_are_listed_and_no_functions(foreign: Foreign) -> None:
    with pytest.raises(WillNotLoad, match=r"untrusted types xgboost\.sklearn\.XGBClassifier"):
        load_skops(foreign.root / "m.skops", TYPES[:1])
    call = {"__loader__": "FunctionNode", "__module__": "os", "__class__": "system"}
    assert list(refused_types(call, ["os.system"])) == ["os.system (by FunctionNode)"]


@pytest.mark.parametrize("name", ["m.joblib", "m.pkl"])
def test_pickle_is_offered_to_be_converted(foreign: Foreign, name: str) -> None:
    (foreign.root / name).write_bytes(b"\x80\x04N.")
    ran = halflife("models", "publish", foreign.root / name, "--version", "v9", *foreign.location)
    assert ran.code == 1
    assert "is a pickle, which can run any code" in ran.err
    assert "; next: halflife convert " in ran.err


def test_model_without_names_asks_for_a_sample(tmp_path: Path) -> None:
    import skops.io
    from sklearn.linear_model import LogisticRegression

    skops.io.dump(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), tmp_path / "m.skops")
    location = "--store", tmp_path / "store", "--model", "late"
    ran = halflife("models", "publish", tmp_path / "m.skops", "--version", "v1", "--trained_at", "now", *location)
    assert "names none of its 1 inputs; expected: --input for each, or --sample; next: halflife" in ran.err
