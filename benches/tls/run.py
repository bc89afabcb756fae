#!/usr/bin/env python3
"""Encrypted hits of package files, beside nginx with the same certificate and cipher, plain hits, and what one core encrypts.

    benches/tls/run.py                # some 5 minutes; prints a Markdown table
    benches/tls/run.py --repeat 9     # more rounds

Builds the release binary; needs Python 3, nginx, wrk and openssl. Who answers has one core, and who asks, which decrypts as much, the
other. Servers are measured in turns, round by round; a ratio is the median of the rounds' ratios. wrk's first cipher is taken by both
servers, and the table says which. `openssl speed` encrypts records of 16 KiB with it on the core of who answers, in the same run.
"""

import argparse
import contextlib
import importlib.util
import os
import re
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

BENCHES = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(BENCHES))
from common import ANSWERS, ASKS, built, free_port

SPEC = importlib.util.spec_from_file_location("files", BENCHES / "files/run.py")
files = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(files)

SIZES = {name: size for name, size in files.HITS.items() if size <= 2 * files.MIB}
# Encrypted hits of nginx's, and the share of plain ones that is only reported.
GOAL = 1.0
# As `openssl speed` calls what TLS does.
SPEEDS = {"TLS_AES_256_GCM_SHA384": "aes-256-gcm", "TLS_AES_128_GCM_SHA256": "aes-128-gcm",
          "TLS_CHACHA20_POLY1305_SHA256": "chacha20-poly1305"}


def certificate(folder):
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
               "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem",
               "-out", folder / "certificate.pem"]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return folder / "certificate.pem", folder / "key.pem"


def cipher(port):
    context = ssl._create_unverified_context()
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port))) as connection:
        return connection.cipher()[0]


def wrk(scratch, port, scheme, path, seconds):
    """Requests and bytes a second of answers that were 200 and whole."""
    script = scratch / "count.lua"
    script.write_text(files.COUNT)
    out = subprocess.run([*ASKS, "wrk", "-t1", f"-c{files.CONNECTIONS}", f"-d{seconds}s", "-s", str(script),
                          f"{scheme}://127.0.0.1:{port}{path}"], text=True, capture_output=True, check=True).stdout
    requests, size, micros, errors = map(int, re.search(r"COUNTED\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)", out).groups())
    if errors or not requests:
        sys.exit(f"{scheme} {port} {path}: {errors} errors in {requests} requests\n{out}")
    return requests / micros * 1e6, size / micros * 1e6


def encrypted_by_a_core(name):
    command = [*ANSWERS, "openssl", "speed", "-mr", "-seconds", "3", "-bytes", "16384", "-evp", SPEEDS[name]]
    out = subprocess.run(command, text=True, capture_output=True, check=True).stdout
    return float(re.search(r"^\+F:.*:([0-9.]+)$", out, re.M).group(1))


def handshakes(scratch, port, path, seconds):
    """New connections a second, one request each, without coming back by a ticket."""
    command = [*ASKS, "openssl", "s_time", "-connect", f"127.0.0.1:{port}", "-new", "-time", str(seconds), "-www", path]
    out = subprocess.run(command, text=True, capture_output=True, check=True, cwd=scratch).stdout
    count, real = re.search(r"(\d+) connections in (\d+) real seconds", out).groups()
    return int(count) / int(real)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeat", type=int, default=5, help="rounds")
    parser.add_argument("--seconds", type=int, default=3, help="of one measurement")
    parser.add_argument("--binary", type=Path, help="another build in place of this one")
    parser.add_argument("--set", action="append", default=[], help="a setting of the relay's")
    arguments = parser.parse_args()
    arguments.binary = arguments.binary or built("--bin", "cheesewire")
    if os.getloadavg()[0] > 0.5:
        print(f"the load is {os.getloadavg()[0]}: figures are of a machine that does something else too", file=sys.stderr)
    rows = []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        scratch = Path(folder)
        scratch.chmod(0o755)
        (pem, key), index = certificate(scratch), files.Upstream(scratch / "index")
        paths = {name: index.add(files.named("hit", size), size, size) for name, size in SIZES.items()}
        index.write()
        upstream = stack.enter_context(index.server(scratch, free_port()))
        plain = free_port()
        settings = [f"tls.certificate={pem}", f"tls.key={key}"]
        relay = listening(arguments, scratch, upstream, plain, settings, stack)
        peer = stack.enter_context(files.nginx("nginx", scratch, free_port(), ANSWERS, f"""
            ssl_certificate {pem}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;
            root {index.folder}; location /packages/ {{ types {{}} default_type application/octet-stream; }}
        """, listen=" ssl"))
        name = cipher(relay)
        if cipher(peer.port) != name:
            sys.exit(f"they do not take the same cipher: {name}, {cipher(peer.port)}")
        limit = encrypted_by_a_core(name)
        for size_name, path in paths.items():
            asked = [(relay, "https"), (peer.port, "https"), (plain, "http")]
            for port, scheme in asked:
                wrk(scratch, port, scheme, path, 1)
            time.sleep(0.5)
            samples = [[] for _ in asked]
            for n in range(arguments.repeat):
                for i in range(len(asked)) if n % 2 == 0 else reversed(range(len(asked))):
                    samples[i].append(wrk(scratch, *asked[i], path, arguments.seconds))
            column = 0 if SIZES[size_name] < files.MIB else 1
            median = [statistics.median(sample[column] for sample in one) for one in samples]
            bytes_ = statistics.median(sample[1] for sample in samples[0])
            unit = (lambda value: f"{value:,.0f} /s") if column == 0 else (lambda value: f"{value / 1e9:.2f} GB/s")
            rows.append([f"encrypted hit, {size_name}", unit(median[0]), f"{unit(median[1])} (nginx)",
                         f"{files.ratio(samples[0], samples[1], column):.2f} ({files.spread(samples[0], samples[1], column)})",
                         f"{GOAL}"])
            rows.append(["the same, of a plain one", unit(median[0]), unit(median[2]),
                         f"{files.ratio(samples[0], samples[2], column):.2f}", ""])
            rows.append([f"the same, of `openssl speed` ({SPEEDS[name]}, 16 KiB)", f"{bytes_ / 1e9:.2f} GB/s",
                         f"{limit / 1e9:.2f} GB/s", f"{bytes_ / limit:.2f}", ""])
        ours, theirs = (handshakes(scratch, port, "/healthz", arguments.seconds) for port in (relay, peer.port))
        rows.append(["new encrypted connections", f"{ours:,.0f} /s", f"{theirs:,.0f} /s (nginx)", f"{ours / theirs:.2f}", ""])
    print(f"Cipher {name}, ECDSA P-256.\n\n| figure | measured | beside | ratio | goal |\n|---|---|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


def listening(arguments, scratch, upstream, plain, settings, stack):
    """A relay with an encrypted listener, whose port is returned, and a plain one."""
    port = free_port()
    command = [*ANSWERS, arguments.binary, "serve", "--listen", f"127.0.0.1:{port}, 127.0.0.1:{plain}?plain", "--data",
               scratch / "relay", "--upstream", f"http://127.0.0.1:{upstream.port}/", "--set", "signing.enabled=false"]
    for setting in [*arguments.set, *settings]:
        command += ["--set", setting]
    stack.enter_context(files.Server("relay", command, plain, scratch / "relay.log"))
    # It learns of the files from their page.
    urllib.request.urlopen(f"http://127.0.0.1:{plain}/simple/bench/", timeout=files.PATIENCE).read()
    return port


if __name__ == "__main__":
    main()
