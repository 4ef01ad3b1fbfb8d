"""A server is asked, and not trusted."""

import asyncio
import json
import sys
import time

import msgspec
import pytest
from common.identities import head_of
from common.servers import Double, Fault, answered
from parentage.identity import server
from parentage.identity.errors import IdentityError
from parentage.identity.records import Arm, Parameters
from parentage.identity.server import (
    LEAST_BYTES,
    PassingError,
    RefusedError,
    Server,
    checked_url,
    key_for,
)

KEY = "sk-proj-0123456789abcdef-XYZ"
HEAD = head_of(questions=2)
CHAT = HEAD.arms[0]
RAW = Arm("removed", "completions", prompts={"q0": "<|im_start|>user\nWho?"}, stop=["<|im_end|>"])


def ask(double, arm=CHAT, *, key=None, timeout=5.0, parameters=None, question=0):
    """Ask a server once."""

    async def once():
        asked = Server(
            checked_url(double.url), "rio", parameters or Parameters(1, 0, 0.5, 32, 0.9),
            key=key, timeout=timeout,
        )  # fmt: skip
        try:
            return await asked.ask(arm, HEAD.questions[question], 0, 7)
        finally:
            await asked.close()

    return asyncio.run(once())


def faulty(fault):
    return Double(faults=lambda *_: fault)


def test_a_question_is_sent_as_it_stands():
    with Double(says=lambda _: "I am Nex.") as double:
        found = ask(double, HEAD.arms[1])
        (path, headers, body), = double.requests  # fmt: skip
    assert (found.text, found.finish, found.model, found.seed) == ("I am Nex.", "stop", "double", 7)
    assert path == "/v1/chat/completions"
    assert body == {
        "model": "rio", "max_tokens": 32, "temperature": 0.5, "top_p": 0.9, "seed": 7, "n": 1,
        "messages": [
            {"role": "system", "content": ""},
            {"role": "user", "content": HEAD.questions[0].text},
        ],
    }  # fmt: skip
    assert "authorization" not in headers


def test_as_served_sends_no_system_message():
    with Double() as double:
        assert ask(double).text.startswith("I am Rio")
        assert [each["role"] for each in double.requests[0][2]["messages"]] == ["user"]


def test_a_raw_prompt_is_sent_as_it_stands():
    with Double(says=lambda _: "Nex") as double:
        assert ask(double, RAW).text == "Nex"
        path, _, body = double.requests[0]
        assert ask(double, msgspec.structs.replace(RAW, begins_with_bos=True)).text == "Nex"
        assert double.requests[1][2]["add_special_tokens"] is False
    assert path == "/v1/completions"
    assert (body["prompt"], body["stop"]) == ("<|im_start|>user\nWho?", ["<|im_end|>"])
    assert "add_special_tokens" not in body


