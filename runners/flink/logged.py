"""Why a server of the JVM failed, from its log or its answer: without frames, classes and times, causes included."""

import json
import re

_MOST_CHARACTERS = 1500
_FRAME = re.compile(r"\s*(at [\w.$/<>-]+\(|\.\.\. \d+ (more|common))")
_CAUSE = re.compile(r"\s*Caused by: ")
_CLASS = re.compile(r"(?:[\w$]+\.)+[A-Z][\w$]*(?:Exception|Error)(?::\s+|$)")
_LEVEL = r"(?:(?:INFO|WARN|ERROR|FATAL)\s+)?(?:[\w.$]+(?:\s+\[.*?\])?\s+-\s+)?"
_TIME = re.compile(rf"^\[?\d{{4}}-\d\d-\d\d[ T][\d:.,]+\]?\s+{_LEVEL}")


def reason(log: str) -> str:
    """The last line of a log that is not a frame, and its causes; empty where nothing was logged."""
    lines = [line for line in log.splitlines() if line.strip() and not _FRAME.match(line)]
    causes: list[str] = []
    while lines and _CAUSE.match(lines[-1]):
        causes.insert(0, _plain(_CAUSE.sub("", lines.pop())))
    said = [_plain(lines[-1]), *causes] if lines else causes
    return "; cause: ".join(dict.fromkeys(text for text in said if text))[:_MOST_CHARACTERS]


def reason_of_answer(body: str) -> str:
    """The reason in the body of Flink's answer, `{"errors": [text, …]}`, or in any other text."""
    try:
        errors = json.loads(body)["errors"]
        texts = [str(error) for error in errors]
    except (ValueError, KeyError, TypeError, RecursionError):
        return reason(body) or body[:_MOST_CHARACTERS]
    return "; ".join(filter(None, (reason(text) for text in texts)))


def _plain(line: str) -> str:
    return " ".join(_CLASS.sub("", _TIME.sub("", line.strip())).split())
