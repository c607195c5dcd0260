"""A release: which versions serve from a time on, and in which roles."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.errors import StoreError
from schemas.times import INSTANT, format_time_us, parse_instant_us
from schemas.validation import Absent, Located, SpecError, validate

CANDIDATES = 0
"""The sequence of what a replay serves: candidate versions, by no release of the store."""
# Shares are decimal fractions: three thirds may sum to slightly more than one.
SHARE_ROUNDING = 1e-9


class InvalidRelease(Located, StoreError):
    """A release that is not JSON, or has a value that is not allowed: `path`, `value`, `allowed`."""


@dataclass(frozen=True, slots=True)
class Challenger:
    """A version that answers for `share` (0 to 1) of the events."""

    version: str
    share: float


@dataclass(frozen=True, slots=True)
class Release:
    """One entry of a model's timeline (docs/design.md §5); times in microseconds since 1970, UTC.

    `previous` (digest of the release before), `digests` (by version) and `signature` are those of signed releases:
    stored as given, not used.
    """

    sequence: int
    model: str
    effective_from_us: int
    champion: str
    challengers: tuple[Challenger, ...] = ()
    shadows: tuple[str, ...] = ()
    split_on: str = "event_id"
    salt: str = ""
    by: str = ""
    at_us: int = 0
    reason: str = ""
    evidence: str = ""
    previous: str | None = None
    digests: Mapping[str, str] | None = None
    signature: str | Mapping[str, Any] | None = None

    @property
    def is_replay(self) -> bool:
        """Whether it stands for the candidate versions of a replay."""
        return self.sequence == CANDIDATES

    @property
    def versions(self) -> tuple[str, ...]:
        """Every version named: the champion, then challengers, then shadows."""
        return (self.champion, *(challenger.version for challenger in self.challengers), *self.shadows)


@dataclass(frozen=True, slots=True)
class AdmittedRelease:
    """A release whose every version was admitted with the digest given, in a run of that id; only these enter the
    timeline."""

    release: Release
    digests: Mapping[str, str]
    run: str = ""


def release_document(release: Release) -> dict[str, Any]:
    """The JSON form of a release, as in the store; times are RFC 3339 in UTC."""
    signed = {"previous": release.previous, "digests": release.digests, "signature": release.signature}
    return {
        "sequence": release.sequence,
        "model": release.model,
        "effective_from": format_time_us(release.effective_from_us),
        "champion": release.champion,
        "challengers": [
            {"version": challenger.version, "share": challenger.share} for challenger in release.challengers
        ],
        "shadows": list(release.shadows),
        "split_on": release.split_on,
        "salt": release.salt,
        "by": release.by,
        "at": format_time_us(release.at_us),
        "reason": release.reason,
        "evidence": release.evidence,
        **{name: value for name, value in signed.items() if value is not None},
    }


def parse_release(document: object) -> Release:
    """The release in a parsed JSON document.

    Raises:
        InvalidRelease: with path, value and what is allowed; also for shares over 1 and a version in two
        roles.
    """
    try:
        validate(document, "release")
    except SpecError as error:
        raise InvalidRelease(error.path, error.value, error.allowed) from None
    assert isinstance(document, dict)  # the schema holds it
    release = Release(
        sequence=int(document["sequence"]),
        model=document["model"],
        effective_from_us=_time(document, "effective_from"),
        champion=document["champion"],
        challengers=tuple(
            Challenger(entry["version"], float(entry["share"])) for entry in document.get("challengers", ())
        ),
        shadows=tuple(document.get("shadows", ())),
        split_on=document["split_on"],
        salt=document["salt"],
        by=document["by"],
        at_us=_time(document, "at"),
        reason=document.get("reason", ""),
        evidence=document.get("evidence", ""),
        previous=document.get("previous"),
        digests=document.get("digests"),
        signature=document.get("signature"),
    )
    _check_roles(release)
    return release


def _time(document: dict[str, Any], key: str) -> int:
    try:
        return parse_instant_us(document[key])
    except ValueError:
        raise InvalidRelease(key, document[key], INSTANT) from None


def _check_roles(release: Release) -> None:
    total = sum(challenger.share for challenger in release.challengers)
    if total > 1 + SHARE_ROUNDING:
        raise InvalidRelease("challengers", Absent(f"shares that sum to {total:g}"), "a sum of at most 1")
    seen: set[str] = set()
    for version in release.versions:
        if version in seen:
            raise InvalidRelease("", Absent(f"version {version!r} in two roles"), "each version in one role")
        seen.add(version)
