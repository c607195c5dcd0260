"""Checks of a job before it runs on Flink: the cluster, the worker, the job server."""

import json
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from apache_beam.options.pipeline_options import FlinkRunnerOptions, PipelineOptions, PortableOptions
from apache_beam.runners.portability.flink_runner import MAGIC_HOST_NAMES
from apache_beam.utils.subprocess_server import JavaJarServer

from runners.findings import Facts, Finding, fail, ok, unchecked, warn
from runners.flink import rest
from runners.flink.local import parts
from runners.flink.submission import is_no_jar
from runners.flink.workers import check_workers, is_loopback

_CHECKPOINTS = ("execution.checkpointing.dir", "state.checkpoints.dir")


def check(facts: Facts, arguments: Sequence[str], machine_bytes: int | None) -> Iterator[Finding]:
    """The findings for these arguments of Beam's; `machine_bytes`: the memory of this machine, None if unknown."""
    options = PipelineOptions(list(arguments))
    flink, portable = options.view_as(FlinkRunnerOptions), options.view_as(PortableOptions)
    if flink.flink_master in MAGIC_HOST_NAMES:
        found = f"{flink.flink_master}: no cluster is named, so the job runs in its job server and ends with it"
        yield warn("--flink_master", found, "give host:port of the cluster's REST interface")
        yield from check_workers(portable, None, facts, machine_bytes)
    else:
        yield from _check_cluster(flink, portable, facts, machine_bytes)
    yield from _check_job_server(flink, portable)


def _check_cluster(flink: Any, portable: Any, facts: Facts, machine_bytes: int | None) -> Iterator[Finding]:
    advice = "start the cluster, or give host:port of its REST interface with --flink_master"
    try:
        url = rest.rest_url(flink.flink_master)
        overview = rest.ask(url, "/overview")
        version = rest.text(overview, "flink-version", "/overview")
        managers = rest.number(overview, "taskmanagers", "/overview")
    except rest.NoFlink as error:
        yield fail("--flink_master", f"{flink.flink_master}: {error}", advice)
        yield from check_workers(portable, None, facts, machine_bytes)
        return
    yield ok("--flink_master", f"{flink.flink_master}: Flink {version[:20]} with {managers} task manager(s)")
    yield _version(flink.flink_version, version)
    try:
        configured = rest.configuration(url)
        yield _slots(flink, overview, configured)
        if facts.streaming:
            yield _checkpoint_folder(configured, is_loopback(urlsplit(url).hostname or ""))
            yield _restarts(configured)
        yield from check_workers(portable, url, facts, machine_bytes)
    except rest.NoFlink as error:
        yield fail("Flink's REST interface", str(error), advice)


def _version(asked: str, found: str) -> Finding:
    release = ".".join(found.split(".")[:2])
    if release == asked:
        return ok("--flink_version", f"{asked}, as the cluster's {found[:20]}")
    change = f"--flink_version={release}" if release in FlinkRunnerOptions.PUBLISHED_FLINK_VERSIONS else (
        f"a cluster of one of the versions {', '.join(FlinkRunnerOptions.PUBLISHED_FLINK_VERSIONS)}"
    )  # fmt: skip
    return fail("--flink_version", f"{asked}, but the cluster is Flink {found[:20]}", change)


def _slots(flink: Any, overview: Any, configured: Mapping[str, str]) -> Finding:
    free = rest.number(overview, "slots-available", "/overview")
    total = rest.number(overview, "slots-total", "/overview")
    default = configured.get("parallelism.default", "1")
    wanted = flink.parallelism if flink.parallelism > 0 else int(default) if default.isdecimal() else 1
    found = f"{wanted} slot(s) needed, {free} of {total} free"
    if wanted <= free:
        return ok("--parallelism", found)
    return fail("--parallelism", found, "fewer with --parallelism, cancel a job, or add task managers")


def _checkpoint_folder(configured: Mapping[str, str], here: bool) -> Finding:
    check = "checkpoint folder"
    folder_uri = next((configured[key] for key in _CHECKPOINTS if configured.get(key)), "")
    if not folder_uri:
        found = f"neither {' nor '.join(_CHECKPOINTS)} is set: state would live in the job manager's memory"
        return fail(check, found, "set execution.checkpointing.dir in the cluster's configuration")
    if urlsplit(folder_uri).scheme not in ("", "file"):
        return unchecked(check, f"{folder_uri}: Flink writes there with credentials of its own")
    if not here:
        found = f"{folder_uri} is a folder of the cluster's machines; all of them must see the same one"
        return unchecked(check, found)
    folder = Path(unquote(urlsplit(folder_uri).path))
    try:
        nearest = next(path for path in (folder, *folder.parents) if path.exists())
        with tempfile.NamedTemporaryFile(dir=nearest, prefix=".halflife-"):
            return ok(check, f"{folder_uri} can be written")
    except OSError as error:
        return fail(check, f"{folder_uri} cannot be written ({error.strerror})", "mend it, or name another folder")


def _restarts(configured: Mapping[str, str]) -> Finding:
    check = "restarts"
    kind = configured.get("restart-strategy.type") or configured.get("restart-strategy", "")
    if kind in ("exponential-delay", "exponentialdelay"):
        return ok(check, f"the cluster's strategy is {kind}")
    found = f"the cluster's strategy is {kind[:40] or 'not set'}: one that counts ends a job that runs for long"
    return warn(check, found, "set restart-strategy.type: exponential-delay (docs/flink.md)")


def _check_job_server(flink: Any, portable: Any) -> Iterator[Finding]:
    if portable.job_endpoint:
        yield _endpoint(portable.job_endpoint)
        return
    try:
        yield ok("Java", parts.java())
    except parts.PartMissing as absent:
        yield fail("Java", str(absent), "install it here: the job server runs in the submitting machine")
    yield _jar(flink)


def _endpoint(address: str) -> Finding:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 5).close()
    except (OSError, ValueError) as error:
        return fail("--job_endpoint", f"{address}: {error}", "start the job server, or leave the option out")
    return ok("--job_endpoint", f"{address} takes connections; Flink is named to that job server")


def _jar(flink: Any) -> Finding:
    check, jar = "--flink_job_server_jar", flink.flink_job_server_jar
    if jar and "://" in jar:
        return unchecked(check, f"{jar} is fetched when the job is submitted")
    if jar:
        if is_no_jar(jar):
            return fail(check, f"{jar} is not a jar", "a file or URL of Beam's Flink job server")
        return ok(check, jar)
    shipped = JavaJarServer.path_to_beam_jar(f":runners:flink:{flink.flink_version}:job-server:shadowJar")
    if os.path.exists(shipped) or Path(JavaJarServer.JAR_CACHE, os.path.basename(shipped)).exists():
        return ok(check, f"Beam has {os.path.basename(shipped)}")
    found = f"Beam will fetch {json.dumps(shipped)} when the job is submitted"
    return warn(check, found, "where that cannot be fetched, name a jar (docs/flink.md)")
