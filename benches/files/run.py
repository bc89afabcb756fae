#!/usr/bin/env python3
"""Package files: hits and misses beside nginx's proxy_cache, devpi-server and proxpi. Prints a Markdown table.

    benches/files/run.py                        # everything, some 10 minutes
    benches/files/run.py --only hits,misses     # parts: hits, paired, instructions, peers, misses, crowd
    benches/files/run.py --only paired --against BINARY

Builds the release binary; needs Python 3, a C compiler, nginx, wrk and valgrind, and for the peers a way to pip's index. An nginx
that serves static files is the index upstream of everyone. Who answers has one core and who asks, with the index, the other.
Peers are measured in turns, round by round; a ratio is the median of the rounds' ratios. Hits have the physical limit beside
them: a loop (loop.c) that writes the same mapped bytes to whoever asks. `--against BINARY` measures another build in the same rounds, `--uncounted` this one without counting downloads.
Where a few hundredths matter, `paired` tells: the two builds alone, second by second in turn, over several starts, since a start decides
where in memory a file lies. Where rounds scatter, `instructions` tells: those of a hit outside the kernel, counted by valgrind; a busy machine changes nothing.
"""

import argparse
import base64
import contextlib
import hashlib
import json
import os
import random
import re
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import ANSWERS, ASKS, ROOT, Process, Server, built, counted_into, free_port, instructions, unsigned

KIB, MIB = 1 << 10, 1 << 20
HITS = {"20 KB": 20 * KIB, "256 KB": 256 * KIB, "2 MB": 2 * MIB, "64 MB": 64 * MIB}
# Files of one project, as their names say: what another project's page names has a path of its own.
NAMES = {kind: f"bench-{n}" for n, kind in enumerate(["hit", "first", "whole", "crowd"])}
GOALS = {"20 KB": 1.0, "256 KB": 1.5, "2 MB": 2.0, "64 MB": 1.5}
CONNECTIONS = 16
CROWD_FILE = 200 * 1000 * 1000
PATIENCE = 600
# What wrk counts, in whole numbers.
COUNT = 'done = function(s) print("COUNTED", s.requests, s.bytes, s.duration, s.errors.status + s.errors.read) end'


def named(kind, n):
    return f"{NAMES[kind]}.{n}.tar.gz"


