"""What a test process remembers of Beam (`tests/beam_memo.py`) is what Beam itself says."""

import importlib
import inspect
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import DebugOptions, PipelineOptions, StandardOptions
from apache_beam.transforms import core

from tests.beam_memo import remembering_parameters, remembering_views

# Of Beam itself, whether this process remembers already or not.
ANEW: Callable[[Any, Any], Any] = inspect.unwrap(PipelineOptions.view_as)
INSPECTED: Callable[[Any], Any] = inspect.unwrap(core.get_function_args_defaults)
VIEWS = remembering_views(ANEW)
FLAGS = [
    [],
    ["--runner=DirectRunner", "--streaming", "--experiments=a,b=c,d", "--experiments=e", "--no_use_public_ips"],
    ["--labels=x=y", "--parallelism=2", "--job_name", "told", "--environment_type=LOOPBACK", "--unknown=1"],
]


def told(view_as: Callable[[Any, Any], Any], flags: list[str], kinds: list[type]) -> list[Any]:
    """Everything that options and two views of each kind say, with one value given beside the flags."""
    options = PipelineOptions(flags, streaming=True)
    seen: list[Any] = []
    for kind in [*kinds, *kinds]:
        view = view_as(options, kind)
        assert view._all_options is options._all_options
        seen.append((type(view), str(view), dir(view), str(view._all_options)))
    return [*seen, str(options.get_all_options(drop_default=True))]


@pytest.mark.parametrize("flags", FLAGS, ids=len)
def test_remembered_views_say_what_new_ones_say(flags: list[str]) -> None:
    kinds = sorted(set(PipelineOptions.__subclasses__()), key=str)
    assert len(kinds) > 20
    remembered = remembering_views(ANEW)
    assert told(remembered, flags, kinds) == told(remembered, flags, kinds) == told(ANEW, flags, kinds)


def test_views_of_one_object_share_its_values_and_others_have_their_own() -> None:
    first, second = PipelineOptions(FLAGS[1]), PipelineOptions(FLAGS[1])
    VIEWS(first, DebugOptions).add_experiment("more")
    VIEWS(first, StandardOptions).runner = "Other"
    assert VIEWS(first, DebugOptions).experiments == ["a", "b=c", "d", "e", "more"]
    assert VIEWS(second, DebugOptions).experiments == ["a", "b=c", "d", "e"]
    assert (VIEWS(first, StandardOptions).runner, VIEWS(second, StandardOptions).runner) == ("Other", "DirectRunner")


def test_flags_that_are_added_later_are_read() -> None:
    flags = ["--streaming"]
    options = PipelineOptions(flags)
    assert VIEWS(options, StandardOptions).streaming
    assert VIEWS(PipelineOptions([]), StandardOptions).streaming is False
    flags.append("--experiments=late")
    assert VIEWS(options, DebugOptions).experiments == ["late"]


def functions() -> list[FunctionType]:
    """Every function of every DoFn and CombineFn in this process, its own and Beam's."""
    importlib.import_module("pipeline.run")
    kinds: list[type] = [beam.DoFn, beam.CombineFn]
    for kind in kinds:
        derived: list[type] = type.__subclasses__(kind)
        kinds += [one for one in derived if one not in kinds]
    assert any(kind.__module__.startswith("transforms.") for kind in kinds)
    return [each for kind in kinds for each in vars(kind).values() if isinstance(each, FunctionType)]


def test_remembered_parameters_are_those_of_an_inspection() -> None:
    remembered = remembering_parameters(INSPECTED)
    for function in functions():
        for given in (function, MethodType(function, object())):
            assert remembered(given) == remembered(given) == INSPECTED(given)
    assert remembered(str.upper) == INSPECTED(str.upper)


def test_the_tests_of_this_process_remember() -> None:
    assert PipelineOptions.view_as is not ANEW
    assert core.get_function_args_defaults is not INSPECTED
