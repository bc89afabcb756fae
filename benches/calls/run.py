#!/usr/bin/env python3
"""`changelog_last_serial` calls a second on one core, beside three peers in the same run. Prints a Markdown table.

    benches/calls/run.py
    benches/calls/run.py --rounds 9 --seconds 5 --connections 64
    benches/calls/run.py --instructions         # those of one call outside the kernel, counted by valgrind, and nothing else

The peers: xmlrpc-c's Abyss server (abyss.c), hyper with nothing around it (bare.rs), and Python's SimpleXMLRPCServer,
each with the same answer out of memory. Who answers has one core, who asks another; rounds of all peers are interleaved,
and ratios are medians of the rounds' own. A busy machine changes no count of instructions. Needs a C compiler, wrk and xmlrpc-c (Debian: gcc wrk libxmlrpc-core-c3-dev).
"""

import argparse
import contextlib
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
import xmlrpc.client
import xmlrpc.server
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import ANSWERS, ASKS, Process, built, counted_into, instructions, serve

HERE = Path(__file__).resolve().parent
METHOD = "changelog_last_serial"
OURS, BARE, OTHER = "cheesewire", "bare hyper", "cheesewire, the other build"


def peer(serial):
    """Python's own server."""
    server = xmlrpc.server.SimpleXMLRPCServer(("127.0.0.1", 0), logRequests=False)
    server.register_function(lambda: serial, METHOD)
    print("at", f"http://127.0.0.1:{server.server_address[1]}/RPC2", flush=True)
    server.serve_forever()


def abyss(folder):
    """Compiles xmlrpc-c's server."""
    flags = [subprocess.run(["xmlrpc-c-config", "abyss-server", flag], text=True, capture_output=True, check=True).stdout
             for flag in ("--cflags", "--libs")]
    binary = folder / "abyss"
    command = ["cc", "-O2", "-Wall", "-Wextra", *flags[0].split(), str(HERE / "abyss.c"), "-o", str(binary)]
    subprocess.run([*command, *flags[1].split()], check=True)
    return str(binary)


BODY = xmlrpc.client.dumps((), METHOD).encode()


def answer(url):
    """The bytes of one answer."""
    request = urllib.request.Request(url, BODY, {"Content-Type": "text/xml"})
    return urllib.request.urlopen(request).read()


