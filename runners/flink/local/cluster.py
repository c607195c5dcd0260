"""A Flink session cluster on loopback: one job manager, some task managers, checkpoints on disk."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runners.flink import rest
from runners.flink.local import parts
from runners.flink.local.processes import LOOPBACK, DidNotStart, Process, free_port

_MAIN = "org.apache.flink.runtime"
_JOB_MANAGER = f"{_MAIN}.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER = f"{_MAIN}.taskexecutor.TaskManagerRunner"
_START_SECONDS = 120.0
_SAVEPOINT_SECONDS = 120.0
_ENDED = ("FINISHED", "FAILED", "CANCELED")
_POLL_SECONDS = 0.2
_OPENED = ("lang", "net", "io", "nio", "lang.reflect", "text", "time", "util", "util.concurrent",
           "util.concurrent.atomic", "util.concurrent.locks")  # fmt: skip
# Java 17 hides classes that Flink 1.19 serialises by reflection (its own scripts pass the same options).
_JAVA_OPENS = [
    *(f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in _OPENED),
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-exports=java.base/sun.net.util=ALL-UNNAMED",
    "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
]
_LOG4J = """rootLogger.level = INFO
rootLogger.appenderRef.file.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %-60c %x - %m%n
"""


class ClusterFailed(RuntimeError):
    """The cluster does not answer, or answers with an error; the message contains its own."""


def settings(folder: Path, ports: Mapping[str, int]) -> dict[str, str]:
    """The cluster's configuration; each value has its reason beside it."""
    return {
        "jobmanager.rpc.address": LOOPBACK,
        "jobmanager.bind-host": LOOPBACK,
        "taskmanager.host": LOOPBACK,
        "taskmanager.bind-host": LOOPBACK,
        "rest.address": LOOPBACK,
        "rest.bind-address": LOOPBACK,
        "jobmanager.rpc.port": str(ports["rpc"]),
        "rest.port": str(ports["rest"]),
        "blob.server.port": "0",
        "io.tmp.dirs": str(folder / "tmp"),
        "web.upload.dir": str(folder / "upload"),
        # Heap state: the job keeps tens of MB, and Beam's self-checkpointing sources register a new state name
        # per poll before Beam 2.76, which in RocksDB is a new column family each.
        "state.backend.type": "hashmap",
        "execution.checkpointing.dir": f"file://{folder}/checkpoints",
        "state.checkpoints.dir": f"file://{folder}/checkpoints",
        "state.savepoints.dir": f"file://{folder}/savepoints",
        # A dead task manager is noticed after 8 s instead of 50: everything is on one machine, without network delays.
        "heartbeat.interval": "2000",
        "heartbeat.timeout": "8000",
        # Slots are free again at once after a failure; a lost slot is not waited for longer than this.
        "slot.request.timeout": "60000",
        # The job's jar contains classes of Flink and of Beam; they must not mix with the cluster's.
        "classloader.check-leaked-classloader": "false",
        # Four tasks of the job chain into one slot; its 40 stages share it.
        "taskmanager.numberOfTaskSlots": "2",
        # Otherwise one task manager with its one Python worker would do all the work of a job of two subtasks.
        "cluster.evenly-spread-out-slots": "true",
        # Bounded jobs: the default of 512 buffers for each of forty shuffles would need 1 GB.
        "taskmanager.network.sort-shuffle.min-buffers": "32",
        # Restarts for ever, at most half a minute apart; after five quiet minutes the next delay starts at 1 s again.
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "1 s",
        "restart-strategy.exponential-delay.max-backoff": "30 s",
        "restart-strategy.exponential-delay.reset-backoff-threshold": "5 min",
        # The sizes below are what Flink's scripts would compute; without the scripts all of them must be given.
        "taskmanager.cpu.cores": "2.0",
        "taskmanager.memory.framework.heap.size": "128m",
        "taskmanager.memory.task.heap.size": "1408m",
        "taskmanager.memory.framework.off-heap.size": "128m",
        "taskmanager.memory.task.off-heap.size": "512m",
        "taskmanager.memory.network.min": "256m",
        "taskmanager.memory.network.max": "256m",
        "taskmanager.memory.managed.size": "128m",
        "taskmanager.memory.jvm-metaspace.size": "512m",
        "taskmanager.memory.jvm-overhead.min": "192m",
        "taskmanager.memory.jvm-overhead.max": "192m",
    }


