"""The whole contract in one line: as tests of pytest, or as a function."""

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from models.testing.checks import CHECKS, Check
from models.testing.subject import MakeBundle, Spoil, Subject, build_subject, spoil_payload


def check_ids(label: str) -> list[str]:
    """The names of the checks as pytest shows them: `linear:check_pickling`."""
    return [f"{label}:{check.__name__}" for check in CHECKS]


def contract_tests(
    kind: str,
    make_bundle: MakeBundle,
    *,
    label: str | None = None,
    tolerance: float = 1e-6,
    allow_pickle: bool = False,
    spoil: Spoil = spoil_payload,
    make_nan: MakeBundle | None = None,
    fixtures: Sequence[str] = (),
) -> Callable[..., None]:
    """A test for pytest with one case for each check; bind it to a name that begins with `test_`.

    The bundle is made once, when the first check runs, in a folder of pytest's.

    Args:
        kind: the manifest's `scorer`, as the entry point names it.
        make_bundle: writes the payload into a folder and returns the sample.
        label: what the tests are called, where one kind has several bundles; the kind by default.
        tolerance: the greatest difference of two scores of one row that counts as rounding (of float32, for example).
        allow_pickle: whether the scorer may open pickles.
        spoil: makes a copy of the bundle one that must not load; by default overwrites the payload.
        make_nan: makes a bundle whose model answers NaN or infinity, to prove that it is refused.
        fixtures: names of fixtures that must be set up before the bundle is made, such as a server.
    """
    import pytest

    made: list[Subject] = []
    build = partial(
        build_subject,
        kind,
        make_bundle,
        tolerance=tolerance,
        allow_pickle=allow_pickle,
        spoil=spoil,
        make_nan=make_nan,
    )

    @pytest.mark.parametrize("check", CHECKS, ids=check_ids(label or kind))
    def test_contract(check: Check, tmp_path_factory: Any, tmp_path: Path) -> None:
        if not made:
            made.append(build(tmp_path_factory.mktemp(label or kind) / "bundle"))
        check(made[0], tmp_path)

    if fixtures:
        pytest.mark.usefixtures(*fixtures)(test_contract)
    tests: Callable[..., None] = test_contract  # pytest's decorators have no useful types here
    return tests


def run_contract(kind: str, make_bundle: MakeBundle, **options: Any) -> list[str]:
    """Run every check in a temporary folder; the names of the checks, all of which hold.

    Args:
        kind: the manifest's `scorer`, as the entry point names it.
        make_bundle: writes the payload into a folder and returns the sample.
        options: as `build_subject` takes them.

    Raises:
        ContractBroken: a check does not hold; names it.
    """
    with tempfile.TemporaryDirectory(prefix="halflife-contract-") as folder:
        subject = build_subject(kind, make_bundle, Path(folder) / "bundle", **options)
        for check in CHECKS:
            scratch = Path(folder) / check.__name__
            scratch.mkdir()
            check(subject, scratch)
    return check_ids(kind)
