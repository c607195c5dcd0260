"""Files of a run that is not committed yet: complete, hidden, and named after the process that wrote them.

A name is `.<final name>.<machine>.<owner>.held`, as `models.scratch` names both.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from apache_beam.io.filesystems import FileSystems

from models import scratch
from pipeline.endpoints.files.partial_files import HELD as SUFFIX
from pipeline.endpoints.only_new.ledger import Held
from pipeline.endpoints.outputs import SinkFolder
from pipeline.endpoints.uris import beam_path, scheme_of
from pipeline.reporting import durable


def held_in(folders: Sequence[SinkFolder]) -> Iterator[Held]:
    """The held files in the folders of sinks. Raises `OSError`."""
    for folder in folders:
        path = beam_path(folder.uri)
        for each in sorted(_listed(path, scheme_of(folder.uri) == "file")):
            name = each.rpartition("/")[2]
            if name.startswith(".") and name.endswith(SUFFIX):
                yield Held(each, str(FileSystems.join(path, _marks(name)[0])), folder.record)


def _listed(path: str, local: bool) -> list[str]:
    if local:
        return [str(each) for each in Path(path).iterdir()] if Path(path).is_dir() else []
    return [each.path for each in FileSystems.match([FileSystems.join(path, f".*{SUFFIX}")])[0].metadata_list]


def _marks(name: str) -> tuple[str, str, str]:
    """Final name, machine and owner in the name of a held file."""
    parts = name.removesuffix(SUFFIX).removeprefix(".").rsplit(".", 2)
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else (name, "", "")


def is_of_dead_process(held: Held) -> bool:
    """Whether a process of this machine wrote it that has ended."""
    _, machine, owner = _marks(held.held.rpartition("/")[2])
    return machine == scratch.machine() and not scratch.lives(owner)


def show(held: Held) -> None:
    """Gives a held file its name, unless it has it already: another run may be doing the same. Raises `OSError`."""
    try:
        durable.rename(held.held, held.final)
    except OSError:
        if not FileSystems.exists(held.final):
            raise


def discard(files: Sequence[Held]) -> None:
    """Deletes held files, as far as that is possible: what stays is hidden, and the next run deletes it."""
    for each in files:
        with suppress(OSError, ValueError):
            durable.delete(each.held)
