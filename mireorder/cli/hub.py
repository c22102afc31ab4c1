"""Commands on the hub: publish, pull."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mireorder.cli import options
from mireorder.cli.output import print_json, rows_bar, say, show
from mireorder.cli.signature import Argument, Option

Config = Annotated[str | None, Option("name of the configuration, such as max-joint", "Hub")]
RepoId = Annotated[str, Argument("OWNER/NAME of the dataset on the hub", "Data")]


def publish(
    dataset: Annotated[Path, Argument("folder of a dataset that apply wrote", "Data", urls=True)],
    repo_id: RepoId,
    *,
    config: Config = None,
    private: Annotated[
        bool | None,
        Option(
            "who may see it; one that is made is private, one that is there stays as it is", "Hub", "--private/--public"
        ),
    ] = None,
    revision: Annotated[str | None, Option("branch; the main one by default", "Hub")] = None,
    dry_run: Annotated[bool, Option("change nothing; show what would go up", "Hub")] = False,
    as_json: options.Json = False,
) -> None:
    """Put a dataset on the hub, beside its natural order, by one commit.

    The token is the one of 'hf auth login', or HF_TOKEN. Run it again to resume; what is there already stays.

    Example: mireorder publish reordered/ owner/name --dry-run
    """
    from mireorder.publishing.publish import publish as put

    pushed = put(dataset, repo_id, config=config, private=private, revision=revision, dry_run=dry_run)
    if as_json:
        print_json(vars(pushed))
        return
    for path, size in pushed.sent.items():
        say(f"{_bytes(size):>10}  {path}")
    for path in pushed.deleted:
        say(f"{'delete':>10}  {path}")
    done = "would go up" if dry_run else "sent"
    sent = f"{len(pushed.sent):,} files ({_bytes(sum(pushed.sent.values()))}) {done}"
    say(f"{sent}, {len(pushed.kept):,} unchanged, {len(pushed.deleted):,} deleted")
    say(pushed.url if dry_run else f"{pushed.url} is at commit {pushed.commit}")


def pull(
    repo_id: RepoId,
    *,
    config: Config = None,
    revision: Annotated[str | None, Option("branch, tag or commit; the main branch by default", "Hub")] = None,
    out: options.LocalOut,
    as_json: options.Json = False,
) -> None:
    """Download a published dataset and prove on every row that the target comes back.

    Example: mireorder pull owner/name --out rows/
    """
    from mireorder.publishing.pull import pull as get
    from mireorder.report.tables import check_view

    with rows_bar("checking") as progress:
        checked = get(repo_id, out, config=config, revision=revision, progress=progress)
    if as_json:
        print_json(vars(checked) | {"ok": checked.ok})
    else:
        show(check_view(checked))
        say("every law holds" if checked.ok else "BROKEN: this dataset can't be trusted; ask who published it")
        say(f"dataset written to {out}")
    raise typer.Exit(0 if checked.ok else 1)


def _bytes(size: int) -> str:
    """A size for people, as in ``1.5 MB``."""
    units = ("B", "kB", "MB", "GB", "TB")
    value, at = float(size), 0
    while value >= 1000 and at + 1 < len(units):
        value, at = value / 1000, at + 1
    return f"{value:.0f} {units[at]}" if at == 0 else f"{value:.1f} {units[at]}"
