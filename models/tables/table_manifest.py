"""The manifest of a version of a table: what `data.parquet` holds, parsed and frozen."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.bundles.manifest import InvalidManifest
from models.strict_json import parse_object
from schemas.columns import ALLOWED, KINDS, ColumnKind
from schemas.validation import SpecError, validate
from schemas.vectors import vector_of


@dataclass(frozen=True, slots=True)
class TableManifest:
    """One version of a table. `key`: the columns that together are the key; `valid_from`: that with the time from which
    on a row holds, None where each holds always; `columns`: the others, with their kinds; `sha256`: of `data.parquet`,
    which has `rows` rows; `digest`: the sha256 of the manifest's own bytes."""

    table: str
    version: str
    key: tuple[str, ...]
    valid_from: str | None
    columns: tuple[tuple[str, ColumnKind], ...]
    rows: int
    sha256: str
    created_by: str
    created_at: str
    source: str
    digest: str

    def document(self) -> dict[str, Any]:
        """What people and machines are shown of it."""
        columns = {name: str(kind) for name, kind in self.columns}
        return {
            "version": self.version,
            "rows": self.rows,
            "key": list(self.key),
            "valid_from": self.valid_from,
            "columns": columns,
            "created_by": self.created_by,
            "created_at": self.created_at,
            "source": self.source,
            "digest": self.digest,
        }


def table_manifest_bytes(document: Mapping[str, Any]) -> bytes:
    """The bytes of a manifest that is stored."""
    return json.dumps(document, indent=2, ensure_ascii=False).encode()


def parse_table_manifest(raw: bytes) -> TableManifest:
    """The manifest in these bytes.

    Raises:
        InvalidManifest: with path, value and what is allowed.
    """
    try:
        document = parse_object(raw)
        validate(document, "table")
    except SpecError as error:
        raise InvalidManifest(error.path, error.value, error.allowed) from None
    names = [*document["key"], *filter(None, [document.get("valid_from")]), *document["columns"]]
    for name in names:
        if names.count(name) > 1:
            raise InvalidManifest("columns", name, "each column once, of the key, the time and the others")
    for name, kind in document["columns"].items():
        if kind not in KINDS and vector_of(kind) is None:
            raise InvalidManifest(f"columns.{name}", kind, ALLOWED)
    return TableManifest(
        table=document["table"],
        version=document["version"],
        key=tuple(document["key"]),
        valid_from=document.get("valid_from"),
        columns=tuple(document["columns"].items()),
        rows=document["rows"],
        sha256=document["sha256"],
        created_by=document["created_by"],
        created_at=document["created_at"],
        source=document.get("source", ""),
        digest=hashlib.sha256(raw).hexdigest(),
    )
