"""Checks of what would serve: the store, its timeline, and each version that a release may still choose."""

from collections.abc import Iterator, Sequence

from models.admission.admitted import admitted_before
from models.admission.libraries import upgrade_refuses
from models.bundles.manifest import Manifest
from models.errors import BundleRefused, StoreError
from models.profiles.documents import InvalidProfile
from models.releases.release import Release
from models.releases.timeline import release_in_force, roles_of, serving_order
from models.store.store import BundleWithdrawn, ModelStore
from pipeline.command_line.parsing import actor
from pipeline.preflight.advice import advice_for, refused
from pipeline.preflight.trial import Question, Trial, try_version
from pipeline.profiles import StoredProfiles
from pipeline.reporting.model_presence import absent_model
from runners.findings import MIB, Finding, ServingCost, fail, ok, unchecked, warn
from schemas.job import Job, ModelSpec
from schemas.score_ids import needed_for
from schemas.validation import SpecError

_SCORE_COLUMN = "score"
_CHANGES = {
    "incomplete": "publish it again",
    "invalid_manifest": "publish it anew under another version",
    "path_outside": "publish it anew under another version",
    "bad_signature": "sign it with the trusted key, or trust another one (model.trusted_key)",
    "wrong_digest": "publish it anew under another version: its bytes are not those that were published",
    "unknown_scorer": "install the extra of its kind, here and where workers run",
    "will_not_load": "install the libraries it was published with, or allow what it needs (docs/scorers.md)",
    "wrong_inputs": "features of the spec that the model was trained on, or another release",
    "golden_mismatch": "the libraries it was published with, or publish it anew",
    "bad_output": "publish a model that answers with numbers, or release another version",
    "too_large": "raise model.max_bytes, use larger workers, or publish a smaller model",
    "timed_out": "raise model.admission_timeout, or release another version",
    "died": "try it alone with halflife models check",
    "no_answer": "try it alone with halflife models check",
}


def live_releases(releases: Sequence[Release], streaming: bool, oldest_us: int) -> list[Release]:
    """The releases that an event may still choose, in serving order.

    A bounded run may hold events of any time. In a stream no event is expected to be older than `oldest_us`
    (microseconds since 1970), so the release that is in force then is the first that counts.
    """
    ordered = serving_order(releases)
    first = release_in_force(ordered, oldest_us) if streaming else None
    return ordered if first is None else ordered[ordered.index(first) :]


