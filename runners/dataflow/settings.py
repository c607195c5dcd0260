"""The options that a job sets for Dataflow, as data: each with the reason for its value. The command line overrides
all."""

from collections.abc import Sequence
from typing import NamedTuple

NAME = "DataflowRunner"


class Option(NamedTuple):
    """One pipeline option, as Beam spells it, and why it has this value."""

    option: str
    value: str
    why: str


ALWAYS = (
    Option("sdk_location", "container", "the image has the lock file's packages; workers install nothing at start"),
    Option("machine_type", "n2-highmem-4", "4 vCPUs share 32 GB: each SDK process holds its own copy of every model"),
    Option("max_num_workers", "10", "an upper bound of cost: without one a backlog grows the job to the quota"),
    Option("autoscaling_algorithm", "THROUGHPUT_BASED", "the load of events has days and nights"),
    Option(
        "experiments",
        "disable_logging_submission_environment",
        "launcher and workers are one image: a list of the launcher's packages and paths need not be staged for them",
    ),
    Option("no_save_main_session", "true", "the package is in the image; a pickled session would carry local state"),
)
STREAMING = (
    Option("num_workers", "2", "state is spread from the first minute, and one lost worker stops nothing"),
)
# Every streaming job in Python uses the streaming engine: Beam's option for it is deprecated and on.
# Exactly once is Dataflow's default and is kept: a tile or a drift tally that counts an event twice stays wrong as long
# as it lives, and only repeated scores could be recognised afterwards, by score_id. So nothing here asks for
# `streaming_mode_at_least_once`, and the template's metadata does not offer it.

# Options of the job that the template does not have, each with the reason.
NOT_IN_TEMPLATE = {
    "set": "a launcher passes each parameter once: `settings` takes them all as one mapping",
    "trusted_key": "names a file of the launcher's machine, where there is none",
    "summary": "the launcher ends before the job does, so there is nothing to count",
    "max_dead_letters": "the launcher ends before the job does, so there is nothing to count",
    "require_input": "the launcher ends before the job does, so there is nothing to count",
    "sinks": "the launcher ends before the job does, so it cannot delete what the job replaces",
    "json": "there is no summary to print",
    "log_format": "the launcher's log is read by people, and the service keeps the workers' as fields of its own",
}


def with_profile(arguments: Sequence[str], job: str, streaming: bool) -> list[str]:
    """Beam's arguments with the profile's options before them, so that the command line takes precedence."""
    settings = [*ALWAYS, *(STREAMING if streaming else ())]
    chosen = [f"--job_name=halflife-{job}", *map(_argument, settings)]
    return [*chosen, *arguments]


def _argument(setting: Option) -> str:
    """Beam's switches are given or not; all other options have a value."""
    return f"--{setting.option}" if setting.value == "true" else f"--{setting.option}={setting.value}"
