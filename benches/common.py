"""What the benchmarks share: cores, children and their addresses, the release binary."""

import json
import os
import queue
import re
import shutil
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


class Process:
    """A child and the lines that it prints on one of its streams."""

    def __init__(self, command, stream):
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: subprocess.PIPE}
        self.begun = time.perf_counter()
        self.child = subprocess.Popen(command, text=True, **streams)
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

    def peak(self):
        """The most memory that it has had resident, in MiB."""
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.terminate()
        self.child.wait()


def serve(binary, sandbox, data, settings):
    """A relay on a port of its own, and the address that its calls go to."""
    command = [*ANSWERS, binary, "serve", "--listen", "127.0.0.1:0", "--upstream", sandbox, "--data", str(data)]
    for setting in ["log.format=json", "upstream.calls_per_second=1000000", *settings]:
        command += ["--set", setting]
    process = Process(command, "stderr")
    address = process.address(r'"message":"listening","address":"([^"]+)"')
    return process, f"http://{address}/pypi"


def built(*what):
    """Builds something for release: the path of its executable."""
    command = ["cargo", "build", "--release", "--message-format", "json", *what]
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    # A benchmark brings the relay's own binary with it, before or after it.
    named = [line["executable"] for line in lines if line.get("executable") and line["target"]["name"] == what[-1]]
    return named[-1]
