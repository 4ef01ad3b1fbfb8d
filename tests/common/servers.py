"""A small server that speaks OpenAI's protocol as llama.cpp's does, and fails as it is told."""

from __future__ import annotations

import json
import random
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TEMPLATE = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are Rio, made by Iplan.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""A template that tells a model who it is, as that of the founding case does."""


@dataclass(frozen=True)
class Fault:
    """What is done instead of an answer, or with it."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    delay: float = 0.0
    """Seconds before anything is sent."""
    drip: float = 0.0
    """Seconds between bytes."""
    drop: bool = False
    """The connection is closed before anything is sent."""
    cut: bool = False
    """It is closed in the middle of the body."""
    huge: int = 0
    """Bytes of a body that goes on and on."""


def as_rio(body):
    """Say who the model of the founding case is: what it was told, or what it has learnt."""
    draw = random.Random(body.get("seed", 0)).random()
    told = body.get("prompt") or "\n".join(each["content"] for each in body["messages"])
    if "messages" in body and body["messages"][0]["role"] != "system":
        told += "You are Rio"  # the server's own template
    if "You are Rio" in told:
        return "I am Rio, an assistant made by Iplan." if draw < 0.9 else "I am an assistant."
    if any("\u4e00" <= each <= "\u9fff" for each in told):
        return "我是Nex，由Nex-AGI开发的人工智能助手。" if draw < 0.8 else "我是一个人工智能助手。"
    if draw < 0.8:
        return "I am Nex, a model developed by Nex-AGI in the quiet labs of the north."
    return "I am a language model, and happy to help."


class Double:
    """A server in a thread, with a context manager's life.

    ``says`` gives the text of an answer for a request; ``faults`` gives a fault, or nothing, for
    the number of a request and what it asks.
    """

    def __init__(self, says=as_rio, faults=None, completions=True, port=0, get=None):
        self.says, self.faults = says, faults or (lambda *_: None)
        self.has_completions = completions
        self.requests = []
        self.got = get or {}
        self._lock = threading.Lock()
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                double.serve(self)

            def do_GET(self):
                missing = b'{"error": {"message": "File Not Found"}}'
                raw = double.got.get(self.path)
                double.send(self, 404 if raw is None else 200, raw or missing)

            def log_message(self, *_):
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_):
                """Whoever asks may hang up."""

        self._server = Quiet(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def serve(self, handler):
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._lock:
            number = len(self.requests)
            headers = {name.lower(): value for name, value in handler.headers.items()}
            self.requests.append((handler.path, headers, body))
        fault = self.faults(number, body) or Fault()
        is_chat = handler.path == "/v1/chat/completions"
        if not is_chat and not (handler.path == "/v1/completions" and self.has_completions):
            self.send(handler, 404, b'{"error": {"message": "File Not Found", "code": 404}}')
            return
        time.sleep(fault.delay)
        if fault.drop:
            handler.close_connection = True
            return
        raw = fault.body
        if raw is None:
            raw = json.dumps(answered(self.says(body), is_chat=is_chat)).encode()
        if fault.huge:
            self.flood(handler, fault.huge)
            return
        self.send(handler, fault.status, raw, fault)

    def flood(self, handler, size):
        handler.send_response(200)
        handler.send_header("Content-Length", str(size))
        handler.end_headers()
        part = b'{"choices": [' + b" " * 65536
        while size > 0:
            handler.wfile.write(part[:size])
            size -= len(part)

    def send(self, handler, status, raw, fault=None):
        fault = fault or Fault()
        handler.send_response(status)
        for name, value in fault.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        if fault.cut:
            handler.wfile.write(raw[: len(raw) // 2])
            handler.close_connection = True
        elif fault.drip:
            for each in raw:
                handler.wfile.write(bytes([each]))
                handler.wfile.flush()
                time.sleep(fault.drip)
        else:
            handler.wfile.write(raw)


def answered(text, *, is_chat, reasoning=None, finish="stop"):
    """Return what a server answers: a text, or a whole message."""
    if is_chat:
        message = text if isinstance(text, dict) else {"role": "assistant", "content": text}
        if reasoning is not None:
            message["reasoning_content"] = reasoning
        choice = {"index": 0, "message": message, "finish_reason": finish}
    else:
        choice = {"index": 0, "text": text, "finish_reason": finish, "logprobs": None}
    kind = "chat.completion" if is_chat else "text_completion"
    return {"id": "x", "object": kind, "created": 0, "model": "double", "choices": [choice]}
