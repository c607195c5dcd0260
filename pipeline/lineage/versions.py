"""The versions of a model that serve, as the store has them."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from models.bundles.manifest import Manifest
from models.errors import BundleRefused, StoreError
from models.releases.timeline import release_in_force, roles_of, serving_order
from models.store.store import ModelStore

_REPLAY = "replay"


class ServedVersion(NamedTuple):
    """A version with its role in the last release that names it, and that release's number; `manifest`: None where the
    store has none that can be read; `location`: the URL of its bundle."""

    version: str
    role: str
    release: int
    manifest: Manifest | None
    location: str

    @property
    def quality(self) -> Mapping[str, float]:
        """Its figures of quality at training, without those by segment."""
        stated = {} if self.manifest is None else self.manifest.quality
        return {name: float(value) for name, value in stated.items() if isinstance(value, int | float)}


def versions_serving(
    store: ModelStore, at_us: int | None, scored: Collection[str] | None = None
) -> tuple[ServedVersion, ...]:
    """The versions of the release in force at a time (microseconds since 1970), or of the whole timeline for None.

    `scored`: only these, whatever is in force.

    Raises:
        StoreError: the store does not answer.
    """
    releases = store.releases()
    chosen = serving_order(releases)
    if at_us is not None and scored is None:
        serving = release_in_force(releases, at_us)
        chosen = [] if serving is None else [serving]
    named = {version: (role, each.sequence) for each in chosen for version, role in roles_of(each).items()}
    wanted = sorted(named if scored is None else set(named) & set(scored))
    return tuple(
        ServedVersion(version, *named[version], _manifest(store, version), _location(store, version))
        for version in wanted
    )


def versions_replayed(store: ModelStore, versions: Collection[str]) -> tuple[ServedVersion, ...]:
    """Versions that no release needs to name. Raises as `versions_serving`."""
    return tuple(
        ServedVersion(each, _REPLAY, 0, _manifest(store, each), _location(store, each)) for each in sorted(versions)
    )


def _location(store: ModelStore, version: str) -> str:
    return f"{store.url.rstrip('/')}/{store.model}/versions/{version}"


def _manifest(store: ModelStore, version: str) -> Manifest | None:
    try:
        return store.read_manifest(version)
    except (BundleRefused, StoreError):
        return None
