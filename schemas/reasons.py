"""The reason in a library's or a runner's report of a failure: its whole message, without the location in the code."""

import ast
import re
from collections.abc import Sequence

MOST_CHARACTERS = 4000
_MOST_READ = 50_000

_PACKAGE = r"(?:[A-Za-z_$][\w$]*\.)+"
_KIND = rf"(?:{_PACKAGE})?[A-Z_][\w$]*(?:Error|Exception|Interrupt|Throwable|Fault)\b"
_JAVA = r"(?:java|javax|jdk|sun|com|org|io|scala|kotlin|net)\.(?:[\w$]+\.)*[A-Z][\w$]*"
_CLASS = re.compile(rf"(?P<name>{_KIND}|{_JAVA})(?::\s+|:?$)")
_RAISED = re.compile(rf"(?P<name>(?:{_PACKAGE})?[A-Za-z_$][\w$]*)(?::\s+|:?$)")  # lines below the frames

_TRACEBACK = re.compile(r"\s*\+?\s*(Exception Group )?Traceback \(most recent call (last|first)\):\s*")
_FILE = re.compile(r'[\s|]*File ".*", line \d+')
_FRAME = re.compile(
    r"\s*at (?:[\w.$-]+/{1,2})*[\w.$<>/-]+\((?:[\w.$-]+:\d+|Native Method|Unknown Source|<generated>|[\w.$-]+)\).*$"
    r"|\s*\.\.\. \d+ (?:more|common frames omitted)\s*$|\s*\[bt\] \(\d+\)|\s*Stack trace:\s*$"
    r"|\s*debug_error_string = |\s*<\w*RpcError of RPC that |\s*[<>]\s*$"
)
_BELOW_IS_CAUSE = re.compile(r"\s*(?:Caused by|Suppressed): ")
_ABOVE_IS_CAUSE = re.compile(
    r"[\s|]*(?:During handling of the above exception|The above exception was the direct cause)"
)

# Where and when it was reported: prefixes of logs, steps, and lines of source code.
_LEVEL = r"(?:TRACE|DEBUG|INFO|WARN(?:ING)?|ERROR|SEVERE|FATAL|CRITICAL)"
_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?"
_ORIGINS = tuple(
    re.compile(pattern)
    for pattern in (
        r"\s*\[while running '.*?'\]",
        rf"^\[?{_TIME}Z?\]?\s+{_LEVEL}\b:?\s+(?:[\w.$]+(?:\s+\[.*?\])?\s+-\s+)?",
        r"^[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+\s+\d+ [\w./-]+:\d+\] ",
        r"^%\d\|[\d.]+\|\w+\|[^|]*\| (?:\[thrd:[^\]]*\]: )?",
        r"\[\d\d:\d\d(?::\d\d)?\] [\w/.-]+\.\w+:\d+:?(?=\s)",
        r"(?:^|(?<=\s))(?:[\w.@+-]*/)+[\w.+-]+\.(?:cc|cpp|cu|h|hpp|c|rs|py|java):\d+(?::\d+)?:?(?=\s)",
        r'"<\w+ string>", (?=line \d)',
        r"\s*\(_ssl\.c:\d+\)",
        r"\[SSL: [A-Z_]+\] (?=\w)",
        r"\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ",
        r"\[Errno -?\d+\] |\s*\(os error \d+\)|, max_retries: \d+, retry_timeout: \w+",
        r"Error received from SDK harness for instruction \S+:?\s*",
        r"Pipeline \S+ failed in state \w+:?\s*",
        r"Dataflow pipeline failed\. State: \w+, Error:\s*",
        r"Recovery is suppressed by \w+(?:\(.*?\))?\.?\s*",
        r"Job execution failed\.\s*|Job failed \(JobID: \w+\)\s*",
    )
)
_WITHIN = re.compile(rf"\b{_JAVA}(?:Exception|Error): ")
_SHOWN = re.compile(rf"{_KIND}\((?P<quote>['\"])(?P<says>.*?)(?P=quote),?\)")  # an error's own representation
_KAFKA = re.compile(r"Kafka(?:Error|Exception)\{code=\w+,(?:\w+=[\w-]+,)*str=\"(?P<says>.*?)\"\}")
_RPC = re.compile(r"\s*(?:status = StatusCode\.(?P<status>\w+)|details = \"(?P<details>.*)\")\s*$")
_XML = re.compile(r"<\?xml.*?(?:</Error>|\Z)", re.DOTALL)
_SENTENCE = re.compile(r'\s*(?:(?:message|error|description): )?"(?P<says>[^"\s]+ [^"]*)",?$')
_ESCAPED_FRAMES = re.compile(r"\\n(?:\\t|\s)*(?:at [\w.$/]+\(|File \\?\")")
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z\d]+|[A-Z]+")


