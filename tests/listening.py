"""On which addresses processes listen, as the kernel says."""

import ipaddress
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_LISTENS = "0A"


class Listener(NamedTuple):
    """A TCP port, the address it is bound to, and the command of a process that has it."""

    address: str
    port: int
    command: str

    @property
    def on_loopback(self) -> bool:
        return ipaddress.ip_address(self.address).is_loopback


def listeners(processes: Iterable[int]) -> set[Listener]:
    """What these processes listen on now."""
    owners = {inode: pid for pid in processes for inode in _sockets(pid)}
    return {
        Listener(address, port, _command(owners[inode])) for inode, address, port in _table() if inode in owners
    }


def descendants(root: int) -> set[int]:
    """A process and all that it has started, and they."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it ended in the meantime
            continue
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


@contextmanager
def listeners_of_descendants() -> Iterator[set[Listener]]:
    """All that this process and its descendants listen on at any time in the block, complete at its end."""
    found: set[Listener] = set()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            found.update(listeners(descendants(os.getpid())))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        ended.set()
        watcher.join()


def _table() -> Iterator[tuple[str, str, int]]:
    """Inode, address and port of each listening socket."""
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == _LISTENS:
                address, _, port = words[1].partition(":")
                yield words[9], _address(address), int(port, 16)


def _address(text: str) -> str:
    """The kernel writes words of four bytes, each in the machine's order."""
    packed = b"".join(bytes.fromhex(text[at : at + 8])[::-1] for at in range(0, len(text), 8))
    found = ipaddress.ip_address(packed)
    return str((found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None) or found)


def _sockets(pid: int) -> Iterator[str]:
    try:
        for entry in os.scandir(f"/proc/{pid}/fd"):
            target = os.readlink(entry.path)
            if target.startswith("socket:["):
                yield target[8:-1]
    except OSError:  # it ended in the meantime
        return


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")[-120:]
    except OSError:
        return f"process {pid}"
