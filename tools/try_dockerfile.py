"""Run the steps of the Dockerfile in a folder that holds a system, where no Docker is there.

    debootstrap --variant=minbase --include=python3-pip,ca-certificates bookworm ROOT
    rm ROOT/usr/lib/python3*/EXTERNALLY-MANAGED
    ln -s python3 ROOT/usr/bin/python
    python tools/try_dockerfile.py ROOT

ROOT stands for the image that FROM names: it has Python and pip, but Debian's build of them. COPY,
RUN, USER and WORKDIR are done as `docker build` would do them, by chroot, without layers. Then CMD
is started on a free port of 127.0.0.1, and the app's page and status are fetched. Needs root and
Linux. `--bind` shows a folder of this machine to the steps, `--env` keeps a variable.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Instruction and arguments of each line of a Dockerfile; continued lines are joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            yield name.upper(), rest.strip()


class System:
    """A folder with a system, and the state that instructions leave."""

    def __init__(self, root: Path, kept: list[str], bound: list[str]) -> None:
        self.root, self.bound = root, bound
        self.folder, self.user = "/", "root"
        path = "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"
        self.environment = {"PATH": path, "LANG": "C.UTF-8", "HOME": "/root"}
        self.environment |= {name: os.environ[name] for name in kept}

    def command(self, *words: str) -> list[str]:
        """The command that runs words in the system; what it mounts goes with it."""
        mounts = [f"mount -t proc proc {self.root}/proc", f"mount --rbind /dev {self.root}/dev"]
        mounts += [f"mount --bind {b} {self.root}{b}" for b in self.bound]
        inside = f"cd {self.folder} && exec {shlex.join(words)}"
        number = self._number()
        enter = ["chroot", f"--userspec={number}:{number}", str(self.root), "/bin/sh", "-c", inside]
        script = " && ".join([*mounts, f"exec {shlex.join(enter)}"])
        return ["unshare", "--mount", "/bin/sh", "-c", script]

    def _number(self) -> int:
        users = (self.root / "etc/passwd").read_text().splitlines()
        return next(int(u.split(":")[2]) for u in users if u.startswith(f"{self.user}:"))

    def carry_out(self, name: str, rest: str) -> None:
        """One instruction; exits with an error if it fails."""
        print(f"{name} {rest[:90]}", flush=True)
        inside = self.root / self.folder.lstrip("/")
        if name == "WORKDIR":
            self.folder = rest
            (self.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif name == "USER":
            self.user, self.environment["HOME"] = rest, f"/home/{rest}"
        elif name == "COPY":
            *sources, target = rest.split()
            for source in sources:
                place = inside / target / (Path(source).name if target.endswith("./") else "")
                if (REPOSITORY / source).is_dir():
                    shutil.copytree(REPOSITORY / source, place, dirs_exist_ok=True)
                else:
                    shutil.copy2(REPOSITORY / source, place)
        elif name == "RUN":
            command = self.command("/bin/sh", "-c", rest)
            if subprocess.run(command, env=self.environment).returncode:
                sys.exit(f"failed: {rest}")
        elif name not in ("FROM", "VOLUME", "EXPOSE", "CMD"):
            sys.exit(f"{name} is not known here")


PAGES = ("/", "/api/status")


def get(address: str, token: str) -> str:
    """What the app answers at an address, to a request with its token."""
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as answer:
        return f"{answer.status} {answer.read().decode()}"


def fetch_pages(system: System, words: list[str]) -> list[str]:
    """What the app that a command starts answers at `PAGES`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words[words.index("--port") + 1] = port
    words[words.index("--host") + 1] = "127.0.0.1"  # chroot leaves it in this machine's network
    process = subprocess.Popen(
        system.command(*words),
        env=system.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        printed = ""
        for line in process.stdout:
            printed += line
            if line.startswith("Open http"):
                token = (system.root / "data/token").read_text().strip()
                return [get(f"http://localhost:{port}{path}", token) for path in PAGES]
        sys.exit(f"the app ended: {printed}")
    finally:
        process.terminate()
        process.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path)
    parser.add_argument("--env", action="append", default=[], metavar="NAME")
    parser.add_argument("--bind", action="append", default=[], metavar="FOLDER")
    arguments = parser.parse_args()
    system = System(arguments.root.resolve(), arguments.env, arguments.bind)
    for folder in arguments.bind:
        (system.root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
    words: list[str] = []
    for name, rest in instructions((REPOSITORY / "Dockerfile").read_text()):
        system.carry_out(name, rest)
        if name == "CMD":
            words = json.loads(rest)
    for path, page in zip(PAGES, fetch_pages(system, words), strict=True):
        title = re.search(r"<title>.*?</title>", page)
        print(f"{path}: {page[:4]}{title[0] if title else page[4:300]}")


if __name__ == "__main__":
    main()
