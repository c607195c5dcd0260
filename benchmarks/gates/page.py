"""benchmarks/GATES.md, from simulated rollouts."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, quantiles

from benchmarks.gates.losses import DAY_US, LABELLED, Losses
from benchmarks.gates.runs import NAIVE_LOOKS, RunOutcome, Scenario
from benchmarks.gates.scenarios import EQUAL, WORSE
from docs.tables import table
from gates.verdicts import PROMOTE, STOP

_NORMAL = NormalDist()
_VARIANCE_BY_MEAN = 1 / 0.8  # of the gamma distribution of losses: variance / mean²
_MEAN = 0.45


@dataclass(frozen=True, slots=True)
class Simulated:
    """A scenario and how its runs ended."""

    scenario: Scenario
    outcomes: Sequence[RunOutcome]

    def share(self, action: str) -> float:
        """Of the runs, 0 to 1."""
        return fmean(each.action == action for each in self.outcomes)

    @property
    def decided(self) -> Sequence[RunOutcome]:
        return [each for each in self.outcomes if each.action in (PROMOTE, STOP)]

    def summary(self) -> str:
        """One line for who waits."""
        return f"stop {self.share(STOP):.3f}, promote {self.share(PROMOTE):.3f}"


def fixed_n(losses: Losses, power: float, error_rate: float = 0.05) -> float:
    """Events of the version that a two-sided test of fixed n needs for this power, at the shares of the scenario."""
    own, other = _MEAN * (1 + losses.worse), _MEAN
    variance = _VARIANCE_BY_MEAN * (own**2 + other**2 * losses.own / losses.other)
    quantile = _NORMAL.inv_cdf(1 - error_rate / 2) + _NORMAL.inv_cdf(power)
    return quantile**2 * variance / (own - other) ** 2


def at_least(successes: int, runs: int, confidence: float = 0.95) -> float:
    """What the probability of success is at least, where nearly all runs succeeded (Clopper and Pearson)."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _tail(successes, runs, middle) < 1 - confidence else (low, middle)
    return low


def _tail(successes: int, runs: int, probability: float) -> float:
    """P(X >= successes)."""
    term, total = probability**runs, 0.0
    for failures in range(runs - successes + 1):
        total += term
        term *= (runs - failures) / (failures + 1) * (1 - probability) / max(probability, 1e-300)
    return total


def page_of(simulated: Sequence[Simulated]) -> str:
    """The page in Markdown."""
    by_name = {each.scenario.name: each for each in simulated}
    return "\n".join([_head(simulated), _errors(simulated), "", _looking(by_name[EQUAL]), _exposure(by_name[WORSE])])


def _head(simulated: Sequence[Simulated]) -> str:
    labelled, runs = ", ".join(f"{share:.0%}" for share in LABELLED), min(len(each.outcomes) for each in simulated)
    hours = DAY_US // 3_600_000_000
    return f"""# Gates, simulated

`make bench-gates` runs `gates` as `halflife rollout` does, {runs} times for each line or more, with fixed seeds:
a store with a timeline, Avro files of records of quality with a new one after each window of {hours} h, an audit,
and one look after each window. Losses are gamma-distributed (shape 0.8, mean {_MEAN}: skewed, as log losses are).
The version answers 5 % of the events as challenger, so different events are compared ("arms"). Labels come late:
{labelled} of a window's events have theirs at its end and one, two and three windows later, and each
change is one more pane; `labels.coverage` is 0.8. `error_rate` is 0.05, and `margin` 0 (it must be shown to be
better) unless the line says otherwise.
"""


def _errors(simulated: Sequence[Simulated]) -> str:
    rows = [
        (
            each.scenario.name,
            f"{each.scenario.losses.own} × {each.scenario.losses.windows}",
            f"{each.share(STOP):.1%}",
            f"{each.share(PROMOTE):.1%}",
            f"{fmean(one.n for one in each.decided):.0f}" if each.decided else "",
            f"{fmean(one.once for one in each.outcomes):.1%}",
            f"{fmean(one.twenty_times for one in each.outcomes):.1%}",
        )
        for each in simulated
    ]
    header = ("the version is", "events × windows", "stopped", "promoted", "labelled events then, mean")
    naive = ("z-test, once at the end", f"the same, looked at {NAIVE_LOOKS} times")
    return table((*header, *naive), rows)


def _looking(equal: Simulated) -> str:
    wrong = equal.share(STOP) + equal.share(PROMOTE)
    naive = fmean(each.twenty_times for each in equal.outcomes)
    return f"""The last two columns are a two-sided test at 5 % of the same events, all with labels, that is made
once, and one that is looked at {NAIVE_LOOKS} times and acted on when it is first below 5 %.

- **Nothing to find**: of two equal versions the rollout acts on {wrong:.1%}; allowed are 5 %. Looking {NAIVE_LOOKS}
  times at a test of fixed n acts on {naive:.0%}.
- **Clusters**: 5 events of a subject share a factor with a variance of 0.5. Subjects are new in each window
  ("clusters") or the same in all ("returning"). The latter needs `clusters: recurring`: undeclared, no window shows
  that the arms differ for good because their subjects do. Declared, it cannot be decided, which is right: no number
  of events of the same few subjects says what others would have got. What events are worth is measured as a job
  does: by 24 parts of a window with whole subjects in them.
- **Pairs**: a shadow and the champion on the same events, 10 of a subject that share 0.7 of the variance of the
  differences, in any order within the window. Where the job states no `events.subject`, nothing shows that they
  depend on each other, and the rollout acts too often.
- **A better version**: planned looks are stronger where the greatest n is known, 2,000 here.
- **As bad as the margin**: `margin` and `stop.margin` are 0.09, and that is by how much it is worse; it may be
  promoted, and stopped, in 2.5 % of runs each.
"""


def _exposure(worse: Simulated) -> str:
    stopped = [each for each in worse.outcomes if each.action == STOP]
    power = at_least(len(stopped), len(worse.outcomes))
    answered, n = fmean(each.answered for each in stopped), fmean(each.n for each in stopped)
    needed = fixed_n(worse.scenario.losses, power)
    tenth = quantiles([each.answered for each in stopped], n=10)
    rows = [
        (f"{label}", f"{size:.0f}", f"{answered / size:.2f}")
        for label, size in (
            (f"of the same power (at least {power:.1%}, from {len(stopped)} of {len(worse.outcomes)} runs)", needed),
            ("of power 90 %", fixed_n(worse.scenario.losses, 0.9)),
            ("of power 80 %", fixed_n(worse.scenario.losses, 0.8)),
        )
    ]
    return f"""## How many events a bad version answers

A version whose losses are 20 % higher is stopped in {len(stopped)} of {len(worse.outcomes)} runs, after it has answered
{answered:.0f} events in the mean (in a tenth of the runs below {tenth[0]:.0f}, in a tenth above {tenth[-1]:.0f}).
{n:.0f} of them had labels that counted; the others were answered while labels were awaited.

{table(("a test of fixed n", "events that it lets the version answer", "the rollout's, in relation"), rows)}

The test of fixed n is counted without the events that it, too, lets the version answer while it waits for the last
labels. Where little power is enough, a test of fixed n is over sooner; it then misses one bad version in five, or in
ten, and knows nothing before its end.
"""
