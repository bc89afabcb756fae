#!/usr/bin/env python3
"""How long a small file takes while 32 or 64 other transfers never come to an end.

`starve.py [BINARY]`; the release binary if none is named. Everything is on loopback: an index, a second server of files, and a
relay with its defaults. Each story begins with a relay of its own. Printed for each: the seconds of the good file at its server, and
through the relay, with the answers on the way (503s are asked again after `Retry-After`).
"""

import hashlib
import json
import socket
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import ROOT, Process

GOOD = b"a small file that is right"
LISTENING = r'"message":"listening","address":"([^"]+)"'
JSON = "application/vnd.pypi.simple.v1+json"


class Server(ThreadingHTTPServer):
    """`drip…` sends a byte each 5 s, `large…` more than sockets take, `good…` is there at once."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages, self.begun = {}, 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/"

    def files(self, kind, number):
        return [f"{self.url}files/{kind}{n}/{kind}-{n}.tar.gz" for n in range(number)]

    def page(self, project, urls, digests):
        def file(url):
            body = GOOD if "/good" in url else url.encode()
            hashes = {"sha256": hashlib.sha256(body).hexdigest()} if digests else {}
            return {"filename": url.rsplit("/", 1)[1], "url": url, "hashes": hashes}

        page = {"meta": {"api-version": "1.1"}, "name": project, "versions": [], "files": [file(url) for url in urls]}
        self.pages[f"/simple/{project}/"] = json.dumps(page).encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def head(self, kind, length):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def do_GET(self):
        last = self.path.rstrip("/").rsplit("/", 1)[1]
        kind = JSON if self.path.startswith("/simple/") else "application/octet-stream"
        try:
            if last.startswith("drip"):
                self.server.begun += 1
                self.head(kind, 1_000_000)
                while True:
                    self.wfile.write(b"{")
                    time.sleep(5)
            elif last.startswith("large"):
                self.server.begun += 1
                self.head(kind, 1 << 30)
                for _ in range(1 << 10):
                    self.wfile.write(bytes(1 << 20))
            else:
                empty = json.dumps({"meta": {"api-version": "1.1"}, "projects": []}).encode()
                body = GOOD if last.startswith("good") else self.server.pages.get(self.path, empty)
                self.head(kind, len(body))
                self.wfile.write(body)
        except OSError:
            self.close_connection = True


def get(url, client, accept="*/*"):
    request = urllib.request.Request(url, headers={"X-Forwarded-For": client, "Accept": accept})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return answer.read()


def at_relay(relay, project):
    page = json.loads(get(f"{relay}simple/{project}/", "192.0.2.1", JSON))
    return [file["url"] for file in page["files"]]


def ask(url, client):
    """A request whose answer nobody reads."""
    host, path = url.removeprefix("http://").split("/", 1)
    address, port = host.split(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((address, int(port)))
    connection.sendall(f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: {client}\r\n\r\n".encode())
    return connection


def timed(url):
    begun, answers = time.perf_counter(), []
    while True:
        try:
            assert get(url, "192.0.2.77") == GOOD
            return time.perf_counter() - begun, answers + [200]
        except urllib.error.HTTPError as error:
            answers.append(error.code)
            time.sleep(int(error.headers["Retry-After"]))


def story(binary, kind, number, apart, gone, same):
    index, elsewhere = Server(), Server()
    where = index if same else elsewhere
    index.page("stuck", index.files(kind, number), kind == "drip")
    index.page("fine", where.files("good", 1), kind == "drip")
    with tempfile.TemporaryDirectory() as folder:
        flags = ["--upstream", index.url, "--data", folder, "--listen", "127.0.0.1:0"]
        # Who never reads is not waited for at the end.
        own = ["clients.trusted_proxies=127.0.0.1", "upstream.allowed_hosts=127.0.0.1", "follow.enabled=false"]
        for setting in [*own, "log.format=json", "http.drain=1s"]:
            flags += ["--set", setting]
        with Process([str(binary), "serve", *flags], "stderr") as process:
            relay = f"http://{process.address(LISTENING)}/"
            stuck, fine = at_relay(relay, "stuck"), at_relay(relay, "fine")
            clients = [ask(url, f"10.0.0.{n + 1}" if apart else "10.0.0.1") for n, url in enumerate(stuck)]
            while index.begun < min(number, 64 if kind == "large" else 32) // 2:
                time.sleep(0.05)
            if gone:
                for client in clients:
                    client.close()
            direct, _ = timed(where.files("good", 1)[0])
            through, answers = timed(fine[0])
            who = "one client" if not apart else f"{number} clients"
            print(
                f"{number} {kind} of {who}{', gone' if gone else ''}; a good file of {'the same' if same else 'another'} host: "
                f"direct {direct:.3f} s, relay {through:.3f} s {answers}",
                flush=True,
            )


def main():
    binary = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "target/release/cheesewire"
    for kind, number in (("drip", 32), ("drip", 64), ("large", 64)):
        for same in (False, True):
            for apart, gone in ((False, True), (False, False), (True, False)):
                story(binary, kind, number, apart, gone, same)


main()
