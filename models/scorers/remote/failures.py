"""How a call to a server fails. The class decides what happens next; its name is the `error` of a dead letter."""

from typing import ClassVar

from models.errors import NotScored


class CallFailed(NotScored):
    """A call without a usable answer; `str()` is one line without secrets.

    `retry_after_s` is the pause the server asked for, None where it asked for none.
    """

    attempts: ClassVar[int] = 1
    """How often the same request is sent before it counts as failed; a deadline ends it sooner."""

    halves: ClassVar[bool] = False
    """Whether one record may be the cause, so that the halves of the request are worth a try."""

    counts: ClassVar[bool] = False
    """Whether the server is at fault, which moves its circuit towards open."""

    alive: ClassVar[bool] = False
    """Whether the answer shows that the server works, which closes its circuit."""

    passing: ClassVar[bool] = False
    """Whether the same request may be answered later, so that the failure is no verdict on the bundle."""

    whole: ClassVar[bool] = False
    """Whether the next request would fail in the same way, so that the rest of the batch is not sent."""

    def __init__(self, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(detail, retry_after_s)
        self.detail = detail
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return self.detail


class ServerUnavailable(CallFailed):
    """Not reached, no answer in time, or too busy: connection errors, 408, 429, 502 to 504, UNAVAILABLE."""

    attempts = 100
    counts = True
    passing = True
    whole = True


class ServerFailed(CallFailed):
    """The server failed on this request (500, INTERNAL): its own fault, or that of a record it cannot process."""

    attempts = 3
    halves = True
    passing = True


class RecordsRefused(CallFailed):
    """The server rejects a record of this request: 400, 413, 422, INVALID_ARGUMENT."""

    alive = True
    halves = True


class RequestRefused(CallFailed):
    """The server will not answer any such request: credentials, an unknown model, no such method."""

    alive = True
    passing = True
    whole = True


class AnswerMalformed(CallFailed):
    """The answer is not the requested one: its shape, count, type or size is wrong, or it is from another version."""

    counts = True


class CircuitOpen(CallFailed):
    """Nothing was sent: the server failed too often, and it is not yet time to try it again."""

    passing = True
    whole = True