class FlinkCluster:
    """A session cluster in `folder`; `start` and `stop`, or a `with` block.

    Args:
        folder: configuration, logs, checkpoints and temporary files; one per cluster.
        task_managers: how many to start, each with two slots, 1.5 GB of heap and 0.7 GB beside it at most.
        changed: values that differ from `settings`, by Flink's names.
    """

    def __init__(self, folder: Path, task_managers: int = 2, changed: Mapping[str, str] | None = None) -> None:
        self.folder = folder.absolute()
        self.ports = {"rpc": free_port(), "rest": free_port()}
        self.task_managers: list[Process] = []
        self._wanted = task_managers
        self._changed = dict(changed or {})
        self._started = 0
        self._job_manager: Process | None = None

    @property
    def master(self) -> str:
        """The value for `--flink_master`."""
        return f"{LOOPBACK}:{self.ports['rest']}"

    def start(self) -> "FlinkCluster":
        """Starts all of it. Raises `PartMissing` and `DidNotStart`; nothing is left running then."""
        for name in ("conf", "logs", "tmp", "upload", "checkpoints", "savepoints"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        chosen = settings(self.folder, self.ports) | self._changed
        lines = [f"{name}: {value}\n" for name, value in chosen.items()]
        (self.folder / "conf" / "flink-conf.yaml").write_text("".join(lines))
        (self.folder / "conf" / "log4j.properties").write_text(_LOG4J)
        try:
            self._start_job_manager()
            for _ in range(self._wanted):
                self.add_task_manager()
            for process in self.task_managers:
                process.wait_until(self._complete, _START_SECONDS)
        except (DidNotStart, parts.PartMissing):
            self.stop()
            raise
        return self

    def _start_job_manager(self) -> Process:
        # Heap for the plan of a job with 40 stages and its metrics; the job's jar stays on disk.
        command = self._command(_JOB_MANAGER, "-Xms128m", "-Xmx768m")
        self._job_manager = Process("Flink's job manager", command, self.folder / "logs" / "jobmanager.log")
        return self._job_manager.wait_until(self._answers, _START_SECONDS)

    def add_task_manager(self) -> Process:
        """Starts one more task manager, for example to replace one that died; does not wait for it."""
        self._started += 1
        # Direct memory: Beam's gRPC buffers and Flink's network live there.
        command = self._command(_TASK_MANAGER, "-Xms256m", "-Xmx1536m", "-XX:MaxDirectMemorySize=1g")
        # So that the cluster's REST answers name the process.
        command += ["-D", f"taskmanager.resource-id={_resource(self._started)}"]
        log = self.folder / "logs" / f"taskmanager-{self._started}.log"
        process = Process(_name(_resource(self._started)), command, log)
        self.task_managers.append(process)
        return process

    def _command(self, main: str, *memory: str) -> list[str]:
        log4j = f"-Dlog4j.configurationFile=file:{self.folder}/conf/log4j.properties"
        head = [parts.java(), *memory, "-XX:+UseSerialGC", *_JAVA_OPENS, log4j, "-cp", f"{parts.flink_jars()}/*"]
        return [*head, main, "--configDir", str(self.folder / "conf")]

    def kill_busy_task_manager(self) -> Process:
        """`kill -9` of the task manager that has most slots in use, as the failure of its machine."""
        told = self.rest("/taskmanagers")["taskmanagers"]  # task managers that died a moment ago are still listed
        busy = {_name(one["id"]): one["slotsNumber"] - one["freeSlots"] for one in told}
        dead = max(self.task_managers, key=lambda process: busy.get(process.name, 0))
        self.task_managers.remove(dead)
        dead.kill()
        return dead

    def rest(self, path: str, method: str = "GET", body: Mapping[str, Any] | None = None) -> Any:
        """The answer of the cluster's REST interface as JSON. Raises `ClusterFailed`."""
        try:
            return rest.ask(f"http://{self.master}", path, method, body)
        except rest.NoFlink as error:
            raise ClusterFailed(f"{method} {error}") from None

    def _answers(self) -> bool:
        try:
            return "flink-version" in self.rest("/overview")
        except ClusterFailed:
            return False

    def _complete(self) -> bool:
        return bool(self.rest("/overview")["taskmanagers"] == self._wanted)

    def job_states(self) -> dict[str, str]:
        """State of each job by id, such as RUNNING, FAILED, RESTARTING."""
        return {job["jid"]: job["state"] for job in self.rest("/jobs/overview")["jobs"]}

    def live_jobs(self) -> list[str]:
        """The ids of the jobs that have not ended."""
        return [job_id for job_id, state in self.job_states().items() if state not in _ENDED]

    def cancel(self, job_id: str) -> None:
        """Cancels a job; returns before it is."""
        self.rest(f"/jobs/{job_id}", "PATCH")

    def stop_with_savepoint(self, job_id: str) -> str:
        """Stops a job and returns where its savepoint is. Raises `ClusterFailed` when it could not be taken."""
        body = {"targetDirectory": f"file://{self.folder}/savepoints", "drain": False}
        trigger = self.rest(f"/jobs/{job_id}/stop", "POST", body)["request-id"]
        deadline = time.monotonic() + _SAVEPOINT_SECONDS
        while time.monotonic() < deadline:
            found = self.rest(f"/jobs/{job_id}/savepoints/{trigger}")
            if found["status"]["id"] == "COMPLETED":
                if "location" not in found["operation"]:
                    why = str(found["operation"].get("failure-cause", {}).get("stack-trace", found["operation"]))
                    raise ClusterFailed(f"job {job_id}: no savepoint: {why.partition(chr(10))[0][:500]}")
                return str(found["operation"]["location"])
            time.sleep(_POLL_SECONDS)
        raise ClusterFailed(f"job {job_id}: no savepoint; expected: one within {_SAVEPOINT_SECONDS:.0f} s")

    def last_checkpoint(self, job_id: str) -> str:
        """The path of the last complete checkpoint of a job, from which a new submission can continue.

        It is looked for on disk: a job manager that has died cannot be asked. Raises `ClusterFailed` where none is.
        """
        complete = (self.folder / "checkpoints" / job_id).glob("chk-*/_metadata")
        numbers = [int(found.parent.name.removeprefix("chk-")) for found in complete]
        if not numbers:
            raise ClusterFailed(f"job {job_id} has no complete checkpoint; expected: one in {self.folder}/checkpoints")
        return f"file://{self.folder}/checkpoints/{job_id}/chk-{max(numbers)}"

    def restart_job_manager(self) -> None:
        """`kill -9` of the job manager, and the start of a new one, which knows nothing of earlier jobs."""
        if self._job_manager is not None:
            self._job_manager.kill()
        self._start_job_manager().wait_until(self._complete, _START_SECONDS)

    def stop(self) -> None:
        """Ends every process of the cluster."""
        for process in [*self.task_managers, *([self._job_manager] if self._job_manager else [])]:
            process.kill()  # incomplete checkpoints do not count, so there is nothing to wait for
        self.task_managers, self._job_manager = [], None

    def __enter__(self) -> "FlinkCluster":
        return self.start()

    def __exit__(self, *raised: object) -> None:
        self.stop()


def _resource(number: int) -> str:
    return f"task-manager-{number}"


def _name(resource: str) -> str:
    return f"Flink's {resource}"
