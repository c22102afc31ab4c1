"""Sentences by the definition, and texts of the real datasets."""

import csv
import json
from importlib.util import find_spec


def has_sentencex():
    return find_spec("sentencex") is not None


def sentences(text, language="en"):
    """The sentences of a text without wide white space: cut where the splitter says and a single space stands."""
    from sentencex import segment

    found = segment(language, text)
    assert "".join(found) == text
    cuts, end = set(), 0
    for sentence in found[:-1]:
        end += len(sentence)
        before, after = text[:end], text[end:]
        spaces = len(before) - len(before.rstrip(" ")) + len(after) - len(after.lstrip(" "))
        if spaces == 1 and before.rstrip(" ") and after.lstrip(" "):
            cuts.add(len(before.rstrip(" ")))
    starts, ends = [0, *(cut + 1 for cut in sorted(cuts))], [*sorted(cuts), len(text)]
    return [text[start:end] for start, end in zip(starts, ends, strict=True)]


def real_texts(folder, name):
    """Texts of a real dataset, to be cut as targets."""
    if name == "wikitext2":
        lines = (folder / name / "test.txt").read_text(encoding="utf-8").split("\n")
        return ["\n".join(lines[at : at + 4]) for at in range(0, len(lines), 4)]
    if name == "scitldr":
        rows = map(json.loads, (folder / name / "train.jsonl").read_text(encoding="utf-8").splitlines())
        return [text for row in rows for text in (" ".join(row["source"]), *row["target"])]
    if name == "goemotions":
        lines = (folder / name / "train.tsv").read_text(encoding="utf-8").split("\n")
        return [line.split("\t")[0] for line in lines if line]
    with (folder / "jigsaw" / "toxic_comment.csv").open(encoding="utf-8", newline="") as file:
        return [row["comment_text"] for row in csv.DictReader(file)]
