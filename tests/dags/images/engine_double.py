"""A double of an external program: podman's command line, as far as Respan uses it, for where no engine can run.

Installed as an executable ``podman``; its store is the folder ``store`` beside it. Images are made of one layer from
``FROM scratch``, ``COPY <file or folder> <folder>`` and ``RUN ["<program in the image>"]``, which runs without a
container, in a session of its own as a container's processes are. A build works in a folder of the store, with the
engine's own layout, and leaves it there when it is killed. It speaks plain HTTP with a registry, and says
what podman 4.3 says.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import uuid
from pathlib import Path
from typing import Any, NoReturn

STORE = Path(sys.argv[0]).resolve().parent / "store"
CONTAINERS = STORE / "vfs-containers"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def fail(message: str, code: int = 125) -> NoReturn:
    print(f"Error: {message}", file=sys.stderr)
    sys.exit(code)


def write(name: str, content: bytes) -> None:
    file = STORE / name
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    partial.write_bytes(content)
    partial.replace(file)


def keep(content: bytes) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    write(f"blobs/{digest}", content)
    return {"digest": digest, "size": len(content)}


def blob(digest: str) -> bytes:
    return (STORE / "blobs" / digest).read_bytes()


def tags() -> dict[str, str]:
    """tag → the manifest's digest."""
    file = STORE / "tags.json"
    found: dict[str, str] = json.loads(file.read_bytes()) if file.exists() else {}
    return found


def set_tag(tag: str, digest: str) -> None:
    write("tags.json", json.dumps({**tags(), tag: digest}).encode())


def manifest_of(tag: str, problem: str = "{}: image not known") -> str:
    return tags().get(tag) or fail(problem.format(tag))


def labels_of(digest: str) -> dict[str, str]:
    config = json.loads(blob(json.loads(blob(digest))["config"]["digest"]))
    labels: dict[str, str] = config["config"]["Labels"]
    return labels


def copy(context: Path, name: str, target: Path, step: str) -> None:
    """As COPY does: of a folder what is in it."""
    source = context / name
    if not source.exists():
        fail(f'building at STEP "COPY {step}": copier: stat: "/{name}": no such file or directory')
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def build(options: argparse.Namespace) -> None:
    steps = [line.split(maxsplit=1) for line in Path(options.file).read_text().splitlines() if line.strip()]
    container = CONTAINERS / uuid.uuid4().hex
    root = container / "root"
    root.mkdir(parents=True)
    (container / "userdata").mkdir()
    state = {"CommonBuildOpts": {"Secrets": options.secret}}
    (container / "userdata" / "buildah.json").write_text(json.dumps(state))
    try:
        for number, (instruction, rest) in enumerate(steps, 1):
            print(f"STEP {number}/{len(steps)}: {instruction} {rest}", flush=True)
            if instruction == "COPY":
                *sources, target = rest.split()
                for source in sources:
                    copy(Path(options.context), source, root / target.strip("/"), rest)
            elif instruction == "RUN":
                program, *arguments = json.loads(rest)
                done = subprocess.run([str(root) + program, *arguments], start_new_session=True, check=False)
                if done.returncode:
                    fail(f'building at STEP "RUN {rest}": while running runtime: exit status {done.returncode}', 1)
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as archive:
            for file in sorted(root.rglob("*")):
                archive.add(file, str(file.relative_to(root)), recursive=False, filter=undated)
    finally:
        shutil.rmtree(container)
    layers = [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **keep(layer.getvalue())}]
    labels = dict(label.split("=", 1) for label in options.label)
    rootfs = {"type": "layers", "diff_ids": [layers[0]["digest"]]}
    config = {"architecture": "amd64", "os": "linux", "config": {"Labels": labels}, "rootfs": rootfs}
    described = {"mediaType": "application/vnd.oci.image.config.v1+json", **keep(json.dumps(config).encode())}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": layers}
    set_tag(options.tag, keep(json.dumps(manifest).encode())["digest"])
    print(f"Successfully tagged {options.tag}")


