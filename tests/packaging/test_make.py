"""The two commands a person needs are make's, and each explains itself."""

import os
import re
import subprocess
from pathlib import Path

import pytest

TARGETS = (
    *("help", "demo", "demo-flink", "test", "lint", "typecheck", "bench", "bench-stream", "bench-swap", "lock"),
    *("bench-features", "bench-vectors", "bench-idle", "bench-large", "bench-slow", "bench-startup", "bench-waiting"),
    "bench-audit",
    "bench-fairness",
    "bench-gates",
    "bench-lookups",
    "bench-reasons",
    "bench-watching",
    *("demo-loans", "demo-loop"),
    *("clean", "docs", "test-dataflow", "dataflow-template", "soak"),
)


def make(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # Flags of the make that runs these tests must not reach this one.
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(
        command, cwd=root, env=clean | environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("arguments", [(), ("help",)])
def test_help_is_the_default_and_explains_every_target(root: Path, arguments: tuple[str, ...]) -> None:
    explained = re.findall(r"^  (\S+) +\S.*$", make(root, *arguments).stdout, re.MULTILINE)
    assert sorted(explained) == sorted(TARGETS)


def test_ci_runs_the_test_command_of_the_readme(root: Path) -> None:
    script = root / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().splitlines()[-1] == "make test"
    assert "make test" in (root / "README.md").read_text(encoding="utf-8")


def test_an_up_to_date_environment_is_left_alone(root: Path, tmp_path: Path) -> None:
    checkout = checkout_in(tmp_path, root)
    environment = checkout / ".venv"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to("/bin/true")
    (environment / "stamp").write_text(stamp_of(checkout))
    done = make(checkout, ".venv")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_python_3_11_one_line_says_what_is_needed(root: Path, tmp_path: Path) -> None:
    checkout, tools = checkout_in(tmp_path, root), tmp_path / "tools"
    tools.mkdir()
    for tool in ("make", "sh", "cat", "cksum", "rm", "grep"):
        found = next(Path(folder) / tool for folder in ("/usr/bin", "/bin") if (Path(folder) / tool).exists())
        (tools / tool).symlink_to(found)
    (tools / "python3").write_text('#!/bin/sh\n[ "$1" = --version ] || exit 1\necho Python 3.9.1\n')
    (tools / "python3").chmod(0o755)
    done = make(checkout, "lint", PATH=str(tools))
    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode == 2
    assert len(said) == 1
    assert "Python 3.11" in said[0]
    assert "Python 3.9.1" in said[0]


def checkout_in(folder: Path, root: Path) -> Path:
    """A checkout that contains only what is needed to create the environment."""
    checkout = folder / "checkout"
    checkout.mkdir()
    for name in ("Makefile", "setup.py", "requirements.lock"):
        (checkout / name).write_text((root / name).read_text())
    return checkout


def stamp_of(checkout: Path) -> str:
    read = (checkout / "requirements.lock").read_bytes() + (checkout / "setup.py").read_bytes()
    checksum = subprocess.run(["cksum"], input=read, capture_output=True, check=True).stdout.decode().strip()
    return f"{checksum} {checkout}\n"
