#!/usr/bin/env python3
"""Download statistics at full size: ten years of days, 5 million rows. Prints a Markdown table.

    benches/statistics/run.py                          # 3,650 days, 5,000,000 rows, a last day of 100,000
    benches/statistics/run.py --rows 200000 --days 100 --last 20000

Builds the release binary, makes a database of that size, starts `cheesewire serve` over it, and measures how long the last day
takes to be sealed and how long its longest step held up other writing (both as the relay logs them), `top_packages(100)`,
and the memory that all of it takes. Needs Python 3 and nothing else.
"""

import argparse
import json
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import Process, built, serve

PROJECTS, FILES, AGENTS = 20_000, 100_000, 5_000
SEALED = 2


def fill(path, days, rows, last):
    """Rows as downloads are: a few files are loaded by many, most by few. All days but the last are sealed."""
    dice, today = random.Random(15), int(time.time()) // 86_400
    database = sqlite3.connect(path)
    database.executescript("PRAGMA synchronous = OFF; PRAGMA journal_mode = WAL;")
    with database:
        names = ((n, f"project-{n}", f"Project-{n}") for n in range(PROJECTS))
        database.executemany("INSERT INTO projects (id, name, spelling) VALUES (?, ?, ?)", names)
        files = ((n, n % PROJECTS, f"project_{n % PROJECTS}-{n // PROJECTS}.0.tar.gz", f"{n // PROJECTS}.0") for n in range(FILES))
        database.executemany("INSERT INTO files (id, project, filename, version) VALUES (?, ?, ?, ?)", files)
        agents = ((n, f"pip/{n} {dice.random()} " + "x" * 200, "pip", str(n), "3.11.2", "Linux") for n in range(AGENTS))
        database.executemany("INSERT INTO agents VALUES (?, ?, ?, ?, ?, ?)", agents)
    insert = "INSERT OR IGNORE INTO counters VALUES (?, ?, ?, ?)"

    def of_day(day, count):
        draw = lambda most: min(int(dice.paretovariate(0.3)) - 1, most * 3) % most
        return ((day, draw(FILES), dice.randrange(AGENTS), dice.randrange(1, 50)) for _ in range(count))

    for n in range(days, 1, -1):
        with database:
            database.execute("INSERT INTO days (day, state, bytes, sha256) VALUES (?, ?, 0, x'')", (today - n, SEALED))
            database.executemany(insert, of_day(today - n, rows // days))
    with database:
        database.execute("INSERT INTO days (day) VALUES (?)", (today - 1,))
        wide = ((today - 1, dice.randrange(FILES), dice.randrange(AGENTS), 1) for _ in range(last))
        database.executemany(insert, wide)
        database.executescript("""
            UPDATE files SET count = s.n FROM (SELECT file, sum(count) n FROM counters GROUP BY file) s WHERE id = s.file;
            UPDATE projects SET count = s.n FROM (SELECT project, sum(count) n FROM files GROUP BY project) s WHERE id = s.project;
            INSERT INTO project_days SELECT f.project, c.day, sum(c.count) FROM counters c JOIN files f ON f.id = c.file GROUP BY 1, 2;
        """)
    rows, = database.execute("SELECT count(*) FROM counters").fetchone()
    database.close()
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, help="default: built here")
    parser.add_argument("--days", type=int, default=3650)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--last", type=int, default=100_000, help="rows of the day that is sealed")
    parser.add_argument("--repeat", type=int, default=20)
    arguments = parser.parse_args()
    binary = arguments.binary or built("--bin", "cheesewire")
    with tempfile.TemporaryDirectory() as folder:
        # No mirror to collect from: it makes the database.
        subprocess.run([binary, "stats", "collect", "--data", folder], check=True)
        rows = fill(Path(folder) / "statistics.sqlite3", arguments.days, arguments.rows, arguments.last)
        # Nothing listens there, and nothing is asked.
        relay, calls = serve(binary, "http://127.0.0.1:1/", folder, ["follow.enabled=false", "stats.seal_after=100ms"])
        with relay:
            before, begun = relay.memory("VmRSS"), time.perf_counter()
            while True:
                line = relay.lines.get(timeout=600)
                if line is None:
                    sys.exit("the relay ended")
                event = json.loads(line)["fields"]
                if event["message"] == "a day is sealed":
                    break
            sealed = time.perf_counter() - begun
            server, took = xmlrpc.client.ServerProxy(calls), []
            for _ in range(arguments.repeat):
                begun = time.perf_counter()
                assert len(server.top_packages(100)) == 100
                took.append(time.perf_counter() - begun)
            peak = relay.peak()
        print(f"{rows:,} rows, {arguments.days:,} days\n")
        print("| what | figure | goal |\n|---|---|---|")
        print(f"| a day of {arguments.last:,} rows is sealed | {sealed:.2f} s | 5 s |")
        print(f"| its longest step, of {event['steps']} | {1000 * event['longest_step_seconds']:.1f} ms | 100 ms |")
        print(f"| `top_packages(100)`, median and worst | {1000 * statistics.median(took):.1f} ms, {1000 * max(took):.1f} ms | 50 ms |")
        print(f"| memory before, peak | {before:.0f} MiB, {peak:.0f} MiB | |")


if __name__ == "__main__":
    main()
