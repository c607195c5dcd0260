"""The contract of a scorer as tests that authors can run against their own kind.

With pytest, one line tests a plug-in; each check is a test with a name such as `mykind:check_pickling`:

    test_contract = contract_tests("mykind", make_bundle)

Without pytest, `run_contract("mykind", make_bundle)` does the same. `make_bundle(folder)` writes the payload
as the job will find it and returns a `Sample`.
"""

from models.testing.checks import CHECKS, ContractBroken
from models.testing.contract import check_ids, contract_tests, run_contract
from models.testing.subject import MakeBundle, Sample, Spoil, Subject, build_subject

__all__ = [
    "CHECKS",
    "ContractBroken",
    "MakeBundle",
    "Sample",
    "Spoil",
    "Subject",
    "build_subject",
    "check_ids",
    "contract_tests",
    "run_contract",
]
