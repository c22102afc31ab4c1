"""Repositories of the hub: what they hold, files out of them, one commit into them; retried, the token kept secret."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from mireorder.errors import HubError, MireorderError

T = TypeVar("T")

HUB_ID = re.compile(r"([\w-][\w.-]*/[\w-][\w.-]*)(?::([\w.+-]+))?")
"""Owner, name and configuration of a hub id."""
ATTEMPTS = 6
LONGEST_WAIT = 60.0  # seconds, unless the hub asks for more
_TOKEN = re.compile(r"hf_\w{4,}")
_BROKEN = {"TransportError", "ConnectionError", "Timeout", "ChunkedEncodingError"}
"""Names of what HTTP libraries raise when a connection breaks."""
_AGAIN = {408, 429, 500, 502, 503, 504}
_CONFLICT = 412
_LOG_IN = "log in with 'hf auth login', or set HF_TOKEN"
_REFUSED = {
    401: f"the hub does not accept the token; {_LOG_IN}",
    403: "the token has no permission for this; take one that has",
    _CONFLICT: "others commit to it at the same time; try again",
    429: "the hub's rate limit is reached; try again later",
}

Content = Path | bytes
"""Of a file that is to go up."""


class MissingError(HubError):
    """There is no such repository, as far as the token sees."""


@dataclass(frozen=True)
class Remote:
    """What a repository holds.

    Attributes:
        commit: hash of the last commit of the branch.
        private: whether only its owners see it.
        files: path -> what the hub says of it (`huggingface_hub.hf_api.RepoFile`).
    """

    commit: str
    private: bool
    files: Mapping[str, Any]

    def has(self, path: str, content: Content) -> bool:
        """Whether a file there has this content, by its hash."""
        from huggingface_hub import CommitOperationAdd

        return path in self.files and _is_same(self.files[path], CommitOperationAdd(path, content))


@dataclass(frozen=True)
class Pushed:
    """What a push did.

    Attributes:
        url: of the repository.
        commit: that now holds everything; None of a dry run.
        sent: path -> bytes of the files that differed, or were not there.
        kept: path -> bytes of those that were there already.
        deleted: paths that were taken away.
    """

    url: str
    commit: str | None
    sent: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)


Wanted = Callable[[Remote | None], tuple[Mapping[str, Content], Collection[str]]]
"""Of what a repository holds (None: there is none yet): the files it is to hold, and those to take away."""


@dataclass(frozen=True)
class Repository:
    """A repository of the hub that ``HF_ENDPOINT`` names.

    Args:
        name: ``owner/name``.
        kind: ``dataset`` or ``model``.
        revision: branch, tag or commit; None takes the main branch.
        token: None takes the one that is logged in, or ``HF_TOKEN``.
    """

    name: str
    kind: str = "dataset"
    revision: str | None = None
    token: str | None = field(default=None, repr=False)

    def read(self) -> Remote:
        """What it holds. Raises HubError if there is none, or it can't be seen."""
        return self._retried(self._read)

    def peek(self, private: bool | None = None) -> Remote | None:
        """What it holds; None where it, or its branch, would have to be made. Raises HubError as `push` does."""
        return self._retried(lambda: self._there(private, dry_run=True))

    def file(self, path: str) -> Path | None:
        """A file of it, in the cache; None where it has no such file.

        Raises:
            HubError: there is no such repository or revision, or the hub can't be reached.
        """
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        def download() -> Path | None:
            try:
                return Path(self._api().hf_hub_download(self.name, path, repo_type=self.kind, revision=self.revision))
            except LocalEntryNotFoundError:
                raise
            except EntryNotFoundError:
                return None

        return self._retried(download, attempts=3)  # a mistyped path must not wait for long

    def download(self, folder: Path, patterns: list[str]) -> None:
        """Download the files that match into a folder; what is there already is not fetched again."""
        what: dict[str, Any] = {"repo_type": self.kind, "revision": self.revision, "allow_patterns": patterns}
        self._retried(lambda: self._api().snapshot_download(self.name, local_dir=folder, **what))

    def push(self, wanted: Wanted, message: str, *, private: bool | None = None, dry_run: bool = False) -> Pushed:
        """Bring the branch to hold the files, by one commit; none if it holds them already.

        The commit is refused by the hub where the branch has moved on since it was read: it is then read again. So
        files of others are never lost, and a commit whose answer was lost is not repeated.

        Args:
            wanted: asked each time that the branch was read.
            message: of the commit.
            private: whether only its owners are to see it: a repository that is made is private unless this is False;
                one that is there must be as this says. None takes it as it is.
            dry_run: change nothing.

        Raises:
            HubError: the hub refuses it, or can't be reached.
        """
        attempted: list[Pushed] = []

        def once() -> Pushed:
            remote = self._there(private, dry_run)
            files, unwanted = wanted(remote)
            pushed, operations = self._difference(remote, files, unwanted)
            if dry_run:
                return pushed
            if not operations:
                done = attempted[-1] if attempted else pushed
                return Pushed(done.url, pushed.commit, done.sent, done.kept, done.deleted)
            assert remote is not None  # noqa: S101 (it was made)
            attempted.append(pushed)
            commit = self._api().create_commit(
                self.name,
                operations,
                commit_message=message,
                repo_type=self.kind,
                revision=self.revision,
                parent_commit=remote.commit,
            )
            return Pushed(pushed.url, commit.oid, pushed.sent, pushed.kept, pushed.deleted)

        return self._retried(once, also=_CONFLICT)

    def _there(self, private: bool | None, dry_run: bool) -> Remote | None:
        """What it holds, made if need be."""
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

        api = self._api()
        try:
            remote = self._read()
        except RepositoryNotFoundError:
            if dry_run:
                return None
            api.create_repo(self.name, repo_type=self.kind, private=private is not False, exist_ok=True)
            remote = None
        except RevisionNotFoundError:
            if dry_run:
                return None
            remote = None
        if remote is None:
            if self.revision is not None:
                api.create_branch(self.name, branch=self.revision, repo_type=self.kind, exist_ok=True)
            remote = self._read()
        if private is not None and private != remote.private:
            is_, asked = ("private", "public") if remote.private else ("public", "private")
            raise HubError(f"{self.name}: is {is_}, not {asked}; change it in its settings, or pass --{is_}")
        return remote

    def _read(self) -> Remote:
        from huggingface_hub.hf_api import RepoFile

        api, of = self._api(), {"repo_type": self.kind}
        info = api.repo_info(self.name, revision=self.revision, **of)
        tree = api.list_repo_tree(self.name, revision=info.sha, recursive=True, **of)
        return Remote(info.sha, bool(info.private), {one.path: one for one in tree if isinstance(one, RepoFile)})

    def _difference(
        self, remote: Remote | None, files: Mapping[str, Content], unwanted: Collection[str]
    ) -> tuple[Pushed, list[Any]]:
        """What is to be done, and the operations that do it."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        there = {} if remote is None else remote.files
        prefix = "datasets/" if self.kind == "dataset" else ""
        pushed = Pushed(f"{self._api().endpoint}/{prefix}{self.name}", None if remote is None else remote.commit)
        operations: list[Any] = []
        for path, content in files.items():
            add = CommitOperationAdd(path, content)
            if path in there and _is_same(there[path], add):
                pushed.kept[path] = add.upload_info.size
            else:
                pushed.sent[path] = add.upload_info.size
                operations.append(add)
        pushed.deleted.extend(sorted(set(unwanted) & set(there) - set(files)))
        operations += [CommitOperationDelete(path) for path in pushed.deleted]
        return pushed, operations

    def _api(self) -> Any:
        from huggingface_hub import HfApi

        return HfApi(token=self.token, library_name="mireorder")

    def _retried(self, call: Callable[[], T], also: int | None = None, attempts: int = ATTEMPTS) -> T:
        """The call's answer, tried again with growing waits where the hub or the line fails.

        Args:
            call: can be made again.
            also: a status that is tried again, too.
            attempts: how often it is made at most.

        Raises:
            HubError: it failed for good.
        """
        for attempt in range(attempts):
            try:
                return call()
            except MireorderError:
                raise
            except Exception as error:  # what breaks a connection is no OSError in every library
                if not (isinstance(error, OSError | RuntimeError | ValueError) or _is_broken(error)):
                    raise
                found, wait = self._problem(error, also)
            if wait is None or attempt + 1 == attempts:
                break
            time.sleep(max(wait, min(2.0**attempt, LONGEST_WAIT)))
        raise found

    def _problem(self, error: Exception, also: int | None) -> tuple[HubError, float | None]:
        """The error in words, without the token; and the seconds to wait at least, None where to wait is no use."""
        from huggingface_hub import errors

        causes = _causes(error)
        answered: Any = next((one for one in causes if getattr(one, "response", None) is not None), None)
        if any(isinstance(one, errors.OfflineModeIsEnabled) for one in causes):
            return HubError(f"{self.name}: the hub can't be asked in offline mode; unset HF_HUB_OFFLINE"), None
        if any(isinstance(one, errors.RevisionNotFoundError) for one in causes):
            return HubError(f"{self.name}: has no revision {self.revision!r}; name a branch, tag or commit"), None
        if any(isinstance(one, errors.RepositoryNotFoundError) for one in causes):
            problem = f"no such {self.kind} on the hub, or none that this token may see"
            return MissingError(f"{self.name}: {problem}; check the name, or {_LOG_IN}"), None
        if answered is None and any(map(_is_broken, causes)):
            return HubError(f"{self.name}: the connection to the hub breaks; try again"), 0.0
        if answered is None:
            return HubError(f"{self.name}: {self._scrubbed(str(error))}"), None
        status = int(answered.response.status_code)
        waits = status in _AGAIN or status == also
        said = _REFUSED.get(status) or (f"the hub fails (status {status}); try again later" if waits else None)
        if said is None:
            said = self._scrubbed(f"the hub refuses it: {getattr(answered, 'server_message', None) or answered}")
        asked = str(answered.response.headers.get("Retry-After", ""))
        return HubError(f"{self.name}: {said}"), (float(asked) if asked.isdigit() else 0.0) if waits else None

    def _scrubbed(self, text: str) -> str:
        """Text of others in one line, without anything that is a token."""
        from huggingface_hub import get_token

        for token in filter(None, (self.token, get_token())):
            text = text.replace(token, "***")
        return " ".join(_TOKEN.sub("***", text).split())


def hub_repository(text: str | Path, **more: Any) -> tuple[Repository, str | None]:
    """The repository of a hub id, and the configuration that it names. Raises HubError if it is no such id."""
    found = HUB_ID.fullmatch(Path(text).as_posix())
    if found is None:
        raise HubError(f"{text}: no hub id; write owner/name or owner/name:configuration")
    return Repository(found[1], **more), found[2]


def _is_same(there: Any, add: Any) -> bool:
    """Whether a file of the hub has the content that is to go up."""
    if there.size != add.upload_info.size:
        return False
    if there.lfs is not None:
        return bool(there.lfs.sha256 == add.upload_info.sha256.hex())
    with add.as_file() as file:
        content = file.read()
    git_hash = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    return bool(there.blob_id == git_hash)


def _causes(error: BaseException) -> list[BaseException]:
    """An error and those it came from."""
    found: list[BaseException] = []
    todo: BaseException | None = error
    while todo is not None and todo not in found:
        found.append(todo)
        todo = todo.__cause__
    return found


def _is_broken(error: BaseException) -> bool:
    return any(kind.__name__ in _BROKEN for kind in type(error).__mro__)


def file_of(hub_id: str | Path, file: str, revision: str | None = None, token: str | None = None) -> Path:
    """A file of a dataset on the hub, or else of a model; in the folder of the configuration, where the id names one.

    Raises:
        HubError: there is no such file or repository, or the hub can't be reached.
    """
    found = None
    for kind in ("dataset", "model"):
        repository, configuration = hub_repository(hub_id, kind=kind, revision=revision, token=token)
        path = f"{configuration}/{file}" if configuration else file
        try:
            found = repository.file(path)
            break
        except MissingError:
            if kind == "model":
                problem = "no such dataset or model on the hub, or none that this token may see"
                raise MissingError(f"{hub_id}: {problem}; check the name, or {_LOG_IN}") from None
    if found is None:
        raise HubError(f"{hub_id}: has no {path}; name another configuration or revision")
    return found
