"""Beam's worker pool on a stated address: Beam's own program listens on all interfaces, whatever it prints."""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

_GRACE_SECONDS = 0.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until it gets a signal to end; its workers end with it."""
    parser = argparse.ArgumentParser(prog="python -m runners.flink.pool_server", allow_abbrev=False)
    parser.add_argument("--address", required=True, metavar="HOST:PORT")
    parser.add_argument("--program", required=True, help="starts one worker, with the arguments of Beam's containers")
    given = parser.parse_args(arguments)
    import grpc
    from apache_beam.portability.api import beam_fn_api_pb2_grpc
    from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer, kill_process_gracefully
    from apache_beam.utils import thread_pool_executor

    # As Beam's program: task managers ping an idle connection for as long as they like.
    options = [("grpc.http2.max_pings_without_data", 0), ("grpc.http2.max_ping_strikes", 0)]
    server = grpc.server(thread_pool_executor.shared_unbounded_instance(), options=options)
    pool = BeamFnExternalWorkerPoolServicer(use_process=True, container_executable=given.program)
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    server.add_insecure_port(given.address)
    server.start()
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    asked.wait()
    server.stop(_GRACE_SECONDS)
    for worker in list(pool._worker_processes.values()):
        kill_process_gracefully(worker)
    return 0


if __name__ == "__main__":
    sys.exit(main())
