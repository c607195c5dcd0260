"""What a score means: the kind of output, and which of a model's labelled classes is the positive one."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from models.bundles.manifest import OutputKind
from models.publishing.description import CannotPublish, Description
from models.scorers import WillNotLoad
from models.scorers.answers import plain_second

_MOST_LISTED = 20


def labels_of(description: Description, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The labels of a model's classes: those of `parameters.classes`, else those in its files; empty if there are none.

    Where a model answers with several numbers and `parameters.column` names one, no class needs to be named.
    """
    stated = settings.get("classes")
    if isinstance(stated, list) and len(stated) > 1 and all(isinstance(label, str) for label in stated):
        return () if "column" in settings else tuple(stated)
    return description.labels


def resolve_output(
    description: Description, labels: Sequence[str], stated: OutputKind | None, positive: str | None
) -> OutputKind:
    """The kind of output: the stated one, else the probability of the class that was named, else the model's own.

    Raises:
        CannotPublish: nothing states it, or the classes have labels and none of them was named.
        WillNotLoad: the one that was named is not a label.
    """
    said = stated or description.output
    will_not_load = said == "probability" and not description.probabilities  # the scorer says so, and what is allowed
    if said != "regression" and not will_not_load:
        check_positive(labels, positive)
    if stated is not None or said == "regression":
        return stated or "regression"
    named = positive is not None and (description.output == "class" or bool(labels))
    kind: OutputKind | None = "probability" if description.probabilities else "class"
    kind = kind if named else description.output
    if kind is None:
        raise CannotPublish("the model does not say what it answers; expected: --output probability|regression|class")
    return kind


def check_positive(labels: Sequence[str], positive: str | None) -> None:
    """Refuse a score of labelled classes unless one label is named: its index alone would mean nothing to a reader.

    Raises:
        CannotPublish: none is named, and they are not 0 and 1 or False and True, where the second is positive.
        WillNotLoad: the one that is named is not a label.
    """
    if len(labels) < 2:
        return
    if positive is None and plain_second(labels) is None:
        listed = "|".join(shlex.quote(label) for label in labels[:_MOST_LISTED])
        more = f"|… ({len(labels)} labels)" if len(labels) > _MOST_LISTED else ""
        found = f"the model's {len(labels)} classes have labels, and which of them is the positive one is not said"
        raise CannotPublish(f"{found}; expected: --positive {listed}{more}")
    if positive is not None and positive not in labels:
        raise WillNotLoad(f"output.positive {positive!r}; allowed: {', '.join(labels)}")
