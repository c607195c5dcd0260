"""Lines of a log as JSON objects: `time`, `level`, `logger`, `message`, and `job` and `run` once they are known."""

import json
from typing import Any

from pipeline.reporting.log_form import about
from schemas.times import format_time_us, now_us

OURS, OTHERS = "halflife", "stderr"
_BEGINS = '{"time": '


def json_line(level: str, message: str, logger: str = OURS, **fields: Any) -> str:
    """One line; `level` is a word of `logging`, in small letters."""
    document = {"time": format_time_us(now_us()), "level": level, "logger": logger, "message": message}
    text = json.dumps(document | about() | fields, ensure_ascii=False)
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def is_json_line(line: str) -> bool:
    """Whether a line is one of these already.

    >>> is_json_line(json_line("info", "done")), is_json_line("Killed")
    (True, False)
    """
    return line.startswith(_BEGINS) and line.endswith("}")
