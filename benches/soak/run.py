#!/usr/bin/env python3
"""A soak: whatever clients do and however upstream fails, memory, descriptors and threads stay flat.

    benches/soak/run.py                  # 30 minutes
    benches/soak/run.py --minutes 5

Builds the release binary. A relay stands before a sandbox that publishes, removes and fails at random; clients call, read pages,
download, take parts, and leave in the middle. Each whole file is compared with its digest. Needs Python 3 and nothing else;
--seed makes the clients do the same again. Ends with 1 if something grew, a file was wrong, or a task of the relay ended.
"""

import argparse
import collections
import hashlib
import http.client
import json
import random
import re
import statistics
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
import xmlrpc.client
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import PATIENCE, Process, built

JSON = "application/vnd.pypi.simple.v1+json"
ROUTES = ["listing", "page", "json", "file", "metadata", "provenance", "rpc"]
# The first part of the time fills caches and is not compared.
WARM = 1 / 4
# What may be more at the end than after the warm-up: in part, and in MiB or in number.
GROWTH = {"memory": (0.15, 16), "descriptors": (0.2, 24), "threads": (0, 4)}


class Relay:
    """What the kernel and the relay itself say of it."""

    def __init__(self, process, host):
        self.process, self.host = process, host
        self.folder = Path(f"/proc/{process.child.pid}")

    def sample(self):
        status = (self.folder / "status").read_text()
        return {"memory": int(re.search(r"RssAnon:\s+(\d+)", status).group(1)) / 1024,
                "descriptors": len(list((self.folder / "fd").iterdir())),
                "threads": int(re.search(r"Threads:\s+(\d+)", status).group(1))}

    def metric(self, name):
        text = urllib.request.urlopen(f"http://{self.host}/metrics", timeout=PATIENCE).read().decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                   if re.match(rf"{name}(\{{|\s)", line))