class Connection:
    """Keep-alive GETs over one socket, timed."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray(MIB)

    def get(self, path, expected=None):
        """Seconds to the first byte and to the last of a whole answer, and its length."""
        begun = time.perf_counter()
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        head = b""
        first = None
        while b"\r\n\r\n" not in head:
            piece = self.socket.recv(65536)
            if first is None:
                first = time.perf_counter() - begun
            if not piece:
                sys.exit(f"{path}: cut in the head: {head!r}")
            head += piece
        head, body = head.split(b"\r\n\r\n", 1)
        if b" 200 " not in head.split(b"\r\n")[0] + b" ":
            sys.exit(f"{path}: {head.decode()}\n{body!r}")
        length = int(re.search(rb"content-length: (\d+)", head.lower()).group(1))
        digest, got = hashlib.sha256(body) if expected else None, len(body)
        while got < length:
            n = self.socket.recv_into(self.buffer)
            if n == 0:
                sys.exit(f"{path}: cut after {got} of {length} bytes")
            if digest:
                digest.update(memoryview(self.buffer)[:n])
            got += n
        took = time.perf_counter() - begun
        if expected and digest.hexdigest() != expected:
            sys.exit(f"{path}: a wrong file")
        return first, took, length


class Upstream:
    """A static index with one project, and its files."""

    def __init__(self, folder):
        self.folder, self.files = folder, {}
        (folder / "simple" / "bench").mkdir(parents=True)

    def add(self, filename, size, seed):
        content = random.Random(seed).randbytes(size)
        sha256 = hashlib.sha256(content).hexdigest()
        path = f"/packages/{sha256[:2]}/{sha256[2:4]}/{sha256[4:]}/{filename}"
        file = self.folder / path[1:]
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
        self.files[filename] = {"filename": filename, "url": path, "hashes": {"sha256": sha256}, "size": size,
                                "requires-python": ">=3", "upload-time": "2024-01-01T00:00:00Z"}
        return path

    def write(self):
        meta = {"api-version": "1.1", "_last-serial": 7}
        page = {"meta": meta, "name": "bench", "versions": ["1"], "files": list(self.files.values())}
        listing = {"meta": meta, "projects": [{"name": "bench", "_last-serial": 7}]}
        (self.folder / "simple/bench/index.json").write_text(json.dumps(page))
        (self.folder / "simple/index.json").write_text(json.dumps(listing))

    def server(self, scratch, port, limit=""):
        return nginx("upstream", scratch, port, ASKS, f"""
            root {self.folder};
            location /simple/ {{ types {{}} default_type application/vnd.pypi.simple.v1+json; index index.json; }}
            location /packages/ {{ types {{}} default_type application/octet-stream; {limit} }}""")


def nginx(name, scratch, port, core, server, http="", listen=""):
    folder = scratch / name
    folder.mkdir()
    folder.chmod(0o755)
    conf = folder / "nginx.conf"
    conf.write_text(f"""
        daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log warn;
        events {{ worker_connections 4096; }}
        http {{
            access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000000;
            client_body_temp_path {folder}/body; proxy_temp_path {folder}/temp; fastcgi_temp_path {folder}/f;
            uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; {http}
            server {{ listen 127.0.0.1:{port}{listen}; {server} }}
        }}""")
    return Server(name, [*core, "nginx", "-c", conf, "-p", folder], port, folder / "out.log")


def nginx_cache(scratch, upstream):
    folder = scratch / "nginx-kept"
    return nginx("nginx", scratch, free_port(), ANSWERS, f"""
        location / {{
            proxy_pass http://127.0.0.1:{upstream.port}; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_cache kept; proxy_cache_valid 200 1d; proxy_cache_lock on; proxy_max_temp_file_size 1024m;
        }}""", f"proxy_cache_path {folder} levels=1:2 keys_zone=kept:10m max_size=10g inactive=1d use_temp_path=off;")


def bare_loop(scratch, file):
    """The physical limit: see loop.c."""
    program = scratch / "loop"
    if not program.exists():
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-o", program, ROOT / "benches/files/loop.c"], check=True)
    port = free_port()
    return Server("loop", [*ANSWERS, program, file, port], port, scratch / "loop.log")


def cheesewire(arguments, scratch, upstream, name="cheesewire", binary=None, under=(), settings=()):
    port = free_port()
    command = [*ANSWERS, *under, binary or arguments.binary, "serve", "--listen", f"127.0.0.1:{port}", "--data", scratch / name,
               "--upstream", f"http://127.0.0.1:{upstream.port}/"]
    for setting in [*unsigned(binary or arguments.binary), *arguments.set, *settings]:
        command += ["--set", setting]
    server = Server(name, command, port, scratch / f"{name}.log")
    # It learns of the files from their page.
    urllib.request.urlopen(f"http://127.0.0.1:{port}/simple/bench/", timeout=PATIENCE).read()
    return server


def uncounted(arguments, scratch, upstream, name, under=()):
    """The same without counting downloads."""
    return cheesewire(arguments, scratch, upstream, name, under=under, settings=["stats.enabled=false"])


def wrk(scratch, server, path, seconds, connections=CONNECTIONS):
    """Requests and bytes a second, and the server's processor seconds for a GB."""
    script = scratch / "count.lua"
    script.write_text(COUNT)
    before = server.cpu()
    out = subprocess.run([*ASKS, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script),
                          f"http://127.0.0.1:{server.port}{path}"], text=True, capture_output=True, check=True).stdout
    requests, size, micros, errors = map(int, re.search(r"COUNTED\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)", out).groups())
    if errors or not requests:
        sys.exit(f"{server.name} {path}: {errors} errors in {requests} requests\n{out}")
    return requests / micros * 1e6, size / micros * 1e6, (server.cpu() - before) / size * 1e9


