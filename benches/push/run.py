#!/usr/bin/env python3
"""A pushed file beside the loopback itself. Prints a Markdown table.

    benches/push/run.py [--rounds N] [--size MIB] [--binary PATH]

Builds the release binary unless one is named; needs Python 3. This program is the index, which refuses every file, and the master, which posts
the form of each file that the relay asks for. In each round the same bytes go to a socket that only reads them and then to the relay, which
hashes them, writes them, and answers once the file is synchronised; a ratio is the median of the rounds' ratios. The relay and the socket's
reader have one core, who posts the other. `first byte` is the time from a client's request until it has a byte of the file, the question and
both requests of the master's included.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import queue
import random
import socket
import statistics
import sys
import tempfile
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import ANSWERS, Process, built

MIB = 1 << 20
GOAL = 0.8
BOUNDARY = "0123456789abcdef0123"


def content(size, n):
    return random.Random(n).randbytes(size)


class Index(BaseHTTPRequestHandler):
    """The index and the master: pages, refused files, and questions, which go to a queue."""

    protocol_version = "HTTP/1.1"
    files, questions = {}, queue.Queue()

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/pypi":
            self.questions.put(urllib.parse.parse_qs(url.query)["secret"][0])
            return self.answer(204, b"")
        if url.path == "/simple/":
            return self.page({"projects": [{"name": "bench"}]})
        if url.path == "/simple/bench/":
            files = [
                {"filename": name, "url": f"/packages/{name}", "size": len(body), "hashes": {"sha256": digest}}
                for name, (body, digest) in self.files.items()
            ]
            return self.page({"name": "bench", "versions": [], "files": files})
        self.answer(403 if url.path.startswith("/packages/") else 404, b"")

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(404, b"")

    def page(self, value):
        self.answer(200, json.dumps({"meta": {"api-version": "1.1"}, **value}).encode(), "application/vnd.pypi.simple.v1+json")

    def answer(self, status, body, kind="text/plain"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def read_all(listener):
    """A socket that only reads: as many bytes as the first eight say, then one byte back."""
    if cores := [word for word in ANSWERS if word.isdigit()]:
        os.sched_setaffinity(0, {int(cores[0])})
    buffer = bytearray(MIB)
    while True:
        connection, _ = listener.accept()
        with connection:
            left = int.from_bytes(connection.recv(8, socket.MSG_WAITALL), "big")
            while left > 0 and (n := connection.recv_into(buffer)):
                left -= n
            connection.sendall(b"x")


def bare(port, body):
    """Seconds until a reader has all of it."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        begun = time.perf_counter()
        connection.sendall(len(body).to_bytes(8, "big") + body)
        connection.recv(1)
        return time.perf_counter() - begun


def request(port, head, body=b""):
    """The head and the rest of an answer."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head.encode() + b"\r\nHost: mirror.test\r\nConnection: close\r\n\r\n")
        connection.sendall(body)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        head, _, rest = answer.partition(b"\r\n\r\n")
        return head.decode(), rest


def form(secret, name, body):
    """As the old master sends it."""
    part = lambda key, value: f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
    head = part("secret", secret) + part("path", name) + part("present", 1)
    head += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return head.encode() + body + f"\r\n--{BOUNDARY}\r\n".encode()


def client(port, name, seconds):
    """Gets the file as an installer does; the time to its first byte."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        begun = time.perf_counter()
        connection.sendall(f"GET /packages/{name} HTTP/1.1\r\nHost: mirror.test\r\nConnection: close\r\n\r\n".encode())
        connection.recv(1)
        seconds.append(time.perf_counter() - begun)
        while connection.recv(MIB):
            pass


def pushed(port, name, body):
    """Seconds from the first byte of the upload to its answer, and to a client's first byte from its request."""
    first = []
    waiting = threading.Thread(target=client, args=(port, name, first))
    waiting.start()
    secret = Index.questions.get(timeout=60)
    _, lines = request(port, f"GET /mkupload/{secret} HTTP/1.1")
    address = urllib.parse.urlsplit(lines.decode().split("\n")[1]).path
    whole = form(secret, name, body)
    head = f"POST {address} HTTP/1.1\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {len(whole)}"
    begun = time.perf_counter()
    answer, rest = request(port, head, whole)
    seconds = time.perf_counter() - begun
    if " 302 " not in answer.split("\r\n")[0]:
        sys.exit(f"{name}: {answer}\n{rest.decode()}")
    waiting.join()
    return seconds, first[0]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--size", type=int, default=64, help="MiB")
    arguments.add_argument("--binary", type=Path)
    given = arguments.parse_args()
    binary = given.binary or built("--bin", "cheesewire")
    for n in range(given.rounds):
        body = content(given.size * MIB, n)
        Index.files[f"bench-{n}.tar.gz"] = (body, hashlib.sha256(body).hexdigest())
    index = ThreadingHTTPServer(("127.0.0.1", 0), Index)
    threading.Thread(target=index.serve_forever, daemon=True).start()
    there = f"http://127.0.0.1:{index.server_port}/"
    listener = socket.create_server(("127.0.0.1", 0))
    multiprocessing.get_context("fork").Process(target=read_all, args=(listener,), daemon=True).start()
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        command = [*ANSWERS, binary, "serve", "--listen", "127.0.0.1:0", "--upstream", there, "--data", folder]
        for setting in ["log.format=json", f"push.from={there}", "push.host=mirror.test", "upstream.retries=0"]:
            command += ["--set", setting]
        with Process(command, "stderr") as relay:
            port = int(relay.address(r'"message":"listening","address":"[^"]+:(\d+)"'))
            for name, (body, _) in Index.files.items():
                loopback = bare(listener.getsockname()[1], body)
                seconds, first = pushed(port, name, body)
                rounds.append((len(body) / loopback / 1e6, len(body) / seconds / 1e6, loopback / seconds, first * 1e3))
            peak = relay.peak()
    loopback, push, ratio, first = (statistics.median(column) for column in zip(*rounds))
    low, high = min(row[2] for row in rounds), max(row[2] for row in rounds)
    print(f"| {given.size} MiB pushed | loopback | times | goal | first byte | memory |\n|---|---|---|---|---|---|")
    missed = "" if ratio >= GOAL else ", missed"
    print(f"| {push:.0f} MB/s | {loopback:.0f} MB/s | {ratio:.2f} ({low:.2f} to {high:.2f}) | {GOAL}{missed} | {first:.1f} ms | {peak:.0f} MiB |")


if __name__ == "__main__":
    main()
