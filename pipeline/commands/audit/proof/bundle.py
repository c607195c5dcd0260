"""The model of a bundle's folder, given every check that a job asks of it."""

import shutil
from pathlib import Path

from models.admission.admission import Admission
from models.bundles.folders import read_folder_manifest, refuse_links
from models.bundles.manifest import MANIFEST
from models.serving.cache import LoadedModel, load_folder
from pipeline.commands.output import Refused


def loaded_bundle(folder: Path, allow_pickle: bool) -> LoadedModel:
    """The model of a copy of the folder.

    Raises:
        BundleRefused, Refused: it may not serve.
        StoreError: the local disk failed.
    """

    def copied(into: Path) -> None:
        for path in (*read_folder_manifest(folder).files, MANIFEST):
            refuse_links(folder, path)
            if (folder / path).is_file():
                (into / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / path, into / path)
        verdict = Admission(None, None, allow_pickle).check_folder(into)
        if not verdict.admitted:
            raise Refused(f"{folder} may not serve: {verdict.reason}: {verdict.detail}")

    return load_folder(copied, allow_pickle)
