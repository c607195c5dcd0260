"""An audit in a bucket is sealed, asked and verified as one in a folder."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from audit.files.audit import Audit
from audit.files.chain import SealedMeanwhile
from audit.files.notes import new_key
from audit.sealing.findings import AuditFindings
from audit.sealing.verifying import AuditTrust, verify_segments
from models.store.backends import Backend
from runners.flink.local.objects import S3Server
from tests.audit.containers import receipt
from tests.audit.sealing.sealed import ORIGIN, seal, segments, written


def test_a_bucket_is_sealed_once_by_racing_sealers_and_verifies(s3: S3Server, tmp_path: Path) -> None:
    url = s3.create_bucket(f"audit-{uuid.uuid4().hex[:8]}") + "/flights"
    backend, key = Backend(url), new_key(ORIGIN)
    for path in written(tmp_path, files=6):
        backend.create(f"receipts/{path.name}", path)

    def sealed(_: int) -> int:
        try:
            return len(seal(url, size=10, key=key).segments)
        except SealedMeanwhile:
            return -1

    with ThreadPoolExecutor(3) as racing:
        done = list(racing.map(sealed, range(3)))
    assert (sum(each for each in done if each > 0) <= 3, backend.list("receipts")) == (True, []), done
    assert [each.statement.records for each in segments(url)] == [10, 10, 10]
    for number in (0, 17, 29):
        for name in ("score_id", "event_id"):
            assert [each.segment for each in Audit(url).find(name, receipt(number)[name])] == [number // 10 + 1]
    findings = AuditFindings()
    verify_segments(backend, AuditTrust([key.public], ORIGIN), findings)
    assert (findings.sound, findings.receipts, findings.signature) == (True, 30, "signed")
    assert findings.uncommitted == []
