"""The revision of a file in a git repository."""

import hashlib
import os
import subprocess
from pathlib import Path
from typing import NamedTuple

_SECONDS = 10
# Where a command runs inside a hook, these name that repository instead of the file's.
_OF_HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY")


class Revision(NamedTuple):
    """The commit that has the file as it is; None: there is none, for the reason `why` (empty: no repository)."""

    commit: str | None
    why: str = ""


def revision_of(file: Path) -> Revision:
    """The last commit of the repository that a file lies in, if the file is in it as it is now.

    Git is asked by `rev-parse` alone, which runs nothing that a repository configures.
    """
    resolved = file.resolve()
    if not any((parent / ".git").exists() for parent in resolved.parents):
        return Revision(None)
    kept = {name: value for name, value in os.environ.items() if name not in _OF_HOOKS}
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}
    command = ["git", "-C", str(resolved.parent), "rev-parse", "--verify"]
    try:
        said = [
            subprocess.run(
                [*command, name], env=kept | quiet, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
            for name in ("HEAD^{commit}", f"HEAD:./{resolved.name}")
        ]
    except (OSError, subprocess.TimeoutExpired):
        return Revision(None, "git does not answer here")
    commit, blob = (each.stdout.strip() if each.returncode == 0 else "" for each in said)
    if not commit:
        return Revision(None, "git knows no commit of its repository")
    if blob != _blob(resolved.read_bytes(), len(commit)):
        return Revision(None, f"it is not in commit {commit} as it is now" if blob else f"it is not in commit {commit}")
    return Revision(commit)


def _blob(content: bytes, digits: int) -> str:
    """The name that git gives to the content of a file."""
    kind = hashlib.sha256 if digits == 64 else hashlib.sha1
    return kind(b"blob %d\0" % len(content) + content).hexdigest()
