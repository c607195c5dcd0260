"""An endpoint for `--dataflow_endpoint` that writes down what is submitted and lets each job end at once.

It speaks the REST form of `JobsV1Beta3` (create, get) and `MessagesV1Beta3`, in the published message types.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.cloud.dataflow_v1beta3.types import Job, JobState

_HOST = "localhost"  # the only host for which Beam does without TLS


class DataflowRecorder:
    """`submitted`: the bodies of the jobs that were created; `bytes`: all that was sent."""

    def __init__(self) -> None:
        self.submitted: list[bytes] = []
        self.refuse_with = ""
        self._http = ThreadingHTTPServer((_HOST, 0), _handler_of(self))
        self.url = f"http://{_HOST}:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    @property
    def job(self) -> Job:
        """The one job that was submitted, parsed by the published schema."""
        (body,) = self.submitted
        job: Job = Job.from_json(body, ignore_unknown_fields=False)
        return job

    def create(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of `projects.locations.jobs.create`."""
        if self.refuse_with:
            error = {"error": {"code": 400, "message": self.refuse_with, "status": "INVALID_ARGUMENT"}}
            return 400, json.dumps(error).encode()
        self.submitted.append(body)
        return 200, Job.to_json(Job(id="job-1", current_state=JobState.JOB_STATE_PENDING)).encode()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def _handler_of(recorder: DataflowRecorder) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the name that http.server calls
            self._answer(*recorder.create(self.rfile.read(int(self.headers["Content-Length"]))))

        def do_GET(self) -> None:  # as above
            path = self.path.partition("?")[0]
            job = Job(id="job-1", name="flights", current_state=JobState.JOB_STATE_DONE)
            self._answer(200, b"{}" if path.endswith(("/messages", "/metrics")) else Job.to_json(job).encode())

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nothing is logged: requests are in `submitted`."""

    return Handler
