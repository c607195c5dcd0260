"""The `parameters` of a manifest whose model a server holds, checked and frozen."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from models.bundles.manifest import InvalidManifest, Manifest
from models.scorers.remote.access import Address, parse_address
from schemas.validation import MISSING, UNKNOWN_KEY, Absent, SpecError, validate

# Every kind takes these.
SHARED = frozenset(
    {"url", "timeout_s", "connect_timeout_s", "deadline_s", "max_rows", "max_answer_bytes", "concurrency", "circuit"}
    | {"column", "classes"}
)
# Kinds that send named tensors take these too.
FEED_KEYS = frozenset({"feed", "input", "rank", "datatypes", "output"})


@dataclass(frozen=True, slots=True)
class Parameters:
    """Settings of a remote scorer; times in seconds, sizes in bytes.

    `headers` and `tls` map to names of environment variables. `column` picks one of several values per row,
    None lets the output's kind decide. `positive_index` is that of `output.positive` among `classes`, or the index
    that it is, where no `column` is stated.
    """

    address: Address
    model: str = ""
    version: str = ""
    signature: str = "serving_default"
    variant: str = ""
    target_model: str = ""
    format: Literal["csv", "json"] = "csv"
    feed: Literal["matrix", "named"] = "matrix"
    input: str = ""
    rank: int = 1
    datatypes: Mapping[str, str] = field(default_factory=dict)
    output: str = ""
    column: int | None = None
    classes: Sequence[str] = ()
    positive_index: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    tls: Mapping[str, str] = field(default_factory=dict)
    connect_timeout_s: float = 2.0
    timeout_s: float = 5.0
    deadline_s: float = 30.0
    max_rows: int = 512
    max_answer_bytes: int = 16 * 1024 * 1024
    concurrency: int = 4
    circuit: Mapping[str, float] = field(default_factory=dict)


def parse_parameters(
    manifest: Manifest, schemes: Collection[str], keys: Collection[str], required: Collection[str]
) -> Parameters:
    """The manifest's `parameters`.

    Args:
        manifest: of a remote kind.
        schemes: of URLs that the kind knows.
        keys: what the kind accepts besides `SHARED`.
        required: which of them must be there.

    Raises:
        InvalidManifest: with path, value and what is allowed.
    """
    document: dict[str, Any] = dict(manifest.parameters)
    try:
        validate(document, "remote")
    except SpecError as error:
        path = f"parameters.{error.path}" if error.path else "parameters"
        # A user may have written a secret where the name of its variable belongs.
        shown = Absent("no such name") if error.path.startswith(("headers.", "tls.")) else error.value
        raise InvalidManifest(path, shown, error.allowed) from None
    for key in sorted(document.keys() - SHARED - set(keys)):
        allowed = f"for scorer {manifest.scorer!r} {', '.join(sorted({*SHARED, *keys}))}"
        raise InvalidManifest(f"parameters.{key}", UNKNOWN_KEY, allowed)
    for key in sorted(set(required) - document.keys()):
        raise InvalidManifest(f"parameters.{key}", MISSING, f"the {key} at the server, which {manifest.scorer!r} needs")
    address = parse_address(document.pop("url"), schemes)
    positive_index = None if "column" in document else _positive_index(manifest, document.get("classes", ()))
    parameters = Parameters(address=address, positive_index=positive_index, **document)
    _check_feed(manifest, parameters)
    return parameters


def _positive_index(manifest: Manifest, classes: Sequence[str]) -> int | None:
    positive = manifest.output.positive
    if positive is None or manifest.output.kind != "probability":
        return None
    if classes and positive in classes:
        return classes.index(positive)
    if not classes and positive.isascii() and positive.isdigit():
        return int(positive[:9])
    usual = "an index such as '1', a name of parameters.classes, or any beside parameters.column"
    allowed = ", ".join(classes) or usual
    raise InvalidManifest("output.positive", positive, allowed)


def _check_feed(manifest: Manifest, parameters: Parameters) -> None:
    names = {entry.name for entry in manifest.inputs}
    tensors = names if parameters.feed == "named" else {parameters.input} - {""}
    for name in sorted(parameters.datatypes.keys() - tensors):
        allowed = ", ".join(sorted(tensors)) or "nothing without `input`"
        raise InvalidManifest(f"parameters.datatypes.{name}", UNKNOWN_KEY, allowed)
    if parameters.feed == "named" and parameters.input:
        raise InvalidManifest("parameters.input", parameters.input, "no `input` where feed is 'named'")
    strings = [entry.name for entry in manifest.inputs if entry.type == "string"]
    if parameters.feed == "matrix" and strings:
        allowed = f"'named', since {', '.join(strings)} are strings"
        raise InvalidManifest("parameters.feed", "matrix", allowed)
