"""Models in a notebook or a service: the code with which a job admits, loads and scores, without a job."""

import shutil
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from halflife._frames import Columns, batch_of, check_names
from halflife._trust import trusted_types
from models.admission.admission import Admission, Verdict
from models.bundles.folders import read_folder_manifest, refuse_links
from models.bundles.manifest import MANIFEST, SIGNATURE
from models.bundles.signing import read_public_key
from models.releases.timeline import release_in_force
from models.serving.cache import LoadedModel, LoadFailed, ModelCache, ModelHandle, load_folder
from models.store.store import ModelStore, UnknownVersion
from pipeline.reporting.model_presence import absent_model
from schemas import batches
from schemas.expectations import wants
from schemas.formats.arrow_columns import plain
from schemas.job import DEFAULT_MAX_BUNDLE_BYTES
from schemas.times import now_us
from transforms.decoding.conform import read_columns
from transforms.scoring.scoring import decisions, score_rows

_ROWS = 65_536
_ANSWERS = pa.schema(
    [("score", pa.float64()), ("decision", pa.string()), ("error", pa.string()), ("detail", pa.string())]
)


class Model:
    """A version of a model, loaded and warm; made by `load_model` and `load_bundle`. Thread-safe.

    It is closed, and its files are deleted, when nothing refers to it any more.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self._kinds = tuple((entry.name, entry.type) for entry in loaded.manifest.inputs)

    @property
    def name(self) -> str:
        """The model's name."""
        return self._loaded.manifest.model

    @property
    def version(self) -> str:
        """The version's name."""
        return self._loaded.manifest.version

    @property
    def digest(self) -> str:
        """The sha256 of the version's manifest in hex, as in receipts."""
        return self._loaded.manifest.digest

    @property
    def inputs(self) -> Mapping[str, str]:
        """The columns that it reads, in its order, with the kind of each: `number`, `integer`, `boolean`, `string`, or
        `vector[n]`."""
        return dict(self._kinds)

    def score(self, frame: Columns) -> pd.DataFrame:
        """Scores the rows of a DataFrame, or of a mapping of columns of one length, as a job scores events.

        Args:
            frame: n rows with a column for each of `inputs`, and any others. What pandas counts as missing (None, NaN,
                NA, NaT) is null. A column of floats with missing values is read for an `integer` input as the whole
                numbers that it holds, if all are.

        Returns:
            n rows with the index of `frame`, and the columns `score` (float64, NaN where there is none), `decision`
            (text, missing where the model makes none), `error` and `detail` (text, missing for a row with a score). A
            row without a score has the error that a job's dead letter has: `WrongType`, `NotFinite`, `MissingInput`, …

        Raises:
            BundleRefused: `frame` lacks an input.
            UnusableData: the columns have different lengths, or are none.
        """
        check_names(frame.columns if isinstance(frame, pd.DataFrame) else frame, list(self.inputs))
        answers: pd.DataFrame = self.score_batch(batch_of(frame, self.inputs)).to_pandas()
        return answers.set_index(frame.index) if isinstance(frame, pd.DataFrame) else answers

    def score_batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """As `score`, of and to Arrow. NaN is no null here: as in the events of a job, it is an error (`NotFinite`).

        Args:
            batch: n rows with a column for each of `inputs`, and any others.

        Returns:
            n rows: `score` (double), `decision`, `error` and `detail` (string); null where `score` says missing.

        Raises:
            BundleRefused: `batch` lacks an input.
        """
        check_names(batch.schema.names, list(self.inputs))
        columns = {name: plain(batch.column(name)) for name in self.inputs}
        rows = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
        answers = [self._answers(piece) for piece in batches.slices(rows, _ROWS)]
        return batches.concat_batches(answers) if answers else pa.RecordBatch.from_pylist([], _ANSWERS)

    def _answers(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        read = read_columns(rows, self._kinds)
        outcome = score_rows(self._loaded, read.columns)
        failed = dict(zip(read.rows[outcome.failed_rows].tolist(), outcome.failures, strict=True)) | read.refused
        decided = decisions(outcome.scores, self._loaded.manifest.output, self._loaded.scorer.labels())
        scored = _spread(read.rows[outcome.rows], rows.num_rows)
        unscored = _spread(np.array(list(failed), np.int64), rows.num_rows)
        errors, details = zip(*failed.values(), strict=True) if failed else ((), ())
        texts = [pa.array(each, pa.string()).take(unscored) for each in (errors, details)]
        arrays = [pa.array(outcome.scores).take(scored), decided.take(scored), *texts]
        return pa.RecordBatch.from_arrays(arrays, schema=_ANSWERS)

    def __repr__(self) -> str:
        return f"<halflife.Model {self.name} {self.version}>"


def _spread(rows: npt.NDArray[np.int64], count: int) -> pa.Array:
    """For each of `count` rows its index in `rows`; null where it is not among them."""
    indexes = np.full(count, -1, np.int64)
    indexes[rows] = np.arange(len(rows))
    return pa.array(indexes, mask=indexes < 0)


def load_model(
    store: str | PathLike[str],
    name: str,
    version: str | None = None,
    *,
    allow_pickle: bool = False,
    trust: Sequence[str] = (),
    trusted_key: str | PathLike[str] | None = None,
    max_bytes: int = DEFAULT_MAX_BUNDLE_BYTES,
) -> Model:
    """A version from a store, after every check that a job asks of it; the load is written to the store's access log.

    Args:
        store: a path, or an `s3://`, `gs://` or `az://` URL.
        name: the model's name.
        version: the version's name; None for the champion of the release that is in force now.
        allow_pickle: open pickles, which can run any code.
        trust: full names of types besides Halflife's own list that may be made, as `model.trust` of a job.
        trusted_key: the file of the public key (PEM) that the bundle must be signed with; None asks for no signature.
        max_bytes: greatest size of the bundle's files together.

    Raises:
        SpecError: the store has no such model.
        StoreError: the store does not answer, or has no such version or no release.
        LoadFailed: the version may not serve; `reason` is one of admission's.
    """
    models = ModelStore(str(store), name)
    chosen = version or _in_force(models)
    if not models.has_version(chosen):
        raise absent_model(models, "store", "name") or _unknown(models, chosen)
    admission = Admission(models, None, allow_pickle, max_bytes, _key(trusted_key), trust=trusted_types(trust))
    digest = _admitted(admission.check_version(chosen))
    return Model(ModelHandle(models.url, name, chosen, digest, allow_pickle).load(ModelCache(log_loads=True)))


def load_bundle(
    folder: str | PathLike[str],
    *,
    allow_pickle: bool = False,
    trust: Sequence[str] = (),
    trusted_key: str | PathLike[str] | None = None,
) -> Model:
    """The bundle of a local folder, after every check that a job asks of it; the folder is copied first.

    Args:
        folder: it has the bundle's `manifest.json`.
        allow_pickle: open pickles, which can run any code.
        trust: full names of types besides Halflife's own list that may be made, as `model.trust` of a job.
        trusted_key: the file of the public key (PEM) that the bundle must be signed with; None asks for no signature.

    Raises:
        BundleRefused: there is no bundle, or none that can be copied.
        LoadFailed: it may not serve; `reason` is one of admission's.
        StoreError: the local disk failed.
    """
    source, key, types = Path(folder), _key(trusted_key), trusted_types(trust)

    def copied(into: Path) -> None:
        manifest = read_folder_manifest(source)
        for path in (*manifest.files, MANIFEST, SIGNATURE):
            refuse_links(source, path)
            if (source / path).is_file():
                (into / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / path, into / path)
        _admitted(Admission(None, None, allow_pickle, trusted_key=key, trust=types).check_folder(into))

    return Model(load_folder(copied, allow_pickle))


def _key(file: str | PathLike[str] | None) -> str | None:
    return None if file is None else read_public_key(str(file))


def _in_force(store: ModelStore) -> str:
    release = release_in_force(store.releases(), now_us())
    if release is None:
        lacks = f"{store.url}: model {store.model!r} has no release; expected: one, or `version`"
        raise absent_model(store, "store", "name") or UnknownVersion(f"{lacks}; next: halflife models release")
    return release.champion


def _unknown(store: ModelStore, version: str) -> UnknownVersion:
    known = ", ".join(store.versions()[:20]) or "none yet"
    return UnknownVersion(f"{store.url}: model {store.model!r} has no version {version!r}; {wants(known)}")


def _admitted(verdict: Verdict) -> str:
    """The digest of a version that may serve. Raises `LoadFailed` for one that may not."""
    if not verdict.admitted or verdict.digest is None:
        raise LoadFailed(verdict.version, verdict.digest or "", verdict.reason or "", verdict.detail)
    return verdict.digest
