"""A hub on loopback: repositories are folders, and it answers what is asked of one when they are read."""

import hashlib
import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit


@contextmanager
def serving(root):
    """Serve ``models/owner/name`` and ``datasets/owner/name`` under a folder.

    Gives the environment that leads there, and the list of what is asked: method, path, status, token.
    """
    asked = []
    handler = type("Handler", (_Handler,), {"root": Path(root), "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HUB_OFFLINE": "0"}, asked
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        parts = [unquote(part) for part in path.strip("/").split("/")]
        api = parts[0] == "api"
        kind = parts.pop(0) if not api and parts[0] == "datasets" else parts[1] if api else "models"
        owner, name, *what = parts[2:] if api else parts
        repository = self.root / kind / owner / name
        if not repository.is_dir():
            self._missing("RepoNotFound")
        elif not api:
            self._file(repository, repository / "/".join(what[2:]))  # resolve, revision, path
        elif what[:1] in ([], ["revision"]):
            files = [{"rfilename": _name(repository, file)} for file in _files(repository)]
            self._json({"id": f"{owner}/{name}", "sha": _revision(repository), "siblings": files, "tags": []})
        elif what[0] == "tree" and (folder := repository / "/".join(what[2:])).is_dir():
            recursive = query.get("recursive") == ["true"]
            self._json([_entry(repository, path) for path in sorted(folder.glob("**/*" if recursive else "*"))])
        else:
            self._missing("EntryNotFound")

    do_HEAD = do_GET  # noqa: N815

    def _file(self, repository, file):
        if not file.is_file():
            return self._missing("EntryNotFound")
        content, commit = file.read_bytes(), _revision(repository)
        return self._send(200, content, {"ETag": f'"{_sha1(content)}"', "X-Repo-Commit": commit})

    def _json(self, content):
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _missing(self, code):
        self._send(404, b"{}", {"X-Error-Code": code})

    def _send(self, status, body, headers):
        self.asked.append((self.command, self.path, status, self.headers.get("Authorization")))
        self.send_response(status)
        for name, value in headers.items() | {("Content-Length", str(len(body)))}:
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def _files(repository):
    return sorted(path for path in repository.rglob("*") if path.is_file())


def _name(repository, path):
    return path.relative_to(repository).as_posix()


def _sha1(content):
    return hashlib.sha1(content).hexdigest()


def _revision(repository):
    return _sha1(b"".join(_name(repository, file).encode() + file.read_bytes() for file in _files(repository)))


def _entry(repository, path):
    entry = {"path": _name(repository, path), "oid": _sha1(str(path).encode()), "size": path.stat().st_size}
    return entry | {"type": "directory" if path.is_dir() else "file"}
