"""When this process began: a run's times count from there, so that they include the time for imports."""

import os
import time

_STAT = "/proc/self/stat"
_START = 19  # of the fields after the name: ticks from the machine's start to the process's, proc(5)
_MOST_S = 30.0


def process_started(most_s: float = _MOST_S) -> float:
    """Seconds since 1970, to be called as a program begins; the present where the system does not say.

    The present also where the process is older than `most_s`: it was another program before, such as a shell that
    waited and then became this one.
    """
    now = time.time()
    try:
        with open(_STAT, encoding="utf-8", errors="replace") as stream:
            ticks = int(stream.read().rpartition(")")[2].split()[_START])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):  # no Linux, or no /proc
        return now
    return now - age if 0 <= age <= most_s else now
