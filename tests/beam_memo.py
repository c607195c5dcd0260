"""What Beam works out again and again while a job is built, remembered for the length of a test process.

A test that runs a small whole job spends half of its CPU time in two of Beam's lookups: `PipelineOptions.view_as`,
which builds a parser and parses the flags for each of some 350 views a job, and `get_function_args_defaults`, which
inspects each method of each DoFn some 6,000 times a job. Both depend on nothing but their arguments, so remembered
results are those of Beam itself: `tests/transforms/beam/test_beam_memo.py` compares them. Jobs of users, and processes
that tests start, run Beam as it is.
"""

import copy
import functools
from argparse import Namespace
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any
from weakref import WeakKeyDictionary

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms import core

Parameters = tuple[list[str], list[Any]]  # names, and the values of defaults


def remember() -> None:
    """Replaces both lookups in this process."""
    PipelineOptions.view_as = remembering_views(PipelineOptions.view_as)  # type: ignore[assignment, method-assign]  # generic
    core.get_function_args_defaults = remembering_parameters(core.get_function_args_defaults)  # type: ignore[assignment]


def remembering_views(view_as: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """`view_as` that parses the same flags for the same class of options once."""
    parsed: dict[tuple[type, tuple[str, ...]], Namespace] = {}

    @functools.wraps(view_as)
    def remembered(self: Any, cls: Any) -> Any:
        if self._flags is None:  # those of the command line, which may have changed
            return view_as(self, cls)
        key = (cls, tuple(self._flags))
        if key not in parsed:
            view = cls(list(self._flags))
            parsed[key] = copy.deepcopy(view._visible_options)
        return _view(self, cls, parsed[key])

    return remembered


def _view(options: Any, cls: type, parsed: Namespace) -> Any:
    """A view as Beam makes it: it shares flags and values with `options`, which get its own where they lack them."""
    view: Any = object.__new__(cls)
    view._flags, view._all_options, view._visible_options = options._flags, options._all_options, parsed
    for name in view._visible_option_list():
        if name not in options._all_options:
            # Its own copy: lists and mappings among the options are changed in place.
            options._all_options[name] = copy.deepcopy(getattr(parsed, name))
    return view


def remembering_parameters(parameters: Callable[[Any], Parameters]) -> Callable[[Any], Parameters]:
    """`get_function_args_defaults` that inspects each function once, by itself and as a method."""
    found: dict[bool, WeakKeyDictionary[FunctionType, Parameters]] = {
        True: WeakKeyDictionary(),
        False: WeakKeyDictionary(),
    }

    @functools.wraps(parameters)
    def remembered(given: Any) -> Parameters:
        bound = isinstance(given, MethodType)
        function = given.__func__ if bound else given
        if not isinstance(function, FunctionType):
            return parameters(given)
        if function not in found[bound]:
            found[bound][function] = parameters(given)
        names, defaults = found[bound][function]
        return [*names], [*defaults]

    return remembered
