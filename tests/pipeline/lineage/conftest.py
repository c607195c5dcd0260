"""The job whose lineage is told."""

import pytest

from tests.pipeline.jobs.flows import MANIFEST, json_lines, trips
from tests.pipeline.lineage.catalogues import Job

QUALITY = {"auc": 0.75, "by_segment": {"carrier": {"A": {"auc": 0.5}}}}


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    made = Job(tmp_path_factory.mktemp("lineage"))
    (made.root / "in.json").write_bytes(json_lines(trips(20)))
    (made.root / "payload").mkdir()
    for number, version in enumerate(("v1", "v2"), start=1):
        made.store.publish(made.root / "payload", {**MANIFEST, "version": version, "quality": QUALITY})
        made.store.append_release(champion=version, effective_from_us=number, by="tests")
    return made
