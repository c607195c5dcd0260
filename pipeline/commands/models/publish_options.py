"""The options of `halflife models publish`: statements about a model, and what to do with it."""

import argparse
import json
import math
from pathlib import Path
from typing import Any

from models.admission.libraries import parse_accepted
from models.publishing.inputs import StatedInput, parse_input
from pipeline.command_line.key_stores import add_keys_option
from pipeline.command_line.parsing import (
    OneLineParser,
    actor,
    add_actor_option,
    add_admission_options,
    add_store_options,
    instant,
    pair,
)
from pipeline.command_line.reason_texts import decision_texts

SAID = (
    "inputs", "output", "threshold", "positive", "tolerance", "scorer", "settings_of_kind", "sample", "trained_at",
    "code", "decision", "parameters", "hyperparameters", "data", "quality", "records", "created_by", "golden",
    "event_time", "accept_library", "trust", "reasons", "decisions",
)  # fmt: skip
"""Options that state something about the model, which a ready bundle states itself."""


class PublishParser(OneLineParser):
    """The command line of `publish`."""

    def __init__(self) -> None:
        super().__init__("halflife models publish", "Put a trained model into the store as a new, immutable version.")
        self.add_argument(
            "path", metavar="PATH", nargs="?",
            help="a model as its tool left it, models:/NAME@ALIAS of MLflow, or a ready bundle's folder "
            "(nothing for a --scorer that has no files of its own)",
        )  # fmt: skip
        self.add_argument("--version", metavar="NAME", help="the version's name (a ready bundle has one)")
        self.add_argument(
            "--sample", type=Path, metavar="FILE",
            help="Parquet, CSV or Avro with the input columns: gives golden records and the profile",
        )  # fmt: skip
        self.add_argument(
            "--event_time", metavar="COLUMN",
            help="the sample's column with the times of its events, by which its windows are known (default: "
            "event_time, or what --job has)",
        )  # fmt: skip
        self.add_argument(
            "--golden", type=Path, metavar="FILE",
            help="the trainer's own answers: JSON lines of inputs and score, or a table with a column score",
        )  # fmt: skip
        self.add_argument(
            "--accept_library", action="append", default=[], type=accepted_library, metavar="NAME[=VERSION]",
            help="serve the model with the version of this library that is here, although another one made it; "
            "recorded; repeatable",
        )  # fmt: skip
        _add_model_options(self)
        _add_training_options(self)
        self.add_argument(
            "--sign_key", type=Path, metavar="FILE", help="sign with this elliptic-curve private key (PEM)"
        )
        self.add_argument(
            "--no_check", action="store_true",
            help="publish without trying it: for a machine that cannot load it. The job still refuses what it must",
        )  # fmt: skip
        add_admission_options(self)
        add_actor_option(self)
        add_store_options(self)


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scorer", metavar="KIND", help="publish it as this kind (default: that of its tool)")
    parser.add_argument(
        "--input", action="append", default=[], type=stated_input, dest="inputs",
        metavar="NAME:TYPE[:nullable][=DEFAULT]",
        help="an input: number, integer, boolean, string, timestamp or vector[n]; repeatable (default: what model and "
        "sample say)",
    )  # fmt: skip
    parser.add_argument("--output", choices=("probability", "regression", "class"), help="what a score is")
    parser.add_argument("--threshold", type=finite, metavar="X", help="scores from here on are a positive decision")
    parser.add_argument(
        "--positive", metavar="LABEL",
        help="the positive class, whose probability the score is; needed where classes have labels",
    )  # fmt: skip
    parser.add_argument(
        "--decisions", type=decision_texts, metavar="positive=TEXT,negative=TEXT",
        help="the texts of the two decisions that the threshold makes (default: the positive class, and not that)",
    )  # fmt: skip
    parser.add_argument(
        "--reasons", type=Path, metavar="FILE",
        help="YAML with the words for reasons: input: {code, positive, negative, suppress}",
    )  # fmt: skip
    parser.add_argument("--tolerance", type=finite, metavar="X", help="how far golden scores may be off (1e-6)")
    parser.add_argument(
        "--setting", action="append", default=[], type=pair, metavar="K=V", dest="settings_of_kind",
        help="a setting of the scorer's kind; repeatable",
    )  # fmt: skip


def _add_training_options(parser: argparse.ArgumentParser) -> None:
    repeatable: dict[str, Any] = {"action": "append", "default": [], "metavar": "K=V"}
    parser.add_argument("--trained_at", type=instant, metavar="TIME", help="when it was trained, RFC 3339 or now")
    parser.add_argument("--code", metavar="TEXT", help="the code that trained it, such as a commit")
    parser.add_argument("--param", **repeatable, type=pair, dest="parameters", help="a parameter; repeatable")
    parser.add_argument("--hyperparameter", **repeatable, type=pair, dest="hyperparameters", help="repeatable")
    parser.add_argument("--quality", **repeatable, type=metric, help="a metric, such as auc=0.7; repeatable")
    parser.add_argument(
        "--data", action="append", default=[], metavar="URI",
        help="what it was trained on: a URI, a local file or folder (hashed), a .dvc file, dvc.lock#STAGE or :PATH, a "
        "run of a local mlruns (#NAME of several data sets), or the JSON of an MLflow data set; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--records", type=Path, metavar="FILE",
        help="file of the event ids and subjects it was trained on, or the folder of `halflife features` with it",
    )  # fmt: skip
    add_keys_option(parser)
    parser.add_argument(
        "--hide", action="append", default=[], metavar="COLUMN",
        help="with --keys: no value of this column may be in the bundle (default: privacy.hide of the job); repeatable",
    )  # fmt: skip
    parser.add_argument("--decision", metavar="ID", help="the retraining advice that caused it")
    parser.add_argument("--created_by", metavar="WHO", help=f"who made it (default: {actor()})")
    parser.add_argument("--tracking_uri", metavar="URI", help="MLflow's server (default: MLFLOW_TRACKING_URI)")


def stated_input(text: str) -> StatedInput:
    """The value of `--input`."""
    try:
        return parse_input(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def accepted_library(text: str) -> tuple[str, str | None]:
    """The value of `--accept_library`."""
    try:
        return parse_accepted(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def finite(text: str) -> float:
    """A finite number."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; expected: a finite number")
    return number


def metric(text: str) -> tuple[str, float]:
    """`name=number`."""
    name, value = pair(text)
    return name, finite(value)


def values(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Values that are JSON (numbers, true, null, lists) as such, all others as text."""
    found: dict[str, Any] = {}
    for name, text in pairs:
        try:
            found[name] = json.loads(text, parse_constant=_refuse_constant)
        except ValueError:
            found[name] = text
    return found


def _refuse_constant(text: str) -> float:
    raise ValueError(text)  # NaN and Infinity are not JSON
