"""Downloads the parts of the local services, once, into a cache folder: through pip, Maven and Go's own clients."""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

FLINK_VERSION = "1.19.3"
# The newest Flink runner whose jars are all on Maven; jobs of later Python SDKs run on it.
BEAM_RUNNER_VERSION = "2.62.0"
KAFKA_VERSION = "4.2.0"
REGISTRY_VERSION = "2.6.13.Final"
VERSITYGW_VERSION = "v1.8.0"
_HERE = Path(__file__).parents[1]
_FLINK_SDIST = f"apache-flink-libraries=={FLINK_VERSION}"
_JAVA_MAJOR = 17


class PartMissing(RuntimeError):
    """A tool is absent, or a part could not be downloaded; the message says which and what to do."""


def cache_folder() -> Path:
    """Where parts are kept: `$HALFLIFE_CACHE`, or `~/.cache/halflife`."""
    return Path(os.environ.get("HALFLIFE_CACHE") or Path.home() / ".cache" / "halflife")


def missing_tools(*names: str) -> list[str]:
    """The named programs that are not on the PATH."""
    return [name for name in names if shutil.which(name) is None]


def java() -> str:
    """The Java launcher. Raises `PartMissing` without one of Java 17 or later."""
    launcher = _tool("java", f"Java {_JAVA_MAJOR} or later")
    said = subprocess.run([launcher, "-version"], capture_output=True, text=True, check=False).stderr
    version = said.split('"')[1] if '"' in said else "unknown"
    major = version.split(".")[0]
    if not major.isdigit() or int(major) < _JAVA_MAJOR:
        raise PartMissing(f"{launcher} is Java {version}; allowed: {_JAVA_MAJOR} or later")
    return launcher


def flink_jars() -> Path:
    """The folder of Flink's own jars (`lib/`), from their archive on PyPI."""
    return _made(f"flink-{FLINK_VERSION}", _fetch_flink)


def job_server_jar() -> Path:
    """Beam's Flink job server in one jar, built by Maven, with a patched class of Beam (docs/flink.md).

    Only for machines that cannot fetch the one Beam downloads by itself.
    """
    name = f"flink-job-server-{BEAM_RUNNER_VERSION}-{_digest(_HERE / 'jobserver')}"
    return _made(name, _build_job_server) / "flink-job-server.jar"


def _digest(folder: Path) -> str:
    """A hash of what a part is built from, so that a change rebuilds it."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".xml", ".java"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:8]


def kafka_jars() -> Path:
    """The folder of a Kafka broker's jars, from Maven."""
    return _made(f"kafka-{KAFKA_VERSION}", _copy_kafka)


def registry_jar() -> Path:
    """A schema registry's own jar, with those it needs beside it, from Maven."""
    app = _made(f"schema-registry-{REGISTRY_VERSION}", _unpack_registry) / "app"
    return app / f"apicurio-registry-app-{REGISTRY_VERSION}-runner.jar"


def s3_server() -> Path:
    """The program `versitygw`, an S3 server over a folder, built by Go."""
    return _made(f"versitygw-{VERSITYGW_VERSION}", _build_versitygw) / "versitygw"


def go_program(name: str, source: str | Path) -> Path:
    """The folder with a program built by Go, cached under `name`: of a module `path@version`, or of a folder."""
    go = _tool("go", "Go 1.26 or later")
    if isinstance(source, Path):
        return _made(name, lambda made: _ran([go, "build", "-o", str(made)], source, name))
    return _made(name, lambda made: _ran([go, "install", source], made, name, GOBIN=str(made)))


def _tool(name: str, needed: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise PartMissing(f"{name} is not on the PATH; expected: {needed}")
    return found


def _made(name: str, make: Callable[[Path], None]) -> Path:
    """The cached folder `name`, made by `make` in a temporary one first, so that it is complete or absent."""
    folder = cache_folder() / name
    if folder.is_dir():
        return folder
    with _locked(name):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=cache_folder(), prefix=f".{name}-") as work:
                made = Path(work) / "made"
                made.mkdir()
                make(made)
                os.replace(made, folder)
    return folder


@contextmanager
def _locked(name: str) -> Iterator[None]:
    """One process makes a part; others wait for it."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch_flink(made: Path) -> None:
    arguments = ["download", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:"]
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
        _ran([*_pip(), *arguments, "--dest", folder, _FLINK_SDIST], Path(folder), "Flink's jars")
        archive = next(Path(folder).glob("*.tar.gz"))
        with tarfile.open(archive) as members:
            jars = [member for member in members if "/deps/lib/" in member.name and member.isfile()]
            for jar in jars:
                jar.name = Path(jar.name).name
            members.extractall(made, jars, filter="data")


def _pip() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    uv = shutil.which("uv")
    if uv:
        command = [uv, "run", "--quiet", "--no-project", "--python", sys.executable, "--with", "pip"]
        return [*command, "python", "-m", "pip"]
    raise PartMissing(f"{sys.executable} has neither pip nor uv; next: `{sys.executable} -m ensurepip`")


def _build_job_server(made: Path) -> None:
    _maven("jobserver", made, "the job server")
    built = made / "target" / "flink-job-server.jar"
    os.replace(built, made / built.name)
    shutil.rmtree(made / "target")


def _copy_kafka(made: Path) -> None:
    _maven("kafka", made, "Kafka's jars")


def _unpack_registry(made: Path) -> None:
    _maven("registry", made, "the schema registry")


def _maven(project: str, made: Path, what: str) -> None:
    java()
    shutil.copytree(_HERE / project, made, dirs_exist_ok=True, ignore=shutil.ignore_patterns("target", "__pycache__"))
    _ran([_tool("mvn", "Maven 3.8 or later"), "--quiet", "--batch-mode", "package"], made, what)


def _build_versitygw(made: Path) -> None:
    go = _tool("go", "Go 1.23 or later")
    module = f"github.com/versity/versitygw/cmd/versitygw@{VERSITYGW_VERSION}"
    _ran([go, "install", module], made, "the S3 server", GOBIN=str(made))


def _ran(command: Sequence[str], folder: Path, what: str, **environment: str) -> None:
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()
        errors = [line.strip() for line in said if "ERROR" in line] or said[-1:] or ["it said nothing"]
        why = " ".join(dict.fromkeys(errors))[:1500]
        raise PartMissing(f"{what} could not be had: `{Path(command[0]).name}` failed: {why}")
