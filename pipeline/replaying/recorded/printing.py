"""What `halflife replay --receipts` prints for people."""

from collections.abc import Mapping
from typing import Any

from pipeline.commands.output import print_pairs, print_table
from pipeline.replaying.report import print_comparison, print_versions

_OF_RECEIPTS = ("equal", "within", "beyond", "unscored", "ids_differ")


def print_candidates(report: Mapping[str, Any]) -> None:
    """Counts, what each version answers, and what differs: overall, by window, and by segment."""
    _print_counts(report)
    print_versions(report["versions"])
    comparison = report["comparison"]
    print_comparison(comparison)
    for name, values in comparison["segments"].items():
        if values is None:
            print_pairs([(f"segment {name}", "no receipt holds it: no version reads it")])
            continue
        rows = [[each["value"], f"{each['both']:,}", _number(each["flips"]), *_apart(each)] for each in values]
        print_table((name, "both", "flips", "|p50|", "|p99|", "|max|"), rows)
    late = comparison["late"]
    if late["events"]:
        rows = [[f"{late['events']:,}", f"{late['both']:,}", _number(late["flips"]), *_apart(late)]]
        print_table(("late events", "both", "flips", "|p50|", "|p99|", "|max|"), rows)


def print_as_recorded(report: Mapping[str, Any]) -> None:
    """For each version how many scores came out as recorded."""
    _print_counts(report)
    rows = []
    for version, each in report["versions"].items():
        if "refused" in each:
            rows.append([version, f"{each['receipts']:,}", "", *("" for _ in _OF_RECEIPTS), each["refused"]])
            continue
        for when, counts in (("in time", each), ("late", each["late"])):
            if when == "in time" or any(counts.values()):
                told = [f"{counts[name]:,}" for name in _OF_RECEIPTS]
                rows.append([version, f"{each['receipts']:,}", when, *told, ""])
    print_table(("version", "receipts", "events", *(name.replace("_", " ") for name in _OF_RECEIPTS), "refused"), rows)
    if report["beyond"]:
        print_pairs([("beyond", ", ".join(report["beyond"]))])


def _print_counts(report: Mapping[str, Any]) -> None:
    pairs = [(f"receipts {name}", f"{number:,}") for name, number in report["receipts"].items()]
    if "events" in report:
        pairs.append(("events", f"{report['events']:,}"))
    for version, each in report["versions"].items():
        pairs += [(f"{name.replace('_', ' ')}, {version}", f"{n:,}") for name, n in each.get("left_out", {}).items()]
    pairs += [(record, uri) for record, uri in report["out"].items()]
    for kind in ("erased", "unreadable"):
        if report.get(kind):
            pairs.append((f"{kind}, for example", ", ".join(report[kind])))
    print_pairs([*pairs, ("seconds", f"{report['seconds']:.1f}")])


def _apart(each: Mapping[str, Any]) -> list[object]:
    return [_number(each["difference"][name]) for name in ("p50", "p99", "max")]


def _number(value: float | int | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
