"""Erasures and holds where the keys are in a bucket."""

import uuid
from pathlib import Path

from runners.flink.local.objects import S3Server
from tests.audit.erasing.private import private


def test_key_in_a_bucket_is_destroyed_and_a_hold_there_is_kept(s3: S3Server, tmp_path: Path) -> None:
    made = private(tmp_path, url=s3.create_bucket(f"keys-{uuid.uuid4().hex[:8]}") + "/flights")
    assert made.ask("hold", "N3", "--reason", "a case").code == 0
    before = made.key_objects()
    held = made.ask("erase", "N3", "--json")
    assert (held.code, held.json["reason"], made.key_objects()) == (1, "held", before)
    assert made.ask("hold", "N3", "--release").code == 0
    done = made.ask("erase", "N3", "--json")
    assert (done.code, done.json["keys_destroyed"], done.json["receipts"]) == (0, 1, 6), done
    shown = [made.ask("event", f"e{number}", "--json").json["scores"][0].get("locked") for number in (3, 4)]
    assert shown == ["erased: its key was destroyed", None]
