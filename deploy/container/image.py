#!/usr/bin/env python3
"""Lays out a container image by the OCI image format, without a daemon: one archive with `oci-layout`, `index.json` and blobs by
SHA-256, and the `manifest.json` that older versions of `docker load` read.

Two layers: what changes seldom (certificate authorities, the folder for the data), and the static binary. Entries stand in a
fixed order and have the time that is given, so that the same input gives the same bytes.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import tarfile
import time

# Nobody else's on a usual system.
USER = 3141
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
DATA = "var/lib/cheesewire"
SECOND = 1_000_000_000


def entry(name, epoch, mode, owner=0, kind=tarfile.REGTYPE, size=0):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime, info.size = kind, mode, epoch, size
    info.uid = info.gid = owner
    return info


def layer(epoch, entries):
    """A layer's bytes: `(name, mode, owner, content)` each, of which a folder has no content."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, mode, owner, content in entries:
            if content is None:
                archive.addfile(entry(name, epoch, mode, owner, tarfile.DIRTYPE))
            else:
                archive.addfile(entry(name, epoch, mode, owner, size=len(content)), io.BytesIO(content))
    return raw.getvalue()


def read(path):
    with open(path, "rb") as file:
        return file.read()


def base(epoch):
    folders = ["etc", "etc/ssl", "etc/ssl/certs", "var", "var/lib"]
    entries = [(name, 0o755, 0, None) for name in folders]
    entries += [(DATA, 0o700, USER, None), (AUTHORITIES.lstrip("/"), 0o644, 0, read(AUTHORITIES))]
    return layer(epoch, sorted(entries))


def program(epoch, binary):
    licences = ["LICENSE-APACHE", "LICENSE-MIT"]
    folders = ["usr", "usr/bin", "usr/share", "usr/share/licenses", "usr/share/licenses/cheesewire"]
    entries = [(name, 0o755, 0, None) for name in folders]
    entries += [("usr/share/licenses/cheesewire/" + name, 0o644, 0, read(name)) for name in licences]
    entries.append(("usr/bin/cheesewire", 0o755, 0, read(binary)))
    return layer(epoch, sorted(entries))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True, help="the static binary")
    parser.add_argument("--version", required=True)
    parser.add_argument("--machine", required=True, choices=sorted(MACHINES))
    parser.add_argument("--time", required=True, type=int, help="seconds since 1970")
    parser.add_argument("--output", required=True, help="the archive to write")
    args = parser.parse_args()
    if not os.path.exists(AUTHORITIES):
        parser.error(f"{AUTHORITIES} is not there; install ca-certificates")

    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(args.time))
    labels = {
        "org.opencontainers.image.title": "cheesewire",
        "org.opencontainers.image.version": args.version,
        "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
    }
    blobs = {}

    def blob(content):
        digest = hashlib.sha256(content).hexdigest()
        blobs[digest] = content
        return {"digest": "sha256:" + digest, "size": len(content)}

    def document(value):
        return blob(json.dumps(value, indent=1, sort_keys=True).encode())

    raw = [base(args.time), program(args.time, args.binary)]
    layers = [
        {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip"} | blob(gzip.compress(content, 9, mtime=0))
        for content in raw
    ]
    config = document(
        {
            "created": created,
            "architecture": MACHINES[args.machine],
            "os": "linux",
            "config": {
                "User": f"{USER}:{USER}",
                "ExposedPorts": {"3141/tcp": {}},
                "Env": ["PATH=/usr/bin"],
                "Entrypoint": ["/usr/bin/cheesewire"],
                "Cmd": ["serve", "--listen", "0.0.0.0:3141", "--data", "/" + DATA],
                "Volumes": {"/" + DATA: {}},
                "WorkingDir": "/" + DATA,
                "StopSignal": "SIGTERM",
                "Labels": labels,
                # Docker's and Podman's; the OCI format has no such field, and others ignore it.
                "Healthcheck": {
                    "Test": ["CMD", "/usr/bin/cheesewire", "health"],
                    "Interval": 30 * SECOND,
                    "Timeout": 5 * SECOND,
                    "StartPeriod": 60 * SECOND,
                    "Retries": 3,
                },
            },
            "rootfs": {
                "type": "layers",
                "diff_ids": ["sha256:" + hashlib.sha256(content).hexdigest() for content in raw],
            },
            "history": [
                {"created": created, "created_by": "deploy/build", "comment": comment}
                for comment in ["certificate authorities, folders", "cheesewire " + args.version]
            ],
        }
    )
    manifest = document(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json"} | config,
            "layers": layers,
            "annotations": labels | {"org.opencontainers.image.created": created},
        }
    )
    name = "cheesewire:" + args.version
    platform = {"architecture": MACHINES[args.machine], "os": "linux"}
    names = {"org.opencontainers.image.ref.name": args.version}
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {"mediaType": "application/vnd.oci.image.manifest.v1+json"}
            | manifest
            | {"platform": platform, "annotations": names}
        ],
    }
    path = lambda described: "blobs/" + described["digest"].replace(":", "/")
    older = [{"Config": path(config), "RepoTags": [name], "Layers": [path(one) for one in layers]}]
    files = {
        "oci-layout": json.dumps({"imageLayoutVersion": "1.0.0"}).encode(),
        "index.json": json.dumps(index, indent=1, sort_keys=True).encode(),
        "manifest.json": json.dumps(older, indent=1).encode(),
    } | {"blobs/sha256/" + digest: content for digest, content in blobs.items()}
    entries = [("blobs", 0o755, 0, None), ("blobs/sha256", 0o755, 0, None)]
    entries += [(name, 0o644, 0, content) for name, content in files.items()]
    with open(args.output, "wb") as file:
        file.write(layer(args.time, sorted(entries)))


main()
