"""`halflife doctor`: examines a job and its runner before they cost anything."""

from collections import Counter

from pipeline.command_line.options import RunOptions, parse_doctor_options
from pipeline.command_line.parsing import Arguments
from pipeline.commands.output import Refused, exit_code, print_state
from pipeline.reporting.printer import print_json, print_line

_WIDTH = len("not checked")


def doctor(arguments: Arguments) -> int:
    """`halflife doctor --runner NAME --job FILE [OPTION…]`; returns the exit code.

    0: nothing failed; 1: a check failed; 2: a wrong option or job spec.
    """
    runner, options = parse_doctor_options(list(arguments), "halflife doctor")
    return exit_code(lambda: _doctor(runner, options), options.verbose)


def _doctor(runner: str, options: RunOptions) -> None:
    from pipeline.preflight.checks import examine  # it imports Beam, which --help and bad usage do without

    findings = []
    for finding in examine(options, runner):
        findings.append(finding)
        if not options.json:
            change = f"; {finding.change}" if finding.change else ""
            line = f"{finding.check}: {finding.found}{change}"
            print_state(finding.verdict, _WIDTH, " ".join(line.split("\n")))
    counts = Counter(finding.verdict for finding in findings)
    if options.json:
        checks = [finding._asdict() for finding in findings]
        print_json({"runner": runner, "failed": counts["fail"], "checks": checks})
    else:
        print_line(", ".join(f"{counts[verdict]} {verdict}" for verdict in ("ok", "warn", "fail", "not checked")))
    if counts["fail"]:
        raise Refused