def rounds(arguments, scratch, servers, paths, seconds):
    """Per server its samples of what `wrk` tells, taken in turns."""
    samples = [[] for _ in servers]
    for n in range(arguments.repeat):
        order = range(len(servers)) if n % 2 == 0 else reversed(range(len(servers)))
        for i in order:
            samples[i].append(wrk(scratch, servers[i], paths[i], seconds))
    return samples


def ratio(ours, theirs, column=0):
    return statistics.median(a[column] / b[column] for a, b in zip(ours, theirs))


def spread(ours, theirs, column):
    ratios = sorted(a[column] / b[column] for a, b in zip(ours, theirs))
    return f"{ratios[0]:.2f} to {ratios[-1]:.2f}"


def worded(samples, size):
    requests, bytes_, _ = (statistics.median(column) for column in zip(*samples))
    return f"{requests:,.0f} /s" if size < 100 * KIB else f"{bytes_ / 1e9:.2f} GB/s"


def hits(arguments, scratch, upstream, index, figure):
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(cheesewire(arguments, scratch, upstream)),
                   stack.enter_context(nginx_cache(scratch, upstream))]
        if arguments.against:
            other = cheesewire(arguments, scratch, upstream, "other", arguments.against)
            servers.append(stack.enter_context(other))
        if arguments.uncounted:
            servers.append(stack.enter_context(uncounted(arguments, scratch, upstream, "uncounted")))
        for name, size in HITS.items():
            if arguments.sizes and name not in arguments.sizes:
                continue
            info = index.files[named("hit", size)]
            with bare_loop(scratch, index.folder / info["url"][1:]) as loop:
                asked = [*servers[:2], loop, *servers[2:]]
                for server in asked:
                    for _ in range(2):
                        Connection(server.port).get(info["url"], info["hashes"]["sha256"])
                time.sleep(0.5)
                samples = rounds(arguments, scratch, asked, [info["url"]] * len(asked), arguments.seconds)
            ours, peer, limit = samples[:3]
            # Of large files bytes are counted: requests under way at the end are half done.
            column = 0 if size < MIB else 1
            cpu = [statistics.median(sample[2] for sample in one) for one in samples]
            figure(f"hit, {name}", worded(ours, size), f"{worded(peer, size)} (nginx)",
                   f"{ratio(ours, peer, column):.2f} ({spread(ours, peer, column)})", GOALS[name])
            figure(f"hit, {name}, of the physical limit", worded(ours, size), f"{worded(limit, size)} (bare loop)",
                   f"{ratio(ours, limit, column):.2f} ({spread(ours, limit, column)})", 0.9)
            figure(f"hit, {name}, processor seconds for a GB", f"{cpu[0]:.2f}", f"{cpu[1]:.2f} (nginx)",
                   f"{cpu[2]:.2f} (bare loop)", "")
            if arguments.against:
                figure(f"hit, {name}, another build", worded(ours, size), worded(samples[3], size),
                       f"{ratio(ours, samples[3], column):.2f} ({spread(ours, samples[3], column)})", "")
            if arguments.uncounted:
                figure(f"hit, {name}, downloads not counted", worded(ours, size), worded(samples[-1], size),
                       f"{ratio(ours, samples[-1], column):.2f} ({spread(ours, samples[-1], column)})", 0.95)


