"""The stages at which a record leaves the job as a dead letter: one entry each.

The names are written in dead letters and counted in summaries. `DeadLetter.avsc`, docs/dead-letters.md and
docs/words.md list them; tests hold those lists to this module.
"""

from typing import Literal, TypeAlias, get_args

Stage: TypeAlias = Literal["decode", "features", "unserved", "score", "labels"]
STAGES: tuple[Stage, ...] = get_args(Stage)

DECODE: Stage = "decode"  # the input is not an event
FEATURES: Stage = "features"  # an event for which no features are made, such as a repeated one
UNSERVED: Stage = "unserved"  # no release, or no model that loads, answers the event
SCORE: Stage = "score"  # the model answered this event with an error, or with no score
LABELS: Stage = "labels"  # a label that cannot be read; labels are records of another input

OF_EVENTS: tuple[Stage, ...] = (FEATURES, UNSERVED, SCORE)
"""Stages of what was decoded: each event is scored or is a dead letter of one of them."""
