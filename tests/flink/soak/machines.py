"""The machines of a soak: how each dies, and how it comes back."""

import time
from collections import Counter
from collections.abc import Callable, Mapping

from runners.flink.local.cluster import ClusterFailed
from runners.flink.local.processes import Server
from tests.flink.running import Machines, Resumable, Running
from tests.flink.soak.plan import Failure, Kind, Step, steps

# A process that is just being started cannot be killed before it exists.
_VICTIM_SECONDS = 300.0
_SUBMIT_SECONDS = 400.0


class Disturbance:
    """Kills what the plan says, and starts it again; counts the kills by kind."""

    def __init__(self, service: Resumable, machines: Machines, say: Callable[[str], None]) -> None:
        self.kills: Counter[Kind] = Counter()
        self._service, self._machines, self._say = service, machines, say
        self._checkpoint: str | None = None  # of the checkpoint that the job was last submitted from
        _, broker, s3, pool = machines
        self._how: Mapping[Kind, Callable[[], bool]] = {
            Kind.WORKER: lambda: bool(pool.kill_workers()),
            Kind.POOL: lambda: bool(pool.kill_pool()),
            Kind.TASK_MANAGER: self._kill_task_manager,
            Kind.JOB_MANAGER: self._kill_job_manager,
            Kind.BROKER: lambda: _kill(broker),
            Kind.STORE: lambda: _kill(s3),
        }
        self._servers: Mapping[Kind, Server] = {Kind.BROKER: broker, Kind.STORE: s3}

    @property
    def _live(self) -> Running:
        return self._service.live

    def run(self, plan: list[Failure]) -> None:
        """Executes the plan; raises when the job ends. Actions that a slow start delayed follow at twice the pace."""
        began = taken = time.monotonic()
        before = 0.0
        for step in steps(plan):
            self._wait_until(max(began + step.at, taken + (step.at - before) / 2))
            self._take(step)
            before, taken = step.at, time.monotonic()

    def _wait_until(self, at: float) -> None:
        patience = max(at - time.monotonic(), 0.0) + 60
        self._live.wait_until(lambda: time.monotonic() >= at, patience, "the next failure")

    def _take(self, step: Step) -> None:
        if not step.kill:
            _bring_back(self._servers[step.kind])
            return
        self._live.wait_until(self._how[step.kind], _VICTIM_SECONDS, f"{step.kind} to kill")
        self.kills[step.kind] += 1
        self._say(f"{self.kills.total():3}  kill -9 of the {step.kind}; {len(self._live.sent)} events sent")

    def _kill_task_manager(self) -> bool:
        try:
            self._machines.cluster.kill_busy_task_manager()
        except ClusterFailed:
            return False
        self._machines.cluster.add_task_manager()
        return True

    def _kill_job_manager(self) -> bool:
        """As an operator without high availability would: starts a new job manager, and the job again from its last
        checkpoint on disk."""
        for server in self._servers.values():  # submitting the job needs both
            _bring_back(server)
        cluster = self._machines.cluster
        try:
            job_id = self._live.job_id
        except ClusterFailed:
            return False
        cluster.restart_job_manager()
        try:
            self._checkpoint = cluster.last_checkpoint(job_id)
        except ClusterFailed:
            if self._checkpoint is None:
                raise
        self._service.resume(self._checkpoint)
        self._live.wait_until(self._runs, _SUBMIT_SECONDS, "the job submitted again")
        return True

    def _runs(self) -> bool:
        try:
            return "RUNNING" in self._machines.cluster.job_states().values()
        except ClusterFailed:
            return False


def _kill(server: Server) -> bool:
    server.kill()
    return True


def _bring_back(server: Server) -> None:
    if server.process is None:
        server.start()
