"""The whole content of a pipeline proto, unpacked: Beam packs pickled functions as bzip2 in base64, which hides
words."""

import base64
import bz2
import re
from collections.abc import Mapping
from typing import Any

from apache_beam.internal import pickler
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2

_PACKED = re.compile(rb"QlpoOT[A-Za-z0-9+/]+={0,2}")  # `BZh9`, as base64 writes it


def unpacked(sent: bytes) -> list[bytes]:
    """The contents of every packed function, coder and window in the bytes of a proto."""
    return [_opened(found.group()) for found in _PACKED.finditer(sent)]


def _opened(packed: bytes) -> bytes:
    # What follows in the proto may look like more compressed data: the decompressor stops where its stream ends.
    return bz2.BZ2Decompressor().decompress(base64.b64decode(packed[: len(packed) // 4 * 4]))


def in_clear(sent: bytes) -> bytes:
    """The bytes themselves and everything that is packed in them."""
    return b"\0".join([sent, *unpacked(sent)])


def function_of(steps: Mapping[str, beam_runner_api_pb2.PTransform], label: str) -> Any:
    """The function of the one ParDo that is at a label or below it, as a worker unpickles it."""
    urn = common_urns.primitives.PAR_DO.urn
    below = [one for name, one in steps.items() if f"{name}/".startswith(f"{label}/") and one.spec.urn == urn]
    [payload] = [beam_runner_api_pb2.ParDoPayload.FromString(one.spec.payload) for one in below]
    return pickler.loads(payload.do_fn.payload)[0]
