#!/usr/bin/env python3
"""Search at full size: how long it takes, before and after documents were seen. Prints a Markdown table.

    benches/search/run.py                                          # 100,000 made-up names
    benches/search/run.py --projects names.tsv.gz --learn 20000 1000000 --keep journals

Builds the release binary, starts `cheesewire serve` before a `cheesewire sandbox` with these names, asks as `pip search`
does, has the relay read documents in the background, and asks again. All documents of a large list take a while: with `--keep`
they are read once. Needs Python 3 and nothing else.
"""

import argparse
import gzip
import importlib.util
import os
import random
import re
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("changelog", ROOT / "benches" / "changelog" / "run.py")
changelog = importlib.util.module_from_spec(spec)
spec.loader.exec_module(changelog)


def pip(text):
    """As pip asks."""
    return {"name": [text], "summary": [text]}, "or"


def questions(path, count):
    """What people ask for, by kind; the same ones each time."""
    dice = random.Random(20)
    rows = []
    with gzip.open(path, "rt") as lines:
        next(lines)
        for line in lines:
            row = line.rstrip("\n").split("\t")
            rows.append((row[0], row[4]))
    names = [name for name, _ in dice.sample(rows, min(len(rows), 20 * count))]
    long = [name for name in names if len(name) > 5]
    summaries = [word for _, text in dice.sample(rows, min(len(rows), 2000)) for word in re.findall(r"[A-Za-z]{3,}", text)]
    parts = [name.split("-") for name in names]
    several = [" ".join(part[:3]) for part in parts if len(part) > 1]

    def misspelled(name):
        at = dice.randrange(1, len(name) - 1)
        return dice.choice([name[:at] + name[at + 1:], name[:at] + name[at] + name[at:], name[:at] + "q" + name[at + 1:]])

    common = ["py", "data", "django", "python", "test", "ai", "api", "client", "tool", "utils", "flask", "aws", "web", "the"]
    two = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=2)) for _ in range(count)]
    return {
        "exact names": [pip(name) for name in names[:count]],
        "prefixes": [pip(name[:dice.randint(3, 6)]) for name in long[:count]],
        "common words": [pip(common[n % len(common)]) for n in range(count)],
        "two letters": [pip(text) for text in two],
        "misspelled": [pip(misspelled(name)) for name in long[count:2 * count]],
        "several words": [pip(text) for text in several[:count]],
        "summary words": [pip(word) for word in summaries[:count]],
        "summary alone": [({"summary": word}, "and") for word in summaries[count:2 * count]],
        "name and summary": [({"name": part[0], "summary": word}, "and") for part, word in zip(parts[:count], summaries)],
        "name and version": [({"name": name, "version": "0.1.0"}, "and") for name in names[:count]],
    }


def ask(client, asked, figure, when):
    """Each kind's times; the limit is for all of them together."""
    everything = []
    for kind, params in asked.items():
        times = [client.call("search", *param)[1] * 1000 for param in params]
        everything += times
        figure(f"{kind}, {when}", *quantiles(times))
    figure(f"**all, {when}**", *quantiles(everything), "20 ms at p99")


def quantiles(times):
    cuts = statistics.quantiles(times, n=100)
    return f"{statistics.median(times):.1f} ms", f"{cuts[98]:.1f} ms", f"{max(times):.1f} ms"


def learned(url):
    text = urllib.request.urlopen(url.replace("/pypi", "/metrics")).read().decode()
    found = re.findall(r'^cheesewire_search_documents_total\{outcome="(?:learned|absent)"\} (\d+)', text, re.MULTILINE)
    return sum(map(int, found))


def learn(serve, count, figure):
    """Has a relay read so many further documents in the background."""
    relay, url = serve("search.crawl=true", "search.documents_per_second=1000000", "log.filter=warn,cheesewire::app=info")
    with relay:
        begun, before, now = time.perf_counter(), -1, 0
        # Once it began, it ends where there are no more.
        while now < count and (before < now or now == 0 and time.perf_counter() - begun < 60):
            time.sleep(2)
            before, now = now, learned(url)
        rate = now / (time.perf_counter() - begun)
        figure("documents read in the background without a limit", f"{rate:.0f}/s")
        figure("peak memory meanwhile", f"{relay.peak():.0f} MB", "", "", "200 MB")


def known(data):
    """The documents in a journal."""
    with sqlite3.connect(data / "journal.sqlite3") as database:
        return database.execute("SELECT COUNT(*) FROM learned WHERE told IS NOT NULL").fetchone()[0]


def measure(arguments, folder):
    binary, figures = str(arguments.binary), []

    def figure(name, *values):
        figures.append((name, *values, *[""] * (4 - len(values))))
        print("  " + " | ".join(figures[-1]), file=sys.stderr)

    projects = arguments.projects
    if not projects:
        projects = folder / "names.tsv.gz"
        changelog.names(projects, 100_000)
    asked = questions(projects, arguments.repeat)
    command = [*changelog.ASKS, binary, "sandbox", "--listen", "127.0.0.1:0", "--projects", str(projects)]
    command += ["--events", str(arguments.events)]
    with changelog.Process(command, "stdout") as sandbox:
        upstream, earlier, had = sandbox.address(r"sandbox at (\S+)"), None, 0
        for count in [0, *arguments.learn]:
            data = folder / f"{count}-documents"
            serve = lambda *settings: changelog.serve(binary, upstream, data, ["search.learn_hits=0", *settings])
            if not data.exists():
                if earlier:
                    shutil.copytree(earlier, data)
                    learn(serve, count - had, figure)
                else:
                    relay, url = serve()
                    with relay:
                        changelog.Client(url).value("list_packages_page", {"limit": 1})
                        figure("first start until the list of projects is there", f"{time.perf_counter() - relay.begun:.2f} s")
                    # Or the system goes on writing it to the disk beside what is measured next.
                os.sync()
            earlier, had = data, known(data)
            starts = []
            for _ in range(5):
                relay, url = serve()
                with relay:
                    changelog.Client(url).value("changelog_last_serial")
                    starts.append(time.perf_counter() - relay.begun)
            when = f"{had:,} documents read" if had else "names alone known"
            figure(f"start-up to first answer, {when}", f"{statistics.median(starts) * 1000:.0f} ms", "", "", "200 ms")
            relay, url = serve()
            with relay:
                client = changelog.Client(url)
                figure("first search, which reads the names", f"{client.call('search', *pip('requests'))[1] * 1000:.0f} ms")
                ask(client, asked, figure, when)
                figure("peak memory meanwhile", f"{relay.peak():.0f} MB", "", "", "200 MB")
            size = sum(file.stat().st_size for file in data.glob("journal.sqlite3*"))
            figure("journal on disk", f"{size / 1e6:.0f} MB")
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--projects", type=Path, help="a list of names; default: 100,000 made-up ones")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--learn", type=int, nargs="*", default=[20_000], help="documents to have read before each further round")
    parser.add_argument("--repeat", type=int, default=100, help="questions of each kind")
    parser.add_argument("--binary", type=Path, help="default: built here")
    parser.add_argument("--keep", type=Path, help="where the journals are kept, for the next run to ask; default: nowhere")
    arguments = parser.parse_args()
    if not arguments.binary:
        arguments.binary = changelog.built("--bin", "cheesewire")
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(arguments, arguments.keep or Path(folder))
    names = arguments.projects.name if arguments.projects else "100,000 made-up names"
    print(f"\n{names}, {os.cpu_count()} cores, {arguments.repeat} questions of each kind over HTTP:\n")
    print("| figure | median | p99 | worst | limit |\n|---|---|---|---|---|")
    for row in figures:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
