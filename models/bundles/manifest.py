"""The manifest of a bundle: parsed, validated and frozen. Its bytes' sha256 is the bundle's digest."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePosixPath
from typing import Any, ClassVar, Literal, TypeAlias

from models.distribution import DISTRIBUTION
from models.errors import BundleRefused
from models.strict_json import parse_object
from schemas.columns import ALLOWED, KINDS, TIMESTAMP, ColumnKind
from schemas.times import INSTANT, parse_instant_us
from schemas.validation import MISSING, UNKNOWN_KEY, Absent, Located, SpecError, validate
from schemas.vectors import vector_of

OutputKind: TypeAlias = Literal["probability", "regression", "class"]
GoldenBy: TypeAlias = Literal["publish", "trainer"]
Value: TypeAlias = float | int | bool | str

FORMAT = 2
"""The newest format of manifests that is read here; 1 is read too."""

DATA_OF_FORMAT_1 = frozenset({"uri", "sha256", "rows", "from", "to"})
"""What format 1 says of a data set; the rest is of format 2."""

MANIFEST = "manifest.json"
SIGNATURE = "model.sig"
MAX_MANIFEST_BYTES = 8 * 1024 * 1024
_MAX_NAME_BYTES = 255
_MOST_NAMED = 20
_INT64 = range(-(2**63), 2**63)


class InvalidManifest(Located, BundleRefused):
    """A manifest that is not JSON, or has a value that is not allowed: `path`, `value`, `allowed`."""

    reason: ClassVar[str] = "invalid_manifest"


class PathOutside(InvalidManifest):
    """A manifest, or a link in the bundle, names a file that is not inside the bundle's folder."""

    reason: ClassVar[str] = "path_outside"


@dataclass(frozen=True, slots=True)
class Input:
    """One column the model reads.

    A null is replaced by `default` where there is one (a vector has none); else `nullable` decides.
    """

    name: str
    type: ColumnKind
    nullable: bool = False
    default: Value | None = None


@dataclass(frozen=True, slots=True)
class Decisions:
    """The texts of the two decisions that a threshold derives from a score."""

    positive: str
    negative: str


@dataclass(frozen=True, slots=True)
class Output:
    """What a score means.

    `threshold` turns it into a decision; `positive` is the class whose probability it is.
    """

    kind: OutputKind
    threshold: float | None = None
    positive: str | None = None
    decisions: Decisions | None = None


@dataclass(frozen=True, slots=True)
class Golden:
    """Recorded scores: JSON lines `{"inputs": {...}, "score": number}`; `tolerance` is absolute.

    `by`: whether `publish` recorded the model's answers here, or the trainer supplied them.
    """

    file: str
    tolerance: float = 1e-6
    by: GoldenBy = "publish"


@dataclass(frozen=True, slots=True)
class Reason:
    """How an input's contribution to a score is named as a reason: its code, the texts for a contribution above and
    below 0, and whether it is never named."""

    code: str | None = None
    positive: str | None = None
    negative: str | None = None
    suppress: bool = False