def paired_hits(arguments, scratch, upstream, index, figure):
    """Two builds alone, in turn, over several starts of both."""
    if not arguments.against:
        sys.exit("paired: --against BINARY")
    pairs = {name: [] for name in HITS if not arguments.sizes or name in arguments.sizes}
    for start in range(arguments.starts):
        with contextlib.ExitStack() as stack:
            builds = [(f"ours{start}", arguments.binary), (f"other{start}", arguments.against)]
            first, second = builds if start % 2 == 0 else builds[::-1]
            servers = dict([(name, stack.enter_context(cheesewire(arguments, scratch, upstream, name, binary)))
                            for name, binary in (first, second)])
            asked = [servers[name] for name, _ in builds]
            for name, samples in pairs.items():
                info = index.files[named("hit", HITS[name])]
                for server in asked:
                    for _ in range(2):
                        Connection(server.port).get(info["url"], info["hashes"]["sha256"])
                time.sleep(0.5)
                samples += zip(*rounds(arguments, scratch, asked, [info["url"]] * 2, arguments.seconds))
    for name, samples in pairs.items():
        column = 0 if HITS[name] < MIB else 1
        for what, of in ("", column), (", processor time for a byte", 2):
            ratios = sorted(ours[of] / other[of] for ours, other in samples)
            # The order statistics that the median lies between in 95 of 100 cases.
            off = int(len(ratios) ** 0.5)
            low, high = ratios[max(len(ratios) // 2 - off, 0)], ratios[min(len(ratios) // 2 + off, len(ratios) - 1)]
            figure(f"hit, {name}, another build{what}", f"{len(ratios)} pairs", "",
                   f"{statistics.median(ratios):.3f} ({low:.3f} to {high:.3f})", "")


def instructions_of_hits(arguments, scratch, upstream, index, figure):
    """Beside hyper with nothing around it, which gives the same bytes to everybody."""
    info = index.files[named("hit", 20 * KIB)]
    path, figures = info["url"], []

    def counted(child, port, name):
        connection = Connection(port)
        return instructions(child, scratch / name, lambda: connection.get(path))

    for name, binary in (("counted", arguments.binary), ("counted-other", arguments.against)):
        if binary:
            with cheesewire(arguments, scratch, upstream, name, binary, counted_into(scratch / name)) as relay:
                figures.append(counted(relay, relay.port, name))
    if arguments.uncounted:
        name = "counted-uncounted"
        with uncounted(arguments, scratch, upstream, name, counted_into(scratch / name)) as relay:
            without = counted(relay, relay.port, name)
        figure("hit, 20 KB, instructions, downloads not counted", f"{figures[0]:,.0f}", f"{without:,.0f}",
               f"{without / figures[0]:.3f}", 0.95)
    command = [*counted_into(scratch / "bare"), arguments.bare or built("--bench", "bare"), str(index.folder / path[1:])]
    with Process([*ANSWERS, *command], "stdout") as bare:
        figures.append(counted(bare, int(bare.address(r":(\d+)/")), "bare"))
    figure("hit, 20 KB, instructions", f"{figures[0]:,.0f}", f"{figures[-1]:,.0f} (bare hyper)", "", "")
    if arguments.against:
        figure("hit, 20 KB, instructions, another build", f"{figures[0]:,.0f}", f"{figures[1]:,.0f}", "", "")


def venv(scratch):
    folder = scratch / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin/pip", "install", "-q", "--disable-pip-version-check", "devpi-server", "proxpi",
                    "gunicorn", "setuptools<81"], check=True)
    return folder / "bin"


def devpi(scratch, bin_, upstream):
    folder, port = scratch / "devpi", free_port()
    subprocess.run([bin_ / "devpi-init", "--serverdir", folder], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    command = [*ANSWERS, bin_ / "devpi-server", "--serverdir", folder, "--port", port]
    server = Server("devpi-server", command, port, scratch / "devpi.log")

    def ask(method, path, data, **headers):
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(data).encode(), method=method,
                                         headers={"Content-Type": "application/json", "Accept": "application/json",
                                                  **headers})
        return json.load(urllib.request.urlopen(request, timeout=PATIENCE))

    token = ask("POST", "/+login", {"user": "root", "password": ""})["result"]["password"]
    auth = base64.b64encode(f"root:{token}".encode()).decode()
    ask("PATCH", "/root/pypi", [f"mirror_url=http://127.0.0.1:{upstream.port}/simple/"], **{"X-Devpi-Auth": auth})
    return server, "/root/pypi/+simple/bench/"


