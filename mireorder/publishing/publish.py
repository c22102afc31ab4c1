"""Publish: a reordered dataset to a repository of the hub, beside its natural order, by one commit."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pyarrow as pa

from mireorder.arrays import dressed
from mireorder.dataset import manifest
from mireorder.dataset.card import CARRIED, read_card
from mireorder.dataset.card import FILE as CARD
from mireorder.dataset.folder import opened, read_rows
from mireorder.dataset.forms import FORMS, Form
from mireorder.dataset.writer import BESIDE
from mireorder.errors import HubError, InputError, MireorderError, within
from mireorder.hub import Content, Pushed, Remote, Repository, hub_repository
from mireorder.ordering.bundle import AnyPlan, Bundle
from mireorder.ordering.plan import Plan
from mireorder.publishing.card import NATURAL, Section, configurations, default_of, repository_card
from mireorder.publishing.shards import Configuration, write_configuration
from mireorder.restoring.restorer import FILE as PLAN
from mireorder.standalone import FILE as SCRIPT
from mireorder.standalone import standalone
from mireorder.storage import files_in, is_local, place

PICTURE = "scores.png"
MOST_DRAWN = 64  # slots of a picture
NAME = re.compile(r"[A-Za-z0-9][\w.+-]*", re.ASCII)
TAKEN = {NATURAL: "is that of the natural order", "data": "is refused by datasets", "default": "says nothing"}
_DATA = {".parquet", ".arrow", ".csv", ".tsv", ".json", ".jsonl", ".txt", ".gz", ".zst", ".zip", ".tar"}


def publish(
    dataset: str | Path,
    repo_id: str,
    *,
    config: str | None = None,
    private: bool | None = None,
    revision: str | None = None,
    dry_run: bool = False,
    token: str | None = None,
) -> Pushed:
    """Put a dataset that `apply` wrote into a repository of the hub, by one commit; none if it is there already.

    The rows become Parquet shards of a configuration, beside one called ``natural`` that holds the same rows in natural
    order: its ``completion`` is the target. Plan, `restore.py`, the picture of the scores and the tokenizer go with
    them. Rows that were set aside stay here. Several plans of one source are configurations of one repository.

    Args:
        dataset: the folder, or its URL.
        repo_id: ``owner/name``; it is made if need be.
        config: name of the configuration; None names it by policy, criterion and form, as in ``max-joint``.
        private: whether only its owners are to see it. One that is made is private unless this is False; None takes one
            that is there as it is.
        revision: branch; it is made if need be. None takes the main one.
        dry_run: change nothing; say what would be done.
        token: of the hub; None takes the one that is logged in, or ``HF_TOKEN``.

    Raises:
        OutputError: the folder holds no finished dataset, or a file of it is altered.
        InputError: the configuration can't have this name.
        HubError: the hub refuses it or can't be reached, or the repository holds something else.
    """
    folder = place(dataset)
    plan, entries = opened(folder)
    form = _form(folder, plan, entries)
    repository, named = hub_repository(repo_id, revision=revision, token=token)
    config = _require_name(config or named or _name_of(plan, form.name))
    if repository.name.endswith(f"/{Path(SCRIPT).stem}"):
        problem = "load_dataset opens no repository that is named like a script in it"
        raise InputError(f"{repo_id}: {problem}", remedy="choose another name")
    if there := repository.peek(private):  # before all that takes long
        _require_room(repository, there, config)
    said, _ = read_card((folder / CARD).read_text(encoding="utf-8", errors="replace"))
    carried = {name: said[name] for name in CARRIED if name in said}
    with tempfile.TemporaryDirectory(prefix="mireorder-") as work:
        section, files = _prepared(folder, repository.name, config, plan, entries, form, Path(work))

        def wanted(remote: Remote | None) -> tuple[dict[str, Content], set[str]]:
            there = _card_of(repository, remote)
            default = default_of(there, config)
            all_files = files | {CARD: repository_card(there, section, carried, default).encode()}
            if default == config:  # whose plan is found without the configuration's name
                all_files |= {name: files[f"{config}/{name}"] for name in (PLAN, SCRIPT)}
            if remote is None:
                return all_files, set()
            _require_room(repository, remote, config)
            _require_same_source(repository, remote, config, section.natural)
            return all_files, {path for path in remote.files if path.startswith((f"{config}/", f"{NATURAL}/"))}

        return repository.push(wanted, f"Publish {config}", private=private, dry_run=dry_run)


def _prepared(
    folder: Path, repository: str, config: str, plan: AnyPlan, entries: list[manifest.Entry], form: Form, work: Path
) -> tuple[Section, dict[str, Content]]:
    """What the card says of the plan and its rows, and the files of both orders."""
    ordered, natural = _configurations(folder, plan, entries, form, config, work)
    files = _beside(folder, plan, config, work) | ordered.files | natural.files
    picture = f"{config}/{PICTURE}"
    section = Section(
        repository=repository,
        plan=plan,
        ordered=ordered,
        natural=natural,
        about=form.about,
        is_token=form.tokenizer_hash is not None,
        kept=tuple(name for name in natural.features if name not in ("prompt", "completion", "row_id")),
        rejected=sum(entry.rejected for entry in entries),
        picture=picture if picture in files else None,
    )
    return section, files


def _form(folder: Path, plan: AnyPlan, entries: list[manifest.Entry]) -> Form:
    """The form of a dataset."""
    tokenizer = folder / "tokenizer"
    with within(str(folder)):
        return FORMS[entries[0].form].loaded(plan, tokenizer if tokenizer.is_dir() else None)


def _name_of(plan: AnyPlan, form: str) -> str:
    if isinstance(plan, Bundle):
        return "-".join(["bundle", plan.route.kind, *([form] if form != "text" else [])])
    return "-".join(
        [plan.policy, *([plan.criterion["name"]] if plan.by_scores else []), *([form] if form != "text" else [])]
    )


def _require_name(config: str) -> str:
    if config in TAKEN or not NAME.fullmatch(config):
        problem = TAKEN.get(config, "is no name of a folder")
        raise InputError(f"configuration {config!r} {problem}", remedy="use letters, digits, - and _, as in max-joint")
    return config


def _configurations(
    folder: Path, plan: AnyPlan, entries: list[manifest.Entry], form: Form, config: str, work: Path
) -> tuple[Configuration, Configuration]:
    """The rows in the plan's order, and in natural order."""
    from datasets import Features, Value

    of: dict[str, list[manifest.Entry]] = {}
    for entry in entries:
        of.setdefault(entry.split, []).append(entry)
    schema = next(read_rows(folder, [entry for entry in entries if entry.rows])).schema
    features = Features.from_arrow_schema(schema)
    kept = [name for name in features if name not in (*form.columns, *BESIDE)]
    text = Value("string")
    of_natural = {"prompt": text, "completion": text, "row_id": text} | {name: features[name] for name in kept}

    def rows(split: str) -> Iterator[pa.RecordBatch]:
        return read_rows(folder, of[split])

    def in_natural_order(split: str) -> Iterator[pa.RecordBatch]:
        for batch in rows(split):
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            completions = dressed(plan.completion_start, columns["target"])
            first = [form.prompts(columns), completions, columns["row_id"]]
            yield pa.RecordBatch.from_arrays([*first, *(columns[name] for name in kept)], list(of_natural))

    ordered = write_configuration(config, features, of, rows, work)
    return ordered, write_configuration(NATURAL, Features(of_natural), of, in_natural_order, work)