def load(url, arguments, seconds):
    """Calls a second, and the 99th percentile of their times as wrk writes it."""
    command = [*ASKS, "wrk", "-t1", f"-c{arguments.connections}", f"-d{seconds}s", "--latency"]
    done = subprocess.run([*command, "-s", str(HERE / "call.lua"), url], text=True, capture_output=True, check=True)
    if "Non-2xx" in done.stdout:
        sys.exit(f"{url} refuses calls:\n{done.stdout}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout).group(1))
    return rate, re.search(r"99%\s+(\S+)", done.stdout).group(1)


def counted(arguments, folder):
    """The instructions of one call by each build, and by hyper with nothing around it."""
    counts = {}
    with contextlib.ExitStack() as running:
        command = [*ASKS, str(arguments.binary), "sandbox", "--listen", "127.0.0.1:0"]
        sandbox = running.enter_context(Process(command, "stdout")).address(r"sandbox at (\S+)")
        builds = {OURS: arguments.binary, OTHER: arguments.against}
        for name, binary in [(name, binary) for name, binary in builds.items() if binary]:
            file = folder / name.replace(" ", "-")
            relay, url = serve(str(binary), sandbox, folder / f"{file}-data", [], counted_into(file))
            with relay:
                body = answer(url)
                counts[name] = instructions(relay, file, asker(url))
        (folder / "answer").write_bytes(body)
        with Process([*ANSWERS, *counted_into(folder / "bare"), arguments.bare, str(folder / "answer")], "stdout") as bare:
            counts[BARE] = instructions(bare, folder / "bare", asker(bare.address(r"at (\S+)")))
    print(f"\n`{METHOD}`, instructions of one call:\n\n| server | instructions |\n|---|---|")
    for name, count in counts.items():
        print(f"| {name} | {count:,.0f} |")


def asker(url):
    """Asks on one connection that is kept alive."""
    parts = urllib.parse.urlsplit(url)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: bench\r\nContent-Type: text/xml\r\nContent-Length: {len(BODY)}\r\n\r\n"
    connection = socket.create_connection((parts.hostname, parts.port))

    def ask():
        connection.sendall(head.encode() + BODY)
        seen = b""
        while b"</methodResponse>" not in seen:
            piece = connection.recv(65536)
            if not piece:
                sys.exit(f"{url} ended in the middle of an answer: {seen!r}")
            seen += piece

    return ask


def measure(arguments, folder):
    """Each peer's rounds."""
    with contextlib.ExitStack() as running:
        command = [*ASKS, str(arguments.binary), "sandbox", "--listen", "127.0.0.1:0"]
        sandbox = running.enter_context(Process(command, "stdout")).address(r"sandbox at (\S+)")
        relay, url = serve(str(arguments.binary), sandbox, folder / "data", [])
        running.enter_context(relay)
        serial = xmlrpc.client.ServerProxy(url).changelog_last_serial()
        body = folder / "answer"
        body.write_bytes(answer(url))
        commands = {
            BARE: [arguments.bare, str(body)],
            "xmlrpc-c's Abyss": [abyss(folder), str(serial)],
            "Python's SimpleXMLRPCServer": [sys.executable, __file__, "--peer", str(serial)],
        }
        urls = {OURS: url}
        if arguments.against:
            relay, urls[OTHER] = serve(str(arguments.against), sandbox, folder / "other", [])
            running.enter_context(relay)
        for name, command in commands.items():
            process = running.enter_context(Process([*ANSWERS, *command], "stdout"))
            urls[name] = process.address(r"at (\S+)")
        for name, url in urls.items():
            given = xmlrpc.client.loads(answer(url))[0][0]
            if given != serial:
                sys.exit(f"{name} says {given}, not {serial}")
            load(url, arguments, 1)
        rounds = {name: [] for name in urls}
        for n in range(arguments.rounds):
            # Each round begins with another, so that none always follows the same.
            names = list(urls)
            for name in names[n % len(names):] + names[:n % len(names)]:
                rounds[name].append(load(urls[name], arguments, arguments.seconds))
                print(f"  {name}: {rounds[name][-1][0]:.0f}", file=sys.stderr)
    return rounds


def table(arguments, rounds):
    print(f"\n`{METHOD}`, one core answers, {arguments.connections} connections kept alive, {arguments.rounds} rounds of "
          f"{arguments.seconds} s, {os.cpu_count()} cores:\n")
    print(f"| server | calls a second | {OURS} is so many times as fast | 99th percentile |\n|---|---|---|---|")
    for name, measured in rounds.items():
        rate = statistics.median(rate for rate, _ in measured)
        ratio = statistics.median(ours / theirs for (ours, _), (theirs, _) in zip(rounds[OURS], measured))
        slowest = sorted(measured)[len(measured) // 2][1]
        print(f"| {name} | {rate:,.0f} | {ratio:.2f} | {slowest} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of all peers; at least 5")
    parser.add_argument("--seconds", type=int, default=4, help="of each peer in a round")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--binary", type=Path, help="the relay; default: built here")
    parser.add_argument("--against", type=Path, help="another build of the relay, as one more peer")
    parser.add_argument("--instructions", action="store_true", help="count them, and measure nothing else")
    parser.add_argument("--bare", help="bare hyper; default: built here")
    parser.add_argument("--peer", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer is not None:
        return peer(arguments.peer)
    arguments.binary = arguments.binary or built("--bin", "cheesewire")
    arguments.bare = arguments.bare or built("--bench", "bare")
    with tempfile.TemporaryDirectory() as folder:
        if arguments.instructions:
            counted(arguments, Path(folder))
        else:
            table(arguments, measure(arguments, Path(folder)))


if __name__ == "__main__":
    main()
