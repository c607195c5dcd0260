"""Everything that is wrong with a document, collected before it is reported, so that all errors can be fixed at
once."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from schemas.validation import SpecError

MOST_SHOWN = 20


class SpecErrors(SpecError):
    """Several errors of one document; `str()` has a line for each, at most `MOST_SHOWN` of them.

    `path`, `value` and `allowed` are those of the first.
    """

    def __init__(self, errors: tuple[SpecError, ...]) -> None:
        super().__init__(errors[0].path, errors[0].value, errors[0].allowed)
        self.args = (errors,)  # so that it can be pickled
        self.errors = errors

    @property
    def lines(self) -> list[str]:
        """One line for each error that is shown, and one that counts the rest."""
        rest = len(self.errors) - MOST_SHOWN
        more = [f"… and {rest} more error{'s' if rest > 1 else ''}"] if rest > 0 else []
        return [str(error) for error in self.errors[:MOST_SHOWN]] + more

    def __str__(self) -> str:
        return "\n".join(self.lines)


class Problems:
    """Errors of one document in the order in which they were found, each once."""

    def __init__(self) -> None:
        self._found: dict[str, SpecError] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, errors: Iterable[SpecError]) -> None:
        """Adds errors, those within a `SpecErrors` one by one."""
        for error in errors:
            for one in error.errors if isinstance(error, SpecErrors) else (error,):
                self._found.setdefault(str(one), one)

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Adds what the block raises about the document; execution continues after the block."""
        try:
            yield
        except SpecError as error:
            self.add([error])

    def sound(self, path: str) -> bool:
        """Whether no error is known at a path, below it, or in what contains it."""
        return not any(_holds(path, error.path) or _holds(error.path, path) for error in self._found.values())

    def check(self) -> None:
        """Raises `SpecErrors`, or the `SpecError` itself where it is the only one, if there are any."""
        errors = tuple(self._found.values())
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise SpecErrors(errors)


def _holds(outer: str, inner: str) -> bool:
    return not outer or inner == outer or inner.startswith((f"{outer}.", f"{outer}[", f"{outer}?"))
