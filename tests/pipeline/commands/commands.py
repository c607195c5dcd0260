"""Running the console script in the process of a test."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any, NamedTuple

from models.store.store import ModelStore
from pipeline.verbs import main
from tests.models.bundle_folders import document


class Ran(NamedTuple):
    """What a command did: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)


def halflife(*words: object) -> Ran:
    """Run `halflife WORDS…`."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([str(word) for word in words])
        except SystemExit as left:
            code = int(left.code or 0)
    return Ran(code, out.getvalue(), err.getvalue())


class Models(NamedTuple):
    """`halflife models` on one store."""

    url: str
    model: str = "late"

    def __call__(self, verb: str, *words: object) -> Ran:
        return halflife("models", verb, *words, "--store", self.url, "--model", self.model)

    def json(self, verb: str, *words: object) -> Any:
        """The JSON of a command that must succeed."""
        ran = self(verb, *words, "--json")
        assert (ran.code, ran.err) == (0, ""), ran
        return ran.json

    @property
    def store(self) -> ModelStore:
        return ModelStore(self.url, self.model)

    def put(self, folder: Path, *versions: str) -> None:
        """Publish linear models without any payload."""
        folder.mkdir(exist_ok=True)
        for version in versions:
            self.store.publish(folder, document(version=version))
