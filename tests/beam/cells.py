"""State of a DoFn without a runner."""

from typing import Any


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
