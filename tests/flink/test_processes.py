"""Servers start on loopback, are waited for, and never outlive whoever started them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runners.flink.local.parts import PartMissing, missing_tools, s3_server
from runners.flink.local.processes import DidNotStart, Process, answers, free_port
from runners.flink.logged import reason_of_answer

SERVE = "import socketserver, sys; socketserver.TCPServer(('127.0.0.1', int(sys.argv[1])), None).serve_forever()"
STARTS_AND_WAITS = f"""
import sys
from pathlib import Path
from runners.flink.local.processes import Process, answers
port = int(sys.argv[1])
server = Process("server", [sys.executable, "-c", {SERVE!r}, str(port)], Path(sys.argv[2]))
server.wait_until(lambda: answers(port), 30)
print(server.pid, flush=True)
sys.stdin.read()
"""


def ended(pid: int, seconds: float = 20.0) -> bool:
    """Whether a process that is not our child is gone within the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":  # ended, not yet collected
            return True
    return False


def test_stop_ends_the_server(tmp_path: Path) -> None:
    port = free_port()
    server = Process("server", [sys.executable, "-c", SERVE, str(port)], tmp_path / "log")
    server.wait_until(lambda: answers(port), 30)
    server.stop()
    assert not server.runs
    assert not answers(port)


def test_child_processes_of_an_ended_server_end_too(tmp_path: Path) -> None:
    command = ["sh", "-c", "sleep 600 & echo $!"]
    server = Process("server", command, tmp_path / "log")
    assert server.ends_within(30)
    left = int((tmp_path / "log").read_text())
    os.kill(left, 0)
    server.kill()
    assert ended(left)


def test_server_ends_when_its_starter_is_killed(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTS_AND_WAITS, str(free_port()), str(tmp_path / "log")]
    starter = subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    starter.send_signal(signal.SIGKILL)
    starter.communicate()
    assert ended(pid)


def test_server_that_ends_at_once_is_reported_with_its_last_log_line(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('the port is taken')"]
    server = Process("the server", command, tmp_path / "log")
    with pytest.raises(DidNotStart, match=r"the server ended with 1: the port is taken \(log: .*/log\)"):
        server.wait_until(lambda: False, 30)


def test_absent_tool_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HALFLIFE_CACHE", str(tmp_path / "cache"))
    assert missing_tools("java", "go") == ["java", "go"]
    with pytest.raises(PartMissing, match=r"go is not on the PATH; expected: Go 1\.23 or later"):
        s3_server()
    assert [path.name for path in (tmp_path / "cache").iterdir() if not path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("logged", "said"),
    [
        (
            "2026-11-30 02:00:01,123 ERROR org.apache.flink.Main [] - Could not start cluster entrypoint.\n"
            "org.apache.flink.ClusterException: Failed to initialize the cluster.\n"
            "\tat org.apache.flink.Main.run(Main.java:255)\n"
            "Caused by: java.net.BindException: Could not start rest endpoint on any port in 8081\n"
            "\tat org.apache.flink.Rest.start(Rest.java:279)\n\t... 2 more\n",
            "Failed to initialize the cluster.; cause: Could not start rest endpoint on any port in 8081 (log: ",
        ),
        ("[2026-11-30 02:00:01,123] ERROR kafka.Kafka$ - no log.dirs\n", "no log.dirs (log: "),
        ("Error: Could not find or load main class x.Y\n", "Error: Could not find or load main class x.Y (log: "),
        ("", "nothing logged (log: "),
    ],
)
def test_reason_why_a_server_did_not_start_is_shown_without_frames(tmp_path: Path, logged: str, said: str) -> None:
    server = Process("server", ["sh", "-c", 'printf %s "$0"; exit 3', logged], tmp_path / "log")
    with pytest.raises(DidNotStart) as failed:
        server.wait_until(lambda: False, 30)
    assert str(failed.value).startswith(f"server ended with 3: {said}")


def test_the_reason_in_an_answer_of_flink_is_shown_without_its_frames() -> None:
    stack = "a.NotFoundException: no job 7\n\tat a.b.C(D.java:1)\nCaused by: a.GoneException: it ended"
    assert reason_of_answer(json.dumps({"errors": [stack]})) == "no job 7; cause: it ended"
    assert reason_of_answer("<html>gateway</html>") == "<html>gateway</html>"
