"""State and timers of a stateful step as one object."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeAlias

_Method: TypeAlias = Callable[..., Any]


def taking(kind: Any, first_default: Any = inspect.Parameter.empty) -> Callable[[_Method], _Method]:
    """Lets a method `(self, first, cells)` of a DoFn receive all its cells as one `kind`.

    Beam finds state and timers in the defaults of a method's parameters and passes each as an argument. It therefore
    sees a method with one parameter for each field of `kind`, with that field's default.

    Args:
        kind: a NamedTuple; the default of each field is a `DoFn.StateParam` or `DoFn.TimerParam`.
        first_default: what `first` stands for; `DoFn.TimestampParam` in the method of a timer.
    """

    def decorated(method: _Method) -> _Method:
        own = inspect.signature(method)
        this, first, _ = own.parameters.values()

        @wraps(method)
        def called(self: Any, *args: Any, **named: Any) -> Any:
            if not args:  # Beam passes timers by name only
                args = (named.pop(first.name),)
            return method(self, args[0], kind(*args[1:], **named))

        both = inspect.Parameter.POSITIONAL_OR_KEYWORD
        cells = [inspect.Parameter(name, both, default=value) for name, value in kind._field_defaults.items()]
        called.__signature__ = own.replace(parameters=[this, first.replace(default=first_default), *cells])  # type: ignore[attr-defined]  # what inspect reads
        return called

    return decorated
