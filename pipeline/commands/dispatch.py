"""From the first word of a command line to what it names."""

import difflib
import sys
from collections.abc import Callable, Mapping, Sequence


def dispatch(
    program: str, usage: str, verbs: Mapping[str, Callable[[list[str]], int]], arguments: Sequence[str]
) -> int:
    """Runs the verb that `arguments` begin with and returns its exit code; 2 where there is none of that name."""
    if arguments and arguments[0] in ("-h", "--help"):
        print(usage)
        return 0
    if arguments and arguments[0] in verbs:
        return verbs[arguments[0]](list(arguments[1:]))
    allowed = f"allowed: {', '.join(verbs)}"
    if arguments:
        close = difflib.get_close_matches(arguments[0], verbs, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        print(f"{program}: verb {arguments[0]!r} is not known; {allowed}{hint}", file=sys.stderr)
    else:
        print(f"{program}: a verb is missing; {allowed}\n\n{usage}", file=sys.stderr)
    return 2
