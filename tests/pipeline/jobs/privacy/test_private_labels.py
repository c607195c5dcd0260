"""Dead letters of labels are encrypted under the key of their event, which an erasure of its subject destroys too."""

import json
from collections import Counter
from typing import Any

import pytest

from pipeline.verbs import main
from tests.pipeline.jobs.flows import START_US, Flow, json_lines
from tests.pipeline.jobs.private_flows import ALL, BROKEN, IDS, SUBJECTS, asked, spec_of
from tests.pipeline.jobs.spelled import found_in, written

# Of the subjects 1, 1, 2, of an event that nobody scored, and of none that is named.
WRONG = [{"id": one, "known_at": START_US, "late": BROKEN[4]} for one in (IDS[1], IDS[6], IDS[2], BROKEN[3])]
CUT_OFF = b'{"id": "' + IDS[1].encode() + b'", "late'


@pytest.mark.parametrize("hide", [["event_id", "iban"], ["iban"]])
def test_letters_of_labels_go_with_the_subject_of_their_event(private: Flow, hide: list[str]) -> None:
    right = [{"id": one, "known_at": START_US, "late": 1} for one in IDS]
    (private.root / "labels.json").write_bytes(json_lines([*right, *WRONG]) + CUT_OFF)
    for name in ("dead_letters", "audit"):
        for path in (private.root / name).rglob("*.avro"):
            path.unlink()
    spec = spec_of(private, private=True)
    spec["privacy"]["hide"] = hide
    assert private.run(spec).code == 0
    assert kinds(private, spec) == Counter({"": 5})
    code, told = asked(private, spec, "erase", SUBJECTS[1])
    assert (code, told["label_keys_destroyed"], told["receipts"]) == (0, 2, 8)
    assert kinds(private, spec) == Counter({"": 3, "erased": 2})
    assert asked(private, spec, "erase", SUBJECTS[1])[1]["label_keys_destroyed"] == 0
    shown = [value for value in ALL if "event_id" in hide or value not in IDS]
    assert found_in(written(private.root / "dead_letters", private.root / "audit"), shown) == set()


def kinds(flow: Flow, spec: Any) -> Counter[str]:
    """How many letters of labels can be read, and how many cannot."""
    words = ("--stage", "labels", "--samples", "9", "--json")
    listed = flow.run(spec, *words, verb=lambda rest: main(["dead-letters", "list", *rest]))
    details = [sample["detail"] for kind in json.loads(listed.out)["kinds"] for sample in kind["samples"]]
    return Counter("erased" if detail.startswith("erased") else "" for detail in details)
