"""Reference profiles of versions, read from their bundles in the model store."""

from dataclasses import replace

from models.bundles.folders import WrongDigest
from models.profiles import MAX_PROFILE_BYTES, Profile, parse_profile
from models.store.store import ModelStore
from schemas.job import ModelSpec


class StoredProfiles:
    """Loads a version's profile from the store; picklable."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec

    def load(self, version: str, digest: str) -> Profile | None:
        """The profile of the bundle with that digest, or None where its manifest names none.

        Raises:
            StoreError, BundleRefused: the store does not answer or the bundle is not that one.
            InvalidProfile: the file is not a profile.
        """
        store = ModelStore(self._spec.store, self._spec.name)
        manifest = store.read_manifest(version)
        if manifest.digest != digest:
            raise WrongDigest(f"{store.url}: version {version!r} has the digest {manifest.digest}; expected: {digest}")
        if manifest.profile is None:
            return None
        profile = parse_profile(store.read_file(manifest, manifest.profile, MAX_PROFILE_BYTES))
        return replace(profile, importance=manifest.importance)