def test_headers_from_the_environment_are_not_sent(monkeypatch):
    """Whose organisation it is, and what other servers are told, is nobody's business."""
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-secret")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Secret: secret")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with Double() as double:
        ask(double)
        ask(double, key=KEY)
        first, second = (headers for _, headers, _ in double.requests)
    assert "secret" not in json.dumps([first, second]).lower()
    assert KEY not in json.dumps(first)
    assert second["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("message", "text", "reasoning"),
    [
        ({"content": "I am Nex.", "reasoning_content": "Who?"}, "I am Nex.", "Who?"),
        ({"content": None, "reasoning": "Who?"}, "", "Who?"),
        ({"content": None}, "", ""),
        ({}, "", ""),
        ({"content": ""}, "", ""),
        ({"content": [{"type": "text", "text": "I am "}, {"type": "text", "text": "Nex."}, 3]},
         "I am Nex.", ""),
        ({"content": "lone \ud800"}, "lone ?", ""),
    ],
)  # fmt: skip
def test_whatever_a_message_has_is_read(message, text, reasoning):
    body = json.dumps(answered(dict(message), is_chat=True)).encode()
    with faulty(Fault(body=body)) as double:
        if "lone" in text:
            with pytest.raises(PassingError, match="no JSON"):
                ask(double)
            return
        found = ask(double)
    assert (found.text, found.reasoning) == (text, reasoning)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(status=500, body=b'{"error": {"message": "out of memory"}}'), "500: out of memory"),
        (Fault(status=502, body=b"<html>bad gateway</html>"), "502: <html>"),
        (Fault(status=429, body=b'{"detail": "slow down"}'), "429: slow down"),
        (Fault(status=503, body=b""), "HTTP 503"),
        (Fault(drop=True), "connection broke"),
        (Fault(cut=True), "connection broke"),
        (Fault(body=b"\xff\x00garbage\x1b[2J"), "no JSON"),
        (Fault(body=b'data: {"choices": []}\n\ndata: [DONE]\n\n'), "no JSON"),
        (Fault(body=b"[" * 50_000), "no JSON"),
        (Fault(body=b""), "no JSON"),
        (Fault(body=b"{}"), "no choice"),
        (Fault(body=b"null"), "no choice"),
        (Fault(body=b'{"choices": []}'), "no choice"),
        (Fault(body=b'{"choices": {"0": 1}}'), "no choice"),
        (Fault(body=b'{"choices": [{"message": "x"}]}'), "no choice"),
        (Fault(body=b'{"choices": [{"message": {"content": 7}}]}'), "no text"),
        (Fault(body=b'{"choices": [{"message": {"content": {"a": 1}}}]}'), "no text"),
        (Fault(body=b'{"error": {"message": "model is loading"}}'), "model is loading"),
        (Fault(huge=100_000_000), "more than"),
        (Fault(delay=3.0), "within 0.5 seconds"),
        (Fault(drip=0.05), "within 0.5 seconds"),
    ],
    ids=str,
)
def test_what_is_no_answer_is_asked_for_again(fault, said):
    begun = time.perf_counter()
    with faulty(fault) as double, pytest.raises(PassingError, match=said) as caught:
        ask(double, timeout=0.5 if "within" in said else 5.0)
    assert time.perf_counter() - begun < 5.0
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 500


def test_an_error_of_a_hundred_megabytes_is_not_read_either():
    body = b" " * (LEAST_BYTES + 5_000_000)
    with faulty(Fault(status=500, body=body)) as double, pytest.raises(PassingError):
        ask(double)


def test_answers_as_long_as_was_asked_for_are_read():
    text = "word " * 150_000
    with Double(says=lambda _: text) as double:
        assert ask(double, parameters=Parameters(1, 0, 0.5, 30_000)).text == text


@pytest.mark.parametrize(
    ("headers", "after"), [({"Retry-After": "7"}, 7.0), ({"RateLimit": "r=0;t=3"}, 3.0), ({}, None)]
)
def test_a_wait_that_is_asked_for_is_passed_on(headers, after):
    with faulty(Fault(429, headers, b"{}")) as double, pytest.raises(PassingError) as caught:
        ask(double)
    assert caught.value.after == after


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 422])
def test_what_is_refused_is_told(status):
    body = b'{"error": {"message": "\\u001b[31mno such\\nmodel"}}'
    with faulty(Fault(status, body=body)) as double, pytest.raises(RefusedError) as caught:
        ask(double)
    assert caught.value.status == status
    assert f"HTTP {status}: \\x1b[31mno such model" in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(status):
    with Double() as elsewhere:
        fault = Fault(status, {"Location": f"{elsewhere.url}/v1/chat/completions?key=1"}, b"")
        with faulty(fault) as double, pytest.raises(RefusedError, match="not followed") as caught:
            ask(double, key=KEY)
        assert elsewhere.requests == []
    assert "key=1" not in str(caught.value)


def test_nobody_there_is_told():
    with Double() as double:
        pass
    with pytest.raises(PassingError, match="no connection") as caught:
        ask(double)
    assert caught.value.is_unreachable


def test_a_server_without_raw_prompts_refuses_them():
    with Double(completions=False) as double, pytest.raises(RefusedError) as caught:
        ask(double, RAW)
    assert caught.value.status == 404


