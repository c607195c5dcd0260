"""A shell completes verbs, options and choices by a script that is made of the commands' own parsers."""

import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.commands.models.verbs import _VERBS
from tests.pipeline.commands.commands import halflife

COMPLETE = """
source halflife.sh
while IFS='|' read -ra COMP_WORDS; do
    COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )) COMPREPLY=()
    _halflife
    echo "${COMPREPLY[*]}"
done
"""
TYPED = {
    "halflife|mod": "models",
    "halflife|models|re": "release",
    "halflife|audit|sc": "score",
    "halflife|audit|score|--no": "--no_verify",
    "halflife|models|release|--ch": "--champion --challenger",
    "halflife|models|release|--champion|v1|--sh": "--shadow",
    "halflife|run|--su": "--summary",
    "halflife|models|publish|--output|re": "regression",
    "halflife|run|--log_format|j": "json",
    "halflife|convert|mod": "model.joblib",
}


def test_bash_completes(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    (tmp_path / "halflife.sh").write_text(halflife("completion", "bash").out)
    (tmp_path / "model.joblib").touch()
    typed = "".join(f"{line}\n" for line in TYPED)
    done = subprocess.run([bash, "-c", COMPLETE], cwd=tmp_path, input=typed, capture_output=True, text=True, check=True)
    assert dict(zip(TYPED, done.stdout.splitlines(), strict=True)) == TYPED


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_verb_and_its_options_are_there(shell: str) -> None:
    ran = halflife("completion", shell)
    assert (ran.code, ran.err) == (0, "")
    for word in (*_VERBS, "convert", "completion", "only_new", "accept_library", "trust"):
        assert word in ran.out


def test_shell_that_is_not_known_is_named() -> None:
    ran = halflife("completion", "fsh")
    assert (ran.code, "allowed: bash, zsh, fish; did you mean fish?" in ran.err) == (2, True)