def reason(text: str) -> str:
    """The reason in the text of a failure, on one line of at most `MOST_CHARACTERS`: the outermost first.

    Frames of Python, Java and native code, names of classes, lines of source code, the steps of a pipeline and the
    times of logs are left out. Causes follow after "; cause: ", each once. Where there is no message, it is the class's
    name in words; for an empty text it is empty.

    >>> frames = 'Traceback (most recent call last):\\n  File "a.py", line 3, in f\\n    open(x)\\n'
    >>> reason(frames + "OSError: No space left on device")
    'No space left on device'
    """
    text, _, dump = text.partition("\nDebug source:")
    found = _Statements()
    for line in _lines(_XML.sub(_of_answer, text)):
        found.read(line)
    return joined([*(found.said() or found.kinds()[:1]), *_within_dump(dump)])


def joined(said: Sequence[str]) -> str:
    """Joins statements, the outermost first; those contained in another one are left out.

    >>> joined(["cannot write scores", "disk full", "full"])
    'cannot write scores; cause: disk full'
    """
    kept: list[str] = []
    for each in said:
        if not any(each in other for other in kept):
            kept = [other for other in kept if other not in each] + [each]
    return shortened("; cause: ".join(kept))


def of_class(name: str, text: str) -> str:
    """The message of an error of this class: its text, with the class in words where the text alone is not clear."""
    kind = in_words(name)
    if not text:
        return kind
    if kind == "key error":
        text = _unquoted(text)
        return text if " " in text else f"no key {text!r}"
    return text if re.search(r"\s", text) else f"{kind}: {text}"


def of_error(error: BaseException, text: str | None = None, most: int = MOST_CHARACTERS) -> str:
    """An error's message on one line; `text`, where given, replaces its own.

    >>> of_error(KeyError("delay")), of_error(EOFError()), of_error(ValueError("cut off\\n  at byte 7"))
    ("no key 'delay'", 'eof error', 'cut off at byte 7')
    """
    return shortened(of_class(type(error).__name__, reason(str(error) if text is None else text)), most)


def in_words(name: str) -> str:
    """The name of an error's class in words: `FileNotFoundError` is "file not found".

    >>> in_words("FileNotFoundError"), in_words("java.lang.NullPointerException")
    ('file not found', 'null pointer')
    """
    words = [word.lower() for word in _WORDS.findall(name.rpartition(".")[2].rpartition("$")[2])]
    if len(words) > 2 and words[-1] in ("error", "exception"):
        words.pop()
    return " ".join(words) or "error"


def shortened(text: str, most: int = MOST_CHARACTERS) -> str:
    """The text, with its middle left out where it is longer: reasons are at both ends.

    >>> shortened("a" * 10 + "b" * 10, 11)
    'aaaa … bbbb'
    """
    half = (most - 3) // 2
    return text if len(text) <= most else f"{text[:half]} … {text[-half:]}"


def _of_answer(answer: re.Match[str]) -> str:
    """The message in an object store's XML; the rest of it repeats the request with the names of keys."""
    return ": ".join(
        found[1] for tag in ("Code", "Message") if (found := re.search(f"<{tag}>(.*?)</{tag}>", answer[0]))
    )


