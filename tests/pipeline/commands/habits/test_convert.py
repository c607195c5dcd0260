"""A pickled model is opened once, by consent and in another process, and written as a file that runs no code."""

import os
import pickle
import pty
import sys
from pathlib import Path
from typing import Any

import pytest

from models.scorers.sklearn.skops_files import load_skops
from tests.pipeline.commands.commands import halflife


class Calls:
    """Pickled, it calls `os.system`."""

    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self._command,)


@pytest.fixture
def pickled(tmp_path: Path) -> Path:
    import joblib  # type: ignore[import-untyped]  # ships no types
    from sklearn.linear_model import LogisticRegression

    joblib.dump(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), tmp_path / "model.joblib")
    return tmp_path / "model.joblib"


def answered(answer: bytes, *words: object) -> tuple[int, str]:
    """The exit code of a command on a terminal whose user types an answer, and what the terminal is sent."""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-m", "pipeline.cli", *(str(word) for word in words)])
    sent = b""
    while True:
        try:
            sent += os.read(terminal, 1 << 16)
        except OSError:  # so Linux ends what a terminal says
            break
        if sent.endswith(b"[y/N] "):
            os.write(terminal, answer)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), sent.decode()


def test_model_is_written_with_the_next_command(pickled: Path) -> None:
    ran = halflife("convert", pickled, "--yes")
    assert (ran.code, ran.err) == (0, "")
    assert f"next: halflife models publish {pickled.with_suffix('.skops')} --version VERSION" in ran.out
    assert load_skops(pickled.with_suffix(".skops")).predict([[2.0]]).tolist() == [1]
    again = halflife("convert", pickled, "--yes")
    assert (again.code, "exists; expected: the path of a new file" in again.err) == (2, True)


def test_types_to_be_trusted_are_named(tmp_path: Path) -> None:
    from sklearn.pipeline import make_pipeline
    from xgboost import XGBClassifier

    model = make_pipeline(XGBClassifier(n_estimators=2)).fit([[0.0], [1.0]] * 9, [0, 1] * 9)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    said = halflife("convert", tmp_path / "model.pkl", "--yes", "--out", tmp_path / "x.skops", "--json").json
    assert said["trust"] == ["xgboost.core.Booster", "xgboost.sklearn.XGBClassifier"]
    assert said["next"].endswith("--trust xgboost.core.Booster --trust xgboost.sklearn.XGBClassifier")


def test_nothing_is_opened_without_consent(tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(Calls(f"touch {tmp_path / 'ran'}")))
    ran = halflife("convert", tmp_path / "m.pkl")
    assert ran.code == 2
    assert "--yes: missing; expected: it, since" in ran.err
    code, sent = answered(b"n\n", "convert", tmp_path / "m.pkl")
    assert (code, "was not opened" in sent, (tmp_path / "ran").exists()) == (1, True, False)


def test_a_terminal_is_asked(pickled: Path) -> None:
    code, sent = answered(b"yes\n", "convert", pickled)
    assert (code, pickled.with_suffix(".skops").is_file()) == (0, True), sent


def test_what_is_no_model_is_refused_after_it_ran(tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(Calls("echo from the pickle; exit 7")))
    (tmp_path / "none.pkl").write_bytes(b"no pickle")
    for name in ("m.pkl", "none.pkl"):
        ran = halflife("convert", tmp_path / name, "--yes", "--json")
        assert "from the pickle" not in ran.out
        assert (ran.code == 0) == (tmp_path / name).with_suffix(".skops").exists()
    assert "is not converted: " in ran.err
    assert "expected: an estimator of scikit-learn" in ran.err


def test_model_of_another_scikit_learn_is_refused(pickled: Path) -> None:
    raw = pickled.read_bytes()
    import sklearn

    version = sklearn.__version__.encode()
    other = b"0" + version[1:]
    assert raw.count(version) == 1
    pickled.write_bytes(raw.replace(version, other))
    ran = halflife("convert", pickled, "--yes")
    assert ran.code == 1
    assert f"made by scikit-learn {other.decode()}, but here is {version.decode()}" in ran.err
    assert "; next: halflife convert there" in ran.err
    assert not pickled.with_suffix(".skops").exists()
