"""Calling a hook: a program without a shell, or a URL. Whatever it does, the caller goes on.

Nothing of the hook but its program's name, or its host, is said anywhere: arguments, paths and answers may be secret.
"""

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

from gates.retraining.telling import HookSettings

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def hook_name(hook: HookSettings) -> str:
    """The hook as it may be shown.

    >>> from gates.retraining.telling import hook_settings
    >>> hook_name(hook_settings({"hook": {"command": ["/opt/retrain.sh", "--token", "xyz"]}}))
    'retrain.sh'
    """
    if hook.command:
        return PurePath(hook.command[0]).name
    url = hook.url or ""
    return url if _VARIABLE.fullmatch(url) else _host(url)


def call_hook(hook: HookSettings, document: Mapping[str, Any]) -> str:
    """Gives the document to the hook, as JSON. Returns why that failed; empty where it did not."""
    text = json.dumps(document, ensure_ascii=False).encode()
    return _run(hook, text) if hook.command else _post(hook, text)


def _run(hook: HookSettings, text: bytes) -> str:
    silent = subprocess.DEVNULL
    try:
        process = subprocess.Popen(
            hook.command, stdin=subprocess.PIPE, stdout=silent, stderr=silent, start_new_session=True
        )
    except (OSError, ValueError) as error:
        return f"{hook_name(hook)} cannot be started: {_strerror(error)}"
    try:
        process.communicate(text, timeout=hook.timeout_us / 1e6)
    except subprocess.TimeoutExpired:
        _end(process)
        return f"it took longer than {hook.timeout_us / 1e6:g} s"
    if process.returncode < 0:
        return f"it was ended by signal {-process.returncode}"
    return f"it ended with exit code {process.returncode}" if process.returncode else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the program and what it has started: all of its session."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _post(hook: HookSettings, text: bytes) -> str:
    found = _VARIABLE.fullmatch(hook.url or "")
    url = os.environ.get(found[1], "") if found else hook.url or ""
    if found and not url:
        return f"{found[1]} is not set"
    if not url.startswith(("http://", "https://")):
        return "its URL is not one of http:// or https://"
    answers, seconds = list[str](), hook.timeout_us / 1e6
    # A server that answers byte by byte would exceed the timeout of each read.
    calling = threading.Thread(target=lambda: answers.append(_posted(url, text, seconds)), daemon=True)
    calling.start()
    calling.join(seconds)
    return answers[0] if answers else f"{_host(url)} took longer than {seconds:g} s"


def _posted(url: str, text: bytes, seconds: float) -> str:
    import requests

    headers = {"Content-Type": "application/json"}
    try:
        # A server that sends a redirect gets the event nowhere else.
        with requests.post(
            url, text, headers=headers, timeout=seconds, allow_redirects=False, stream=True
        ) as answer:
            return "" if 200 <= answer.status_code < 300 else f"{_host(url)} answered {answer.status_code}"
    except requests.Timeout:
        return f"{_host(url)} took longer than {seconds:g} s"
    except (requests.RequestException, ValueError):  # their texts have the whole URL
        return f"{_host(url)} was not reached"


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        return f"{parts.hostname}{'' if parts.port is None else f':{parts.port}'}"
    except ValueError:
        return "the host of its URL"


def _strerror(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
