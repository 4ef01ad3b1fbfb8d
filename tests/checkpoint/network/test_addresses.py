"""Where an answer may lead, and what is shown of an address."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage.checkpoint.network.addresses import is_public, origin, require_allowed, shown
from parentage.support import ReadError

PUBLIC = "https://8.8.8.8/a"


@pytest.mark.parametrize(
    "after",
    [
        "file:///etc/passwd",
        "ftp://8.8.8.8/a",
        "//",
        "data:text/plain,a",
        "https://127.0.0.1/a",
        "https://localhost/a",
        "https://printer.local/a",
        "https://[::1]/a",
        "https://[::ffff:127.0.0.1]/a",
        "https://10.0.0.1/a",
        "https://169.254.169.254/latest/meta-data",
        "https://192.168.1.1/",
        "http://8.8.8.8/a",
    ],
)
def test_a_public_name_leads_to_no_file_and_to_no_machine_that_is_not_public(after):
    with pytest.raises(ReadError, match="refused"):
        require_allowed(PUBLIC, after)


def test_this_machine_leads_to_itself_and_to_others():
    require_allowed("http://127.0.0.1:1/a", "http://127.0.0.1:2/a")
    require_allowed("http://localhost/a", "https://8.8.8.8/a")
    require_allowed(PUBLIC, "https://8.8.4.4/b?Signature=1")


def test_a_name_is_as_public_as_all_its_addresses(monkeypatch):
    answers = {"mixed.org": ["8.8.8.8", "10.0.0.1"], "fine.org": ["8.8.8.8"]}

    def looked_up(host, _port):
        return [(0, 0, 0, "", (each, 0)) for each in answers[host]]

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    assert is_public("fine.org")
    assert not is_public("mixed.org")
    with pytest.raises(ReadError, match="not a public address"):
        require_allowed("https://fine.org/a", "https://mixed.org/a")


def test_a_name_that_can_not_be_looked_up_here_is_told_by_its_looks(monkeypatch):
    def unknown(_host, _port):
        raise socket.gaierror("no name server")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert is_public("behind-a-proxy.org")
    assert not is_public("db.internal")


@given(st.text())
def test_what_is_shown_of_any_text_can_be_printed(text):
    assert shown(f"https://host/{text}").isprintable() or "\n" not in shown(f"https://host/{text}")


def test_secrets_are_not_shown():
    said = shown("https://me:word@host:99/a?X-Amz-Signature=secret#token")
    assert said == "https://host:99/a"
    assert shown("https://[::1]:8/a") == "https://[::1]:8/a"
    assert shown("https://host:port/a") == "an address that is none"


def test_credentials_are_for_scheme_host_and_port():
    assert origin("http://a/") != origin("https://a/")
    assert origin("http://a:81/") != origin("http://a/")
