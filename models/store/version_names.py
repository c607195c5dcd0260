"""Names of models and versions, and the versions in a listing of the store."""

import re
from collections.abc import Mapping

from models.bundles.manifest import MANIFEST
from models.errors import StoreError
from models.store.local_files import A_FOLDER, Listing, Odd
from schemas.expectations import wants

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_ALLOWED = "1 to 128 of A-Z a-z 0-9 . _ -, no sign first"
TABLES = "tables"
"""The folder of a store that holds its tables; no model has this name."""
_NO_VERSION, _NO_FOLDER = Odd("a name that no version has", _ALLOWED), Odd("a file", "the folder of a version")


def checked_name(name: str, what: str) -> str:
    """The name itself. Raises `StoreError` for one that is not allowed; `what` says whose it is."""
    if not NAME.fullmatch(name):
        raise StoreError(f"{what} {name!r} is not allowed; {wants(_ALLOWED)}")
    return name


def checked_model(name: str) -> str:
    """As `checked_name`, for the name of a model."""
    if name == TABLES:
        raise StoreError(f"model {name!r} is not allowed; expected: another name, since {TABLES}/ holds lookup tables")
    return checked_name(name, "model")


def versions_in(listing: Listing, folder: str) -> tuple[list[str], Mapping[str, Odd]]:
    """The complete versions, sorted, in a listing of the folder of versions, and what is wrong with other things there.

    The folder of a version that lacks its manifest is an upload that has not ended: nothing is wrong with it.
    """
    files = [key.removeprefix(f"{folder}/").split("/") for key, _ in listing.files]
    folders = [key.removeprefix(f"{folder}/").split("/") for key in listing.folders]
    named = (parts[0] for parts in files if parts[1:] == [MANIFEST] and NAME.fullmatch(parts[0]))
    odd = {f"{folder}/{parts[0]}": _NO_FOLDER for parts in files if len(parts) == 1}
    odd |= {f"{folder}/{parts[0]}": _NO_VERSION for parts in (*files, *folders) if not NAME.fullmatch(parts[0])}
    odd |= {f"{folder}/{parts[0]}/{MANIFEST}": A_FOLDER for parts in folders if parts[1:] == [MANIFEST]}
    return sorted(named), odd | listing.odd
