"""A sink that a plug-in adds (docs/python.md#sinks)."""

from typing import Any, NamedTuple

import apache_beam as beam

from models.errors import one_line
from models.plug_ins import SINKS, plug_in
from pipeline.endpoints.errors import SinkUnwritable
from pipeline.endpoints.uris import scheme_of
from schemas.validation import SpecError


class AddedSink(NamedTuple):
    """A sink by the scheme of its URI; its parts are those of `pipeline.endpoints.services.SinkService`."""

    make: Any
    label: str = "Added"

    def check(self, uri: str, spec_path: str, record: str) -> None:
        """Opens the sink before a run.

        Raises:
            SpecError: the plug-in does not allow this URI.
            SinkUnwritable: it cannot be written.
        """
        try:
            self.make(uri, record).check()
        except ValueError as error:
            raise SpecError(spec_path, uri, one_line(error)) from None
        except Exception as error:  # whatever the code of the plug-in raises
            raise SinkUnwritable(f"{spec_path}: {uri} cannot be written: {one_line(error)}") from None

    def look(self, uri: str, spec_path: str, record: str) -> str:
        """Nothing is asked of it: a plug-in's check may create what it writes to."""
        return f"{uri.partition('?')[0]} is a plug-in's, and not looked at before the run"

    def write(self, uri: str, record: str) -> beam.PTransform[Any, Any]:
        """The transform that writes batches of a record."""
        found: beam.PTransform[Any, Any] = self.make(uri, record).write()
        return found


def added_sink(uri: str, spec_path: str) -> AddedSink | None:
    """The sink of a plug-in for the scheme of the URI; None where none is installed. Raises `PlugInBroken`."""
    found = plug_in(SINKS, scheme_of(uri), spec_path)
    return None if found is None else AddedSink(found)