class ServingChecks:
    """Checks of a model's store; `models` holds what is known of the sizes of the versions that may serve.

    Args:
        spec: the model of the job.
        job: the job, None where the types of its columns are not known.
        columns: what the job offers a model, None where that is not known.
        streaming: whether the input has no end.
        oldest_us: the oldest event time expected of a stream, microseconds since 1970.
        name: the job's name.
    """

    def __init__(self, spec: ModelSpec, job: Job | None, columns: dict[str, str] | None, streaming: bool,
                 oldest_us: int, name: str) -> None:  # fmt: skip
        self._name = name
        self._spec, self._job, self._columns = spec, job, columns
        self._streaming, self._oldest_us = streaming, oldest_us
        self.models: list[ServingCost] = []
        self._manifests: dict[str, Manifest] = {}

    def check(self) -> Iterator[Finding]:
        """The findings about the store, the timeline, each version, and unused features."""
        try:
            store = ModelStore(self._spec.store, self._spec.name)
            scan = store.scan_releases()
            versions, odd = store.scan_versions()
            _, odd_markers = store.scan_withdrawals()
        except StoreError as error:
            yield refused("model.store", str(error), self._spec.store)
            return
        if not (scan.releases or scan.broken or versions) and (absent := absent_model(store)):
            yield self._absent(absent)
            return
        yield ok("model.store", f"{store.url} answers; {len(versions)} version(s) of {self._spec.name}")
        for sequence, problem in scan.broken.items():
            yield warn("timeline", f"release {sequence} cannot be read: {problem}", "jobs skip it; append another one")
        for key, odd_file in {**scan.odd, **odd, **odd_markers}.items():
            yield warn("model.store", f"{key}: {odd_file}", "delete it: it is passed over")
        live = live_releases(scan.releases, self._streaming, self._oldest_us)
        yield self._timeline(len(scan.releases), live)
        roles: dict[str, str] = {}
        for release in live:
            roles |= {name: f"{role} of release {release.sequence}" for name, role in roles_of(release).items()}
        yield from self._entered(store, list(roles))
        for version, role in roles.items():
            yield from self._version(store, version, role)
        yield from self._upgrade(store)
        yield from self._features()

    def _absent(self, absent: SpecError) -> Finding:
        """A bounded run refuses such a spec; a stream waits for the model."""
        finding = refused(absent.path, str(absent))
        if not self._streaming:
            return finding
        return warn(finding.check, f"{finding.found}: events will wait until it has a release", finding.change)

    def _entered(self, store: ModelStore, versions: Sequence[str]) -> Iterator[Finding]:
        """Examining a version reads it, so an entry of the access log is written first."""
        try:
            for version in versions:
                store.record_access("doctor", actor(), version=version, job=self._name)
        except StoreError as error:
            found = f"it does not take the entry of this examination: {error}"
            yield warn("access log", found, "let who examines write below access/, as workers and watchers do")

    def _timeline(self, known: int, live: Sequence[Release]) -> Finding:
        if live:
            return ok("timeline", f"{known} release(s), of which {len(live)} may still be chosen")
        advice = "halflife models release --champion VERSION"
        if self._streaming:
            return warn("timeline", "no release yet: events will wait for the first one", advice)
        return fail("timeline", "no release: every event would become a dead letter (unserved)", advice)

    def _version(self, store: ModelStore, version: str, role: str) -> Iterator[Finding]:
        check, spec = f"version {version}", self._spec
        try:
            manifest = store.read_manifest(version)
            bundle_bytes = sum(store.measure(manifest).values())
        except BundleWithdrawn as refusal:
            yield fail(check, f"{role}; {refusal.reason}: {refusal}", "release another version")
            return
        except BundleRefused as refusal:
            yield fail(check, f"{role}; {refusal.reason}: {refusal}", _CHANGES[refusal.reason])
            return
        except StoreError as error:
            yield fail(check, f"{role}; {error}", advice_for(spec.store))
            return
        trial = try_version(Question(spec.store, spec.name, version, self._columns, spec.allow_pickle,
                                     spec.max_bundle_bytes, spec.trusted_key, self._name,
                                     spec.admission_timeout_us / 1e6, spec.trust))  # fmt: skip
        self.models.append(ServingCost(version, manifest.scorer, bundle_bytes, trial.growth_bytes, trial.library_bytes))
        if not trial.admitted:
            reason = trial.reason or ""
            yield fail(check, f"{role}; {reason}: {trial.detail}", _CHANGES.get(reason, "release another version"))
            return
        self._manifests[version] = manifest
        yield self._proven(check, role, manifest, bundle_bytes, trial)
        for warning in trial.warnings:
            yield warn(f"libraries of {version}", warning, _CHANGES["golden_mismatch"])
        yield self._profile(manifest)

    def _proven(self, check: str, role: str, manifest: Manifest, bundle_bytes: int, trial: Trial) -> Finding:
        signed = "signed with the trusted key" if self._spec.trusted_key else "no signature asked for"
        grown = "" if trial.growth_bytes is None else f", {trial.growth_bytes // MIB:,} MiB of memory at most"
        whole = f"{len(manifest.files)} file(s) with {bundle_bytes:,} bytes, digest {manifest.digest[:12]}, {signed}"
        found = f"{role}; {manifest.scorer}: {whole}; loads{grown}"
        if manifest.golden is None:
            return warn(check, f"{found}, without golden records", "publish with a sample, so that answers are known")
        return ok(check, f"{found}, scores its golden records as recorded")

    def _upgrade(self, store: ModelStore) -> Iterator[Finding]:
        """What another version of a library would refuse; versions that this job admitted before keep serving in any
        case."""
        asked = {version: upgrade_refuses(manifest) for version, manifest in self._manifests.items()}
        open_to_it = [
            f"{version} (made by {library} {self._manifests[version].libraries.get(library, 'of no recorded version')})"
            for version, library in asked.items()
            if library is not None and not admitted_before(store, self._manifests[version], self._name)
        ]
        if open_to_it:
            found = f"another major.minor of its library would refuse {', '.join(open_to_it)}"
            change = "publish with the trainer's own answers (--golden FILE); what this job has admitted goes on"
            yield Finding("upgrade of libraries", "ok", found, change)
        elif any(asked.values()):
            yield ok("upgrade of libraries", "would refuse none: this job has admitted each version that serves")

    def _profile(self, manifest: Manifest) -> Finding:
        check = f"reference profile of {manifest.version}"
        try:
            profile = StoredProfiles(self._spec).load(manifest.version, manifest.digest)
        except (StoreError, BundleRefused, InvalidProfile) as error:
            return fail(check, str(error), "publish the version anew with a sample")
        if profile is None:
            return warn(check, "there is none, so no drift of this version is measured", "publish with a sample")
        names = [column.name for column in profile.columns if column.name != _SCORE_COLUMN]
        strange = [name for name in names if self._columns is not None and name not in self._columns]
        if strange:
            return warn(check, f"{', '.join(strange)}: no columns of the job, so not compared", "publish with its rows")
        return ok(check, f"{len(profile.columns)} column(s)")

    def _features(self) -> Iterator[Finding]:
        """Features that no model reads, which are computed for nothing; whether each model's inputs exist was part of
        its trial."""
        if self._job is None or self._columns is None:
            yield unchecked("features", "the types of the job's columns are not known, so no model was held to them")
            return
        if not self._manifests:
            return
        inputs = [each.name for manifest in self._manifests.values() for each in manifest.inputs]
        features, read = self._job.features.names, needed_for(self._job.features, inputs)
        unread = [name for name in features if name not in read]
        versions = ", ".join(self._manifests)
        if unread:
            found = f"{', '.join(unread)}: computed, but read by none of {versions}"
            yield warn("features", found, "leave them out, unless they are for training sets")
        else:
            yield ok("features", f"{len(features)} offered in fitting types, each read by at least one of {versions}")
