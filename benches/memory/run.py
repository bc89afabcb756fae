#!/usr/bin/env python3
"""What a relay takes in memory, and how long it takes, at what is largest and oddest.

    benches/memory/run.py                                # builds the release binary
    benches/memory/run.py --binary target/debug/cheesewire --only hosts,lists

An index in this script serves pages of many files, many hosts ask for them at once, and odd documents of 60 MB come from it. Each
case has a relay of its own on one core. It follows nothing but in the last case, in which it reads all of these pages by itself
as well. The table has the time of the first answer, the longest time of a small page meanwhile, the peak of resident memory, and
what is resident afterwards (the relay's heap, without the mapped files) with the seconds until that was under the limit.
Needs Python 3 and nothing else. Ends with 1 if a case passes 500 MB, or keeps more than 200 for 30 s.
"""

import argparse
import http.client
import http.server
import json
import re
import resource
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import built, serve

SIMPLE = "application/vnd.pypi.simple.v1+json"
PEAK, LEFT, SETTLED = 500, 200, 30
MIB = 1.048576
ODD = 60_000_000


def file(project, at):
    name = f"{project}-1.{at}.0-py3-none-any.whl"
    return (f'{{"filename":"{name}","url":"/packages/aa/{at % 97}/{name}","hashes":{{"sha256":"{at:064x}"}},"requires-python":">=3.8",'
            f'"size":{at + 1},"upload-time":"2026-01-31T23:59:59.000000Z","yanked":false,"core-metadata":{{"sha256":"{at:064x}"}}}}')


def page(project, files):
    all_files = ",".join(file(project, at) for at in range(files))
    return f'{{"meta":{{"api-version":"1.1"}},"name":"{project}","files":[{all_files}]}}'.encode()


def short(project, files):
    """As many files as fit into 64 MiB."""
    all_files = ",".join(f'{{"filename":"{project}-{at}.zip","url":"{project}-{at}.zip"}}' for at in range(files))
    return f'{{"meta":{{"api-version":"1.0"}},"name":"{project}","files":[{all_files}]}}'.encode()


