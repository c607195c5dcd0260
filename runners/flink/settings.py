"""The options that a job sets for Flink, as data: each with the reason for its value. The command line overrides
all."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

NAME = "FlinkRunner"


class Setting(NamedTuple):
    """One pipeline option, as Beam spells it, and why it has this value; a switch has none."""

    option: str
    value: str | None
    why: str

    @property
    def argument(self) -> str:
        """As on a command line."""
        return f"--{self.option}" if self.value is None else f"--{self.option}={self.value}"


ALWAYS = (
    Setting("max_parallelism", "128", "key groups are fixed when state is first written; 128 lets a job grow to that"),
)
STREAMING = (
    Setting("checkpointing_interval", "10000", "ms; a failure repeats at most this much work"),
    Setting("min_pause_between_checkpoints", "2000", "ms; a slow checkpoint store must leave time for the events"),
    Setting("checkpoint_timeout_millis", "120000", "ms; barriers travel slowly while the job is catching up"),
    # Beam's switches invert a default: these turn chaining and failing off.
    Setting("operator_chaining", None, "chains depend on the parallelism, and savepoints are matched by them"),
    Setting("fail_on_checkpointing_errors", None, "a checkpoint store that is away for a while stops no scoring"),
    Setting("externalized_checkpoints_enabled", None, "a new job manager can go on from the last checkpoint"),
    Setting("retain_externalized_checkpoints_on_cancellation", None, "a cancelled job can go on where it stopped"),
    # Otherwise Beam's runner buffers what a bundle emits while a checkpoint is taken, and passes it on with the next
    # event or watermark: on a topic that has fallen silent, never (docs/flink.md).
    Setting("finish_bundle_before_checkpointing", None, "answers given during a checkpoint leave with it, not later"),
    Setting("max_bundle_time_mills", "100", "ms; a bundle waits this long at each shuffle, which bounds the latency"),
    Setting("max_cache_memory_usage_mb", "256", "a worker; by default each batch reads all of its shard's state again"),
)
# Restarts are not set here: Beam's option counts them over the life of the job, so that a year of machine failures
# would end it. The cluster's exponential delay forgets what is long past
# (runners/flink/local/cluster.py, docs/flink.md).

# A Flink configuration with values that no option of a job can set.
CLIENT = Path(__file__).parent / "client"
# With one of these the job's plan is made on a machine without that folder.
_MADE_ELSEWHERE = {"--job_endpoint", "--flink_submit_uber_jar", "--output_executable_path"}


def _client_arguments(arguments: Sequence[str]) -> list[str]:
    """This project's configuration for the job server that starts with the job; a user's own (`FLINK_CONF_DIR`) takes
    precedence."""
    elsewhere = _MADE_ELSEWHERE & {word.partition("=")[0] for word in arguments}
    return [] if elsewhere or os.environ.get("FLINK_CONF_DIR") else [f"--flink_conf_dir={CLIENT}"]


def with_profile(arguments: Sequence[str], job: str, streaming: bool) -> list[str]:
    """Beam's arguments with the profile's options before them, so that the command line takes precedence."""
    settings = [*ALWAYS, *(STREAMING if streaming else ())]
    client = _client_arguments(arguments) if streaming else []
    return [f"--job_name=halflife-{job}", *(setting.argument for setting in settings), *client, *arguments]
