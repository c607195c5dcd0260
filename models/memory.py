"""How much memory this process may have at most (the machine's, or less by its control group), has now, and has had."""

from pathlib import Path

_KIB = 1024
# Control groups of version 1 say "no limit" with a number near 2**63.
_NO_LIMIT = 2**60


def memory_limit_bytes(root: Path = Path("/")) -> int | None:
    """The least of the machine's memory and the limits of the process's control groups; None if unknown.

    The limit, not the memory that is free at the moment: a verdict on a bundle must not depend on a temporary shortage.

    Args:
        root: where `proc` and `sys` are mounted.
    """
    found = [_total(root), *_group_limits(root)]
    return min((limit for limit in found if limit is not None and limit < _NO_LIMIT), default=None)


def resident_bytes(root: Path = Path("/")) -> int | None:
    """Memory that this process has at the moment; None where the system does not say."""
    return _of_process(root, "VmRSS:")


def peak_bytes(root: Path = Path("/")) -> int | None:
    """The most memory that this process has had since it was started; None where the system does not say."""
    # Not `getrusage`: its maximum includes the memory of the parent process before the fork.
    return _of_process(root, "VmHWM:")


def _of_process(root: Path, name: str) -> int | None:
    found = [line.split()[1] for line in _lines(root / "proc/self/status") if line.startswith(name)]
    return int(found[0]) * _KIB if found else None


def _total(root: Path) -> int | None:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * _KIB
    return None


def _group_limits(root: Path) -> list[int | None]:
    """The limits of the group of this process and of all groups around it, of either version."""
    files = []
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, group = line.split(":", 2)
        below = Path(group.lstrip("/"))
        groups = [below, *below.parents]
        if controllers == "":
            files += [root / "sys/fs/cgroup" / each / "memory.max" for each in groups]
        elif "memory" in controllers.split(","):
            files += [root / "sys/fs/cgroup/memory" / each / "memory.limit_in_bytes" for each in groups]
    return [_number(file) for file in files]


def _number(file: Path) -> int | None:
    text = "".join(_lines(file)).strip()
    return int(text) if text.isdecimal() else None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