def proxpi(scratch, bin_, upstream):
    port = free_port()
    command = [*ANSWERS, bin_ / "gunicorn", "--workers", "1", "--threads", "4", "--keep-alive", "60", "--bind",
               f"127.0.0.1:{port}", "proxpi.server:app"]
    server = Server("proxpi", command, port, scratch / "proxpi.log",
                    PROXPI_INDEX_URL=f"http://127.0.0.1:{upstream.port}/simple/", PROXPI_CACHE_DIR=str(scratch / "proxpi"),
                    PROXPI_DOWNLOAD_TIMEOUT="60")
    return server, "/index/bench/"


def linked(server, page, filename):
    """The address that a page gives for a file."""
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{page}", headers={"Accept": "text/html"})
    text = urllib.request.urlopen(request, timeout=PATIENCE).read().decode()
    href = re.search(rf'href="([^"#]*{re.escape(filename)})[#"]', text).group(1)
    return urllib.parse.urlsplit(urllib.parse.urljoin(request.full_url, href)).path


def peers(arguments, scratch, upstream, index, figure):
    filename = named("hit", 20 * KIB)
    ours = index.files[filename]["url"]
    bin_ = arguments.venv / "bin" if arguments.venv else venv(scratch)
    for name, start, goal in (("devpi-server", devpi, 50), ("proxpi", proxpi, 20)):
        with cheesewire(arguments, scratch, upstream, f"beside-{name}") as relay:
            server, page = start(scratch, bin_, upstream)
            with server:
                path = linked(server, page, filename)
                for s, p in ((server, path), (relay, ours)):
                    Connection(s.port).get(p, index.files[filename]["hashes"]["sha256"])
                    Connection(s.port).get(p)
                theirs, mine = rounds(arguments, scratch, [server, relay], [path, ours], arguments.seconds)
        figure("hit, 20 KB", worded(mine, 0), f"{worded(theirs, 0)} ({name})", f"{ratio(mine, theirs):.0f}", goal)


def misses(arguments, scratch, upstream, index, figure):
    names = sorted(name for name in index.files if name.startswith(NAMES["first"]))
    with cheesewire(arguments, scratch, upstream, "missing") as relay:
        near, far = Connection(upstream.port), Connection(relay.port)
        firsts = []
        for name in names:
            path = index.files[name]["url"]
            near.get(path)
            firsts.append((far.get(path)[0] - near.get(path)[0]) * 1000)
        figure("miss, first byte", f"{statistics.median(firsts):.2f} ms later", "upstream itself",
               f"worst {max(firsts):.2f} ms", "2 ms")
    for word, limit in (("1 Gbit/s", "limit_rate 119m;"), ("unbounded", "")):
        with index.server(scratch / word.split()[0].replace("/", ""), free_port(), limit) as source, \
                cheesewire(arguments, scratch, source, f"through-{word[0]}") as relay:
            near, far = Connection(source.port), Connection(relay.port)
            paths = [info["url"] for name, info in index.files.items() if name.startswith(NAMES["whole"])]
            pairs = []
            for path in paths[:arguments.repeat]:
                near.get(path)
                _, through, size = far.get(path)
                pairs.append((size / through, size / near.get(path)[1]))
            ours, theirs = (statistics.median(column) / 1e6 for column in zip(*pairs))
            figure(f"miss, 64 MB, upstream {word}", f"{ours:,.0f} MB/s", f"{theirs:,.0f} MB/s (upstream itself)",
                   f"{statistics.median(a / b for a, b in pairs):.2f}", 0.9 if limit else "")


