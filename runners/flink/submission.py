"""Errors for which Beam's own messages name no option, reported before a job is submitted to Flink."""

import socket
import zipfile
from collections.abc import Sequence
from urllib.parse import urlsplit

from apache_beam.options.pipeline_options import FlinkRunnerOptions, PipelineOptions, PortableOptions

from runners.flink import rest

_SECONDS = 10.0


class CannotSubmit(RuntimeError):
    """No job can be submitted with these options; the message names the one at fault, its value and what is allowed."""


def check_submission(arguments: Sequence[str]) -> None:
    """Raises `CannotSubmit` for a job server that is not a jar and for a cluster that accepts no connection.

    Where another process submits (`--job_endpoint`) or none does (`--output_executable_path`), neither is checked.
    """
    options = PipelineOptions(list(arguments))
    flink, portable = options.view_as(FlinkRunnerOptions), options.view_as(PortableOptions)
    if portable.job_endpoint:
        return
    jar = flink.flink_job_server_jar
    if jar and is_no_jar(jar):
        raise CannotSubmit(f"--flink_job_server_jar: {jar!r} is not a jar; expected: a file or URL of Beam's server")
    # Imported here: every job's start imports this module, and few of them use Flink.
    from apache_beam.runners.portability.flink_runner import MAGIC_HOST_NAMES

    if flink.flink_master not in MAGIC_HOST_NAMES and not portable.output_executable_path:
        _connect(flink.flink_master)


def is_no_jar(jar: str) -> bool:
    """Whether it is a path to something that cannot be a job server. Beam fetches URLs itself."""
    return "://" not in jar and not zipfile.is_zipfile(jar)


def _connect(master: str) -> None:
    allowed = "host:port of a cluster's REST interface, or [auto] for one within the job server"
    try:
        address = urlsplit(rest.rest_url(master))
        socket.create_connection((address.hostname or "", address.port or 0), _SECONDS).close()
    except rest.NoFlink as error:
        raise CannotSubmit(f"--flink_master: {error}") from None
    except OSError as error:
        said = error.strerror or str(error)
        raise CannotSubmit(f"--flink_master: {master!r} takes no connection ({said}); expected: {allowed}") from None
