#!/usr/bin/env python3
"""The changelog at full size: how fast it is caught up, kept and answered. Prints a Markdown table.

    benches/changelog/run.py                                          # 2 million events, made-up names
    benches/changelog/run.py --projects names.tsv.gz --events 36000000

Builds the release binary, fills a journal through `cheesewire serve` from a `cheesewire sandbox` without limits, and
asks both the relay and Python's own xmlrpc.server for the same page, in the same run. With another build beside it
(`--against`) every question goes to both, one after the other, each time another first: what the machine does beside
them then befalls both, and ratios are medians of the pairs. Needs Python 3 and nothing else. Where there are two cores or
more, who answers has one and who asks, or is followed, another.
"""

import argparse
import contextlib
import gzip
import http.client
import mmap
import os
import pickle
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import xmlrpc.client
import xmlrpc.server
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import ANSWERS, ASKS, PATIENCE, Process, built, serve

PAGE = 50_000
# Nearly as many as an answer without a limit may have.
UNCUT = 900_000
# Starts of each build that are timed.
STARTS = 9
# More than the list of all names and serials has, and a million events.
LARGEST = 512 << 20


class Client:
    """Calls over one connection, timed to the first byte and to the last, as bytes.

    They are read into the same memory each time: to take new memory for a page costs Python 10 ms, which is more than
    there is to measure."""

    def __init__(self, url):
        self.memory = memoryview(mmap.mmap(-1, LARGEST))
        parts = urllib.parse.urlsplit(url)
        self.path = parts.path
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)

    def call(self, method, *params):
        return self.ask("POST", self.path, xmlrpc.client.dumps(params, method), {"Content-Type": "text/xml"})

    def page(self):
        """The status page, as a browser asks for it."""
        return self.ask("GET", "/", None, {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})

    def ask(self, *request):
        begun = time.perf_counter()
        self.connection.request(*request)
        answer = self.connection.getresponse()
        size = answer.readinto(self.memory[:1])
        first = time.perf_counter() - begun
        while read := answer.readinto(self.memory[size:]):
            size += read
        whole = time.perf_counter() - begun
        if size == LARGEST:
            sys.exit("an answer is larger than this script thought")
        return first, whole, bytes(self.memory[:size])

    def value(self, method, *params):
        """The answer; a relay that asks to come back is asked again."""
        while True:
            try:
                return xmlrpc.client.loads(self.call(method, *params)[2], use_builtin_types=True)[0][0]
            except xmlrpc.client.Fault as fault:
                if fault.faultCode != -32403:
                    raise
                time.sleep(0.05)


