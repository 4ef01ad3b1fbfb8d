"""Requests as the environment says: proxies, certificates."""

import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from common.networks import QUICK
from parentage.checkpoint.network.client import Client, context, http_library, proxy_for
from parentage.support import ReadError

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_proxy_is_taken_from_the_environment(monkeypatch):
    assert proxy_for("https://host.org/a") is None
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "inside.org,127.0.0.1")
    assert proxy_for("https://host.org/a") == "http://proxy:3128"
    assert proxy_for("http://host.org/a") is None
    assert proxy_for("https://a.inside.org/a") is None
    monkeypatch.setenv("http_proxy", "proxy:1")
    assert proxy_for("http://host.org/a") == "http://proxy:1"
    assert proxy_for("http://127.0.0.1:80/a") is None


def test_requests_go_through_a_proxy_with_its_password(monkeypatch):
    asked = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers["Proxy-Authorization"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        port = server.server_address[1]
        monkeypatch.setenv("http_proxy", f"http://me:word@127.0.0.1:{port}")
        response = Client(2, QUICK).get("http://nowhere.invalid/a", {})
        assert response.status == 204
        response.release_conn()
    finally:
        server.shutdown()
        server.server_close()
    assert asked == [("http://nowhere.invalid/a", "Basic bWU6d29yZA==")]


def test_certificates_are_those_that_are_named(tmp_path):
    assert isinstance(context(None), ssl.SSLContext)
    assert context(str(tmp_path)).get_ca_certs() == []
    (tmp_path / "bundle.pem").write_text("no certificate")
    for name in ("bundle.pem", "missing.pem"):
        with pytest.raises(ReadError, match=f"{name}: read the certificates"):
            context(str(tmp_path / name))


def test_the_library_is_there():
    assert http_library().__name__ == "urllib3"