def undated(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mtime = 0
    return member


def inspect(options: argparse.Namespace) -> None:
    digest = manifest_of(options.name, "inspecting object: {}: image not known")
    image = json.loads(blob(digest))["config"]["digest"].removeprefix("sha256:")
    print(json.dumps([{"Id": image, "Digest": digest, "Labels": labels_of(digest)}]))


def images(options: argparse.Namespace) -> None:
    name, value = options.filter.removeprefix("label=").split("=")
    found = {digest for digest in tags().values() if labels_of(digest).get(name) == value}
    print(*sorted(found), sep="\n")


def containers(options: argparse.Namespace) -> None:
    print(*sorted(container.name for container in CONTAINERS.glob("*")), sep="\n")


def remove(options: argparse.Namespace) -> None:
    for name in options.names:
        shutil.rmtree(CONTAINERS / name)


def info(options: argparse.Namespace) -> None:
    print(options.format.replace("{{.Store.GraphRoot}}", str(STORE)))


class Remote:
    """The registry of ``tag``; says podman's words when it can't be reached or refuses."""

    def __init__(self, tag: str, doing: str) -> None:
        self.repository, _, self.tag = tag.rpartition(":")
        self.host, _, self.path = self.repository.partition("/")
        self.doing = doing
        file = os.environ.get("REGISTRY_AUTH_FILE")
        logins = json.loads(Path(file).read_bytes())["auths"] if file else {}
        self.headers = {"Authorization": f"Basic {logins[self.host]['auth']}"} if self.host in logins else {}

    def ask(self, method: str, path: str, body: bytes = b"", kind: str = "application/octet-stream") -> Any:
        host, port = self.host.split(":")
        connection = http.client.HTTPConnection(host, int(port))
        try:
            connection.request(method, path, body, {**self.headers, "Content-Type": kind})
        except ConnectionRefusedError:
            where = f'Get "http://{self.host}/v2/": dial tcp {self.host}: connect: connection refused'
            fail(f"{self.doing}: pinging container registry {self.host}: {where}")
        answer = connection.getresponse()
        content = answer.read()
        if answer.status == 401:
            fail(f"{self.doing}: unauthorized: authentication required")
        if answer.status == 404 and method == "GET":
            fail(f"{self.doing}: reading manifest {self.tag} in {self.repository}: manifest unknown")
        if answer.status >= 500:
            fail(f"{self.doing}: received unexpected HTTP status: {answer.status} Service Unavailable")
        return answer.status, answer.headers, content

    def upload(self, digest: str) -> None:
        if self.ask("HEAD", f"/v2/{self.path}/blobs/{digest}")[0] != 200:
            _, headers, _ = self.ask("POST", f"/v2/{self.path}/blobs/uploads/")
            self.ask("PUT", f"{headers['Location']}?digest={digest}", blob(digest))


def push(options: argparse.Namespace) -> None:
    digest = manifest_of(options.name)
    remote = Remote(options.name, "trying to reuse blob")
    manifest = json.loads(blob(digest))
    for part in (*manifest["layers"], manifest["config"]):
        remote.upload(part["digest"])
    remote.ask("PUT", f"/v2/{remote.path}/manifests/{remote.tag}", blob(digest), MANIFEST)
    Path(options.digestfile).write_text(digest)


def pull(options: argparse.Namespace) -> None:
    remote = Remote(options.name, f"initializing source docker://{options.name}")
    content = remote.ask("GET", f"/v2/{remote.path}/manifests/{remote.tag}")[2]
    manifest = json.loads(content)
    for part in (*manifest["layers"], manifest["config"]):
        keep(remote.ask("GET", f"/v2/{remote.path}/blobs/{part['digest']}")[2])
    set_tag(options.name, keep(content)["digest"])


def tag(options: argparse.Namespace) -> None:
    set_tag(options.new, manifest_of(options.name))


def main() -> None:
    parser = argparse.ArgumentParser(prog="podman", allow_abbrev=False)
    commands = parser.add_subparsers(required=True)

    def command(run: Any, name: str, *arguments: str, within: Any = None) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = (within or commands).add_parser(name)
        for argument in arguments:
            added.add_argument(argument)
        added.set_defaults(run=run)
        return added

    building = command(build, "build", "--file", "--tag", "context")
    building.add_argument("--label", action="append", default=[])
    building.add_argument("--secret", action="append", default=[])
    building.add_argument("--layers", action="store_true")
    building.add_argument("--force-rm", action="store_true")
    command(inspect, "inspect", "name", within=commands.add_parser("image").add_subparsers(required=True))
    command(images, "images", "--filter").add_argument("--quiet", action="store_true")
    listing = command(containers, "ps")
    for option in ("--all", "--external", "--quiet", "--no-trunc"):
        listing.add_argument(option, action="store_true")
    removing = command(remove, "rm")
    removing.add_argument("--force", action="store_true")
    removing.add_argument("names", nargs="+")
    command(info, "info", "--format")
    command(push, "push", "--digestfile", "name")
    command(pull, "pull", "name")
    command(tag, "tag", "name", "new")
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
