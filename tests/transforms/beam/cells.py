"""State of a DoFn without a runner."""

import inspect
from collections.abc import Callable
from typing import Any

from apache_beam.transforms.userstate import BagStateSpec
from apache_beam.utils.timestamp import Timestamp


class Cell:
    """State of one key in memory: a bag or a value."""

    def __init__(self, value: Any = None) -> None:
        self.value = value

    def read(self) -> Any:
        return self.value

    def write(self, value: Any) -> None:
        self.value = value

    def add(self, value: Any) -> None:
        self.value = [*self.value, value]

    def set(self, value: Any) -> None:
        self.value = value

    def clear(self) -> None:
        self.value = [] if isinstance(self.value, list) else None


class ShardCells:
    """Cells and timers of one key of a stateful DoFn, by the names of its methods' parameters."""

    def __init__(self, fn: Any, timer: Callable[[str], Any] = lambda name: Cell()) -> None:
        self._fn, self._timer = fn, timer
        self.by_name: dict[str, Any] = {}
        self.found: list[Any] = []

    def __getitem__(self, name: str) -> Any:
        return self.by_name[name].value

    def called(self, method: str, first: Any) -> list[Any]:
        """Calls a method with its element, or the time that a timer fired for, and with its cells."""
        function = getattr(self._fn, method)
        parameters = list(inspect.signature(function).parameters.values())[1:]
        for parameter in parameters:
            if parameter.name not in self.by_name:
                self.by_name[parameter.name] = self._made(parameter)
        made = list(function(first, *(self.by_name[parameter.name] for parameter in parameters)) or ())
        self.found += made
        return made

    def _made(self, parameter: inspect.Parameter) -> Any:
        if parameter.name.endswith("_timer"):
            return self._timer(parameter.name)
        return Cell([] if isinstance(parameter.default.state_spec, BagStateSpec) else None)

    def fire(self, name: str, reached: Timestamp) -> None:
        """Fires the timer of that parameter."""
        methods = {"next_timer": "next_reached", "last_timer": "last_reached", "fold_timer": "fold_reached"}
        self.called(methods.get(name, "forget"), reached)

    def held(self) -> int:
        """The number of values in all bags."""
        return sum(len(cell.value) for cell in self.by_name.values() if isinstance(cell.value, list))
