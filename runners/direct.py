"""DirectRunner: one process on one machine, for development, demos and batch runs of moderate size.

Beam 2.77's `DirectRunner` first tries Prism, for which it downloads a program, and falls back to one of two Python
runners. The job names the one that fits instead, so that a run never depends on the network:
`FnApiRunner` for bounded input (bundles in columns stay cheap, counters are exact), `BundleBasedDirectRunner` for
`TestStream` (the only one that plays it).
"""

from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineRunner

NAMES = ("DirectRunner", "FnApiRunner")


def bounded_runner() -> PipelineRunner:
    """The runner for bounded input."""
    return FnApiRunner()


def replaying_runner() -> PipelineRunner:
    """The runner for `TestStream`. It keeps no watermark holds for timers."""
    return BundleBasedDirectRunner()
