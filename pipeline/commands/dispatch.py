"""From the first word of a command line to the verb that it names."""

import sys
from collections.abc import Callable, Mapping, Sequence

from pipeline.reporting.printer import print_line
from schemas.expectations import did_you_mean


def dispatch(
    program: str, usage: str, verbs: Mapping[str, Callable[[list[str]], int]], arguments: Sequence[str]
) -> int:
    """Runs the verb that `arguments` begin with and returns its exit code; 2 where there is no such verb."""
    if arguments and arguments[0] in ("-h", "--help"):
        for line in usage.splitlines():
            print_line(line)
        return 0
    if arguments and arguments[0] in verbs:
        return verbs[arguments[0]](list(arguments[1:]))
    allowed = f"allowed: {', '.join(verbs)}"
    if arguments:
        hint = did_you_mean(arguments[0], verbs)
        print_line(f"{program}: verb {arguments[0]!r} is not known; {allowed}{hint}", sys.stderr)
    else:
        for line in (f"{program}: a verb is missing; {allowed}", "", *usage.splitlines()):
            print_line(line, sys.stderr)
    return 2
