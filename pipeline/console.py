"""The entry points of `halflife` and `python -m pipeline`; with few imports, since each start pays for them."""

import gc
import sys

from pipeline.process.beam_notes import hide_import_notes
from pipeline.process.process_start import process_started
from pipeline.process.shadowed import refuse_if_shadowed

# Imports of a million objects that stay would be searched for garbage again and again at Python's own 700. Most verbs
# only import and answer: they end before the first search.
_COLLECTED, _COLLECTED_BY_VERBS = (100_000, 20, 100), (500_000, 20, 100)
_AUDIT_WITHOUT_MODELS = [["audit", verb] for verb in ("subject", "event", "record", "version", "at")]
"""Questions whose answers load no model."""


def console() -> None:
    """`halflife VERB …` as a whole program."""
    started, of_job = process_started(), sys.argv[1:2] in (["run"], ["features"])
    gc.set_threshold(*(_COLLECTED if of_job else _COLLECTED_BY_VERBS))
    refuse_if_shadowed()
    hide_import_notes()
    from pipeline.process.interruption import program
    from pipeline.verbs import main

    if sys.argv[1:3] in _AUDIT_WITHOUT_MODELS:
        from pipeline.process.without_pandas import without_pandas

        without_pandas()
    # A runner would treat a signal as the failure of a step; the other verbs are unwound.
    program(lambda: main(started=started), at_once=of_job)


def module() -> None:
    """`python -m pipeline …` as a whole program."""
    started = process_started()
    gc.set_threshold(*_COLLECTED)
    refuse_if_shadowed()
    hide_import_notes()
    from pipeline.process.interruption import program
    from pipeline.verbs import run_job

    program(lambda: run_job(sys.argv[1:], started, "python -m pipeline"), at_once=True)