def repeated(value, before, after):
    return before + b",".join([value] * (ODD // (len(value) + 1))) + after


PAGES = {
    # 16.8 MB as it is given out.
    "hosts": lambda: page("hosts", 35_000),
    "wide": lambda: page("wide", 100_000),
    "million": lambda: short("million", 1_000_000),
    "lists": lambda: repeated(b"[]", b'{"meta":{},"files":[],"versions":[', b"]}"),
    "objects": lambda: repeated(b"{}", b'{"meta":{},"files":[', b"]}"),
    "text": lambda: b'{"meta":{},"files":[],"x":"' + b"x" * ODD + b'"}',
    "versions": lambda: repeated(b'"1"', b'{"meta":{},"files":[],"versions":[', b"]}"),
    "members": lambda: b'{"meta":{},"files":[{' + b",".join(b'"%d":0' % at for at in range(4_800_000)) + b"}]}",
    "attributes": lambda: b"<title>Links</title><a href=a-1.zip " + b" ".join(b"x%d=1" % at for at in range(5_000_000)) + b">a</a>",
    "releases": lambda: page("releases", 5_000),
    "small": lambda: page("small", 3),
}
DOCUMENTS = {
    "lists": lambda: repeated(b"[]", b'{"info":{},"urls":[],"x":[', b"]}"),
    "objects": lambda: repeated(b"{}", b'{"info":{},"urls":[],"x":[', b"]}"),
    "text": lambda: b'{"info":{},"urls":[],"x":"' + b"x" * ODD + b'"}',
}


class Index(http.server.BaseHTTPRequestHandler):
    """An index without XML-RPC and without a changelog. What was made once is kept for the next relay."""

    protocol_version = "HTTP/1.1"
    made = {}
    given = set()
    lock = threading.Lock()

    def do_GET(self):
        parts = self.path.strip("/").split("/")
        kind, makers = (SIMPLE, PAGES) if parts[0] == "simple" else ("application/json", DOCUMENTS)
        if parts[-1] == "attributes":
            kind = "text/html"
        if parts == ["simple"]:
            listing = {"meta": {"api-version": "1.1"}, "projects": [{"name": name} for name in PAGES]}
            return self.answer(200, SIMPLE, json.dumps(listing).encode())
        name = parts[1] if len(parts) > 1 else ""
        if name not in makers or (parts[0] == "pypi" and len(parts) != 3):
            return self.answer(404, "text/plain", b"none\n")
        with self.lock:
            if (parts[0], name) not in self.made:
                # The largest are made for one case each.
                self.made.clear()
                self.made[parts[0], name] = makers[name]()
            body = self.made[parts[0], name]
        self.answer(200, kind, body)
        self.given.add((parts[0], name))

    def do_HEAD(self):
        self.answer(404, "text/plain", b"")

    do_POST = do_HEAD

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass

    def log_message(self, *_):
        pass


class Relay:
    """A relay and what the kernel says of it."""

    def __init__(self, binary, index, folder, follows):
        settings = ["search.crawl=false", "upstream.answer_timeout=10m", f"follow.enabled={str(follows).lower()}"]
        self.process, calls = serve(binary, index, folder, settings)
        self.host = calls.removeprefix("http://").removesuffix("/pypi")
        self.slowest, self.done = 0.0, threading.Event()

    def get(self, path, host=None, gzip=False, accept=SIMPLE, timeout=600):
        connection = http.client.HTTPConnection(self.host, timeout=timeout)
        headers = {"accept": accept, "host": host or self.host}
        if gzip:
            headers["accept-encoding"] = "gzip"
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            length = 0
            while chunk := answer.read(1 << 16):
                length += len(chunk)
            return answer.status, length
        except OSError as error:
            return type(error).__name__, 0
        finally:
            connection.close()

    def whole(self, path):
        """Asks until there is an answer that is not "come back": the status, and the seconds that it took."""
        begun = time.perf_counter()
        for _ in range(120):
            status, length = self.get(path)
            if status != 503:
                break
            time.sleep(0.2)
        return status, length, time.perf_counter() - begun

    def watch(self):
        """The longest time of a small page, until `done`."""
        while not self.done.is_set():
            begun = time.perf_counter()
            self.get("/simple/small/")
            self.slowest = max(self.slowest, time.perf_counter() - begun)
            time.sleep(0.02)

    def anonymous(self):
        status = Path(f"/proc/{self.process.child.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+)", status).group(1)) * 1024 / 1e6


def at_once(relay, asks):
    threads = [threading.Thread(target=relay.get, args=ask) for ask in asks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def hosts(relay):
    """A page of 16.8 MB for 100 hosts at once, plain and compressed."""
    first = relay.whole("/simple/hosts/")
    for gzip in False, True:
        at_once(relay, [("/simple/hosts/", f"host-{at}.test", gzip) for at in range(100)])
    return first


def odd(name):
    def case(relay):
        first = relay.whole(f"/simple/{name}/")
        relay.whole(f"/pypi/{name}/json")
        return first
    case.__doc__ = f"A page and a document of 60 MB: {name}."
    return case


def whole(name):
    def case(relay):
        return relay.whole(f"/simple/{name}/")
    return case


def releases(relay):
    """A document made of a page of 5,000 releases."""
    return relay.whole("/pypi/releases/json")


def names(relay):
    """10,000 unknown names."""
    for begin in range(0, 10_000, 100):
        at_once(relay, [(f"/simple/unknown-{at}/",) for at in range(begin, begin + 100)])
    return relay.whole("/simple/unknown-0/")


def idle(relay):
    """As many idle connections as this machine's limit allows, from several addresses."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    host, port = relay.host.rsplit(":", 1)
    begun, connections = time.perf_counter(), []
    try:
        for at in range(hard - 100):
            connections.append(socket.create_connection((host, int(port)), timeout=10,
                                                        source_address=(f"127.0.0.{1 + at // 20_000}", 0)))
    except OSError:
        pass
    seconds = time.perf_counter() - begun
    relay.idle = len(connections)
    time.sleep(2)
    for connection in connections:
        connection.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return f"{len(connections)} open", 0, seconds


def followed(relay):
    """An index without serials that has all of these pages: each is read by the follower."""
    begun = time.perf_counter()
    pages = {("simple", name) for name in PAGES}
    while not pages <= Index.given and time.perf_counter() < begun + 300:
        time.sleep(0.5)
    # The last may still be read.
    time.sleep(10)
    return f"{len(pages & Index.given)} pages", 0, time.perf_counter() - begun


# Pages of 1,000,000 and of 100,000 files, and 60 MB of versions, of one file's members and of one link's attributes.
WHOLE = {name: whole(name) for name in ("million", "wide", "versions", "members", "attributes")}
CASES = {"hosts": hosts, "lists": odd("lists"), "objects": odd("objects"), "text": odd("text"), **WHOLE,
         "releases": releases, "names": names, "idle": idle, "followed": followed}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", help="instead of building one")
    parser.add_argument("--only", help=f"some of {','.join(CASES)}")
    arguments = parser.parse_args()
    binary = arguments.binary or built("--bin", "cheesewire")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    index = f"http://127.0.0.1:{server.server_port}/"
    print(f"{'case':<10} {'answer':>10} {'bytes':>12} {'first s':>8} {'others s':>8} {'peak MB':>9} {'left MB':>9} {'after s':>8}")
    failed = False
    for name in arguments.only.split(",") if arguments.only else CASES:
        with tempfile.TemporaryDirectory() as folder:
            Index.given.clear()
            relay = Relay(binary, index, folder, name == "followed")
            with relay.process:
                relay.whole("/simple/small/")
                others = threading.Thread(target=relay.watch)
                others.start()
                status, length, seconds = CASES[name](relay)
                relay.done.set()
                others.join()
                peak, ended = relay.process.peak() * MIB, time.monotonic()
                left = relay.anonymous()
                while left > LEFT and time.monotonic() < ended + SETTLED:
                    time.sleep(0.5)
                    left = relay.anonymous()
                after = time.monotonic() - ended
                print(f"{name:<10} {status:>10} {length:>12,} {seconds:>8.2f} {relay.slowest:>8.2f} {peak:>9.0f} {left:>9.0f} {after:>8.1f}",
                      flush=True)
                failed |= peak > PEAK or left > LEFT
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
