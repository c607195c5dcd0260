"""The command line of `halflife init`."""

import argparse
from collections.abc import Sequence

from pipeline.command_line.parsing import OneLineParser, add_output_options

STATED = {
    "event_id": "COLUMN the column with the id of an event, or none",
    "event_time": "COLUMN the column with its time",
    "time_zone": "ZONE where the clocks are that show times without an offset, such as Europe/Berlin",
    "subject": "COLUMN the column with whom or what it is about, or none",
    "label": "COLUMN the column with what is to be predicted, or none",
    "positive": "VALUE which of its two values is positive",
    "label_time": "COLUMN the column with the time at which that was known, or none",
}
"""What the command line may decide, with what is said of it."""


def parse_init_options(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of `halflife init`. Exits with 2 and a message on bad usage."""
    parser = OneLineParser("halflife init", "Make a job of data: job.yaml, train.py, and the commands that score them.")
    parser.add_argument("data", metavar="DATA", help="a file, a folder, a pattern or a topic, kafka://host:port/topic")
    parser.add_argument("--yes", action="store_true", help="ask nothing: decide, and say what was decided")
    parser.add_argument("--no_run", action="store_true", help="write the files, and do not run the commands")
    for name, said in STATED.items():
        metavar, _, text = said.partition(" ")
        parser.add_argument(f"--{name}", metavar=metavar, help=text)
    add_output_options(parser)
    parsed: argparse.Namespace = parser.parse_args(list(arguments))
    return parsed
