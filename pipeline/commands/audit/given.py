"""`--scores` of `audit record` and `audit subject`: all that versions answered, to whatever."""

import argparse
from collections.abc import Iterable, Mapping

from audit.asking.decision.sections import Section
from audit.asking.tallies import VersionScores
from audit.asking.training.scores_given import given_document


def add_given_option(parser: argparse.ArgumentParser) -> None:
    """`--scores`."""
    parser.add_argument(
        "--scores", action="store_true",
        help="count all scores that the versions trained on it gave, to whatever",
    )  # fmt: skip


def given_section(given: Iterable[tuple[str, Mapping[str, VersionScores]]]) -> Section:
    """What the versions answered, a row for each role of each version."""
    rows = list[tuple[object, ...]]()
    for model, versions in given:
        for version, each in versions.items():
            said = given_document(each)
            counts = each.counts or {"none": 0}
            rows += [(model, version, role, n, said["first_event"], said["last_event"]) for role, n in counts.items()]
    columns = ("model", "version", "role", "scores", "first event", "last event")
    return Section("All that these versions answered", columns, rows)
