"""A library's message for a failure is shown completely, on one line: the reason is often in its second line."""

from pathlib import Path

import pytest

from models.errors import one_line
from tests.pipeline.commands.commands import Models

NEW = ("--version", "n1", "--input", "a:number", "--output", "regression")
REMOVED = b"binf" + bytes(400)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("m.ubj", REMOVED, "The binary format has been deprecated in 1.6 and removed in 3.1, use UBJ or JSON instead."),
        ("m.json", b'{"learner": }', 'around character position: 12 arner": } ~~~'),
        ("m.onnx", b"no graph", "Protobuf parsing failed"),
    ],
)
def test_all_lines_of_a_library_are_shown(
    models: Models, tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    ran = models("publish", tmp_path / name, *NEW)
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert says in ran.err
    assert "[bt]" not in ran.err


def test_lines_are_joined_and_frames_left_out() -> None:
    error = ValueError("[12:00] c_api.cc:1530: Failed:\n  the reason  \nStack trace:\n  [bt] (0) lib.so(+0x1) [0x7f]\n")
    assert one_line(error) == "Failed: the reason"
    assert 3990 < len(one_line(ValueError("x\n" * 5000))) <= 4000
    assert one_line(ValueError()) == "value error"
