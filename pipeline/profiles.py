"""Reference profiles of versions, read from their bundles in the model store."""

import tempfile
from pathlib import Path

from models.profiles import Profile, parse_profile
from models.store import ModelStore
from schemas.job import ModelSpec


class StoredProfiles:
    """Loads a version's profile from the store; picklable."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec

    def load(self, version: str, digest: str) -> Profile | None:
        """The profile of the bundle with that digest, or None where its manifest names none.

        Raises:
            StoreError, BundleRefused: the store does not answer or the bundle is not that one.
            InvalidProfile: the file is no profile.
        """
        store = ModelStore(self._spec.store, self._spec.name)
        manifest = store.read_manifest(version)
        if manifest.profile is None:
            return None
        with tempfile.TemporaryDirectory(prefix="halflife-profile-") as folder:
            store.fetch(version, Path(folder), digest, self._spec.max_bundle_bytes)
            return parse_profile((Path(folder) / manifest.profile).read_bytes())
