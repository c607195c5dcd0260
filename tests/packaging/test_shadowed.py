"""A user's folder with the name of one of our packages is reported by its path, without a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOMS = ("schemas", "models", "audit", "gates", "transforms", "runners")
CONSOLE = "from pipeline.console import console; console()"


def said(folder: Path, root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command in `folder`, with our packages behind it on the path, as an installed package has them."""
    environment = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{root}"}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", ["models", "schemas", "audit", "gates", "transforms", "runners"])
@pytest.mark.parametrize("words", [("-m", "pipeline", "--help"), ("-c", CONSOLE, "models", "list")])
def test_a_package_of_the_user_that_hides_ours_is_named(
    root: Path, tmp_path: Path, name: str, words: tuple[str, ...]
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("")
    done = said(tmp_path, root, *words)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"halflife: {tmp_path / name} hides Halflife's own package '{name}'")
    assert "halflife run" in line


@pytest.mark.parametrize("words", [("-m", "halflife"), ("-P", "-m", "halflife"), ("bin/halflife",)])
def test_packages_in_the_working_directory_hide_nothing_from_halflife(
    root: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "halflife").write_text(CONSOLE)  # as an installer writes it
    for name in ("pipeline", *ROOMS, *(("halflife",) if words[0] != "-m" else ())):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('not ours')")
    environment = os.environ | {"PYTHONPATH": str(root)}
    command = [sys.executable, *words, "models", "list", "--store", str(tmp_path), "--model", "m"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("halflife: --store: ")


def test_a_module_of_the_user_that_hides_ours_is_named(root: Path, tmp_path: Path) -> None:
    (tmp_path / "models.py").write_text("")
    done = said(tmp_path, root, "-m", "pipeline", "--help")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert str(tmp_path / "models.py") in done.stderr


def test_a_folder_that_is_no_package_hides_nothing(root: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    done = said(tmp_path, root, "-c", CONSOLE, "--help")
    assert (done.returncode, done.stderr) == (0, "")


def test_advice_names_the_distribution_that_is_ours(root: Path) -> None:
    rooms = ("schemas", "models", "audit", "gates", "transforms", "pipeline", "runners", "docs")
    texts = {path: path.read_text() for room in rooms for path in (root / room).rglob("*.[pm][yd]")}
    texts[root / "README.md"] = (root / "README.md").read_text()
    assert len(texts) > 100
    wrong = ("install halflife[", "install 'halflife[")
    assert [str(path) for path, text in texts.items() if any(words in text for words in wrong)] == []
