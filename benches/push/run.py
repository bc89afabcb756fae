#!/usr/bin/env python3
"""A pushed file beside the loopback itself, and beside the least that has to be done. Prints Markdown tables.

    benches/push/run.py [--rounds N] [--size MIB] [--binary PATH]

Builds the release binary unless one is named; needs Python 3. This program is the index, which refuses every file, and the master, which posts
the form of each file that the relay asks for. In each round the same bytes go three ways: to a socket that only reads them; to one that
reads, hashes, writes and synchronises them, which is the least that a relay has to do before it answers; and to the relay, once with a client
that follows to the end, which the relay sends all of the file at the same time, and once with one that leaves after the first byte. A ratio is
the median of the rounds' ratios. The relay and the readers have one core, who posts the other. `first byte` is the time from a client's request
until it has a byte of the file, the question and both requests of the master's included.

`--as-before` measures as it was done first: the beginning of the bytes is joined to them, a copy of all of them, while the clock of the loopback
runs; the relay makes its key of signatures on its core meanwhile; and this program may run on both cores.
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
from common import ANSWERS, ASKS, Process, built, unsigned

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
                {"filename": name, "url": f"/packages/{name}", "size": size, "hashes": {"sha256": digest}}
                for name, (size, digest) in self.files.items()
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


def stay(words):
    """Keeps this process on the core that the words name, if any."""
    if cores := [word for word in words if word.isdigit()]:
        os.sched_setaffinity(0, {int(cores[0])})


def read_all(listener, folder):
    """Sockets that read as many bytes as the first eight say, then send one byte back; with a folder they are hashed and kept there first."""
    stay(ANSWERS)
    buffer = bytearray(MIB)
    view = memoryview(buffer)
    while True:
        connection, _ = listener.accept()
        with connection, tempfile.TemporaryFile(dir=folder) as file:
            left, digest = int.from_bytes(connection.recv(8, socket.MSG_WAITALL), "big"), hashlib.sha256()
            while left > 0 and (n := connection.recv_into(buffer)):
                left -= n
                if folder:
                    digest.update(view[:n])
                    os.write(file.fileno(), view[:n])
            if folder:
                os.fsync(file.fileno())
            connection.sendall(b"x")


def reader(folder=None):
    """The port of a process that reads."""
    listener = socket.create_server(("127.0.0.1", 0))
    multiprocessing.get_context("fork").Process(target=read_all, args=(listener, folder), daemon=True).start()
    return listener.getsockname()[1]


def bare(port, body, joined):
    """Seconds until a reader has all of it. `joined`: the length is joined to the bytes first, and that is measured too."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        begun = time.perf_counter()
        length = len(body).to_bytes(8, "big")
        for piece in [length + body] if joined else [length, body]:
            connection.sendall(piece)
        connection.recv(1)
        return time.perf_counter() - begun


def request(port, head, *body):
    """The head and the rest of an answer; the body is sent in these pieces."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head.encode() + b"\r\nHost: mirror.test\r\nConnection: close\r\n\r\n")
        for piece in body:
            connection.sendall(piece)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        head, _, rest = answer.partition(b"\r\n\r\n")
        return head.decode(), rest


def form(secret, name, body):
    """As the old master sends it, in pieces: to join them would copy the file, while a client waits."""
    part = lambda key, value: f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
    head = part("secret", secret) + part("path", name) + part("present", 1)
    head += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return head.encode(), body, f"\r\n--{BOUNDARY}\r\n".encode()


def client(port, name, seconds, follows):
    """Gets the file as an installer does, or leaves after a byte of it; the time to that."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        begun = time.perf_counter()
        connection.sendall(f"GET /packages/{name} HTTP/1.1\r\nHost: mirror.test\r\nConnection: close\r\n\r\n".encode())
        connection.recv(1)
        seconds.append(time.perf_counter() - begun)
        while follows and connection.recv(MIB):
            pass


def pushed(port, name, body, follows):
    """Seconds from the first byte of the upload to its answer, and to a client's first byte from its request."""
    first = []
    waiting = threading.Thread(target=client, args=(port, name, first, follows))
    waiting.start()
    secret = Index.questions.get(timeout=60)
    _, lines = request(port, f"GET /mkupload/{secret} HTTP/1.1")
    address = urllib.parse.urlsplit(lines.decode().split("\n")[1]).path
    whole = form(secret, name, body)
    head = f"POST {address} HTTP/1.1\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {sum(map(len, whole))}"
    begun = time.perf_counter()
    answer, rest = request(port, head, *whole)
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
    arguments.add_argument("--as-before", action="store_true", help="only the first ratio, as it was measured first")
    given = arguments.parse_args()
    binary = given.binary or built("--bin", "cheesewire")
    for n in range(given.rounds * 2):
        body = content(given.size * MIB, n)
        Index.files[f"bench-{n}.tar.gz"] = (len(body), hashlib.sha256(body).hexdigest())
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        reads, keeps = reader(), reader(folder)
        if not given.as_before:
            stay(ASKS)
        index = ThreadingHTTPServer(("127.0.0.1", 0), Index)
        threading.Thread(target=index.serve_forever, daemon=True).start()
        there = f"http://127.0.0.1:{index.server_port}/"
        command = [*ANSWERS, binary, "serve", "--listen", "127.0.0.1:0", "--upstream", there, "--data", f"{folder}/data"]
        settings = [] if given.as_before else unsigned(binary)
        for setting in ["log.format=json", f"push.from={there}", "push.host=mirror.test", "upstream.retries=0", *settings]:
            command += ["--set", setting]
        with Process(command, "stderr") as relay:
            port = int(relay.address(r'"message":"listening","address":"[^"]+:(\d+)"'))
            for n in range(given.rounds):
                body = content(given.size * MIB, n)
                loopback = bare(reads, body, given.as_before)
                followed, first = pushed(port, f"bench-{n}.tar.gz", body, True)
                if given.as_before:
                    rounds.append([loopback, followed, 0, 0, first])
                    continue
                least = bare(keeps, body, False)
                other = given.rounds + n
                alone, _ = pushed(port, f"bench-{other}.tar.gz", content(given.size * MIB, other), False)
                rounds.append([loopback, followed, least, alone, first])
            peak = relay.peak()
    report(given, rounds, peak)


def report(given, rounds, peak):
    """Prints the tables."""
    loopback, followed, least, alone, first = zip(*rounds)
    speed = lambda seconds: f"{given.size * MIB / statistics.median(seconds) / 1e6:.0f} MB/s"

    def times(one, other):
        ratios = [a / b for a, b in zip(one, other)]
        return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"

    missed = "" if statistics.median(a / b for a, b in zip(loopback, followed)) >= GOAL else ", missed"
    print(f"| {given.size} MiB pushed | loopback | times | goal | first byte | memory |\n|---|---|---|---|---|---|")
    first = f"{statistics.median(first) * 1e3:.1f} ms"
    print(f"| {speed(followed)} | {speed(loopback)} | {times(loopback, followed)} | {GOAL}{missed} | {first} | {peak:.0f} MiB |")
    if given.as_before:
        return
    print(f"\n| nobody follows | read, hashed, written, synchronised | times | beside the loopback |\n|---|---|---|---|")
    print(f"| {speed(alone)} | {speed(least)} | {times(least, alone)} | {times(loopback, alone)} |")


if __name__ == "__main__":
    main()
