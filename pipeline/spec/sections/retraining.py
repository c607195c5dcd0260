"""The section `retraining` of a job spec: what a schema cannot say of it, and what of it may be shown."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from models.redaction import holds_credentials, public_uri
from pipeline.spec.expansion import section_of
from schemas.times import MalformedTime, format_duration_us, parse_duration_us, parse_instant_us
from schemas.validation import MISSING, Absent, SpecError

SECTION = "retraining"
_LEAST_US = 1_000
_DURATIONS = ("pays_within", "recent", "hook.timeout")
_OR_ZERO = ("again", "hook.every")
_MOST_TIMEOUT_US = 600_000_000


def retraining_errors(
    document: Mapping[str, Any], sound: Callable[[str], bool] = lambda _: True
) -> Iterator[SpecError]:
    """What is wrong with the sound parts of the section `retraining` of a document."""
    section = section_of(document, SECTION)
    for key in (*_DURATIONS, *_OR_ZERO):
        text = _stated(section, key)
        if text is not None and sound(f"{SECTION}.{key}"):
            yield from _duration_errors(f"{SECTION}.{key}", text, 0 if key in _OR_ZERO else _LEAST_US)
    if "hook" in section and sound(f"{SECTION}.hook"):
        yield from _hook_errors(section_of(section, "hook"), sound)


def _stated(section: Mapping[str, Any], key: str) -> str | None:
    *outer, last = key.split(".")
    for name in outer:
        section = section_of(section, name)
    found = section.get(last)
    return found if isinstance(found, str) else None


def _duration_errors(path: str, text: str, least_us: int) -> Iterator[SpecError]:
    try:
        duration_us = parse_duration_us(text)
    except MalformedTime as error:
        yield SpecError(path, text, error.allowed)
        return
    if duration_us < least_us:
        yield SpecError(path, text, f"a duration of at least {format_duration_us(least_us)}")
    if path.endswith(".timeout") and duration_us > _MOST_TIMEOUT_US:
        yield SpecError(path, text, f"a duration of at most {format_duration_us(_MOST_TIMEOUT_US)}")


def _hook_errors(hook: Mapping[str, Any], sound: Callable[[str], bool]) -> Iterator[SpecError]:
    path = f"{SECTION}.hook"
    if "command" not in hook and "url" not in hook:
        yield SpecError(path, MISSING, "command or url: whom to call")
    if "command" in hook and "url" in hook:
        yield SpecError(path, Absent("has command and url"), "one of them")
    url = hook.get("url")
    if isinstance(url, str) and sound(f"{path}.url") and not url.startswith("$") and holds_credentials(url):
        found = Absent(f"{public_uri(url)} has a user, a query or a fragment")
        expected = "a URL without them, or ${NAME} of an environment variable that holds the whole URL"
        yield SpecError(f"{path}.url", found, expected)
    until = hook.get("muted_until")
    if isinstance(until, str) and sound(f"{path}.muted_until"):
        try:
            parse_instant_us(until)
        except MalformedTime as error:
            yield SpecError(f"{path}.muted_until", until, error.allowed)


def without_secrets_of_hook(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with nothing of a hook but its program, or its host: arguments and paths of URLs may be secrets.

    >>> without_secrets_of_hook({"retraining": {"price": 1, "hook": {"url": "https://host/T0/B1/xyz"}}})
    {'retraining': {'price': 1, 'hook': {'url': 'https://host/…'}}}
    """
    section = section_of(document, SECTION)
    hook = dict(section_of(section, "hook"))
    if not hook:
        return dict(document)
    if isinstance(hook.get("command"), list):
        hook["command"] = [*hook["command"][:1], *(["…"] if hook["command"][1:] else [])]
    if isinstance(hook.get("url"), str) and not hook["url"].startswith("$"):
        scheme, _, rest = hook["url"].partition("://")
        hook["url"] = f"{scheme}://{rest.partition('/')[0]}/…"
    return {**document, SECTION: {**section, "hook": hook}}
