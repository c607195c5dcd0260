"""Former versions' savepoints are refused with a line that says what to do; this version's state is read as written."""

import base64
import json
from pathlib import Path

import pytest

from tests.transforms.beam.state_values import coders, is_same, value_of
from transforms.flow.state import StateFormatMismatch, VersionedStateCoder

DATA = Path(__file__).parents[2] / "data" / "state"
WRITTEN = {path.stem: json.loads(path.read_text()) for path in DATA.glob("*.json")}
PRESENT = WRITTEN.pop("present")
FORMER = {(commit, name): text for commit, cells in WRITTEN.items() for name, text in cells.items()}
CODERS = {name.partition(" of ")[0]: coder for name, coder in coders().items()}
VERSIONED = {name: coder for name, coder in CODERS.items() if isinstance(coder, VersionedStateCoder)}


@pytest.mark.parametrize(("commit", "name"), FORMER)
def test_state_of_a_former_version_is_refused_with_what_to_do(commit: str, name: str) -> None:
    with pytest.raises(StateFormatMismatch) as refused:
        VERSIONED[name].decode(base64.b64decode(FORMER[commit, name]))
    message = str(refused.value)
    assert message.startswith("state was written as b'")
    assert f"this job reads {f'halflife/{VERSIONED[name].format}'.encode()!r}; next: " in message
    assert message.endswith("drain the job with the version that wrote it, or start without its savepoint")


def test_every_cell_of_the_last_version_that_pickled_is_tried() -> None:
    later = {"seen_before", "tables", "tables_seen"}
    later |= {"answers", "labels", "windows", "panes", "emitted", "looked_at", "let_go"}
    assert {name for commit, name in FORMER if commit == "16ea549"} == {*VERSIONED} - later


def test_every_cell_is_read_as_this_version_has_written_it() -> None:
    assert set(PRESENT) == set(coders())
    for name, coder in coders().items():
        assert is_same(coder.decode(base64.b64decode(PRESENT[name])), value_of(name)), name


@pytest.mark.parametrize("name", VERSIONED)
def test_state_that_was_cut_off_is_refused(name: str) -> None:
    encoded = CODERS[name].encode(value_of(name))
    for length in range(len(encoded)):
        with pytest.raises(StateFormatMismatch, match="this job reads b'halflife/"):
            CODERS[name].decode(encoded[:length])


@pytest.mark.parametrize("name", VERSIONED)
@pytest.mark.parametrize("other", VERSIONED)
def test_a_cell_reads_no_other_cells_state(name: str, other: str) -> None:
    encoded = CODERS[other].encode(value_of(other))
    if CODERS[name] == CODERS[other]:
        assert is_same(CODERS[name].decode(encoded), CODERS[other].decode(encoded))
        return
    with pytest.raises(StateFormatMismatch, match="state was written as"):
        CODERS[name].decode(encoded)
    if {name, other} == {"looked_at", "silences"}:  # of a whole number alone only the head says whose it is
        return
    body = encoded.partition(b"\n")[2]
    head = f"halflife/{VERSIONED[name].format}\n".encode()
    with pytest.raises(StateFormatMismatch, match="but is something else"):
        CODERS[name].decode(head + body)