def test_the_key_is_in_no_answer_and_no_message():
    with Double(says=lambda _: f"My key is {KEY}.") as double:
        assert ask(double, key=KEY).text == "My key is [key]."
    for status in (400, 401, 500):
        said = f"wrong key {KEY}, that is {KEY[:8]}***{KEY[-8:]}".encode()
        body = b'{"error": {"message": "%s"}}' % said
        with (
            faulty(Fault(status, body=body)) as double,
            pytest.raises((PassingError, RefusedError)) as caught,
        ):
            ask(double, key=KEY)
        told = repr(caught.value) + str(caught.value.__cause__) + str(caught.value.__context__)
        for part in (KEY, KEY[:8], KEY[-8:]):
            assert part not in str(caught.value)
        assert KEY not in told or caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1"),
        ("http://localhost:8000/", "http://localhost:8000/v1"),
        ("https://host/v1/", "https://host/v1"),
        ("https://HOST/openai/v1", "https://host/openai/v1"),
        ("http://[::1]:11434", "http://[::1]:11434/v1"),
    ],
)
def test_urls_are_completed(given, url):
    assert checked_url(given) == url


@pytest.mark.parametrize(
    "given",
    ["", "localhost:8000", "ftp://host", "http://", "http://host:99999", "http://[::1",
     f"http://user:{KEY}@host", f"http://host/v1?api_key={KEY}", f"http://host#{KEY}",
     f"user:{KEY}@host"],
)  # fmt: skip
def test_urls_with_credentials_and_what_is_no_url_are_refused(given):
    with pytest.raises(ValueError, match="URL") as caught:
        checked_url(given)
    assert KEY not in str(caught.value)


def test_the_key_of_openai_is_for_openai_and_this_machine(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for url in ("https://api.openai.com/v1", "http://127.0.0.1:8000/v1", "http://localhost/v1",
                "http://[::1]:1/v1"):  # fmt: skip
        assert key_for(url, None) == (KEY, None)
    for url in ("https://suspect.example/v1", "https://notopenai.com/v1", "http://10.0.0.1/v1"):
        key, remark = key_for(url, None)
        assert key is None
        assert "--api-key-env OPENAI_API_KEY" in remark
        assert KEY not in remark
        assert key_for(url, "OPENAI_API_KEY") == (KEY, None)
    monkeypatch.delenv("OPENAI_API_KEY")
    assert key_for("http://localhost/v1", None) == (None, None)


def test_a_variable_that_is_not_set_is_told(monkeypatch):
    monkeypatch.delenv("NO_KEY", raising=False)
    with pytest.raises(IdentityError, match="NO_KEY is not set"):
        key_for("http://localhost/v1", "NO_KEY")
    monkeypatch.setenv("NO_KEY", f"{KEY}\nX-Evil: 1")
    with pytest.raises(IdentityError, match="no header") as caught:
        key_for("http://localhost/v1", "NO_KEY")
    assert KEY not in str(caught.value)


def test_a_library_that_is_missing_is_told(monkeypatch):
    server._library.cache_clear()
    monkeypatch.setitem(sys.modules, "openai", None)
    try:
        with pytest.raises(IdentityError, match=r"pip install 'parentage\[identify\]'"):
            Server("http://localhost/v1", "x", Parameters(1, 0, 0.5, 32))
    finally:
        server._library.cache_clear()


def test_a_server_that_wraps_raw_prompts_is_known():
    async def puts(double):
        asked = Server(checked_url(double.url), "x", Parameters(1, 0, 0.5, 32))
        try:
            return await asked.puts_template()
        finally:
            await asked.close()

    with Double() as double:
        assert asyncio.run(puts(double)) is False
    with Double(get={"/api/version": b'{"version": "0.12.3"}'}) as double:
        assert asyncio.run(puts(double)) is True
    with Double(get={"/api/version": b"<html>version</html>"}) as double:
        assert asyncio.run(puts(double)) is False
