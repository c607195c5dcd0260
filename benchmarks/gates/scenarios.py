"""What is simulated."""

from collections.abc import Mapping
from typing import Any

from benchmarks.gates.losses import Losses
from benchmarks.gates.runs import Scenario

_PLAIN: Mapping[str, Any] = {"minimum": {"n": 200}}
_PLANNED = {"by": "group_sequential", "looks": 5}
_EQUAL = Losses(own=80, other=1520, windows=25)
_CLUSTERED = Losses(own=80, other=1520, windows=25, cluster=5, differ=0.5)
_RETURNING = Losses(own=100, other=1900, windows=25, cluster=5, differ=0.5, recurring=True)
_PAIRED = Losses(own=400, other=0, windows=25, cluster=10, differ=0.7, paired=True)
_RETURNING_PAIRS = _PAIRED._replace(recurring=True)
_SHADOW: Mapping[str, Any] = {**_PLAIN, "split_on": "subject", "steps": [{"share": "shadow"}, {"share": "100%"}]}
_BETTER = Losses(own=80, other=1520, windows=25, worse=-0.08)

WORSE, EQUAL = "20 % worse", "equal"
SCENARIOS = (
    Scenario(WORSE, Losses(own=20, other=380, windows=150, worse=0.2), _PLAIN, times=2),
    Scenario(EQUAL, _EQUAL, _PLAIN),
    Scenario("equal, clusters", _CLUSTERED, {**_PLAIN, "split_on": "subject"}),
    Scenario("equal, returning clusters, undeclared", _RETURNING, {**_PLAIN, "split_on": "subject"}),
    Scenario("equal, returning clusters", _RETURNING, {**_PLAIN, "split_on": "subject", "clusters": "recurring"}),
    Scenario("equal, pairs, clusters", _PAIRED, _SHADOW),
    Scenario("equal, pairs, returning clusters", _RETURNING_PAIRS, {**_SHADOW, "clusters": "recurring"}),
    Scenario(
        "equal, pairs, returning clusters, no subjects",
        _RETURNING_PAIRS._replace(subjects=False),
        {**_SHADOW, "clusters": "recurring"},
    ),
    Scenario("8 % better, sequence", _BETTER, {**_PLAIN, "maximum": {"n": 2000}}),
    Scenario("8 % better, planned looks", _BETTER, {**_PLAIN, "maximum": {"n": 2000}, "promote": _PLANNED}),
    Scenario(
        "as bad as the margin",
        Losses(own=80, other=1520, windows=25, worse=0.2),
        {**_PLAIN, "margin": 0.09, "stop": {"margin": 0.09}},
    ),
)
