"""What is read: texts and their label sets, of three datasets or of rows made up on the spot."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from mireorder import Labels, Reading
from mireorder.errors import InputError
from mireorder.fitting.asked import complete
from pipelines.splits import SplitRows, named_splits, read_batches

WIDTH = 8
EMOTIONS = (
    "admiration,amusement,anger,annoyance,approval,caring,confusion,curiosity,desire,disappointment,disapproval,disgust,"
    "embarrassment,excitement,fear,gratitude,grief,joy,love,nervousness,optimism,pride,realization,relief,remorse,"
    "sadness,surprise,neutral"
)
SUBJECTS = "Computer Science,Physics,Mathematics,Statistics,Quantitative Biology,Quantitative Finance"


@dataclass(frozen=True)
class LabelTask:
    """A dataset.

    Attributes:
        story: what it is.
        hub: its id, and configuration where it has several; None where no copy on the hub is known.
        source: columns of the text.
        target: column of the labels, or binary columns, one a label.
        names: of the labels, in canonical order.
        columns: of files without a header, which end in ``.tsv``.
    """

    story: str
    hub: str | None
    source: tuple[str, ...]
    target: tuple[str, ...]
    names: tuple[str, ...]
    columns: tuple[str, ...] | None = None


_TOXIC = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")
TASKS = {
    "toxic": LabelTask(
        "ToxicComment: comments of Wikipedia's talk pages with 6 labels, of which most have none",
        "monology/jigsaw",
        ("comment_text",),
        _TOXIC,
        _TOXIC,
    ),
    "papers": LabelTask(
        "PaperAbstract: titles and abstracts of papers with 6 subjects",
        None,
        ("TITLE", "ABSTRACT"),
        tuple(SUBJECTS.split(",")),
        tuple(SUBJECTS.split(",")),
    ),
    "emotions": LabelTask(
        "GoEmotions: comments of Reddit with 28 emotions",
        "google-research-datasets/go_emotions:simplified",
        ("text",),
        ("labels",),
        tuple(EMOTIONS.split(",")),
        ("text", "labels", "id"),
    ),
}


@dataclass(frozen=True)
class LabelledText:
    """A text and its labels, in canonical order."""

    text: str
    labels: tuple[str, ...]


def read_labelled(task: LabelTask, data: str | None, words: int) -> SplitRows:
    """The rows of a dataset.

    Args:
        task: which.
        data: where it is, if not on the hub: a folder, files or a hub id.
        words: how many words of each text are kept, and no more than 8 characters a word, since some texts are one
            scream of thousands; white space becomes single spaces.

    Returns:
        Split -> rows. Texts that are empty are left out.

    Raises:
        InputError: it can't be read, or a row has labels that are not labels of it.
    """
    if data is None and task.hub is None:
        raise InputError(
            f"no copy of {task.story.split(':')[0]} on the hub is known", remedy="pass --data, such as train.csv"
        )
    found = named_splits(data or str(task.hub))
    files = found.values() if isinstance(found, dict) else [found] if isinstance(found, str) else found
    headless = all(Path(str(file)).suffix == ".tsv" for file in files)
    reading = Reading(task.source, task.target, columns=task.columns if headless else None)
    cutter = complete(Labels(names=task.names), found, reading)
    splits: SplitRows = {}
    for split, batch in read_batches(found, reading):
        cut = cutter.cut(batch)
        for row, problem in sorted(cut.problems.items()):
            raise InputError(problem.partition(";")[0], shard=split, row=row, remedy="fix it, or leave the row out")
        bounds, units = cut.offsets.tolist(), cut.units.to_pylist()
        texts = [" ".join((text or "").split()[:words])[: words * WIDTH] for text in batch.column("source").to_pylist()]
        sets = [tuple(units[start:end]) for start, end in pairwise(bounds)]
        splits.setdefault(split, []).extend(LabelledText(*pair) for pair in zip(texts, sets, strict=True) if pair[0])
    return splits


def made_up_labelled(rows: int, seed: int = 0) -> tuple[tuple[str, ...], SplitRows]:
    """Weather reports with the labels that their words stand for: names and rows, for runs of seconds."""
    said = {
        "rain": "wet umbrella puddle",
        "sun": "bright shade warm",
        "snow": "white sledge frost",
        "wind": "kite storm leaves",
    }
    filler = ["we", "saw", "the", "a", "day", "in", "town", "there", "was", "some", "again"]
    often = dict(zip(said, (0.1, 0.2, 0.3, 0.5), strict=True))  # what is rarer is less of a surprise
    draw = random.Random(seed)
    made = []
    for _ in range(rows):
        labels = tuple(name for name in said if draw.random() < often[name])
        words = [draw.choice(said[name].split()) for name in labels] + draw.sample(filler, 4)
        draw.shuffle(words)
        made.append(LabelledText(" ".join(words), labels))
    return tuple(said), {"train": made}


def as_record(row: LabelledText, form: str, names: Sequence[str]) -> dict[str, Any]:
    """A row as it is ordered: a list of labels, or yes or no for each as the text of a JSON object."""
    if form == "list":
        return {"text": row.text, "labels": list(row.labels)}
    return {"text": row.text, "labels": json.dumps({name: "yes" if name in row.labels else "no" for name in names})}


def written(labels: list[str] | str) -> str:
    """The target of `as_record`, as it is written."""
    return labels if isinstance(labels, str) else Labels().joiner.join(labels) or Labels().empty


def labels_of(answer: dict[str, Any], form: str) -> set[str] | None:
    """The labels that a restored answer names; None if it is not a whole answer."""
    if answer["verdict"] != "complete":
        return None
    text = answer["generated_text"]
    if form == "list":
        return set() if text == Labels().empty else set(text.split(Labels().joiner))
    return {name for name, value in json.loads(text).items() if value == "yes"}
