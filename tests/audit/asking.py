"""Asking the audit of the run, or copies of it that have been changed."""

import shutil
from pathlib import Path
from typing import Any

from tests.audit.containers import write
from tests.audit.world import FlightsAudit
from tests.pipeline.commands.commands import Ran, halflife


def ask(flown: FlightsAudit, *words: object, audit: Path | None = None) -> Ran:
    """Asks the audit of the run, or a copy of it."""
    where = ("--audit", audit, "--store", flown.folder / "store") if audit else ("--job", flown.job)
    return halflife("audit", *words, *where)


def one_of(flown: FlightsAudit, **said: Any) -> dict[str, Any]:
    """The first receipt with these fields."""
    return next(one for one in flown.receipts if all(one[name] == value for name, value in said.items()))


def altered(flown: FlightsAudit, folder: Path, *receipts: dict[str, Any]) -> Path:
    """A copy of the audit with one more file of receipts."""
    shutil.copytree(flown.audit, folder / "copy")
    write(folder / "copy" / "receipts" / "zz.avro", receipts)
    return folder / "copy"
