"""What a run wrote of its quality is what advice to retrain is made of."""

import json
from typing import Any

from pipeline.commands.advise.verb import advise_verb
from tests.pipeline.jobs.flows import Flow, json_lines, read_avro, trips
from tests.pipeline.jobs.quality.test_quality_of_runs import LABELS, put, truth


def test_a_run_of_a_worn_version_gives_advice_that_names_its_scores(flow: Flow) -> None:
    put(flow, "v2", 0.1, quality={"log_loss": 0.05})
    put(flow, "v3", -0.05)
    flow.store.append_release(champion="v2", shadows=("v3",), effective_from_us=0, by="tests")
    flow.feed(json_lines(trips(200)))
    flow.feed(json_lines([truth(number) for number in range(200)]), "truth.json")
    labels = {"uri": str(flow.root / "truth.json"), **LABELS, "horizon": "1h"}
    spec: dict[str, Any] = flow.spec() | {"labels": labels, "drift": {"window": "1h"}}
    spec["sinks"]["quality"] = str(flow.root / "quality")
    spec["retraining"] = {"price": 1, "value": 1, "minimum": 50, "hook": {"command": ["./x", "--token", "xyzzy"]}}
    outcome = flow.run(spec)
    assert outcome.code == 0, outcome.err
    assert outcome.summary["job"]["retraining"]["hook"] == {"command": ["./x", "…"]}
    events = [each for each in read_avro(flow.root / "audit" / "models") if each["kind"] == "run_started"]
    assert events
    assert "xyzzy" not in "".join(each["evidence"] for each in events)
    given = json.loads(flow.run(spec, "--json", verb=advise_verb).out)
    assert [given[key] for key in ("verdict", "version")] == ["retrain", "v2"]
    errors = {each["window_start"]: each for each in read_avro(flow.root / "quality")
              if (each["metric"], each["version"], each["segment"]) == ("error", "v2", "")}  # fmt: skip
    assert given["loss"]["fresh"] == 0.05 == next(iter(errors.values()))["at_training"]
    assert given["windows"]["count"] == len(errors)
    answered = {each["score_id"] for each in read_avro(flow.root / "audit" / "receipts") if each["role"] == "champion"}
    assert (given["score_ids"]["total"], given["score_ids"]["ids"]) == (len(answered), sorted(answered)[:100])
