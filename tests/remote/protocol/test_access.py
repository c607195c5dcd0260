"""A manifest cannot send events or secrets where the operator does not want them."""

import pickle

import pytest

from models.bundles.manifest import InvalidManifest
from models.scorers.base import WillNotLoad
from models.scorers.remote.access import HOSTS, Secret, check_allowed, parse_address, scrubbed, secret

SCHEMES = ("http", "https", "grpc", "grpcs")


def allowed(url: str, hosts: str) -> bool:
    schemes = ("sagemaker",) if url.startswith("sagemaker") else SCHEMES
    try:
        check_allowed(parse_address(url, schemes), {HOSTS: hosts})
    except WillNotLoad:
        return False
    return True


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("https://models.example.com", "models.example.com"),
        ("https://Models.Example.com:8443/base", "models.example.com"),
        ("grpcs://models.example.com:9000", "other, models.example.com:9000"),
        ("https://a.models.example.com", "*.models.example.com"),
        ("http://10.0.0.7:8501", "http://10.0.0.7:8501"),
        ("http://10.0.0.7", "http://10.0.0.7:80"),
        ("grpc://[::1]:8500", "grpc://[::1]"),
        ("sagemaker://eu-west-1/late", "sagemaker://eu-west-1/late"),
        ("sagemaker://eu-west-1/late-7", "sagemaker://eu-west-1/late-*"),
    ],
)
def test_listed_servers_may_be_asked(url: str, hosts: str) -> None:
    assert allowed(url, hosts)


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("https://models.example.com", ""),
        ("http://models.example.com", "models.example.com"),
        ("grpc://models.example.com", "models.example.com"),
        ("http://169.254.169.254", "models.example.com"),
        ("https://models.example.com:1", "models.example.com:443"),
        ("https://example.com", "*.example.com"),
        ("https://evilexample.com", "*.example.com"),
        ("https://models.example.com.evil.org", "models.example.com"),
        ("http://10.0.0.7", "https://10.0.0.7"),
        ("sagemaker://eu-west-1/late", "sagemaker://us-east-1/late"),
        ("sagemaker://eu-west-1/late", "eu-west-1"),
    ],
)
def test_other_servers_may_not_be_asked(url: str, hosts: str) -> None:
    assert not allowed(url, hosts)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://models.example.com",
        "https://",
        "https://models.example.com?x=1",
        "https://models.example.com#x",
        "https://models.example.com/a/../b",
        "https://models.example.com/%2e%2e",
        "https://models.example.com\\@evil.org",
        "https://models.example.com:99999",
        "https://mödels.example.com",
        "grpc://models.example.com/path",
        "https://[::1",
        "https://exa mple.com",
        "models.example.com",
    ],
)
def test_strange_urls_are_refused(url: str) -> None:
    with pytest.raises(InvalidManifest, match=r"^parameters\.url: .* expected: http://host\[:port\]"):
        parse_address(url, SCHEMES)


def test_a_refusal_names_the_server_and_what_is_listed() -> None:
    with pytest.raises(WillNotLoad) as caught:
        check_allowed(parse_address("http://a.org", SCHEMES), {HOSTS: "a.org, b.org"})
    assert str(caught.value) == (
        "server http://a.org:80 may not be asked (what is not encrypted needs its scheme there); "
        "allowed by HALFLIFE_REMOTE_HOSTS: a.org, b.org"
    )


def test_a_password_in_a_url_is_refused_and_not_shown() -> None:
    with pytest.raises(InvalidManifest) as caught:
        parse_address("https://user:hunter2@models.example.com", SCHEMES)
    assert "hunter2" not in str(caught.value)


def test_an_unreadable_entry_of_the_list_refuses() -> None:
    with pytest.raises(WillNotLoad, match="HALFLIFE_REMOTE_HOSTS has '\\*'; expected"):
        check_allowed(parse_address("https://a.org", SCHEMES), {HOSTS: "*"})


def test_a_secret_is_neither_printed_nor_pickled() -> None:
    held = secret("HALFLIFE_REMOTE_SECRET_X", "parameters.headers.x", {"HALFLIFE_REMOTE_SECRET_X": "hunter2"})
    assert held.reveal() == "hunter2"
    assert "hunter2" not in f"{held} {held!r}"
    with pytest.raises(TypeError, match="does not leave"):
        pickle.dumps(held)


@pytest.mark.parametrize("value", ["", "two\r\nlines", "nül"])
def test_an_invalid_secret_is_refused_without_showing_its_value(value: str) -> None:
    with pytest.raises(WillNotLoad, match="HALFLIFE_REMOTE_SECRET_X") as caught:
        secret("HALFLIFE_REMOTE_SECRET_X", "parameters.headers.x", {"HALFLIFE_REMOTE_SECRET_X": value})
    assert not value or value not in str(caught.value)


def test_message_of_a_server_is_one_line_without_our_secrets() -> None:
    said = scrubbed("you sent\nBearer hunter2,\x00 and hunter2" + "x" * 500, [Secret("Bearer hunter2")])
    assert "hunter2" not in said
    assert "\n" not in said
    assert len(said) == 200