def _beside(folder: Path, plan: AnyPlan, config: str, work: Path) -> dict[str, Content]:
    """What lies beside the rows: plan, the way back, tokenizer and the picture of the scores."""
    files: dict[str, Content] = {
        f"{config}/{PLAN}": plan.to_json().encode(),
        f"{config}/{SCRIPT}": standalone().encode(),
    }
    for path in files_in(folder / "tokenizer"):
        name = f"{config}/{path.relative_to(folder).as_posix()}"
        files[name] = path if is_local(path) else path.read_bytes()
    if isinstance(plan, Plan) and plan.scores and len(plan.units) <= MOST_DRAWN:
        from mireorder.report.figures import score_heatmap

        title = f"{plan.criterion['name']}, policy {plan.policy}"
        try:
            score_heatmap(plan.scores, plan.units, plan.permutation, work / PICTURE, title)
            files[f"{config}/{PICTURE}"] = work / PICTURE
        except MireorderError:
            pass  # matplotlib is not installed
    return files


def _card_of(repository: Repository, remote: Remote | None) -> str | None:
    """The card that a repository has."""
    if remote is None or CARD not in remote.files:
        return None
    found = Repository(repository.name, repository.kind, remote.commit, repository.token).file(CARD)
    return None if found is None else found.read_text(encoding="utf-8")


def _require_room(repository: Repository, remote: Remote, config: str) -> None:
    """Raise HubError if it holds rows that could not be loaded any more.

    Where a card names configurations, no others are loaded; and all that a repository has must be of one format.
    """
    said, _ = read_card(_card_of(repository, remote) or "")
    patterns = [pattern for one in configurations(said) for pattern in _texts(one.get("data_files"))]
    ours = {NATURAL, config, *(path.partition("/")[0] for path in remote.files if path.endswith(f"/{PLAN}"))}
    for path in remote.files:
        if Path(path).suffix not in _DATA or path == PLAN or path.partition("/")[0] in ours:
            continue
        if Path(path).suffix != ".parquet" or not any(fnmatch(path, pattern) for pattern in patterns):
            raise HubError(f"{repository.name}: holds data of others, {path}; publish to another repository")


def _texts(value: Any) -> list[str]:
    """All texts in a value of YAML."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [value] if isinstance(value, str) else [text for part in parts for text in _texts(part)]


def _require_same_source(repository: Repository, remote: Remote, config: str, natural: Configuration) -> None:
    """Raise HubError if other plans are there, and the rows in natural order are not theirs."""
    others = [path for path in remote.files if path.endswith(f"/{PLAN}") and path != f"{config}/{PLAN}"]
    there = {path: one for path, one in remote.files.items() if path.startswith(f"{NATURAL}/")}
    if not others or not there:
        return
    if there.keys() != natural.files.keys() or not all(remote.has(path, file) for path, file in natural.files.items()):
        problem = f"holds {Path(others[0]).parent}, whose rows in natural order are not those of {config}"
        raise HubError(f"{repository.name}: {problem}; publish to another repository")
