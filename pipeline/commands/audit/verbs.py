"""`halflife audit`: what became of a score, an event, a person's data, a version, and what served at a time."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from pipeline.command_line.parsing import Arguments
from pipeline.commands.dispatch import dispatch

_USAGE = """usage: halflife audit VERB [OPTION…]

  score      one decision: what was read, why, by which version, released by whom, does it verify; or a list
  event      all scores of one event
  subject    all that is held on one person or thing, also as files
  record     the versions that were trained on a record, and what they answered to it
  version    what a version is, who let it serve, where it served and what it answered
  sql        ask receipts, scores and model events by SQL (DuckDB)
  at         what served events of a time, since when, by whose decision; what was refused

  seal       merge what jobs wrote into sealed segments, with an index, a hash tree and a signed checkpoint
  verify     walk what is sealed, and score receipts again: whatever was altered, added or removed is named
  export     one decision with its proof, as a small file
  check      prove such a file, offline, by the bundle and the public key
  expire     drop the receipts of old segments; their roots stay
  key        make the key that signs checkpoints

  erase      destroy the keys of one person or thing: its values are gone, and the proof stays
  hold       forbid to erase or expire what is held on one person or thing, or allow it again

The audit and the store are named by --job FILE, or by --audit URL and --store URL. What is about a person is shown
only after the access log has an entry of it. halflife audit VERB --help says more."""


def _verb(module: str, name: str) -> Callable[[Arguments], int]:
    """The function of a verb, which imports its module when it is called: a start pays for one verb only."""

    def run(arguments: Arguments) -> int:
        code: int = getattr(import_module(f"pipeline.commands.audit.{module}"), name)(arguments)
        return code

    return run


_VERBS: Mapping[str, Callable[[Arguments], int]] = {
    "score": _verb("score", "score"),
    "event": _verb("event", "event"),
    "subject": _verb("subject", "subject"),
    "record": _verb("record", "record"),
    "version": _verb("version", "version"),
    "at": _verb("at", "at"),
    "sql": _verb("sql", "sql"),
    "seal": _verb("proof.seal", "seal"),
    "verify": _verb("proof.verify", "verify"),
    "export": _verb("proof.export", "export"),
    "check": _verb("proof.check", "check"),
    "expire": _verb("proof.expire", "expire"),
    "key": _verb("proof.key", "key"),
    "erase": _verb("privacy.erase", "erase"),
    "hold": _verb("privacy.hold", "hold"),
}


def audit(arguments: Sequence[str]) -> int:
    """Dispatches to a verb; returns the exit code: 0 done, 1 failed or a finding, 2 bad usage."""
    return dispatch("halflife audit", _USAGE, _VERBS, arguments)
