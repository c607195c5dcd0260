"""Checks of a job that is to run on Dataflow, before it costs money: options, image, buckets, sizes."""

import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    WorkerOptions,
)

from runners.dataflow.buckets import Buckets
from runners.dataflow.sizes import graph_findings, worker_memory
from runners.findings import Facts, Finding, fail, ok, unchecked, warn
from runners.locks import pins_in

DOCKERFILE = Path(__file__).parent / "Dockerfile"
# What the image installs; it exists in a checkout only.
IMAGE_LOCK = Path(__file__).parents[2] / "requirements-worker.lock"
_PROJECT = re.compile(r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]")
_REGION = re.compile(r"[a-z]+-[a-z]+[0-9]+")
# A reference of an image with a tag or a digest.
_IMAGE = re.compile(r"[a-z0-9.-]+(?::\d+)?(?:/[a-z0-9._-]+)+(?::(?P<tag>[\w.-]{1,128}))?(?:@sha256:[0-9a-f]{64})?")
_SERVICE_OPTION = re.compile(r"[a-z0-9_]+(=.*)?")
_AT_LEAST_ONCE = "streaming_mode_at_least_once"
# Packages whose objects are sent to the workers pickled or in coders.
_TRAVELLING = ("apache-beam", "cloudpickle", "numpy", "pandas", "protobuf", "pyarrow")


def check(facts: Facts, arguments: Sequence[str], machine_bytes: int | None) -> Iterator[Finding]:
    """The findings for these arguments of Beam's; `machine_bytes` (of this machine) is not what workers have."""
    options = PipelineOptions(list(arguments))
    cloud, workers = options.view_as(GoogleCloudOptions), options.view_as(WorkerOptions)
    experiments = options.view_as(DebugOptions).experiments or []
    yield _named("--project", cloud.project, _PROJECT, "the id of a project, such as my-project")
    yield _named("--region", cloud.region, _REGION, "a region, such as europe-west1")
    yield from _buckets(cloud)
    yield from _reachable(facts)
    yield _image(workers.sdk_container_image, options.view_as(SetupOptions))
    yield _packages(options.view_as(SetupOptions).requirements_file)
    yield _service_options(cloud.dataflow_service_options or [])
    yield _mode(facts, [*(cloud.dataflow_service_options or []), *experiments])
    yield worker_memory(facts, workers.machine_type, experiments)
    yield from graph_findings(facts, cloud.update, cloud.transform_name_mapping)


def _named(option: str, value: str | None, form: re.Pattern[str], allowed: str) -> Finding:
    if not value:
        return fail(option, "is not given", f"{option}={allowed}")
    if form.fullmatch(value) is None:
        return fail(option, f"{value!r} is not allowed", f"expected: {allowed}")
    return ok(option, f"{value} (that it exists was not asked)")


def _buckets(cloud: Any) -> Iterator[Finding]:
    if not cloud.temp_location:
        yield fail("--temp_location", "is not given", "--temp_location=gs://bucket/tmp")
    given = {"--temp_location": cloud.temp_location, "--staging_location": cloud.staging_location}
    folders = {option: uri for option, uri in given.items() if uri}
    buckets = Buckets() if folders else None
    for option, uri in folders.items():
        assert buckets is not None
        yield buckets.check(option, uri)
    if cloud.temp_location and not cloud.staging_location:
        yield ok("--staging_location", "is not given, so the temporary folder is used")


def _reachable(facts: Facts) -> Iterator[Finding]:
    """Workers have neither this machine's disk nor its loopback interface."""
    for spec_path, uri in facts.uris.items():
        if uri.startswith("file:") or "://" not in uri:
            yield fail(spec_path, f"{uri} is a folder of this machine, which no worker has", "a gs:// URI")
        elif re.search(r"://(?:[^/]*,)?(localhost|127\.)", uri):
            yield fail(spec_path, f"{uri} is this machine's loopback address", "an address that the workers reach")


def _image(image: str | None, setup: Any) -> Finding:
    check = "--sdk_container_image"
    if not image:
        if setup.setup_file or setup.requirements_file or setup.extra_packages:
            found = "is not given: each worker installs the packages anew when it starts"
            return warn(check, found, "the image of make dataflow-template")
        found = "is not given: Beam's own image has neither this package nor its libraries"
        return fail(check, found, f"{check}=REGION-docker.pkg.dev/PROJECT/halflife/halflife:TAG")
    named = _IMAGE.fullmatch(image)
    if named is None:
        return fail(check, f"{image!r} is not a name of an image", "REGION-docker.pkg.dev/PROJECT/REPOSITORY/NAME:TAG")
    if "@" not in image and named["tag"] in (None, "latest"):
        change = "a tag of its own for each build: workers that start later would run other code"
        return warn(check, f"{image} names no fixed build", change)
    return unchecked(check, f"{image}: the registry was not asked whether it is there")


def _packages(requirements: str | None) -> Finding:
    """Submitted code is pickled here and unpickled there, so the packages that it uses must be the same."""
    check = "worker packages"
    here = {name: version(name) for name in _TRAVELLING}
    if requirements:
        pinned = _pins(Path(requirements))
        return _against(check, requirements, {name: here[name] for name in here if name in {*pinned, "apache-beam"}},
                        pinned)  # fmt: skip
    if not DOCKERFILE.is_file():
        return unchecked(check, "the image's Dockerfile is not installed here")
    text = DOCKERFILE.read_text(encoding="utf-8")
    beam = re.search(r"BEAM_VERSION=(\S+)", text)
    python = re.search(r"beam_python([0-9.]+)_sdk", text)
    base = {"Python": python[1] if python else "unknown", "Beam's image": beam[1] if beam else "unknown"}
    compared = {"Python": ".".join(platform.python_version_tuple()[:2]), "Beam's image": here["apache-beam"]}
    pinned = _pins(IMAGE_LOCK)
    known = {name: found for name, found in here.items() if name in pinned}
    return _against(check, "the image", compared | known, base | pinned)


def _pins(path: Path) -> dict[str, str]:
    try:
        return pins_in(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return {}


def _against(check: str, source: str, here: Mapping[str, str], there: Mapping[str, str]) -> Finding:
    other = [f"{name} {here[name]} here, {there.get(name, 'unknown')} there" for name in here
             if there.get(name) != here[name]]  # fmt: skip
    if other:
        return fail(check, f"{source}: {'; '.join(other)}", "submit with the versions that the workers have")
    return ok(check, f"{source}: {', '.join(f'{name} {found}' for name, found in here.items())}, as here")


def _service_options(given: Sequence[str]) -> Finding:
    check = "--dataflow_service_options"
    wrong = [option for option in given if _SERVICE_OPTION.fullmatch(option) is None]
    if wrong:
        return fail(check, f"{wrong[0]!r} is not allowed", "expected: name or name=value, with commas between them")
    return ok(check, ", ".join(given) or "none, and none is needed")


def _mode(facts: Facts, asked: Sequence[str]) -> Finding:
    check = "streaming mode"
    if not facts.streaming:
        return ok(check, "the input has an end: a batch job, with Dataflow Shuffle")
    if any(option.startswith(_AT_LEAST_ONCE) for option in asked):
        found = "at least once: a tile or a drift tally that takes an event twice stays wrong while it lives"
        return warn(check, found, f"leave {_AT_LEAST_ONCE} out (runners/dataflow/settings.py)")
    return ok(check, "streaming engine, exactly once")
