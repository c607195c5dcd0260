"""A store that is killed after a number of writes, as a process is: what was written stays, nothing more follows."""

from pathlib import Path

from models.store.backends import Backend


class Killed(BaseException):
    """The process is dead."""


class Mortal(Backend):
    """As a `Backend`; the write after `lives` ones does not happen, nor does any later one."""

    def __init__(self, url: str, lives: int) -> None:
        super().__init__(url)
        self.lives, self.writes = lives, 0

    def create(self, key: str, content: bytes | Path) -> bool:
        self._spend()
        return super().create(key, content)

    def destroy(self, key: str) -> None:
        self._spend()
        super().destroy(key)

    def _spend(self) -> None:
        if self.writes >= self.lives:
            raise Killed
        self.writes += 1
