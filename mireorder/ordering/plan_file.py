"""The file of a plan, or of a bundle of plans: saved, loaded, and put on the hub."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from mireorder.errors import HubError, PlanError
from mireorder.files import write_text
from mireorder.hub import HUB_ID, file_of, hub_repository
from mireorder.restoring.restorer import FILE, read_plan
from mireorder.standalone import FILE as SCRIPT
from mireorder.standalone import standalone
from mireorder.storage import is_local, place, reaching


class PlanFile:
    """What `mireorder.json` holds. Two are equal if their files are. It can be pickled, and has one fingerprint."""

    def entries(self) -> dict[str, Any]:
        """What the file says, as JSON holds it."""
        raise NotImplementedError

    @classmethod
    def from_dict(cls, content: Any, place: str = FILE) -> Self:
        """From parsed JSON; ``place`` is named in errors.

        Raises:
            PlanError: it is none, or it contradicts itself.
        """
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlanFile) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __reduce__(self) -> tuple[Any, ...]:
        return _of_json, (type(self), self.to_json())

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, two spaces, a newline at the end."""
        return json.dumps(self.entries(), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the canonical JSON, in hex: its identity."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def save(self, folder: str | Path) -> Path:
        """Write `mireorder.json` into the folder, which is made if need be. Returns the file."""
        path = place(folder) / FILE
        write_text(path, self.to_json())
        return path

    def push_to_hub(
        self,
        repo_id: str,
        *,
        kind: str = "dataset",
        private: bool | None = None,
        revision: str | None = None,
        token: str | None = None,
    ) -> str:
        """Put the file and its `restore.py` into a repository of the hub, by one commit; none if they are there.

        Args:
            repo_id: ``owner/name``; it is made if need be. ``owner/name:configuration`` takes the folder of that name.
            kind: ``dataset``, or ``model`` for the repository of a model that learnt the order.
            private: whether only its owners are to see it. One that is made is private unless this is False; None takes
                one that is there as it is.
            revision: branch; it is made if need be. None takes the main one.
            token: None takes the one that is logged in, or ``HF_TOKEN``.

        Returns:
            The hash of the commit that holds them.

        Raises:
            HubError: the hub can't be reached, or refuses it.
        """
        repository, configuration = hub_repository(repo_id, kind=kind, revision=revision, token=token)
        folder = f"{configuration}/" if configuration else ""
        files = {folder + FILE: self.to_json().encode(), folder + SCRIPT: standalone().encode()}
        return str(repository.push(lambda _: (files, ()), "Add a mireorder plan", private=private).commit)

    @classmethod
    def load(cls, folder: str | Path, *, revision: str | None = None, token: str | None = None) -> Self:
        """Read the file of a folder (a plan's, a dataset's or a model's), the file itself, or a repository of the hub.

        Args:
            folder: path; or where there is none, a hub id: ``owner/name``, or ``owner/name:configuration``.
            revision: of the hub: branch, tag or commit.
            token: of the hub; None takes the one that is logged in, or ``HF_TOKEN``.

        Raises:
            PlanError: there is none, it can't be read, or it contradicts itself; or the hub can't be reached.

        Example:
            >>> import tempfile
            >>> from mireorder import Plan, fit
            >>> rows = [{"question": f"{a}+{b}=", "answer": str(a + b)} for a in range(40) for b in range(40)]
            >>> plan = fit(rows, source="question", target="answer", cutter="digits", order="reverse")
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     path = plan.save(folder)
            ...     Plan.load(folder) == plan
            True
        """
        return cls.from_dict(*read_file(folder, revision, token))


def read_file(folder: str | Path, revision: str | None = None, token: str | None = None) -> tuple[Any, str]:
    """What the file that `PlanFile.load` reads says, and its name. Raises PlanError as that does."""
    path = place(folder)
    if revision is not None or (is_local(path) and not path.exists() and HUB_ID.fullmatch(path.as_posix())):
        try:
            path = file_of(folder, FILE, revision, token)
        except HubError as error:
            problem = "" if revision is not None else "there is no plan here, and the hub gives none: "
            raise PlanError(f"{folder}: {problem}{error}") from None
    with reaching(path):
        return read_plan(path)


def _of_json(kind: type[PlanFile], text: str) -> PlanFile:
    return kind.from_dict(json.loads(text))