def crowd(arguments, scratch, upstream, index, figure):
    """Many clients of one file that is not there yet. Their bytes are compared with the file's."""
    info = index.files[named("crowd", 0)]
    content = (index.folder / info["url"][1:]).read_bytes()
    requests_before = upstream_bytes(upstream)
    with cheesewire(arguments, scratch, upstream, "crowded") as relay:
        watch, clients = selectors.DefaultSelector(), []
        begun = time.perf_counter()
        for _ in range(arguments.clients):
            client = socket.create_connection(("127.0.0.1", relay.port), PATIENCE)
            client.sendall(f"GET {info['url']} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode())
            watch.register(client, selectors.EVENT_READ, [b"", 0])
            clients.append(client)
        right, left, own = 0, len(clients), 0
        while left:
            # What is its own; the rest is the kernel's copy of the file, which it takes back at will.
            own = max(own, relay.memory("RssAnon"))
            for key, _ in watch.select(PATIENCE):
                piece, state = key.fileobj.recv(256 * KIB), key.data
                if not piece:
                    right += state[1] == len(content)
                    watch.unregister(key.fileobj)
                    key.fileobj.close()
                    left -= 1
                    continue
                if state[0] is not None:
                    state[0] += piece
                    head, found, piece = state[0].partition(b"\r\n\r\n")
                    if not found:
                        continue
                    state[0] = None
                if not content.startswith(piece, state[1]):
                    sys.exit(f"a wrong byte after {state[1]}")
                state[1] += len(piece)
        took = time.perf_counter() - begun
        peak = relay.memory("VmHWM")
    fetched = (upstream_bytes(upstream) - requests_before) / len(content)
    figure(f"{len(clients):,} clients of one uncached 200 MB file", f"{right:,} right in {took:.0f} s",
           f"upstream sent it {fetched:.2f} times", f"{own:.0f} MB of its own at most, {peak:.0f} MB with the file's mapping", "150 MB")
    if right != len(clients):
        sys.exit("not every client got the whole file")


def upstream_bytes(upstream):
    """What nginx's worker has written to sockets and files, by the kernel's count; its log is off."""
    children = Path(f"/proc/{upstream.child.pid}/task/{upstream.child.pid}/children").read_text().split()
    return sum(int(re.search(r"rchar: (\d+)", Path(f"/proc/{pid}/io").read_text()).group(1)) for pid in children)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="hits,instructions,peers,misses,crowd")
    parser.add_argument("--sizes", type=lambda text: text.split(","), help="of the hits, as '20 KB,2 MB'")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2, help="of one measurement of hits")
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--starts", type=int, default=4, help="of paired builds")
    parser.add_argument("--binary", type=Path, help="default: built here")
    parser.add_argument("--bare", help="bare hyper, for instructions; default: built here")
    parser.add_argument("--against", type=Path, help="another build, measured beside it in the same rounds of hits")
    parser.add_argument("--uncounted", action="store_true", help="the same build without counting downloads, in the same rounds")
    parser.add_argument("--venv", type=Path, help="with devpi-server, proxpi and gunicorn; default: made here")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the relay")
    parser.add_argument("--folder", type=Path, help="where files are kept; default: a temporary folder")
    arguments = parser.parse_args()
    parts = {"hits": hits, "paired": paired_hits, "instructions": instructions_of_hits, "peers": peers, "misses": misses, "crowd": crowd}
    wanted = arguments.only.split(",")
    if not set(wanted) <= set(parts):
        parser.error(f"--only takes {', '.join(parts)}")
    arguments.binary = arguments.binary or built("--bin", "cheesewire")
    figures = []

    def figure(*row):
        figures.append([str(cell) for cell in row])
        print("  " + " · ".join(figures[-1]), file=sys.stderr)

    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        scratch = Path(folder)
        # nginx's worker is another user where this is root.
        scratch.chmod(0o755)
        index = Upstream(scratch / "index")
        for size in HITS.values():
            index.add(named("hit", size), size, size)
        if "misses" in wanted:
            for n in range(30):
                index.add(named("first", n), 2 * MIB, 1000 + n)
            for n in range(arguments.repeat):
                index.add(named("whole", n), 64 * MIB, 2000 + n)
        if "crowd" in wanted:
            index.add(named("crowd", 0), CROWD_FILE, 3000)
        index.write()
        for word in ("1", "unbounded"):
            (scratch / word).mkdir()
        with index.server(scratch, free_port()) as upstream:
            for part in wanted:
                parts[part](arguments, scratch, upstream, index, figure)
    print(f"\n{CONNECTIONS} keep-alive connections, one core each for server and client, medians of {arguments.repeat} "
          "paired rounds:\n")
    print("| figure | cheesewire | beside it | times, or | goal |\n|---|---|---|---|---|")
    for row in figures:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
