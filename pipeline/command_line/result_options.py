"""The options about what came of a run, where a run never knows that: of a template, and of input without an end."""

from pipeline.command_line.options import RunOptions
from pipeline.command_line.sink_policy import SinkPolicy
from pipeline.reporting.limits import Limits
from schemas.validation import SpecError

_WAITS = "for a template: nothing here waits for its runs"


def check_for_template(options: RunOptions) -> None:
    """Raises `SpecError` for an option that a template's runs cannot obey."""
    if options.sinks == SinkPolicy.REPLACE:
        raise SpecError("--sinks", str(options.sinks), f"append or new {_WAITS}")
    summary = [("--summary", options.summary)] if options.summary else []
    for option, value in (*summary, *_given(options.limits)):
        raise SpecError(option, value, f"no such option {_WAITS}")


def not_obeyed(limits: Limits) -> str:
    """What is not obeyed where the input has no end; empty where nothing is."""
    names = " and ".join(option for option, _ in _given(limits))
    return f"{names} only counts for input that has an end, and this input has none" if names else ""


def _given(limits: Limits) -> list[tuple[str, str]]:
    most = f"{limits.share * 100:g}%" if limits.share is not None else limits.letters
    return [
        *([] if most is None else [("--max_dead_letters", str(most))]),
        *([("--require_input", "true")] if limits.require_input else []),
    ]
