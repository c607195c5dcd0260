"""The entry points of `halflife` and `python -m pipeline`; with few imports, since each start pays for them."""

import sys

from pipeline.process.beam_notes import hide_import_notes
from pipeline.process.process_start import process_started
from pipeline.process.shadowed import refuse_if_shadowed


def console() -> None:
    """`halflife VERB …` as a whole program."""
    started = process_started()
    refuse_if_shadowed()
    hide_import_notes()
    from pipeline.process.interruption import program
    from pipeline.verbs import main

    # A runner would treat a signal as the failure of a step; the other verbs are unwound.
    program(lambda: main(started=started), at_once=sys.argv[1:2] in (["run"], ["features"]))


def module() -> None:
    """`python -m pipeline …` as a whole program."""
    started = process_started()
    refuse_if_shadowed()
    hide_import_notes()
    from pipeline.process.interruption import program
    from pipeline.verbs import run_job

    program(lambda: run_job(sys.argv[1:], started, "python -m pipeline"), at_once=True)
