"""What Beam says of absent extras as it is imported is not shown to anybody."""

import subprocess
import sys

import pytest

WITHOUT = """
import sys, logging
sys.modules["apitools"] = None
{hide}
import apache_beam.io.gcp.internal.clients.bigquery
logging.warning("another")
"""
HIDE = "from pipeline.process.beam_notes import hide_import_notes; hide_import_notes()"


@pytest.mark.parametrize(("hide", "shown"), [("", 2), (HIDE, 1)])
def test_absent_extra_is_not_warned_of_at_each_start(hide: str, shown: int) -> None:
    command = [sys.executable, "-c", WITHOUT.format(hide=hide)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert len(ran.stderr.splitlines()) == shown
    assert ran.stderr.endswith("WARNING:root:another\n")
