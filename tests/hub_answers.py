"""What a hub on loopback answers: repositories, trees, files and their ranges; what is uploaded and committed."""

import base64
import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

MAIN = "main"
LARGE = (".parquet", ".arrow", ".png", ".safetensors", ".bin")
LARGE_BYTES = 10 << 20
PAGE = 5  # entries of a page of a tree: few, so that clients must turn pages
SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B")


class _RefusedError(Exception):
    def __init__(self, status, message, code=None):
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


class Handler(BaseHTTPRequestHandler):
    """Answers for a `hub.Hub`."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _serve(self):
        self.fault = self._next_fault()
        if self.fault and self.fault.do:
            self.fault.do(self.hub)
        if self.fault and self.fault.cut == "request":
            self.rfile.read(int(self.headers.get("Content-Length", 2)) // 2)
            return self._break(0)
        self.body = self._read()
        if self.fault and self.fault.status:
            headers = {"X-Error-Message": " ".join(self.fault.message.split())} | self.fault.headers
            return self._json({"error": self.fault.message}, self.fault.status, headers)
        try:
            with self.hub.lock:
                self._answer()
        except _RefusedError as refused:
            headers = {"X-Error-Message": refused.message} | ({"X-Error-Code": refused.code} if refused.code else {})
            self._json({"error": refused.message}, refused.status, headers)
        return None

    do_GET = do_HEAD = do_POST = do_PUT = _serve  # noqa: N815

    def _next_fault(self):
        for fault in self.hub.faults:
            if fault.times and fault.method == self.command and re.search(fault.path, unquote(self.path)):
                fault.times -= 1
                return fault
        return None

    def _read(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _break(self, status):
        self.hub.asked.append((self.command, self.path, status, self.headers.get("Authorization")))
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(2)

    # What is asked ---------------------------------------------------------------------------------------------------

    def _answer(self):
        url = urlsplit(self.path)
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        self.query = parse_qs(url.query)
        if parts[0] == "objects":  # signed addresses: no token goes there
            return self._object(*parts[1:])
        self._require_known_token()
        if parts[:3] == ["api", "repos", "create"]:
            return self._create(json.loads(self.body))
        if parts[:2] == ["api", "validate-yaml"]:
            return self._validate(json.loads(self.body)["content"])
        is_api = parts[0] == "api"
        kind = parts[1] if is_api else parts[0] if parts[0] == "datasets" else "models"
        rest = parts[2:] if is_api else parts[kind == "datasets" :]
        if len(rest) < 2:
            raise _RefusedError(404, "Not found")
        owner, name, *what = rest
        self.kind, self.name = kind, f"{owner}/{name.removesuffix('.git')}"
        self.repository = self._repository()
        if not is_api and what[:1] == ["resolve"]:
            return self._resolve(what[1], "/".join(what[2:]))
        if what[:2] == ["info", "lfs"]:
            return self._batch(json.loads(self.body))
        asked = what[0] if is_api and what else "revision" if is_api else None
        answer = {"tree": self._tree, "paths-info": self._paths, "preupload": self._preupload, "commit": self._commit,
                  "branch": self._branch, "refs": self._refs, "revision": self._info}.get(asked)  # fmt: skip
        if answer is None:
            raise _RefusedError(404, "Not found", "EntryNotFound")
        return answer(*what[1:2], *(["/".join(what[2:])] if asked == "tree" else []))

    def _token(self):
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None

    def _knows(self):
        token = self._token()
        return token is not None and (self.hub.tokens is None or token in self.hub.tokens)

    def _require_known_token(self):
        if self._token() and not self._knows():
            raise _RefusedError(401, "Invalid credentials in Authorization header")

    def _require_write(self):
        if not self._knows():
            raise _RefusedError(401, "Invalid username or password.")

    def _repository(self):
        found = self.hub.repository(self.kind, self.name)
        if found is None or (found.private and not self._knows()):
            raise _RefusedError(404 if self._knows() else 401, "Repository not found", "RepoNotFound")
        return found

    def _at(self, revision):
        found = self.repository.at(revision)
        if found is None:
            raise _RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return found

    def _create(self, asked):
        self._require_write()
        kind, name = f"{asked.get('type', 'model')}s", f"{asked['organization']}/{asked['name']}"
        url = {"url": f"{self.hub.endpoint}/{'' if kind == 'models' else kind + '/'}{name}", "name": name}
        if self.hub.repository(kind, name):
            return self._json({"error": f"You already created this {kind} repo"} | url, 409)
        self.hub.create(kind, name, asked.get("visibility") == "private")
        return self._json(url)

    def _validate(self, content):
        block = re.match(r"^\s*---\n(.*?)\n---[ \t]*(\n|$)", content, re.DOTALL)
        try:
            problems = _problems(yaml.safe_load(block[1])) if block else []
        except yaml.YAMLError as error:
            problems = [f"no YAML: {error}"]
        answer = {"errors": [{"message": problem} for problem in problems], "warnings": []}
        self._json(answer, 400 if problems else 200)

    def _info(self, revision=MAIN):
        commit = self._at(revision)
        files = [{"rfilename": path} for path in sorted(commit.files)]
        private = {"private": self.repository.private, "tags": []}
        self._json({"id": self.name, "sha": commit.oid, "siblings": files} | private)

    def _tree(self, revision, folder):
        files, prefix = self._at(revision).files, f"{folder}/" if folder else ""
        found = {path: _entry(path, content) for path, content in files.items() if path.startswith(prefix)}
        for path in list(found):
            for parent in list(Path(path).parents)[:-1]:
                if parent.as_posix().startswith(prefix):
                    entry = {"type": "directory", "oid": sha1(str(parent).encode()), "size": 0}
                    found[parent.as_posix()] = {"path": parent.as_posix()} | entry
        if folder and not found:
            raise _RefusedError(404, f"{folder} does not exist", "EntryNotFound")
        entries = [entry for _, entry in sorted(found.items())]
        if self.query.get("recursive", ["false"])[0].lower() != "true":
            entries = [entry for entry in entries if "/" not in entry["path"][len(prefix) :]]
        start = int(self.query.get("cursor", ["0"])[0])
        url = re.sub(r"[?&]cursor=\d+", "", self.path)
        following = f"{self.hub.endpoint}{url}{'&' if '?' in url else '?'}cursor={start + PAGE}"
        more = {"Link": f'<{following}>; rel="next"'} if start + PAGE < len(entries) else {}
        self._json(entries[start : start + PAGE], headers=more)

    def _paths(self, revision):
        files, found = self._at(revision).files, []
        for path in parse_qs(self.body.decode()).get("paths", []):
            if path in files:
                found.append(_entry(path, files[path]))
            elif any(other.startswith(f"{path}/") for other in files):
                found.append({"type": "directory", "path": path, "oid": sha1(path.encode()), "size": 0})
        self._json(found)

    def _resolve(self, revision, path):
        commit = self._at(revision)
        if path not in commit.files:
            raise _RefusedError(404, "Entry not found", "EntryNotFound")
        content = commit.files[path]
        entry = _entry(path, content)
        content = self.hub.altered.get(path, content)
        headers = {"ETag": f'"{entry["oid"]}"', "X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
        if "lfs" in entry:
            headers |= {"X-Linked-Etag": f'"{entry["lfs"]["oid"]}"', "X-Linked-Size": str(len(content))}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not asked:
            return self._send(200, content, headers)
        start, end = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
        if start >= len(content):
            return self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
        headers |= {"Content-Range": f"bytes {start}-{end}/{len(content)}"}
        return self._send(206, content[start : end + 1], headers)

    # What is written -------------------------------------------------------------------------------------------------

    def _preupload(self, revision):
        self._require_write()
        files, found = self._at(revision).files, []
        for asked in json.loads(self.body)["files"]:
            path = asked["path"]
            mode = "lfs" if _is_large(path, asked["size"]) else "regular"
            found.append({"path": path, "uploadMode": mode, "shouldIgnore": False})
            if path in files:
                entry = _entry(path, files[path])
                found[-1]["oid"] = entry.get("lfs", entry)["oid"]
        self._json({"files": found})

    def _batch(self, asked):
        self._require_write()
        assert asked["operation"] == "upload" and asked["hash_algo"] == "sha256"
        found = []
        for one in asked["objects"]:
            found.append({"oid": one["oid"], "size": one["size"]})
            if one["oid"] not in self.repository.objects:
                href = f"{self.hub.endpoint}/objects/{self.kind}/{self.name}/{one['oid']}"
                found[-1]["actions"] = {"upload": {"href": href}, "verify": {"href": f"{href}/verify"}}
        self._json({"transfer": "basic", "objects": found})

    def _object(self, kind, owner, name, oid, what=None):
        repository = self.hub.repository(kind, f"{owner}/{name}")
        if repository is None:
            raise _RefusedError(404, "Repository not found", "RepoNotFound")
        if what is None:
            if hashlib.sha256(self.body).hexdigest() != oid:
                raise _RefusedError(400, "the content does not have this hash")
            repository.objects[oid] = self.body
        elif len(repository.objects.get(oid, b"")) != json.loads(self.body)["size"]:
            raise _RefusedError(404, "no such object")
        self._json({})

    def _commit(self, branch):
        self._require_write()
        header, *lines = [json.loads(line) for line in self.body.splitlines()]
        if branch not in self.repository.branches:
            raise _RefusedError(404, f"Invalid rev id: {branch}", "RevisionNotFound")
        head = self.repository.at(branch)
        if header["value"].get("parentCommit", head.oid) != head.oid:
            raise _RefusedError(412, "A commit has happened since. Please refresh and try again.")
        files = dict(head.files)
        for line in lines:
            path = line["value"]["path"]
            if line["key"] == "file":
                files[path] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "lfsFile":
                if line["value"]["oid"] not in self.repository.objects:
                    raise _RefusedError(400, f"the object of {path} was never uploaded")
                files[path] = self.repository.objects[line["value"]["oid"]]
            elif files.pop(path, None) is None:
                raise _RefusedError(404, "A file with this name doesn't exist", "EntryNotFound")
        if not lines:
            raise _RefusedError(400, "an empty commit")
        oid = self.repository.commit(branch, files, header["value"]["summary"])
        url = f"{self.hub.endpoint}/{self.kind}/{self.name}/commit/{oid}"
        self._json({"success": True, "commitOid": oid, "commitUrl": url, "pullRequestUrl": None})

    def _branch(self, branch):
        self._require_write()
        if branch in self.repository.branches:
            raise _RefusedError(409, "Reference already exists")
        start = json.loads(self.body or b"{}").get("startingPoint", MAIN)
        self.repository.branches[branch] = self._at(start).oid
        self._json({}, 201)

    def _refs(self):
        heads = [{"name": name, "ref": f"refs/heads/{name}", "targetCommit": oid}
                 for name, oid in self.repository.branches.items() if not name.startswith("refs/")]  # fmt: skip
        self._json({"branches": heads, "converts": [], "tags": []})

    # Answers ---------------------------------------------------------------------------------------------------------

    def _json(self, content, status=200, headers=None):
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json"} | (headers or {}))

    def _send(self, status, body, headers):
        cut = self.fault.cut if self.fault else None
        if cut == "reply":
            self._break(status)
            return
        self.hub.asked.append((self.command, self.path, status, self.headers.get("Authorization")))
        self.send_response(status)
        for name, value in headers.items() | {("Content-Length", str(len(body)))}:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut == "answer" else body)
        if cut == "answer":
            self._break(status)


def _problems(data):
    """What the hub finds wrong with the YAML of a dataset's card."""
    if not isinstance(data, dict):
        return ["is no mapping"]
    found = [f"{name} must be text" for name in ("pretty_name",) if not isinstance(data.get(name, ""), str)]
    lists = ("tags", "source_datasets", "task_categories", "language", "size_categories")
    for name in lists:
        values = data.get(name, [])
        if not all(isinstance(value, str) for value in (values if isinstance(values, list) else [values])):
            found.append(f"{name} must be text or a list of texts")
    if not set(data.get("size_categories", [])) <= set(SIZES):
        found.append("size_categories has an unknown value")
    named = [one for config in data.get("configs", []) for one in config.get("data_files", []) if isinstance(one, dict)]
    for split in (one["split"] for one in named):
        if not (isinstance(split, str) and re.fullmatch(r"\w+(\.\w+)*", split)):
            found.append(f"split {split!r} has no valid name")
    return found


def _is_large(path, size):
    return size > 0 and (path.endswith(LARGE) or size > LARGE_BYTES)


def _entry(path, content):
    """A file of a tree; of a large one the hash is that of its pointer."""
    entry = {"type": "file", "path": path, "oid": _git_hash(content), "size": len(content)}
    if _is_large(path, len(content)):
        oid = hashlib.sha256(content).hexdigest()
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n".encode()
        large = {"oid": oid, "size": len(content), "pointerSize": len(pointer)}
        entry |= {"oid": _git_hash(pointer), "lfs": large}
    return entry


def _git_hash(content):
    return sha1(b"blob %d\0" % len(content) + content)


def sha1(content):
    return hashlib.sha1(content).hexdigest()
