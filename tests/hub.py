"""A hub on loopback: repositories with commits, large objects and branches, read and written by the real clients.

`serving` starts one. A folder ``models/owner/name`` or ``datasets/owner/name`` under its root is a repository whose
first commit holds the folder's files. A `Fault` stands for what goes wrong on the way.
"""

import re
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread

from hub_answers import MAIN, Handler, sha1

FIRST = {".gitattributes": b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"}
TOKEN, UNKNOWN = "hf_" + "secret" * 5, "hf_" + "unknown" * 5
CONVERTED = "refs/convert/parquet"


@dataclass
class Commit:
    """What a repository holds at one time: path -> content."""

    oid: str
    message: str
    files: dict[str, bytes]


@dataclass
class Repository:
    """Commits, oldest first, and the branches that lead to some."""

    private: bool
    commits: list[Commit] = field(default_factory=list)
    branches: dict[str, str] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)  # large ones, by their SHA-256

    def commit(self, branch, files, message):
        parent = self.branches.get(branch, "")
        content = "".join(f"{path} {sha1(content)}\n" for path, content in sorted(files.items()))
        oid = sha1(f"{parent} {len(self.commits)} {message}\n{content}".encode())
        self.commits.append(Commit(oid, message, files))
        self.branches[branch] = oid
        return oid

    def at(self, revision):
        """The commit of a branch or a hash; None of none."""
        oid = self.branches.get(revision, revision)
        return next((commit for commit in self.commits if commit.oid == oid), None)


@dataclass
class Fault:
    """What happens to some of the requests, once unless told otherwise.

    Args:
        method: of the requests.
        path: a pattern that is looked for in their paths.
        status: the answer, in place of what was asked; None answers as it should.
        headers: of that answer.
        cut: ``request`` breaks the connection in the middle of what is sent, ``answer`` in the middle of the answer,
            ``reply`` when all is done, so that nobody hears of it.
        do: called with the hub before the request is looked at.
        times: how often.
    """

    method: str
    path: str
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "a fault"
    cut: str | None = None
    do: Callable | None = None
    times: int = 1


@dataclass
class Hub:
    """A hub that is being served.

    Attributes:
        root: folder of the repositories that are there from the start.
        tokens: who may write, and see what is private; None takes any token.
        asked: method, path, status, token of each request.
        faults: what goes wrong next.
        endpoint: its address.
        altered: path -> the content that arrives in place of a file's.
    """

    root: Path
    tokens: set[str] | None = None
    asked: list[tuple] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)
    endpoint: str = ""
    altered: dict[str, bytes] = field(default_factory=dict)

    @property
    def environment(self):
        """Of a program that is to go there."""
        return {"HF_ENDPOINT": self.endpoint, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}

    def repository(self, kind, name):
        """The repository, made of its folder when it is first asked for; None of none."""
        folder = self.root / kind / name
        if (kind, name) not in self.repositories and folder.is_dir():
            files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
            made = self.create(kind, name, private=False, files=files)
            made.branches[CONVERTED] = made.branches[MAIN]
        return self.repositories.get((kind, name))

    def create(self, kind, name, private=True, files=None):
        made = Repository(private)
        made.commit(MAIN, FIRST if files is None else files, "initial commit")
        self.repositories[kind, name] = made
        return made

    def sent(self, method, pattern, status=200):
        """The paths that were asked for in this way, with this answer."""
        return [path for m, path, s, _ in self.asked if m == method and s == status and re.search(pattern, path)]


@contextmanager
def serving(root, tokens=None):
    """Serve the repositories under a folder, and those that are made."""
    hub = Hub(Path(root), tokens)
    handler = type("Answering", (Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
