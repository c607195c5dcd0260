"""What a job asks of Flink is data with reasons, and the command line takes precedence."""

from apache_beam.options.pipeline_options import FlinkRunnerOptions, PipelineOptions

from runners.flink.settings import ALWAYS, STREAMING, with_profile


def test_every_setting_has_a_reason() -> None:
    assert [setting.option for setting in (*ALWAYS, *STREAMING) if len(setting.why) < 20] == []


def test_command_line_wins_over_the_profile() -> None:
    arguments = with_profile(["--max_parallelism=32"], "flights", streaming=False)
    assert PipelineOptions(arguments).view_as(FlinkRunnerOptions).max_parallelism == 32
    default = with_profile([], "flights", streaming=False)
    assert PipelineOptions(default).view_as(FlinkRunnerOptions).max_parallelism == 128


def test_only_streaming_jobs_ask_for_checkpoints() -> None:
    asked = [argument.split("=")[0] for argument in with_profile([], "flights", streaming=False)]
    assert "--checkpointing_interval" not in asked
    assert "--checkpointing_interval=10000" in with_profile([], "flights", streaming=True)


def test_checkpoints_of_streaming_jobs_wait_for_the_bundles_in_progress() -> None:
    """Without it, answers given during a checkpoint stay in the runner until the next event (docs/flink.md)."""
    assert "--finish_bundle_before_checkpointing" in with_profile([], "flights", streaming=True)