class Client(threading.Thread):
    """Does one thing after the other, as clients do that have no patience."""

    def __init__(self, host, seed, until, counts):
        super().__init__(daemon=True)
        self.host, self.random, self.until, self.counts = host, random.Random(seed), until, counts
        self.wrong, self.files, self.serial = [], [], 0

    def run(self):
        deeds = [self.call, self.page, self.file, self.part, self.document, self.unknown, self.search, self.leave, self.feed]
        while time.monotonic() < self.until:
            deed = self.random.choice(deeds)
            try:
                outcome = deed()
            except xmlrpc.client.Fault as fault:
                outcome = f"fault {fault.faultCode}"
            except xmlrpc.client.ProtocolError as error:
                outcome = str(error.errcode)
            except http.client.IncompleteRead:
                outcome = "cut"
            except (OSError, http.client.HTTPException) as error:
                outcome = type(error).__name__
            self.counts[deed.__name__, outcome or "done"] += 1
            if outcome == "500":
                self.wrong.append(f"{deed.__name__}: 500")

    def get(self, path, **headers):
        """Status and body; the connection is another each time, as those of most tools."""
        connection = http.client.HTTPConnection(self.host, timeout=30)
        try:
            connection.request("GET", urllib.parse.quote(path, safe="/%?=&:+"), headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def call(self):
        proxy = xmlrpc.client.ServerProxy(f"http://{self.host}/pypi")
        name = self.random.choice(self.names())
        with proxy:
            kind = self.random.randrange(6)
            if kind == 0:
                events = proxy.changelog_since_serial(self.serial)
                self.serial = events[-1][4] if events and self.random.random() < 0.9 else 0
            elif kind == 1:
                proxy.changelog(int(time.time()) - self.random.randrange(100_000))
            elif kind == 2:
                proxy.release_data(name, "1.0")
            elif kind == 3:
                proxy.package_releases(name, True)
            elif kind == 4:
                proxy.user_packages(f"user-{self.random.randrange(10_000)}")
            else:
                proxy.list_packages_with_serial()

    def names(self):
        return ["wire-core", "wire-top", "wire-big", "sdist-only", "wheel-only", "gone", "Wire.Core"]

    def page(self):
        status, body = self.get("/simple/", Accept=JSON)
        if status != 200:
            return str(status)
        name = self.random.choice(json.loads(body)["projects"])["name"]
        status, body = self.get(f"/simple/{name}/", Accept=JSON)
        if status == 200:
            self.files = (self.files + json.loads(body)["files"])[-200:]
        return str(status)

    def link(self):
        if not self.files:
            self.page()
        file = self.random.choice(self.files)
        return urllib.parse.urlsplit(file["url"]).path, file["hashes"].get("sha256"), file.get("size")

    def file(self):
        path, sha256, _ = self.link()
        status, body = self.get(path)
        if status == 200 and sha256 and hashlib.sha256(body).hexdigest() != sha256:
            self.wrong.append(f"{path}: a wrong file")
        return str(status)

    def part(self):
        path, _, size = self.link()
        first = self.random.randrange(max(size or 1, 1))
        return str(self.get(path, Range=f"bytes={first}-{first + self.random.randrange(100_000)}")[0])

    def document(self):
        return str(self.get(f"/pypi/{self.random.choice(self.names())}/json")[0])

    def unknown(self):
        return str(self.get(f"/simple/unknown-{self.random.randrange(10**9)}/")[0])

    def search(self):
        word = self.random.choice(["wire", "core", "mirror", "sdist", "nothing"])
        with xmlrpc.client.ServerProxy(f"http://{self.host}/pypi") as proxy:
            proxy.search({"name": [word], "summary": [word]}, "or")

    def leave(self):
        """Asks for something and goes away while it comes."""
        path = self.random.choice(["/simple/", self.link()[0], "/journal/events?since=0"])
        connection = http.client.HTTPConnection(self.host, timeout=30)
        connection.request("GET", path)
        if self.random.random() < 0.5:
            connection.getresponse().read(self.random.randrange(1, 2000))
        connection.close()

    def feed(self):
        connection = http.client.HTTPConnection(self.host, timeout=30)
        connection.request("GET", "/journal/events", headers={"Accept": "text/event-stream"})
        connection.getresponse()
        time.sleep(self.random.random())
        connection.close()


def fault(rng):
    """Something that goes wrong upstream."""
    effects = [{"kind": "delay", "millis": rng.randrange(50, 6_000)}, {"kind": "status", "code": rng.choice([404, 429, 500, 503])},
               {"kind": "cut", "at": rng.randrange(20_000)}, {"kind": "wrong_byte", "at": rng.randrange(2_000)},
               {"kind": "drip", "bytes": 500, "every_millis": 100}, {"kind": "stale", "serials": rng.randrange(1, 50)},
               {"kind": "reset"}, {"kind": "longer", "bytes": 10}, {"kind": "shorter", "bytes": 10}]
    return {"route": rng.choice(ROUTES), "times": rng.randrange(1, 6), "effect": rng.choice(effects)}


def trouble(sandbox, seed, until):
    """Publishes and fails, at random moments."""
    rng = random.Random(seed)

    def post(what, value=None):
        data = json.dumps(value).encode() if value is not None else b""
        try:
            urllib.request.urlopen(urllib.request.Request(f"http://{sandbox}/_sandbox/{what}", data, method="POST"), timeout=30).read()
        except OSError as error:
            if not isinstance(error, ConnectionError) and getattr(error, "code", 0) not in (0, 404, 409):
                raise SystemExit(f"{what} {value}: {error.read().decode()}") from error

    release = 0
    while time.monotonic() < until:
        time.sleep(rng.random() * 2)
        kind = rng.random()
        if kind < 0.3:
            release += 1
            post("publish", {"change": "publish", "name": "wire-top", "version": f"9.{release}"})
            if release > 20:
                post("publish", {"change": "remove_release", "name": "wire-top", "version": f"9.{release - 20}"})
        elif kind < 0.32:
            post("pause", {"seconds": rng.randrange(1, 10)})
        else:
            post("faults", fault(rng))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--binary", type=Path, help="default: built here")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the relay")
    arguments = parser.parse_args()
    binary = arguments.binary or built("--bin", "cheesewire")
    with tempfile.TemporaryDirectory() as folder, \
            Process([binary, "sandbox", "--listen", "127.0.0.1:0"], "stdout") as sandbox:
        upstream = sandbox.address(r"http://([0-9.:]+)")
        # Small bounds are reached: what is let go of has to be gone.
        settings = {"log.format": "json", "log.filter": "off,cheesewire::cli=info,cheesewire=info", "cache.max_bytes": "256 KiB", "cache.free_floor": "0",
                    "upstream.calls_per_second": "50", "follow.interval": "2s", "index.page_max_age": "5s"}
        command = [binary, "serve", "--listen", "127.0.0.1:0", "--upstream", f"http://{upstream}/", "--data", folder + "/data"]
        for setting in [f"{key}={value}" for key, value in settings.items()] + arguments.set:
            command += ["--set", setting]
        with Process(command, "stderr") as process:
            host = process.address(r'"message":"listening","address":"([^"]+)"')
            relay = Relay(process, host)
            begun = time.monotonic()
            until = begun + arguments.minutes * 60
            counts = collections.Counter()
            clients = [Client(host, arguments.seed * 1000 + n, until, counts) for n in range(arguments.clients)]
            for client in clients:
                client.start()
            threading.Thread(target=trouble, args=(upstream, arguments.seed, until), daemon=True).start()
            samples = []
            while time.monotonic() < until:
                time.sleep(5)
                samples.append(relay.sample())
                if process.child.poll() is not None:
                    sys.exit("the relay ended")
            for client in clients:
                client.join(120)
            failures = relay.metric("cheesewire_panics_total") + relay.metric("cheesewire_task_failures_total")
    wrong = [line for client in clients for line in client.wrong]
    warm = samples[int(len(samples) * WARM):]
    part = max(len(warm) // 3, 1)
    first, last = warm[:part], warm[-part:]
    print(f"\n{arguments.minutes:g} minutes, {arguments.clients} clients, {sum(counts.values()):,} deeds:\n")
    print("| of the relay | first third after the warm-up | last third | most |\n|---|---|---|---|")
    grown = False
    for what, (share, more) in GROWTH.items():
        before, after = (statistics.median(sample[what] for sample in some) for some in (first, last))
        unit = " MB" if what == "memory" else ""
        print(f"| {what} | {before:.0f}{unit} | {after:.0f}{unit} | {max(sample[what] for sample in samples):.0f}{unit} |")
        grown |= after > before * (1 + share) + more
    print("\n| deed | outcomes |\n|---|---|")
    for deed in sorted({deed for deed, _ in counts}):
        outcomes = sorted(((n, outcome) for (of, outcome), n in counts.items() if of == deed), reverse=True)
        print(f"| {deed} | {', '.join(f'{outcome}: {n:,}' for n, outcome in outcomes)} |")
    print(f"\nwrong: {len(wrong)} {wrong[:5]}; panics and ended tasks: {failures:.0f}; grown: {'yes' if grown else 'no'}")
    sys.exit(bool(wrong or failures or grown))


if __name__ == "__main__":
    main()
