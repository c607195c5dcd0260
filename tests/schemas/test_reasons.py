"""What runners and libraries say of a failure is shown with its reason and causes, without where in the code it was."""

import traceback

import pytest

from models.errors import one_line
from pipeline.reporting.saying import guarded

WORKER = """Traceback (most recent call last):
  File "/usr/lib/python3.11/site-packages/apache_beam/runners/worker/sdk_worker.py", line 313, in _execute
    response = task()
               ^^^^^^
  File "apache_beam/runners/common.py", line 1500, in apache_beam.runners.common.DoFnRunner.process
ValueError: the table has no column 'carrier'
  expected: id, carrier

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/srv/job/pipeline/endpoints/sinks.py", line 12, in write
    raise SinkUnwritable(path)
pipeline.endpoints.sinks.SinkUnwritable: /out/scores cannot be written [while running 'WriteScores/Write-ptransform-44']
"""
FLINK = """Pipeline BeamApp-root-1-2 failed in state FAILED: java.lang.RuntimeException: \
org.apache.flink.runtime.client.JobExecutionException: Job execution failed.
\tat org.apache.flink.runtime.jobmaster.JobResult.toJobExecutionResult(JobResult.java:144)
\t... 6 more
Caused by: org.apache.flink.runtime.JobException: Recovery is suppressed by NoRestartBackoffTimeStrategy
\tat java.base/java.lang.Thread.run(Unknown Source)
Caused by: java.lang.RuntimeException: Error received from SDK harness for instruction 5: """
JVM = """java.util.concurrent.CompletionException: java.io.IOException: cannot write the checkpoint
\tat org.apache.flink.runtime.state.X$Y.close(X.java:77) ~[flink-dist-1.19.jar:1.19]
Caused by: java.nio.file.FileSystemException: /checkpoints/7: No space left on device
\t... 12 common frames omitted
"""
GRPC = """<_InactiveRpcError of RPC that terminated with:
\tstatus = StatusCode.UNAVAILABLE
\tdetails = "failed to connect to all addresses"
\tdebug_error_string = "UNKNOWN:Error received from peer {grpc_status:14, created_time:\"2024-01-01T00:00:00\"}"
>"""
DATAFLOW = f"Dataflow pipeline failed. State: FAILED, Error:\n{WORKER}"
SINK = "/out/scores cannot be written; cause: the table has no column 'carrier' expected: id, carrier"
BUCKET = """Error performing PUT http://127.0.0.1:1/b/x, max_retries: 1, retry_timeout: 3s - error sending request

Debug source:
Generic {
    store: "S3",
    inner: ConnectError(
        "tcp connect error",
        Os {
            code: 111,
            message: "Connection refused",
        },
    ),
}"""
DENIED = """Client error with status 403 Forbidden: <?xml version="1.0"?>
<Error><Code>AccessDenied</Code><Message>Access Denied.</Message><AWSAccessKeyId>x</AWSAccessKeyId></Error>"""
KAFKA = 'KafkaError{code=_TRANSPORT,val=-195,str="Local: Broker transport failure"}'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (WORKER, SINK),
        (DATAFLOW, SINK),
        (FLINK + WORKER + "\n\tat org.apache.beam.runners.X.onNext(FnApiControlClient.java:180)\n", SINK),
        (JVM, "cannot write the checkpoint; cause: /checkpoints/7: No space left on device"),
        (GRPC, "unavailable: failed to connect to all addresses"),
        (BUCKET, "PUT http://127.0.0.1:1/b/x - error sending request; cause: Connection refused;"),
        (DENIED, "status 403 Forbidden: AccessDenied: Access Denied.;"),
        (KAFKA, "Local: Broker transport failure"),
        ("2024-01-01 10:00:00,123 ERROR org.apache.flink.Client [] - Could not start it", "Could not start it"),
        ("[09:41:26] /workspace/src/learner.cc:1234: Check failed: a == b", "Check failed: a == b"),
        ("java.lang.NullPointerException\n\tat org.x.Y.z(Y.java:3)", "null pointer"),
        ('/jobs: {"errors":["java.io.IOException: disk full\\n\\tat org.x.Y.z(Y.java:3)\\n"]}', "disk full"),
        ("2013-06-01T00:00:00Z is before the data", "2013-06-01T00:00:00Z is before the data"),
        ("parameters.headers.Authorization: no such name", "parameters.headers.Authorization: no such name"),
        ("broker.rs:9092 refused", "broker.rs:9092 refused"),
        (f"{'a' * 1900}\nthe reason {'z' * 1900}", "the reason"),
    ],
)
def test_the_reason_is_kept_without_its_location(text: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    def failing() -> None:
        raise RuntimeError(text)

    assert guarded(failing, verbose=False, expected=()) == 1
    told = capsys.readouterr().err
    assert said in told
    assert told.startswith("halflife: ")
    assert told.find("\n") == told.index("; --verbose shows where\n") + len("; --verbose shows where")
    for word in ("while running", 'File "', "Exception", "Error:", "Traceback", "\tat ", ".java", ".cc:", "more"):
        assert word not in told


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("delay"), "no key 'delay'"),
        (FileNotFoundError("model.pkl"), "file not found: model.pkl"),
        (NotImplementedError("predict_proba"), "not implemented: predict_proba"),
        (TimeoutError(), "timeout error"),
        (OSError(28, "No space left on device", "/out"), "No space left on device: '/out'"),
        (ExceptionGroup("two files", [ValueError("no table"), KeyError("z")]), "two files; no table; no key 'z'"),
    ],
)
def test_a_class_without_a_message_is_shown_in_words(error: Exception, said: str) -> None:
    assert one_line(error) == said


def test_causes_of_an_error_are_shown_once() -> None:
    def chained(text: str) -> str:
        try:
            try:
                raise OSError(2, "No such file or directory", "/model.txt")
            except OSError as cause:
                raise ValueError(text) from cause
        except ValueError as error:
            told = one_line(error), one_line(RuntimeError(traceback.format_exc()))
        assert told[0] == told[1]
        return told[0]

    assert chained("it will not load") == "it will not load; cause: No such file or directory: '/model.txt'"
    assert chained("lost: No such file or directory: '/model.txt'") == "lost: No such file or directory: '/model.txt'"
