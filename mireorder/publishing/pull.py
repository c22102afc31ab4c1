"""Pull: a published dataset as a folder like those of `apply`, each file's hash and each row's restore looked at."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mireorder.dataset import manifest
from mireorder.dataset.card import CARRIED, card, read_card
from mireorder.dataset.card import FILE as CARD
from mireorder.dataset.check import Checked, check
from mireorder.dataset.forms import FORMS, Form
from mireorder.dataset.writer import BESIDE, SUFFIXES, shard_path
from mireorder.errors import HubError
from mireorder.files import file_digest, require_empty, write_text
from mireorder.hub import Remote, Repository, hub_repository
from mireorder.lock import clear_parts, locked
from mireorder.ordering.bundle import AnyPlan, load_plan
from mireorder.publishing.card import configurations
from mireorder.restoring.restorer import FILE as PLAN
from mireorder.standalone import require_other_name, write_standalone
from mireorder.storage import require_local
from mireorder.threads import Progress

STAGE = ".pulled"
_SHARD = re.compile(r"(\w+(?:\.\w+)*)-(\d{5})-of-(\d{5})\.parquet")
_TOKENIZER = re.compile(r"tokenizer/[\w-][\w.-]*")


def pull(
    repo_id: str,
    out: str | Path,
    *,
    config: str | None = None,
    revision: str | None = None,
    token: str | None = None,
    progress: Progress | None = None,
) -> Checked:
    """Download a configuration that `publish` wrote, and prove that its order can be undone.

    The folder is like one of `apply` that holds Parquet. `restore.py` is written anew: no code of the repository is
    taken. A pull that was interrupted resumes.

    Args:
        repo_id: ``owner/name``, or ``owner/name:configuration``.
        out: folder to write to, empty or absent.
        config: the configuration; None takes the one that the id names, or else the repository's default.
        revision: branch, tag or commit.
        token: of the hub; None takes the one that is logged in, or ``HF_TOKEN``.
        progress: called with the number of rows checked, after each batch.

    Returns:
        What `check` found; where a law is broken, the dataset can't be trusted.

    Raises:
        HubError: there is no such dataset or configuration, a file arrived with another hash than the hub's, or the hub
            can't be reached.
        OutputError: the folder holds something else.
        PlanError: the plan can't be read.
    """
    folder = require_local(out)
    stage = folder / STAGE
    require_other_name(folder)
    branch, named = hub_repository(repo_id, revision=revision, token=token)
    remote = branch.read()
    repository = Repository(branch.name, branch.kind, remote.commit, token)
    card_file = repository.file(CARD) if CARD in remote.files else None
    said, _ = read_card(card_file.read_text(encoding="utf-8", errors="replace")) if card_file else ({}, "")
    config = _config(repository.name, remote, said, config or named)
    shards, beside = _files(repository.name, remote, said, config)
    with locked(folder, {"command": "pull"}):
        if not stage.is_dir():
            require_empty(folder)
        clear_parts(folder)
        repository.download(stage, [*shards, *beside])
        for path in [*shards, *beside]:
            if not remote.has(path, stage / path):
                (stage / path).unlink()
                raise HubError(f"{repository.name}: {path} arrived with another hash than the hub's; pull it again")
        for path, place in beside.items():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(stage / path, folder / place)
        _finish(repository, folder, shards, said)
        shutil.rmtree(stage)
    return check(folder, progress)


def _config(name: str, remote: Remote, said: dict[str, Any], asked: str | None) -> str:
    """The configuration that is asked for, or else the default one."""
    there = [path.partition("/")[0] for path in remote.files if path.count("/") == 1 and path.endswith(f"/{PLAN}")]
    default = [str(one.get("config_name")) for one in configurations(said) if one.get("default")]
    found = asked or next(iter([*default, *(there if len(there) == 1 else [])]), None)
    if found not in there:
        problem = f"has no plan for configuration {found}" if found else "has several configurations"
        raise HubError(f"{name}: {problem}; name one of those it has: {', '.join(sorted(there)) or 'none'}")
    return str(found)


def _files(
    name: str, remote: Remote, said: dict[str, Any], config: str
) -> tuple[dict[str, tuple[str, int, int]], dict[str, str]]:
    """Path in the repository -> split, number and count of a shard; and -> place here, of plan and tokenizer."""
    shards, beside = {}, {f"{config}/{PLAN}": PLAN}
    for path in sorted(remote.files):
        place = path.removeprefix(f"{config}/")
        if place == path:
            continue
        if found := _SHARD.fullmatch(place):
            shards[path] = (found[1], int(found[2]), int(found[3]))
        elif _TOKENIZER.fullmatch(place):
            beside[path] = place
    there = Counter(split for split, *_ in shards.values())
    wanted = {split: of for split, _, of in shards.values()}
    for one in configurations(said):
        if one.get("config_name") == config and isinstance(one.get("data_files"), list):
            wanted = {str(part["split"]): 1 for part in one["data_files"] if isinstance(part, dict)} | wanted
    missing = [split for split, of in wanted.items() if there[split] != of]
    if missing or not shards:
        raise HubError(f"{name}: files of {config} are missing ({', '.join(missing)}); ask who published it")
    return shards, beside


def _finish(
    repository: Repository, folder: Path, shards: dict[str, tuple[str, int, int]], said: dict[str, Any]
) -> None:
    """Put the shards where they belong, with manifest and card."""
    plan = load_plan(folder)
    entries = []
    form: Form | None = None
    names: list[str] = []
    for path, (split, number, of) in shards.items():
        output = shard_path(split, number, of, SUFFIXES["parquet"])
        (folder / output).parent.mkdir(parents=True, exist_ok=True)
        (folder / STAGE / path).replace(folder / output)
        with pq.ParquetFile(folder / output) as file:
            rows, names = file.metadata.num_rows, file.schema_arrow.names
        form = form or _form(repository.name, folder, plan, names)
        place, digest = f"{repository.name}@{repository.revision}:{path}", file_digest(folder / output)
        made = (plan.sha256, form.name, form.tokenizer_hash)
        entries.append(manifest.Entry(split, place, digest, *made, rows, 0, output, digest))
    assert form is not None  # noqa: S101 (there are shards)
    manifest.write(folder, entries)
    write_standalone(folder)
    kept = [name for name in names if name not in (*form.columns, *BESIDE)]
    sizes: dict[str, int] = {}
    for entry in entries:
        sizes[entry.split] = sizes.get(entry.split, 0) + entry.rows
    carried = {name: said[name] for name in CARRIED if name in said}
    digest = manifest.digest_of(entries)
    write_text(folder / CARD, card(plan, form, sizes, digest, kept, carried, SUFFIXES["parquet"]))


def _form(name: str, folder: Path, plan: AnyPlan, columns: list[str]) -> Form:
    """The form whose columns these are."""
    for form in map(FORMS.__getitem__, FORMS):
        if set(form.columns) <= set(columns):
            tokenizer = folder / "tokenizer"
            return form.loaded(plan, tokenizer if tokenizer.is_dir() else None)
    raise HubError(f"{name}: its columns are of no form: {', '.join(columns)}; publish it again")
