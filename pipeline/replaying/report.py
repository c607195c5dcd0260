"""What `halflife replay` prints for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.commands.output import print_pairs, print_table
from pipeline.reporting.printer import print_line

_OF_VERSION = ("scored", "mean", "min", "p50", "p90", "p99", "max")
_MOST_WINDOWS = 40


def print_replay(report: Mapping[str, Any]) -> None:
    """The counts, what each version answered, and what the second differs in, by window."""
    letters = {stage: number for stage, number in report["dead_letters"].items() if number}
    print_pairs(
        [
            ("records read", f"{report['records_read']:,}"),
            ("events", f"{report['events']:,}"),
            *((f"dead letters, {stage}", f"{number:,}") for stage, number in letters.items()),
            *((name.replace("_", " "), uri) for name, uri in report["out"].items() if name != "format"),
        ]
    )
    print_versions(report["versions"])
    if "labels" in report:
        _print_quality(report)
    comparison = report.get("comparison")
    if comparison is None:
        _print_windows(next(iter(report["versions"].values()))["windows"])
        return
    print_comparison(comparison)


def print_versions(versions: Mapping[str, Any]) -> None:
    """What each version answered."""
    rows = [[version, *_of_version(said)] for version, said in versions.items()]
    print_table(("version", *_OF_VERSION, "unscored", "decisions"), rows)


def print_comparison(comparison: Mapping[str, Any]) -> None:
    """What the second differs in, by window."""
    first, second = comparison["first"], comparison["second"]
    names = ("from", "to", "both", f"only {first}", f"only {second}", "flips", "mean", "|p50|", "|p99|", "|max|", "psi",
             "ks", "drifted")  # fmt: skip
    shown = comparison["windows"][:_MOST_WINDOWS]
    rows = [["all", "", *_differs(comparison["overall"])]]
    rows += [[each["window_start"], each["window_end"], *_differs(each)] for each in shown]
    print_table(names, rows, f"{second} minus {first}{_left_out(comparison['windows'])}")
    flipped = comparison["overall"]["flipped"]
    if flipped:
        print_table(("decided by", first, second, "events"), [["", *each.values()] for each in flipped])


def _print_quality(report: Mapping[str, Any]) -> None:
    """Metrics by window and version; a metric that is not there is `-`, and why stands below."""
    labels, found = report["labels"], {version: said["quality"] for version, said in report["versions"].items()}
    names = list(dict.fromkeys(name for each in found.values() for name in each["overall"] if name not in _NO_METRIC))
    windows = sorted({each["window_start"] for said in found.values() for each in said["windows"]})[:_MOST_WINDOWS]
    rows = [["all", "", version, *_metrics(said["overall"], names)] for version, said in found.items()]
    rows += [
        [each["window_start"], each["window_end"], version, *_metrics(each, names)]
        for start in windows
        for version, said in found.items()
        for each in said["windows"]
        if each["window_start"] == start
    ]
    told = ", ".join(f"{labels[name]:,} {what}" for name, what in _TOLD.items())
    print_table(("from", "to", "version", "n", "unlabelled", *names), rows, f"against labels ({told})")
    for line in _reasons(found):
        print_line(line)


_TOLD = {"read": "labels read", "pending": "not known yet", "unreadable": "unreadable", "without_score": "of no score"}
_NO_METRIC = ("n", "unlabelled", "why", "window_start", "window_end")


def _metrics(each: Mapping[str, Any], names: Sequence[str]) -> list[object]:
    values = ["" if name not in each else "-" if each[name] is None else _number(each[name]) for name in names]
    return [f"{each['n']:,}", f"{each['unlabelled']:,}", *values]


def _reasons(found: Mapping[str, Any]) -> list[str]:
    """Why metrics are not there: each reason once, with how many rows of the table it is for."""
    tallied: dict[tuple[str, str, str], int] = {}
    for version, said in found.items():
        for each in (said["overall"], *said["windows"]):
            for name, why in each["why"].items():
                tallied[version, name, why] = tallied.get((version, name, why), 0) + 1
    return [f"  {name} of {version} is - in {n:,} rows: {why}" for (version, name, why), n in tallied.items()]


def _left_out(windows: list[Any]) -> str:
    more = len(windows) - _MOST_WINDOWS
    return f"; {more} more windows are in --json" if more > 0 else ""


def _of_version(said: Mapping[str, Any]) -> list[object]:
    overall = said["overall"]
    decisions = ", ".join(f"{name} {number:,}" for name, number in overall["decisions"].items())
    return [*(_number(overall[name]) for name in _OF_VERSION), f"{said['unscored']:,}", decisions]


def _print_windows(windows: list[Mapping[str, Any]]) -> None:
    rows = [
        [each["window_start"], each["window_end"], *(_number(each[name]) for name in _OF_VERSION)]
        for each in windows[:_MOST_WINDOWS]
    ]
    print_table(("from", "to", *_OF_VERSION), rows, _left_out(list(windows)).removeprefix("; "))


def _differs(found: Mapping[str, Any]) -> list[object]:
    difference = found["difference"]
    counts = [_number(found[name]) for name in ("both", "only_first", "only_second", "flips")]
    distances = [found[name] for name in ("psi", "ks")]
    values = [_number(each["value"]) if each else "" for each in distances]
    above = [name for name, each in zip(("psi", "ks"), distances, strict=True) if each and each["drifted"]]
    return [*counts, *(_number(difference[name]) for name in ("mean", "p50", "p99", "max")), *values, ", ".join(above)]


def _number(value: float | int | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