def _within_dump(dump: str) -> list[str]:
    """The sentences in the printed structure of a Rust library's error; the system's own message comes last."""
    said = [found["says"] for found in map(_SENTENCE.match, dump[:_MOST_READ].splitlines()) if found]
    return said[-1:]


def _lines(text: str) -> list[str]:
    if len(text) > _MOST_READ:
        text = f"{text[: _MOST_READ // 2]}\n{text[-_MOST_READ // 2 :]}"
    if _ESCAPED_FRAMES.search(text):  # a stack within JSON
        text = text.replace("\\r", "").replace("\\n", "\n").replace("\\t", "\t").replace('\\"', '"')
    return [shortened(line) for line in text.splitlines()]  # patterns are slow on long hostile lines


class _Statements:
    """The statements so far, the outermost first, and the class of each where it is known."""

    def __init__(self) -> None:
        self._said: list[tuple[str, list[str]]] = [("", [])]
        self._at = 0
        self._in_frames = False
        self._source_follows = False
        self._opens = True

    def read(self, line: str) -> None:
        """One line of the text, in order."""
        traceback = _TRACEBACK.search(line)
        if traceback is not None:
            self._read_traceback(line[: traceback.start()], line[traceback.end() :])
        elif _ABOVE_IS_CAUSE.match(line):
            self._said.insert(self._at, ("", []))
            self._opens = True
        elif _FILE.match(line):
            self._in_frames, self._source_follows = True, not line[:1].isspace()
        elif _FRAME.match(line) or not line.strip() or self._is_source(line):
            self._source_follows = False
        else:
            self._read_statement(line)

    def _read_traceback(self, before: str, after: str) -> None:
        if before.strip("+ "):
            self._read_statement(before)
        self._in_frames = True
        if after.strip():  # everything is on one line, where code and reason are hard to distinguish
            raised = [found.start() for found in re.finditer(rf"{_KIND}: ", after)]
            self._read_statement(after[raised[-1] if raised else 0 :])

    def _is_source(self, line: str) -> bool:
        return self._in_frames and (line[:1].isspace() or self._source_follows)

    def _read_statement(self, line: str) -> None:
        cause = _BELOW_IS_CAUSE.match(line)
        raised = self._in_frames
        self._in_frames = False
        if cause is not None:
            line = line[cause.end() :]
        if cause is not None or (raised and self._said[self._at][1]):
            self._next_cause()
        self._take(line.lstrip("| "), raised or cause is not None)

    def _next_cause(self) -> None:
        self._at += 1
        self._said.insert(self._at, ("", []))
        self._opens = True

    def _take(self, line: str, raised: bool = False) -> None:
        name, words = self._said[self._at]
        line = _without_origins(line.strip())
        if self._opens or raised:
            found, line = _without_class(line, raised)
            name = found or name
        line = _SHOWN.sub(r"\g<says>", _SHOWN.sub(r"\g<says>", line))
        line = _KAFKA.sub(r"\g<says>", _WITHIN.sub("", line))
        self._opens = self._opens and not line
        self._said[self._at] = (name, [*words, line] if line else words)

    def said(self) -> list[str]:
        """The statements with a message."""
        return [of_class(name, _line_of(words)) if name else _line_of(words) for name, words in self._said if words]

    def kinds(self) -> list[str]:
        """The classes, in words, of statements without a message; the innermost first."""
        return [in_words(name) for name, words in reversed(self._said) if name and not words]


def _line_of(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


def _without_origins(line: str) -> str:
    rpc = _RPC.match(line)
    if rpc is not None:
        return rpc["details"] if rpc["details"] is not None else f"{rpc['status'].replace('_', ' ').lower()}:"
    for origin in _ORIGINS:
        line = origin.sub("", line)
    return line.strip()


def _without_class(line: str, raised: bool) -> tuple[str, str]:
    """The name of the innermost class that a line begins with, and the rest of the line."""
    name, form = "", _RAISED if raised else _CLASS
    while (found := form.match(line)) is not None:
        name, line, form = found["name"], _without_origins(line[found.end() :]), _CLASS
    return name, line


def _unquoted(text: str) -> str:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    return value if isinstance(value, str) else text
