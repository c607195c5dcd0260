"""What a verification found: names of what is not as it was sealed, and counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_NAMED = 10_000
UNSIGNED, SIGNED, NOT_CHECKED = "unsigned", "signed", "not checked"


@dataclass(slots=True)
class AuditFindings:
    """`receipts`: all that could be read, of which `unsealed` are in files that nobody has sealed and `duplicated` have
    a `score_id` that another one has; `verified`: how many scored again as they say, `mismatches` the ids of those that
    did not. What is named in `altered`, `added`, `removed` and `reordered` is a receipt, with its file, or a file.

    `signature` of the last checkpoint: `signed` by one of the keys, `not checked` where none was given, `unsigned`;
    `segments` and `checkpoint` (sha256): how far it reaches; `uncommitted`: folders that no checkpoint names;
    `expired`: how many receipts were dropped by `halflife audit expire`.
    """

    receipts: int = 0
    verified: int = 0
    mismatches: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    reordered: list[str] = field(default_factory=list)
    contradictions: list[str] = field(default_factory=list)
    broken_files: dict[str, str] = field(default_factory=dict)
    duplicated: int = 0
    unsealed: int = 0
    expired: int = 0
    segments: int = 0
    signature: str = UNSIGNED
    checkpoint: str = ""
    uncommitted: list[str] = field(default_factory=list)
    not_rescored: dict[str, str] = field(default_factory=dict)

    @property
    def lists(self) -> Mapping[str, list[str]]:
        """Each kind of finding with what is named."""
        return {
            "altered": self.altered,
            "added": self.added,
            "removed": self.removed,
            "reordered": self.reordered,
            "mismatches": self.mismatches,
            "contradictions": self.contradictions,
            "broken_files": [f"{key}: {why}" for key, why in self.broken_files.items()],
        }

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not any(self.lists.values())

    def document(self) -> dict[str, Any]:
        """As JSON; of each kind at most 10,000 are named."""
        names = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value[:MOST_NAMED] if isinstance(value, list) else value for name, value in names.items()} | {
            "broken_files": self.lists["broken_files"][:MOST_NAMED]
        }
