#!/usr/bin/env python3
"""Records `pip search` at an index that has switched it off, and at a relay before it: pip-search.svg.

    docs/pictures/record.py                      # builds the release binary; needs pip
    docs/pictures/record.py target/release/cheesewire

Both run here, on free ports; the picture names the usual ones.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benches"))
from common import Process, built, serve

WIDE, LINE, LEFT, TOP = 86, 22, 18, 46
COLOURS = {"$": "#7ee787", "#": "#8b949e", "E": "#ff7b72", "": "#e6edf3"}


def run(command, addresses):
    """The lines of a command and of what it says, with their colours."""
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = done.stdout.strip().splitlines()
    lines = [("$", f"$ {' '.join(command).replace(f'{sys.executable} -m ', '')}")]
    lines += [("E" if done.returncode else "", part) for line in said for part in folded(line)]
    for real, shown in addresses.items():
        lines = [(colour, text.replace(real, shown)) for colour, text in lines]
    return lines


def folded(line):
    while len(line) > WIDE:
        at = line.rfind(" ", 0, WIDE)
        yield line[:at]
        line = line[at + 1:]
    yield line


def drawn(lines):
    width, height = LEFT * 2 + WIDE * 8.45, TOP + LINE * len(lines) + 8
    dots = "".join(f'<circle cx="{18 + 20 * at}" cy="18" r="6" fill="{colour}"/>' for at, colour in enumerate(("#ff5f56", "#ffbd2e", "#27c93f")))
    texts = "".join(f'<text x="{LEFT}" y="{TOP + LINE * at}" fill="{COLOURS[colour]}" xml:space="preserve">{escape(text)}</text>\n'
                    for at, (colour, text) in enumerate(lines))
    said = escape(" ".join(text for _, text in lines), {'"': "&quot;"})
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}" role="img" '
            f'aria-label="{said}" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="14">\n'
            f'<rect width="100%" height="100%" rx="8" fill="#0d1117"/>\n{dots}\n{texts}</svg>\n')


def main():
    binary = sys.argv[1] if len(sys.argv) > 1 else built("--bin", "cheesewire")
    pip = [sys.executable, "-m", "pip", "search", "--disable-pip-version-check"]
    with tempfile.TemporaryDirectory() as folder, Process([binary, "sandbox", "--listen", "127.0.0.1:0"], "stdout") as upstream:
        index = upstream.address(r"(http://127\.0\.0\.1:\d+)/")
        relay, calls = serve(binary, f"{index}/", Path(folder) / "data", [])
        with relay:
            here = re.match(r"http://[^/]+", calls).group()
            addresses = {index: "http://index.test", here: "http://127.0.0.1:3141", " --disable-pip-version-check": ""}
            lines = [("#", "# at an index, as it is today"), *run([*pip, "--index", f"{index}/pypi", "wire"], addresses), ("", ""),
                     ("#", "# at a relay before it"), *run([*pip, "--index", calls, "wire"], addresses)]
    Path(__file__).with_name("pip-search.svg").write_text(drawn(lines))


if __name__ == "__main__":
    main()
