"""TensorFlow's notes on processors and graphics cards are not shown; its errors, and what others write, are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.scorers.tensorflow.importing import without_noise

NOISE = [
    b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n",
    b"I0000 00:00:1796014876.779449    1095 port.cc:153] oneDNN custom operations are on. You may see\n",
    b"W0000 00:00:1796014876.780729    1095 cudart_stub.cc:31] Could not find cuda drivers\n",
    b"2026-11-30 05:01:44.520292: I tensorflow/core/util/port.cc:153] oneDNN custom operations are on.\n",
]
SAID = [
    b"E0000 00:00:1796015455.575740   22577 cuda_platform.cc:52] failed call to cuInit\n",
    b"F0000 00:00:1796015455.575740   22577 platform.cc:52] Check failed: x\n",
    b"halflife: a note written meanwhile\n",
    b"no end of a line",
]
DESCRIBE = """
import sys
from pathlib import Path
from models.publishing.tools.from_tensorflow import describe
describe(Path(sys.argv[1]), False)
"""


def test_only_notes_and_warnings_of_its_log_are_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    with without_noise():
        for noise, said in zip(NOISE, SAID, strict=True):
            os.write(2, noise + said)
    assert capfd.readouterr().err.encode() == b"".join(SAID)


@without_noise()
def broken() -> None:
    os.write(2, NOISE[1] + SAID[0])
    raise ImportError("no such symbol")


def test_what_was_said_before_an_error_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError):
        broken()
    os.write(2, b"after\n")
    assert capfd.readouterr().err.encode() == SAID[0] + b"after\n"


@pytest.mark.parametrize(("level", "quiet"), [(None, True), ("0", False)])
def test_a_saved_model_is_described_without_a_word(tmp_path: Path, level: str | None, quiet: bool) -> None:
    import tensorflow as tf

    model = tf.Module()
    model.score = tf.function(lambda x: {"score": x * 0.5}, [tf.TensorSpec([None, 1], tf.float32, name="x")])
    tf.saved_model.save(model, str(tmp_path), {"serving_default": model.score})
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    if level is not None:
        environment["TF_CPP_MIN_LOG_LEVEL"] = level
    command = [sys.executable, "-c", DESCRIBE, str(tmp_path / "saved_model.pb")]
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stderr == b"") == (0, quiet), done.stderr.decode()