@dataclass(frozen=True, slots=True)
class PublishedPrivacy:
    """What a bundle that was published with `privacy` leaves out: in which epoch its training records are hashed, and
    the columns whose values are in no profile and in no golden record."""

    epoch: int
    hidden: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LinearTerms:
    """Coefficients of the `linear` scorer, per input name.

    score = link(intercept + Σ coefficients[x]·(x - means[x]) / scales[x] + Σ categories[x][value of x])
    with means 0 and scales 1 where none is given, and 0 for a value that `categories` does not list.
    """

    intercept: float
    coefficients: Mapping[str, float]
    means: Mapping[str, float]
    scales: Mapping[str, float]
    categories: Mapping[str, Mapping[str, float]]
    link: Literal["logistic", "identity"]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A valid manifest.

    `files` maps each payload path to its sha256; `digest` is the sha256 of `raw` in hex; `parameters` are
    settings of the scorer's kind, which checks them itself. `libraries`: the versions that made the model, by the
    libraries' names; `accepted_libraries`: those of this environment that a person accepted for it nevertheless.
    `explainer`: the path of the file with its tables; `trust`: full names of types.
    """

    model: str
    version: str
    scorer: str
    files: Mapping[str, str]
    inputs: tuple[Input, ...]
    output: Output
    training: Mapping[str, Any]
    quality: Mapping[str, Any]
    profile: str | None
    golden: Golden | None
    created_by: str
    digest: str
    raw: bytes
    linear: LinearTerms | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    format: int = 1
    libraries: Mapping[str, str] = field(default_factory=dict)
    accepted_libraries: Mapping[str, str] = field(default_factory=dict)
    reasons: Mapping[str, Reason] = field(default_factory=dict)
    importance: Mapping[str, float] = field(default_factory=dict)
    explainer: str | None = None
    trust: tuple[str, ...] = ()
    privacy: PublishedPrivacy | None = None

    @property
    def holds_rows(self) -> bool:
        """Whether the bundle has anything that was made of rows: training or golden records, or a profile."""
        return bool(self.training.get("records") or self.golden or self.profile)

    def __hash__(self) -> int:
        return hash(self.digest)


def parse_manifest(raw: bytes) -> Manifest:
    """The manifest in `raw` (UTF-8 JSON).

    Raises:
        InvalidManifest: with path, value and what is allowed.
        PathOutside: a path in it leads out of the bundle.
    """
    if len(raw) > MAX_MANIFEST_BYTES:
        raise InvalidManifest("", Absent(f"{len(raw)} bytes"), f"at most {MAX_MANIFEST_BYTES} bytes")
    try:
        document = parse_object(raw)
        _check_format(document)
        validate(document, "manifest")
    except SpecError as error:
        raise InvalidManifest(error.path, error.value, error.allowed) from None
    manifest = _manifest(document, raw)
    _check_inputs(manifest)
    _check_files(manifest)
    _check_times(manifest)
    if manifest.scorer == "linear" or manifest.linear is not None:
        _check_linear(manifest)
    return manifest


def check_path(path: str, key_path: str) -> None:
    """Refuse a bundle path that is absolute, has `..`, or would mean something else on another system.

    Raises:
        PathOutside: naming `key_path`, the manifest's key that holds the path.
        InvalidManifest: a part of it is longer than a file name may be, although an object store would hold it.
    """
    parts = path.split("/")
    strange = any(not part or part in (".", "..") or part != part.strip() for part in parts)
    if strange or "\\" in path or ":" in parts[0] or not path.isprintable():
        raise PathOutside(key_path, path, "a relative path inside the bundle's folder, such as model/weights.bin")
    if any(len(part.encode()) > _MAX_NAME_BYTES for part in parts):
        expected = f"names of at most {_MAX_NAME_BYTES} bytes between slashes, as disks hold"
        raise InvalidManifest(key_path, path, expected)


def _check_format(document: dict[str, Any]) -> None:
    """Refuse a later format before its unknown keys are refused, which are not mistakes."""
    found = document.get("format", 1)
    if isinstance(found, int) and found > FORMAT:
        here = _halflife_version()
        allowed = f"1 to {FORMAT}, which Halflife {here} reads; format {found} needs a Halflife later than {here}"
        raise SpecError("format", found, allowed)


def _halflife_version() -> str:
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:  # running from a checkout that is not installed
        return "0.1"


def _manifest(document: dict[str, Any], raw: bytes) -> Manifest:
    golden, explainer, private = (document.get(name) for name in ("golden", "explainer", "privacy"))
    return Manifest(
        model=document["model"],
        version=document["version"],
        scorer=document["scorer"],
        files=dict(document["files"]),
        inputs=tuple(
            Input(entry["name"], entry["type"], entry.get("nullable", False), entry.get("default"))
            for entry in document["inputs"]
        ),
        output=_output(document["output"]),
        training=document["training"],
        quality=document.get("quality", {}),
        profile=document.get("profile"),
        golden=None if golden is None else Golden(**golden),
        created_by=document["created_by"],
        digest=hashlib.sha256(raw).hexdigest(),
        raw=raw,
        linear=_linear(document.get("linear")),
        parameters=document.get("parameters", {}),
        format=document.get("format", 1),
        libraries=document.get("libraries", {}),
        accepted_libraries=document.get("accepted_libraries", {}),
        reasons={name: Reason(**texts) for name, texts in document.get("reasons", {}).items()},
        importance=document.get("importance", {}),
        explainer=None if explainer is None else explainer["file"],
        trust=tuple(document.get("trust", ())),
        privacy=None if private is None else PublishedPrivacy(private["epoch"], tuple(private.get("hidden", ()))),
    )


def _output(stated: dict[str, Any]) -> Output:
    decisions = stated.get("decisions")
    texts = None if decisions is None else Decisions(**decisions)
    return Output(stated["kind"], stated.get("threshold"), stated.get("positive"), texts)


def _linear(terms: dict[str, Any] | None) -> LinearTerms | None:
    if terms is None:
        return None
    return LinearTerms(
        intercept=terms["intercept"],
        coefficients=terms["coefficients"],
        means=terms.get("means", {}),
        scales=terms.get("scales", {}),
        categories=terms.get("categories", {}),
        link=terms.get("link", "logistic"),
    )


def _check_inputs(manifest: Manifest) -> None:
    seen: set[str] = set()
    for index, entry in enumerate(manifest.inputs):
        if entry.name in seen:
            raise InvalidManifest(f"inputs[{index}].name", entry.name, "each input's name once")
        seen.add(entry.name)
        if entry.type not in KINDS and vector_of(entry.type) is None:  # more numbers than a vector may have
            raise InvalidManifest(f"inputs[{index}].type", entry.type, ALLOWED)
        if entry.default is not None and vector_of(entry.type):
            raise InvalidManifest(f"inputs[{index}].default", entry.default, "null: a vector has no default")
        if entry.default is not None and not _fits(entry.default, entry.type):
            raise InvalidManifest(f"inputs[{index}].default", entry.default, f"null or a value of type {entry.type}")
    for key_path, named in (("reasons", manifest.reasons), ("importance", manifest.importance)):
        for name in sorted(set(named) - seen):
            raise InvalidManifest(f"{key_path}.{name}", UNKNOWN_KEY, "names of inputs")


def _fits(value: Value, kind: ColumnKind) -> bool:
    if isinstance(value, bool) or kind == "boolean":
        return isinstance(value, bool) and kind == "boolean"
    if kind == "string":
        return isinstance(value, str)
    if kind in ("integer", TIMESTAMP):
        return isinstance(value, int) and value in _INT64
    return isinstance(value, (int, float)) and math.isfinite(value)


def _check_files(manifest: Manifest) -> None:
    records = manifest.training.get("records")
    named: dict[str, str | None] = {
        "profile": manifest.profile,
        "training.records": records,
        "explainer.file": manifest.explainer,
    }
    if manifest.golden is not None:
        named["golden.file"] = manifest.golden.file
    for path in manifest.files:
        check_path(path, "files")
    for key_path, target in named.items():
        if target is None:
            continue
        check_path(target, key_path)
        if target not in manifest.files:
            raise InvalidManifest(key_path, target, "a path that `files` lists with its sha256")
    folders = {str(parent) for path in manifest.files for parent in PurePosixPath(path).parents}
    for path in manifest.files:
        if path.split("/")[0] in (MANIFEST, SIGNATURE) or path in folders:
            allowed = f"paths of payload files, none of them {MANIFEST}, {SIGNATURE}, below one of them, or a folder"
            raise InvalidManifest("files", path, allowed)


def _check_times(manifest: Manifest) -> None:
    times = {"training.trained_at": manifest.training["trained_at"]}
    for index, data in enumerate(manifest.training.get("data", ())):
        for key in ("from", "to"):
            if data.get(key) is not None:
                times[f"training.data[{index}].{key}"] = data[key]
    for key_path, text in times.items():
        try:
            parse_instant_us(text)
        except ValueError:
            raise InvalidManifest(key_path, text, INSTANT) from None


def _check_linear(manifest: Manifest) -> None:
    terms = manifest.linear
    if terms is None:
        raise InvalidManifest("linear", MISSING, "the terms that scorer 'linear' computes")
    if manifest.scorer != "linear":
        raise InvalidManifest("linear", Absent(f"given to scorer {manifest.scorer!r}"), "only with scorer 'linear'")
    strings = {entry.name for entry in manifest.inputs if entry.type == "string"}
    numbers = {entry.name for entry in manifest.inputs} - strings
    for key, given, wanted in (
        ("coefficients", terms.coefficients, numbers),
        ("categories", terms.categories, strings),
    ):
        for name in sorted(wanted ^ set(given)):
            first = sorted(wanted)[:_MOST_NAMED]
            more = f" and {len(wanted) - len(first)} more" if len(wanted) > len(first) else ""
            allowed = f"one entry for each of {', '.join(first) or 'no inputs'}{more}"
            raise InvalidManifest(f"linear.{key}.{name}", MISSING if name in wanted else UNKNOWN_KEY, allowed)
    for key, scaling in (("means", terms.means), ("scales", terms.scales)):
        for name in sorted(set(scaling) - numbers):
            raise InvalidManifest(f"linear.{key}.{name}", scaling[name], "inputs that have a coefficient")
    for index, entry in enumerate(manifest.inputs):
        if entry.nullable and entry.default is None and entry.name in numbers - set(terms.means):
            raise InvalidManifest(
                f"inputs[{index}].nullable",
                True,
                "false, or a default or a mean for scorer 'linear' to put there",
            )