def names(path, count):
    """A list of names like the real one."""
    words = ["wire", "cheese", "py", "data", "flask", "micro", "async", "tool", "net", "graph", "auto", "lite"]
    with gzip.open(path, "wt", compresslevel=1) as out:
        out.write("name\tversion\tmonth\trank_among_15000_most_downloaded\tsummary\n")
        for n in range(count):
            first, second = words[n % 12], words[n // 12 % 12]
            out.write(f"{first}-{second}-{n}\t{n % 7}.{n % 11}.{n % 5}\t2024-01\t0\tNumber {n} of a made-up list\n")


def covered(data, last):
    """Whether all serials up to the last are known to be complete."""
    with sqlite3.connect(f"file:{data}/journal.sqlite3?mode=ro", uri=True) as database:
        return database.execute("SELECT 1 FROM coverage WHERE after = 0 AND upto >= ?", [last]).fetchone() is not None


def unsettled(data):
    """Whether there are events that are still to be looked through for what they tell of releases."""
    with sqlite3.connect(f"file:{data}/journal.sqlite3?mode=ro", uri=True) as database:
        tables = "SELECT 1 FROM sqlite_master WHERE name = 'releases_due'"
        if database.execute(tables).fetchone() is None:
            return False
        return database.execute("SELECT 1 FROM releases_due").fetchone() is not None


def fill(client, data, backfills):
    """Waits for the whole history: the relay fetches it by itself, or because it is asked page by page."""
    since, last = 0, client.value("changelog_last_serial")
    if backfills:
        while not covered(data, last):
            time.sleep(0.2)
        return
    while since < last:
        # The last row's serial, without reading 50,000 others.
        page = client.call("changelog_since_serial", since)[2]
        serials = re.findall(rb"<int>(\d+)</int>", page[-400:])
        if serials:
            since = int(serials[-1])
        else:
            client.value("changelog_since_serial", since, 1)


def peer(page):
    """Python's own server with the page in memory."""
    rows = pickle.loads(Path(page).read_bytes())
    server = xmlrpc.server.SimpleXMLRPCServer(("127.0.0.1", 0), allow_none=True, logRequests=False)
    server.register_function(lambda since: rows, "changelog_since_serial")
    print("at", f"http://127.0.0.1:{server.server_address[1]}/RPC2", flush=True)
    server.serve_forever()


class Figures:
    """What was measured of one build: its samples, each with its unit and what was noted of it."""

    def __init__(self, build):
        self.build, self.rows = build, {}

    def add(self, name, samples, unit, limit="", note=""):
        samples = samples if isinstance(samples, list) else [samples]
        self.rows.setdefault(name, ([], unit, limit, note))[0].extend(samples)
        print(f"  {self.build}: {name}: {written(statistics.median(samples), unit)} {note}", file=sys.stderr)


class Asked:
    """A build while it answers: its process, a client of it, and where its figures go."""

    def __init__(self, relay, url, figures):
        self.relay, self.client, self.figure = relay, Client(url), figures.add

    def call(self, method, *params):
        """Milliseconds to the first byte, to the last, and of processor time; and the answer."""
        before = self.relay.cpu()
        first, whole, answer = self.client.call(method, *params)
        # What is written after the last byte, a log line or so, belongs to it.
        time.sleep(0.002)
        return first * 1000, whole * 1000, (self.relay.cpu() - before) * 1000, answer


def in_turn(asked, questions, call):
    """Has every build do each call, each time another first; the results by build."""
    results = {build: [] for build in asked}
    for n, question in enumerate(questions):
        for build, at in list(asked.items())[:: -1 if n % 2 else 1]:
            results[build].append(call(at, question))
    return results


def written(number, unit):
    """With three digits that say something."""
    return f"{number:.{0 if number >= 20 else 1}f} {unit}".strip()


def has(binary, setting):
    """Whether a build has a setting."""
    settings = subprocess.run([binary, "config"], text=True, capture_output=True, check=True).stdout
    return re.search(rf"^#? ?{setting} = ", settings, re.MULTILINE) is not None


def measure(arguments, folder):
    projects = arguments.projects
    if not projects:
        projects = folder / "names.tsv.gz"
        names(projects, 100_000)
    given = {"cheesewire": arguments.binary}
    if arguments.against:
        given["the other build"] = arguments.against
    # How much of a program's code is in memory depends on how its file came to the disk: 2 MB of difference for the same build.
    builds = {build: shutil.copy(binary, folder / f"build-{n}") for n, (build, binary) in enumerate(given.items())}
    figures = {build: Figures(build) for build in builds}
    command = [*ASKS, str(arguments.binary), "sandbox", "--listen", "127.0.0.1:0"]
    command += ["--projects", str(projects), "--events", str(arguments.events)]
    with Process(command, "stdout") as sandbox:
        upstream = sandbox.address(r"sandbox at (\S+)")
        for n in range(arguments.rounds):
            with tempfile.TemporaryDirectory(dir=folder) as data, contextlib.ExitStack() as running:
                folders = {build: Path(data) / str(place) for place, build in enumerate(builds)}
                for build in list(builds)[:: -1 if n % 2 else 1]:
                    moments = catch_up(arguments, builds[build], upstream, folders[build], figures[build].add)
                starts(builds, folders, upstream, figures, arguments.events)
                asked = {}
                for build, binary in builds.items():
                    # Or a question by time would wait for a poll, and for its turn.
                    unpolled = ["rpc.poll_age=1h"] if has(binary, "poll_age") else []
                    relay, url = serve(binary, upstream, folders[build], unpolled)
                    running.enter_context(relay)
                    asked[build] = Asked(relay, url, figures[build])
                answers(arguments, folder, asked, moments)
    return list(figures.values())


def starts(builds, folders, upstream, figures, events):
    """How long after its start a relay with a full journal answers."""
    def start(binary_and_folder, _):
        relay, url = serve(*binary_and_folder)
        with relay:
            Client(url).value("changelog_last_serial")
            return (time.perf_counter() - relay.begun) * 1000

    what = {build: (binary, upstream, folders[build], []) for build, binary in builds.items()}
    for build, took in in_turn(what, range(STARTS), start).items():
        figures[build].add("start-up to first answer", took, "ms", "200 ms")
        # How much of the write-ahead log is left at an end is chance.
        with sqlite3.connect(folders[build] / "journal.sqlite3") as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        disk = sum(file.stat().st_size for file in folders[build].glob("journal.sqlite3*"))
        figures[build].add("disk", disk / events, "B an event", "100 B")


def catch_up(arguments, binary, upstream, data, figure):
    """Fills a journal; gives moments with so many events after them."""
    backfills, events = has(binary, "history"), arguments.events
    relay, url = serve(binary, upstream, data, ["follow.history=all"] if backfills else [])
    with relay:
        client = Client(url)
        client.value("changelog_last_serial")
        seeded = time.perf_counter() - relay.begun
        fill(client, data, backfills)
        took = time.perf_counter() - relay.begun
        peak = relay.peak()
        # What it looks through in the background afterwards would run beside what is measured next.
        while unsettled(data):
            time.sleep(0.5)
        settled = time.perf_counter() - relay.begun - took
    # Or the system goes on writing gigabytes to the disk beside what is measured next.
    os.sync()
    with sqlite3.connect(f"file:{data}/journal.sqlite3?mode=ro", uri=True) as database:
        kept = database.execute("SELECT COUNT(*) FROM events").fetchone()[0]
        newest = "SELECT time FROM events ORDER BY time DESC LIMIT 1 OFFSET ?"
        sizes = [min(rows, kept // 2) for rows in [PAGE, UNCUT]]
        moments = [database.execute(newest, [rows]).fetchone()[0] for rows in sizes]
    if kept != events:
        sys.exit(f"the journal has {kept} events of {events}")
    how = "by itself" if backfills else "asked for page by page"
    figure("full catch-up", took, "s", "6 min at 36 M", how)
    figure("of that, until the list of projects is there", seeded, "s")
    figure("rate", events / took / 1000, "k events/s")
    figure("peak memory meanwhile", peak, "MB", "200 MB")
    figure("until the background is done with it", settled, "s")
    return moments


def answers(arguments, folder, asked, moments):
    """The same questions, uncached and repeated, and to Python's server."""
    client, repeats = next(iter(asked.values())).client, arguments.repeat
    last = client.value("changelog_last_serial")
    span = max(last - 3 * PAGE * 2, 1)
    starts = [1 + span * n // repeats for n in range(repeats)]

    def pages(method, argument, limit, *more):
        uncached = in_turn(asked, starts, lambda at, start: at.call(method, argument(start), *more))
        again = in_turn(asked, range(repeats + 1), lambda at, _: at.call(method, argument(starts[0]), *more))
        rows = len(client.value(method, argument(starts[0]), *more))
        for build, at in asked.items():
            took, size = [whole for _, whole, _, _ in uncached[build]], len(uncached[build][0][3])
            note = f"{rows:,} events, {size / 1e6:.1f} MB; worst {max(took):.0f} ms"
            at.figure(f"{method}, uncached", took, "ms", limit, note)
            at.figure(f"{method}, uncached, processor", [cpu for _, _, cpu, _ in uncached[build]], "ms")
            at.figure(f"{method}, repeated", [whole for _, whole, _, _ in again[build][1:]], "ms", "10 ms")
            at.figure(f"{method}, repeated, processor", [cpu for _, _, cpu, _ in again[build][1:]], "ms")
        ours = next(iter(asked))
        return [statistics.median(whole for _, whole, _, _ in results[ours]) for results in (uncached, again)]

    uncached, again = pages("changelog_since_serial", lambda start: start, "100 ms")
    by_time = all("changelog" in at.client.value("system.listMethods") for at in asked.values())
    if by_time:
        times = {start: client.value("changelog_since_serial", start, 1)[0][2] for start in starts}
        pages("changelog", times.get, "100 ms", False, PAGE)
    listed = in_turn(asked, range(repeats + 1), lambda at, _: at.call("list_packages_with_serial"))
    for build, at in asked.items():
        first, whole, cpu, _ = zip(*listed[build][1:])
        at.figure("list_packages_with_serial, first byte", list(first), "ms", "20 ms")
        at.figure("list_packages_with_serial, whole", list(whole), "ms")
        at.figure("list_packages_with_serial, processor", list(cpu), "ms")
    for at in asked.values():
        pages = [at.client.page() for _ in range(repeats)]
        # Earlier builds have none.
        if b"data-last" in pages[0][2]:
            took = [first * 1000 for first, _, _ in pages]
            at.figure("status page, first byte", took, "ms", "20 ms", f"worst {max(took):.1f} ms")
    for at in asked.values():
        at.figure("peak memory while it answers", at.relay.peak(), "MB", "200 MB")
    if by_time:
        for since in moments:
            uncut(asked, since, repeats)
        # Apart from the one before: who cuts them has less to do.
        for at in asked.values():
            at.figure("peak memory with answers without a limit", at.relay.peak(), "MB", "200 MB")
    page = folder / "page.pickle"
    page.write_bytes(pickle.dumps(client.value("changelog_since_serial", starts[0])))
    figure = next(iter(asked.values())).figure
    with Process([*ANSWERS, sys.executable, __file__, "--peer", str(page)], "stdout") as python:
        rival = Client(python.address(r"at (\S+)"))
        theirs = statistics.median(rival.call("changelog_since_serial", 1)[1] for _ in range(repeats)) * 1000
    figure("Python's xmlrpc.server, the same page from memory", theirs, "ms", "", "the peer")
    figure("times as fast as it, uncached", theirs / uncached, "")
    figure("times as fast as it, repeated", theirs / again, "")


def uncut(asked, since, repeats):
    """All events since a time, in one answer. It is kept nowhere, so each is uncached."""
    results = in_turn(asked, range(repeats), lambda at, _: at.call("changelog", since))
    for build, at in asked.items():
        first, whole, cpu, (answer, *_) = zip(*results[build])
        # Some builds cut it.
        name = f"changelog without a limit, {answer.count(b'<data>') - 1:,} events"
        at.figure(name, list(whole), "ms", "", f"{len(answer) / 1e6:.1f} MB; first byte after {statistics.median(first):.0f} ms")
        at.figure(f"{name}, processor", list(cpu), "ms")


def table(arguments, figures):
    names = Path(arguments.projects).name if arguments.projects else "100,000 made-up names"
    rounds = f" in each of {arguments.rounds} rounds" if arguments.rounds > 1 else ""
    print(f"\n{arguments.events:,} events, {names}, {os.cpu_count()} cores, medians of {arguments.repeat}{rounds}:\n")
    ours, others = figures[0], figures[1:]
    more = "".join(f" {other.build} | to that |" for other in others)
    print(f"| figure | measured |{more} limit | |\n|---|---|{'---|---|' * len(others)}---|---|")
    for name, (numbers, unit, limit, note) in ours.rows.items():
        cells = [name, written(statistics.median(numbers), unit)]
        for other in others:
            # Not every build has everything.
            its = other.rows[name][0] if name in other.rows else []
            if its and min(its) > 0:
                ratio = statistics.median(mine / theirs for mine, theirs in zip(numbers, its))
                cells += [written(statistics.median(its), unit), f"{ratio:.3f}"]
            else:
                cells += ["", ""]
        print("| " + " | ".join([*cells, limit, note]) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--projects", type=Path, help="a list of names; default: 100,000 made-up ones")
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--rounds", type=int, default=1, help="from the empty folder on")
    parser.add_argument("--binary", type=Path, help="default: built here")
    parser.add_argument("--against", type=Path, help="another build, measured beside it in the same rounds")
    parser.add_argument("--folder", type=Path, help="where the journal is made; default: a temporary folder")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        return peer(arguments.peer)
    if not arguments.binary:
        arguments.binary = built("--bin", "cheesewire")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        table(arguments, measure(arguments, Path(folder)))


if __name__ == "__main__":
    main()
