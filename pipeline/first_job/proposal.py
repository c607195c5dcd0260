"""The proposal of a first job: from rows of data to what its spec will say, decision by decision."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.first_job.features import Chosen, choose_features
from pipeline.first_job.found_times import TimeForm, form_of_times, known, moments
from pipeline.first_job.labels import ChosenLabel, choose_label, trial_of, unlearnable
from pipeline.first_job.looking import Look
from pipeline.first_job.names import ID, NOT_THE_EVENT, SUBJECT, TIME, hints_at
from pipeline.first_job.questions import NONE, JobDecisions, OpenQuestion
from pipeline.first_job.zones import machine_zone
from schemas.batches import ROW_HASH
from schemas.formats.times.time_zones import is_zone
from schemas.validation import Absent, SpecError

UNLEARNT = "not learnt"
"""The name of the decision that a label is none to learn from."""
_COMPLETE = 0.99
_REPEATS = 2.0
_FEWEST = 2
_UTC = "UTC"
Micros = npt.NDArray[np.int64]


@dataclass(slots=True)
class Proposal:
    """What the spec of a first job will say; `untried`: why its model is tried on no events."""

    look: Look
    decisions: JobDecisions
    event_id: str = ROW_HASH
    event_time: str = ""
    form: TimeForm = field(default_factory=TimeForm)
    zone: str = _UTC
    subject: str | None = None
    label: ChosenLabel | None = None
    chosen: Chosen = field(default_factory=lambda: Chosen((), (), (), {}))
    split_at: str | None = None
    untried: str = ""
    times: dict[str, TimeForm] = field(default_factory=dict)


def propose(look: Look, decisions: JobDecisions) -> Proposal:
    """Decides everything that a job needs.

    Raises:
        SpecError: an answer names no column; or the data have no column of times, or nothing to make a feature of.
    """
    if look.table.num_rows < _FEWEST:
        raise SpecError("DATA", "1 record", f"{_FEWEST} records or more; next: halflife init again once there are")
    made = Proposal(look, decisions)
    _check_stated(look.table, decisions)
    made.times = dict(_time_columns(look.table))
    _decide_time(made)
    at_us = moments(look.table[made.event_time], made.form, made.zone)
    _decide_id(made)
    _decide_subject(made)
    later = {name: moments(look.table[name], form, made.zone) for name, form in made.times.items()
             if name != made.event_time}  # fmt: skip
    identity = {made.event_id, made.event_time, *([made.subject] if made.subject else [])}
    made.label = choose_label(look.table, decisions, identity, made.times, at_us, later)
    made.chosen = choose_features(look.table, decisions, identity, set(made.times), made.label, made.subject, at_us)
    _decide_model(made, at_us)
    return made


def _decide_model(made: Proposal, at_us: Micros) -> None:
    """Whether the model learns the label, and what it is tried on. Raises `SpecError` for a stated label that nothing
    can be learnt from."""
    if made.label is None:
        return
    if why := unlearnable(made.label):
        column, made.label = made.label.column, None
        if "label" in made.decisions.stated:
            raise SpecError("--label", column, f"a column to learn from ({why}); next: --label none, or more events")
        made.decisions.note(UNLEARNT, column, why)
        return
    trial = trial_of(made.label, at_us)
    made.split_at, made.untried = trial.split_at, "" if trial.split_at else trial.why
    made.decisions.note("split", trial.split_at or NONE, trial.why)


def _check_stated(table: pa.Table, decisions: JobDecisions) -> None:
    """Raises `SpecError` for a stated column that is none, and a zone that is none."""
    for name, value in decisions.stated.items():
        if name == "time_zone" and not is_zone(value):
            raise SpecError(f"--{name}", value, "the name of a time zone in IANA's list, such as Europe/Berlin")
        none_fits = name in ("event_id", "subject", "label", "label_time") and value == NONE
        if name not in ("time_zone", "positive") and not none_fits and value not in table.column_names:
            raise SpecError(f"--{name}", value, f"a column of the data: {', '.join(table.column_names)}")


def _time_columns(table: pa.Table) -> Iterator[tuple[str, TimeForm]]:
    for name in table.column_names:
        form = form_of_times(name, table[name])
        if form is not None:
            yield name, form


def _decide_time(made: Proposal) -> None:
    table, decisions = made.look.table, made.decisions
    complete = [name for name in made.times if table[name].null_count <= (1 - _COMPLETE) * table.num_rows]
    if not complete and "event_time" not in decisions.stated:
        found = Absent(f"no column of {', '.join(table.column_names)} holds a time in every record")
        raise SpecError("event_time", found, "a column with the time of each event; next: halflife init --event_time")
    ranked = sorted(complete, key=lambda name: _rank(made, name))
    best = [name for name in ranked if _fitness(made, name) == _fitness(made, ranked[0])]
    why = "the only column of times" if len(made.times) == 1 else "the earliest of the columns of times that fit"
    suggested = ranked[0] if ranked else ""
    made.event_time = decisions.decide(OpenQuestion("event_time", suggested, why, complete, len(best) <= 1))
    made.form = made.times.get(made.event_time) or _unread(made.event_time)
    made.times[made.event_time] = made.form
    _decide_form(made)
    _decide_zone(made)


def _unread(name: str) -> TimeForm:
    allowed = "a column of times, such as 2024-01-31T10:30:00Z or 31.01.2024 10:30"
    raise SpecError("--event_time", name, allowed)


def _fitness(made: Proposal, name: str) -> int:
    kind = made.look.table[name].type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    certain = hints_at(name, TIME) or not is_number
    return 2 * made.times[name].clock + certain - 4 * hints_at(name, NOT_THE_EVENT)


def _rank(made: Proposal, name: str) -> tuple[int, float]:
    at_us = moments(made.look.table[name], made.times[name], _UTC)
    return -_fitness(made, name), float(np.median(at_us[known(at_us)]))


def _decide_form(made: Proposal) -> None:
    """Days before months, unless somebody says otherwise, where both fit all values."""
    form = made.form
    if form.or_else and form.time_format:
        why = f"the times also fit {form.or_else}; days before months was chosen"
        allowed = (form.time_format, form.or_else)
        found = made.decisions.decide(OpenQuestion("time_format", form.time_format, why, allowed))
        made.form = made.times[made.event_time] = form._replace(time_format=found)
    elif form.time_format:
        made.decisions.note("time_format", form.time_format, "all times are written so")


def _decide_zone(made: Proposal) -> None:
    if made.form.local and made.form.clock:
        zone = machine_zone()
        why = f"{made.event_time} states no offset, and clocks of {zone} were assumed, as on this machine"
        made.zone = made.decisions.decide(OpenQuestion("time_zone", zone, why))
        if not is_zone(made.zone):
            raise SpecError("time_zone", made.zone, "the name of a time zone in IANA's list, such as Europe/Berlin")


def _decide_id(made: Proposal) -> None:
    table = made.look.table
    unique = [name for name in table.column_names if name not in made.times and _is_unique(table[name])]
    by_name = [name for name in unique if hints_at(name, ID)]
    texts = [name for name in unique if pa.types.is_string(table[name].type)]
    found = (by_name or texts or [NONE])[0]
    why = "no column is different in every record: a hash of the record is its id, and equal records are one event"
    if found != NONE:
        why = f"different in every one of {table.num_rows:,} records"
    answer = made.decisions.decide(OpenQuestion("event_id", found, why, (*unique, NONE), bool(by_name) or not unique))
    made.event_id = ROW_HASH if answer == NONE else answer
    if made.event_id != ROW_HASH and not _is_unique(table[answer]):
        again = table.num_rows - pc.count_distinct(table[answer]).as_py()
        twice = f"{again:,} records repeat an id; of several with one id only one is scored"
        made.decisions.note("repeated ids", answer, twice)


def _is_unique(values: pa.ChunkedArray) -> bool:
    kind = values.type
    if pa.types.is_floating(kind):  # a CSV file has no other numbers
        numbers = values.drop_null().to_numpy()
        if (numbers != np.floor(numbers)).any():
            return False
    elif not (pa.types.is_string(kind) or pa.types.is_integer(kind)):
        return False
    return bool(values.null_count == 0 and pc.count_distinct(values).as_py() == len(values) > 1)


def _decide_subject(made: Proposal) -> None:
    table, found = made.look.table, dict[str, int]()
    for name in table.column_names:
        kind = table[name].type
        if name in made.times or name == made.event_id or not (pa.types.is_string(kind) or _is_whole(table[name])):
            continue
        if hints_at(name, SUBJECT):
            found[name] = int(pc.count_distinct(table[name]).as_py())
    several = {name: n for name, n in found.items() if n > 1 and table.num_rows / n >= _REPEATS}
    several = {name: n for name, n in several.items() if hints_at(name, ID)} or several
    best = max(several, key=lambda name: (hints_at(name, ID), several[name]), default=NONE)
    why = "no column names whom or what events are about, several times each"
    if best != NONE:
        why = f"{several[best]:,} of them have {table.num_rows:,} events"
    answer = made.decisions.decide(OpenQuestion("subject", best, why, (*several, NONE), len(several) <= 1))
    made.subject = None if answer == NONE else answer


def _is_whole(values: pa.ChunkedArray) -> bool:
    if pa.types.is_integer(values.type):
        return True
    if not pa.types.is_floating(values.type):
        return False
    numbers = values.drop_null().to_numpy()
    return bool((numbers == np.floor(numbers)).all())
