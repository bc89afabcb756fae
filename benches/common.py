"""What the benchmarks share: cores, children, their addresses and what they take, the release binary."""

import json
import os
import queue
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Longer than any step; a machine that needs more is not worth waiting for.
PATIENCE = 3600


def pin(core):
    """The words before a command that keep it on one core."""
    if (os.cpu_count() or 1) < 2 or not shutil.which("taskset"):
        return []
    return ["taskset", "-c", str(core)]


ANSWERS, ASKS = pin(1), pin(0)


class Child:
    """A running program; left, it ends."""

    def __init__(self, command, **how):
        self.child = subprocess.Popen(list(map(str, command)), **how)

    def memory(self, field):
        """What the kernel says of its memory in a field of its status, in MiB."""
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+)", status).group(1)) / 1024

    def peak(self):
        """The most memory that it has had resident, in MiB."""
        return self.memory("VmHWM")

    def cpu(self):
        """Processor seconds of it and of its children, so far, threads that ended included."""
        children = Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children").read_text().split()
        # The clock of a process: see clock_getcpuclockid(3). What /proc says of it goes by hundredths of a second.
        return sum(time.clock_gettime(~int(pid) << 3 | 2) for pid in [self.child.pid, *children])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.terminate()
        self.child.wait()


class Process(Child):
    """A child and the lines that it prints on one of its streams."""

    def __init__(self, command, stream):
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: subprocess.PIPE}
        self.begun = time.perf_counter()
        super().__init__(command, text=True, **streams)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, args=(getattr(self.child, stream),), daemon=True).start()

    def read(self, stream):
        for line in stream:
            self.lines.put(line)
        self.lines.put(None)

    def address(self, pattern):
        """What the first line that matches says."""
        seen = []
        while (line := self.lines.get(timeout=PATIENCE)) is not None:
            seen.append(line)
            if found := re.search(pattern, line):
                return found.group(1)
        sys.exit("it ended before it listened:\n" + "".join(seen))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server(Child):
    """A child that answers on a port which it was told; its log goes to a file."""

    def __init__(self, name, command, port, log, **environment):
        self.name, self.port = name, port
        with open(log, "w") as out:
            super().__init__(command, stdout=out, stderr=out, env={**os.environ, **environment})
        deadline = time.monotonic() + 60
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                if self.child.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"{name} does not answer:\n{Path(log).read_text()}")
                time.sleep(0.05)


def unsigned(binary):
    """The setting by which no key is made: at the first start on a folder that takes a core for seconds, beside what is measured."""
    settings = subprocess.run([str(binary), "config"], text=True, capture_output=True, check=True).stdout
    return ["signing.enabled=false"] if "[signing]" in settings else []


def serve(binary, sandbox, data, settings, before=()):
    """A relay on a port of its own, and the address that its calls go to. `before`: words before its command."""
    command = [*ANSWERS, *before, binary, "serve", "--listen", "127.0.0.1:0", "--upstream", sandbox, "--data", str(data)]
    for setting in ["log.format=json", "upstream.calls_per_second=1000000", *unsigned(binary), *settings]:
        command += ["--set", setting]
    process = Process(command, "stderr")
    address = process.address(r'"message":"listening","address":"([^"]+)"')
    return process, f"http://{address}/pypi"


def counted_into(file):
    """The words before a command that let its instructions be counted: see `instructions`."""
    return ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={file}.count"]


def instructions(child, file, ask, count=1000):
    """How many of them outside the kernel one question takes in the middle of many; the command began with `counted_into`.

    A busy machine changes nothing: where rounds scatter, this tells."""

    def ask_and(control):
        for _ in range(count):
            ask()
        command = ["callgrind_control", control, str(child.child.pid)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    # What is done once is over then.
    ask_and("--instr=on")
    ask_and("--dump")
    return int(re.search(r"^totals: (\d+)", Path(f"{file}.count.1").read_text(), re.M).group(1)) / count


def built(*what):
    """Builds something for release: the path of its executable."""
    command = ["cargo", "build", "--release", "--message-format", "json", *what]
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    # A benchmark brings the relay's own binary with it, before or after it.
    named = [line["executable"] for line in lines if line.get("executable") and line["target"]["name"] == what[-1]]
    return named[-1]
