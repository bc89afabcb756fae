#!/usr/bin/env python3
"""How soon all who follow the feed are told of an event, and what they take in memory.

    benches/feed/run.py                                   # builds the release binary; 10,000 listeners
    benches/feed/run.py --listeners 1000 --events 30 --binary target/release/cheesewire

Listeners of server-sent events connect from many loopback addresses, in one process on one core; the relay has the other. Then
the sandbox publishes one event after the other. The table has, for all listeners together, the time from the first to the last
who has read the event (which includes what this script takes to read them all), and the relay's memory before the first listener,
with all of them, and at its peak. Needs Python 3 and a limit of open files twice the listeners. Ends with 1 if the memory passes
300 MB or an event takes above 500 ms.
"""

import argparse
import json
import os
import resource
import select
import socket
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import Process, built, serve

MEMORY, SECONDS = 300, 0.5
MIB = 1.048576
# As many as one client may have (clients.feeds_at_once).
OF_ONE = 16


def listener(host, port, at):
    connection = socket.create_connection((host, port), source_address=(f"127.1.{at // OF_ONE // 250}.{1 + at // OF_ONE % 250}", 0))
    connection.sendall(b"GET /journal/events HTTP/1.1\r\nhost: relay.test\r\naccept: text/event-stream\r\n\r\n")
    return connection


def read(connection, until):
    """What has come, up to this text."""
    seen = b""
    while until not in seen:
        more = connection.recv(65536)
        if not more:
            sys.exit(f"the relay closed a feed: {seen!r}")
        seen += more
    return seen


def told(listeners, poll, mark):
    """Waits until all have read this; the seconds from the first to the last."""
    waiting, seen, first = len(listeners), {}, None
    while waiting:
        ready = poll.poll(60)
        if not ready:
            sys.exit(f"{waiting} of {len(listeners)} were told nothing for 60 s")
        for number, _ in ready:
            seen[number] = text = seen.get(number, b"") + listeners[number].recv(65536)
            if mark in text:
                first = first or time.perf_counter()
                waiting -= 1
                seen[number] = b""
    return time.perf_counter() - first


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", help="instead of building one")
    parser.add_argument("--listeners", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=20)
    arguments = parser.parse_args()
    binary = arguments.binary or built("--bin", "cheesewire")
    # The relay keeps a file for each connection, and some for the rest.
    needed = 2 * arguments.listeners + 1000
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(needed, hard), max(needed, hard)))
    except ValueError:
        sys.exit(f"{arguments.listeners} listeners need a limit of {needed} open files (ulimit -Hn), and {hard} is this machine's")
    with tempfile.TemporaryDirectory() as folder, Process([binary, "sandbox", "--listen", "127.0.0.1:0"], "stdout") as upstream:
        index = upstream.address(r"(http://127\.0\.0\.1:\d+/)")
        settings = [f"feed.subscribers={arguments.listeners}", f"http.max_connections={arguments.listeners + 100}", "follow.interval=100ms"]
        relay, calls = serve(binary, index, Path(folder) / "data", settings)
        host, port = calls.split("/")[2].split(":")
        with relay:
            while urllib.request.urlopen(f"http://{host}:{port}/readyz").status != 200:
                time.sleep(0.1)
            before = relay.memory("VmRSS") * MIB
            if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
                os.sched_setaffinity(0, {0})
            begun = time.perf_counter()
            opened = [listener(host, int(port), at) for at in range(arguments.listeners)]
            for connection in opened:
                read(connection, b"\r\n\r\n")
                connection.setblocking(False)
            joined = time.perf_counter() - begun
            listeners = {connection.fileno(): connection for connection in opened}
            poll = select.epoll()
            for number in listeners:
                poll.register(number, select.EPOLLIN)
            times = []
            for at in range(arguments.events):
                body = json.dumps({"change": "publish", "name": "told-to-all", "version": f"1.{at}"}).encode()
                request = urllib.request.Request(f"{index}_sandbox/publish", body, {"content-type": "application/json"})
                urllib.request.urlopen(request).read()
                times.append(told(listeners, poll, f'"version":"1.{at}"'.encode()))
            held, peak = relay.memory("VmRSS") * MIB, relay.peak() * MIB
    print(f"{'listeners':>9} {'joined s':>9} {'median ms':>10} {'worst ms':>9} {'before MB':>10} {'with all MB':>12} {'peak MB':>8}")
    print(f"{arguments.listeners:>9} {joined:>9.1f} {statistics.median(times) * 1000:>10.0f} {max(times) * 1000:>9.0f} "
          f"{before:>10.0f} {held:>12.0f} {peak:>8.0f}")
    sys.exit(1 if peak > MEMORY or max(times) > SECONDS else 0)


if __name__ == "__main__":
    main()
