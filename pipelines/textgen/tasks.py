"""What is read: passages of articles with what stands before them, or texts and their summaries."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unicodedata import normalize

from mireorder import Reading
from mireorder.errors import InputError
from pipelines.splits import SPLITS, SplitRows, named_splits, read_batches

TITLE = re.compile(r" = [^=](.*[^=])? = ?")
ENDS = frozenset({".", "?", "!"})


@dataclass(frozen=True)
class TextTask:
    """A dataset.

    Attributes:
        story: what it is.
        hub: what ``datasets.load_dataset`` takes for it.
        source: column of the text that is summarised; None where lines of articles are continued.
        target: column of the summary or summaries.
        between: text between source and target.
    """

    story: str
    hub: dict[str, str]
    source: str | None
    target: str
    between: str

    @property
    def summarises(self) -> bool:
        """Whether targets are summaries, to be generated and compared."""
        return self.source is not None


# These two have loading scripts, which `datasets` no longer runs; the hub keeps their rows as Parquet beside them.
_PARQUET = {"revision": "refs/convert/parquet"}
TASKS = {
    "wikitext": TextTask(
        "WikiText-2: passages of Wikipedia's articles, each given its title and the words before",
        {"path": "Salesforce/wikitext", "name": "wikitext-2-raw-v1"},
        None,
        "text",
        " ",
    ),
    "xsum": TextTask(
        "XSum: articles of the BBC and the sentence that sums each up",
        {"path": "EdinburghNLP/xsum", "data_dir": "default"} | _PARQUET,
        "document",
        "summary",
        "\nsummary: ",
    ),
    "scitldr": TextTask(
        "SciTLDR: abstracts of papers and the sentence that sums each up",
        {"path": "allenai/scitldr", "data_dir": "Abstract"} | _PARQUET,
        "source",
        "target",
        "\nsummary: ",
    ),
}


@dataclass(frozen=True)
class TextPair:
    """A text and what is to follow it; several summaries may be true, and the first is the target.

    Attributes:
        text: what is read.
        targets: what may follow.
        article: of passages, the title of theirs: one is learnt or held out whole.
    """

    text: str
    targets: tuple[str, ...]
    article: str = field(default="", compare=False, repr=False)

    @property
    def record(self) -> dict[str, Any]:
        """As it is ordered."""
        return {"text": self.text, "target": self.targets[0]}


def read_pairs(task: TextTask, data: str | None, words: int, context: int) -> SplitRows:
    """The rows of a dataset.

    Args:
        task: which.
        data: where it is, if not on the hub: a folder, files or a hub id.
        words: of a target that are kept at most; articles are cut into passages that long.
        context: words of what stands before that are kept: of passages the last, of texts to sum up the first.

    Returns:
        Split -> rows. White space becomes single spaces, and characters their composed form (NFC), as tokenizers
        would make them.

    Raises:
        InputError: it can't be read.
    """
    found = named_splits(data) if data else _from_hub(task.hub)
    if not task.summarises:
        lines = _lines(found) if data else {split: found[split][task.target] for split in found}
        if not any(TITLE.fullmatch(line.rstrip("\n")) for of in lines.values() for line in of):
            raise InputError("no line is a title such as ` = Rain = `", remedy="pass WikiText's files")
        return {SPLITS.get(split, split): list(cut_articles(of, words, context)) for split, of in lines.items()}
    splits: SplitRows = {}
    for split, batch in read_batches(found, Reading((str(task.source),), (task.target,))):
        for text, target in zip(batch.column("source").to_pylist(), batch.column("target").to_pylist(), strict=True):
            targets = [_plain(one, words) for one in ([target] if isinstance(target, str) else target or [])]
            row = TextPair(_plain(text or "", context), tuple(filter(None, targets)))
            if row.text and row.targets:
                splits.setdefault(split, []).append(row)
    return splits


def cut_articles(lines: Iterable[str], words: int, context: int) -> Iterator[TextPair]:
    """Articles cut into passages, each with its title and the words before it.

    Args:
        lines: of WikiText: `` = Title = `` opens an article, a paragraph is a line.
        words: of a passage at most. A paragraph that is longer is cut behind the last full stop in its second half, or
            where there is none, there.
        context: words before that are kept.
    """
    title, before = "", list[str]()
    for line in lines:
        left = _plain(line, None).split()
        if TITLE.fullmatch(line.rstrip("\n")):
            title, before = " ".join(left), []
            continue
        while left:
            half = [i + 1 for i in range(min(len(left), words)) if left[i] in ENDS and i >= words // 2]
            end = len(left) if len(left) <= words else half[-1] if half else words
            read = " ".join([title, *(before[-context:] if context else ())])
            yield TextPair(read.strip() or "=", (" ".join(left[:end]),), title)
            before, left = [*before, *left[:end]][-max(context, 1) :], left[end:]


def made_up_pairs(rows: int, seed: int = 0) -> SplitRows:
    """Two sentences that follow from the weather, for runs of seconds."""
    draw = random.Random(seed)
    brings = {"rain": ("umbrella", "wet"), "sun": ("hat", "warm"), "snow": ("sledge", "white")}
    made = []
    for day in range(rows):
        kind = draw.choice(list(brings))
        thing, look = brings[kind]
        who, where = draw.choice(["we", "they", "people"]), draw.choice(["town", "park", "street"])
        target = f"In the {where} {who} had a {thing}. So the {where} was {look} all day."
        made.append(TextPair(f"there was {kind} on day {day}", (target,)))
    return {"train": made}


def _plain(text: str, words: int | None) -> str:
    return " ".join(normalize("NFC", text).split()[:words])


def _lines(found: Any) -> dict[str, list[str]]:
    if not isinstance(found, dict):
        given = [found] if isinstance(found, str) else found
        found = {name if path else "train": path or name for name, _, path in (item.partition("=") for item in given)}
    try:
        return {split: Path(file).read_text(encoding="utf-8").split("\n") for split, file in found.items()}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"can't be read ({error})", remedy="pass text files: train=a.txt,test=b.txt") from None


def _from_hub(what: dict[str, str]) -> Any:
    import datasets

    try:
        return datasets.load_dataset(**what)
    except Exception as error:  # whatever the network and the hub come up with
        problem = f"can't be loaded from the hub ({type(error).__name__}: {str(error).splitlines()[0]})"
        raise InputError(problem, shard=what["path"], remedy="pass --data, a folder or files") from None
