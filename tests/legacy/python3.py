"""Fetches an old mirror and makes it run under Python 3: its name in lower case, its version, the SHA-256 of its release, a folder.

Nothing of it is kept in this repository. What is changed, all of it:

1. `fissix` (Python's own `2to3`) converts the syntax and the names of the standard library.
2. `open` is that of `SHIM`: as in Python 2 a file takes text and bytes.
3. The texts of `CHANGES`, each exactly as often as it says, or this fails.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

SHIM = '''\
"""What differs between the two Pythons, and no text of a program says."""
import builtins
import io


class Written(io.FileIO):
    def write(self, data):
        return super().write(data.encode("utf-8") if isinstance(data, str) else data)


def open(path, mode="r"):
    return Written(path, "w") if "w" in mode else builtins.open(path, mode)
'''

# Both versions of bandersnatch. Names stay text, files are hashed as bytes, and what Python 3 has no more has another name.
BANDERSNATCH = [
    ("bandersnatch/package.py", ".encode('utf-8')", "", 3),
    ("bandersnatch/mirror.py", ".encode('utf-8')", "", 1),
    ("bandersnatch/mirror.py", ".decode('utf-8')", "", 1),
    ("bandersnatch/mirror.py", ".isAlive()", ".is_alive()", 1),
    ("bandersnatch/utils.py", "in open(path):", "in open(path, 'rb'):", 1),
    ("bandersnatch/utils.py", "sys.subversion[0]", "sys.implementation.name", 1),
]

# By program: file, text, what stands in its place, how often.
CHANGES = {
    "pep381client": [
        # Two functions had the names that packages of the standard library have now.
        ("pep381client/__init__.py", "xmlrpc()", "open_xmlrpc()", 3),
        ("pep381client/__init__.py", "http()", "open_http()", 3),
        ("pep381client/__init__.py", "project = project.encode('utf-8')", "pass", 1),
        # Python 2 pickled a connection as nothing.
        (
            "pep381client/sqlite.py",
            "import sqlite3, os",
            "import sqlite3, os, copyreg; copyreg.pickle(sqlite3.Connection, lambda _: (object, ()))",
            1,
        ),
    ],
    "bandersnatch": BANDERSNATCH,
    "pypimirror": [
        # Its reader of HTML is the same one, in the version for Python 3.
        ("pypimirror/mirror.py", "from BeautifulSoup import", "from bs4 import", 1),
        ("pypimirror/mirror.py", "BeautifulSoup(html)", "BeautifulSoup(html, 'html.parser')", 2),
        ("pypimirror/mirror.py", "urllib.parse.splittag(", "urllib.parse.urldefrag(", 2),
        ("pypimirror/mirror.py", "= file(", "= open(", 1),
    ],
}


def fetch(name, version, digest, scratch):
    """The folder of the unpacked release. Its `setup.py` need not work under Python 3: pip leaves what it has unpacked."""
    requirement = scratch / "requirement"
    requirement.write_text(f"{name}=={version} --hash=sha256:{digest}\n")
    pip = "-m pip download --no-clean --no-deps --no-binary :all: --disable-pip-version-check --require-hashes".split()
    command = [sys.executable, *pip, "-d", str(scratch / "sdist"), "-r", str(requirement)]
    unpacked = scratch / "unpacked"
    unpacked.mkdir()
    done = subprocess.run(
        command, env={**os.environ, "TMPDIR": str(unpacked)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    found = list(unpacked.glob(f"pip-download-*/{name}_*/setup.py"))
    assert len(found) == 1, f"{found}\n{done.stdout}"
    return found[0].parent


def convert(name, source, target):
    package = next(path for path in (source / name, source / "src" / name) if path.is_dir())
    shutil.copytree(package, target / name)
    for script in (source / "scripts").glob("pep381*"):
        shutil.copy(script, target)
    (target / "python2.py").write_text(SHIM)
    files = [*(target / name).glob("*.py"), target / "pep381run", target / "pep381checkfiles"]
    fissix = [sys.executable, "-m", "fissix", "-w", "-n", "--no-diffs", *(str(file) for file in files if file.exists())]
    subprocess.run(fissix, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for path, old, new, times in CHANGES[name]:
        text = (target / path).read_text("utf-8")
        assert text.count(old) == times, (path, old, text.count(old))
        (target / path).write_text(text.replace(old, new), "utf-8")
    for file in (target / name).glob("*.py"):
        text = file.read_bytes()
        if b" open(" in text:
            file.write_bytes(b"from python2 import open\n" + text)


def main():
    name, version, digest, target = sys.argv[1:]
    with tempfile.TemporaryDirectory() as scratch:
        convert(name, fetch(name, version, digest, pathlib.Path(scratch)), pathlib.Path(target))


main()
