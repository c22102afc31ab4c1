"""How the text pipelines read the datasets of others."""

import pytest

pytest.importorskip("trl")
pytest.importorskip("matplotlib")


from mireorder import InputError
from pipelines.multilabel.tasks import EMOTIONS, LabelledText, as_record, labels_of, read_labelled, written
from pipelines.multilabel.tasks import TASKS as LABELLED
from pipelines.pages import differences, results, table
from pipelines.splits import hold_out, named_splits
from pipelines.textgen.tasks import TASKS as TEXTS
from pipelines.textgen.tasks import TextPair, cut_articles, read_pairs

# --- how datasets are read ----------------------------------------------------------------------------------------

TOXIC = (
    "id,comment_text,toxic,severe_toxic,obscene,threat,insult,identity_hate\n"
    '1,"you ""fool""\n you",1,0,0,0,1,0\n2,hi,0,0,0,0,0,0\n'
)
PAPERS = (
    "ID,TITLE,ABSTRACT,Computer Science,Physics,Mathematics,Statistics,Quantitative Biology,Quantitative Finance\n"
    '1,Knots,"We tie, and untie.",1,0,1,0,0,0\n'
)


def test_kaggle_files_are_read(tmp_path):
    (tmp_path / "toxic.csv").write_text(TOXIC)
    found = read_labelled(LABELLED["toxic"], str(tmp_path / "toxic.csv"), 2)
    assert found == {"train": [LabelledText('you "fool"', ("toxic", "insult")), LabelledText("hi", ())]}
    (tmp_path / "train.csv").write_text(PAPERS)
    papers = [LabelledText("Knots We tie, and untie.", ("Computer Science", "Mathematics"))]
    assert read_labelled(LABELLED["papers"], str(tmp_path / "train.csv"), 9) == {"train": papers}
    with pytest.raises(InputError, match=r"no copy of PaperAbstract on the hub is known; pass data"):
        read_labelled(LABELLED["papers"], None, 9)


def test_goemotions_is_read_by_split_and_as_a_hub_dataset_has_it(tmp_path):
    from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "train.tsv").write_text("thanks a lot\t15,0\teb\n")
    (tmp_path / "files" / "dev.tsv").write_text("so sad\t25\tec\n")
    (tmp_path / "files" / "labels.txt").write_text("admiration\n")
    expected = {
        "train": [LabelledText("thanks a lot", ("admiration", "gratitude"))],
        "validation": [LabelledText("so sad", ("sadness",))],
    }
    assert read_labelled(LABELLED["emotions"], str(tmp_path / "files"), 99) == expected
    features = Features(
        {"text": Value("string"), "labels": List(ClassLabel(names=EMOTIONS.split(","))), "id": Value("string")}
    )
    rows = {"train": ("thanks a lot", [15, 0]), "validation": ("so sad", [25])}
    splits = {
        split: Dataset.from_dict({"text": [text], "labels": [labels], "id": ["e"]}, features=features)
        for split, (text, labels) in rows.items()
    }
    DatasetDict(splits).save_to_disk(str(tmp_path / "saved"))
    assert read_labelled(LABELLED["emotions"], str(tmp_path / "saved"), 99) == expected


def test_bad_labels_are_refused(tmp_path):
    (tmp_path / "toxic.csv").write_text(TOXIC.replace("1,0,0,0,1,0", "2,0,0,0,1,0"))
    with pytest.raises(InputError, match="row 0: column 'toxic' holds '2', not 0 or 1; fix it"):
        read_labelled(LABELLED["toxic"], str(tmp_path / "toxic.csv"), 9)


@pytest.mark.parametrize("labels", [(), ("joy",), ("joy", "fear")])
@pytest.mark.parametrize("form", ["list", "each"])
def test_both_forms_name_the_same_labels(form, labels):
    target = as_record(LabelledText("x", labels), form, ("joy", "anger", "fear"))["labels"]
    text = target if isinstance(target, str) else ", ".join(target) or "none"
    assert written(target) == text
    assert labels_of({"verdict": "complete", "generated_text": text}, form) == set(labels)
    assert labels_of({"verdict": "cut short", "generated_text": text}, form) is None


WIKI = [
    "",
    " = Knots = ",
    "",
    " A knot is tied . It holds well and long . Then it is cut ",
    "",
    " = = Use = = ",
    " In ships .",
    " = Sails = ",
    " White .",
]


def test_articles_are_cut_into_passages_with_what_stands_before():
    found = list(cut_articles(WIKI, 8, 3))
    assert found == [
        TextPair("= Knots =", ("A knot is tied .",)),  # the last full stop in the second half of 8 words
        TextPair("= Knots = is tied .", ("It holds well and long .",)),
        TextPair("= Knots = and long .", ("Then it is cut",)),
        TextPair("= Knots = it is cut", ("= = Use = =",)),
        TextPair("= Knots = Use = =", ("In ships .",)),
        TextPair("= Sails =", ("White .",)),
    ]
    words = [word for line in WIKI for word in line.split() if not line.startswith(" = ") or "= =" in line]
    for limit in (1, 2, 5, 100):
        rows = list(cut_articles(WIKI, limit, 3))
        assert [word for row in rows for word in row.targets[0].split()] == words  # nothing is lost
        assert max(len(row.targets[0].split()) for row in rows) <= limit


def test_summaries_are_read_from_columns_of_text_and_of_lists(tmp_path):
    (tmp_path / "news.jsonl").write_text('{"document": "It rained.\\nA lot.", "summary": "Rain."}\n', "utf-8")
    assert read_pairs(TEXTS["xsum"], str(tmp_path / "news.jsonl"), 9, 9) == {
        "train": [TextPair("It rained. A lot.", ("Rain.",))]
    }
    (tmp_path / "tldr.jsonl").write_text(
        '{"source": ["We do.", "It works."], "target": ["cafe\\u0301", "Second one here."]}\n', "utf-8"
    )
    assert read_pairs(TEXTS["scitldr"], str(tmp_path / "tldr.jsonl"), 2, 3) == {
        "train": [TextPair("We do. It", ("café", "Second one"))]
    }


@pytest.mark.parametrize("task", list(TEXTS))
def test_without_a_network_the_remedy_is_named(task, monkeypatch):
    import datasets

    def offline(**what):
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(InputError, match=r"can't be loaded from the hub \(ConnectionError: no network\); pass data"):
        read_pairs(TEXTS[task], None, 9, 9)


def test_no_text_is_learnt_that_is_measured():
    rows = [TextPair(f"text {number % 50}", (str(number),)) for number in range(200)]
    held = hold_out({"train": rows}, 1000, 1000)
    assert not {row.text for row in held["train"]} & {row.text for row in held["test"]}
    assert len(held["train"]) + len(held["test"]) == 200
    assert hold_out({"train": rows}, 1000, 1000) == held
    given = hold_out({"train": rows, "validation": rows[:1], "test": rows[1:3]}, 10, 1)
    assert len(given["train"]) == 10 and len(given["test"]) == 1 and given["test"][0] in rows[1:3]
    passages_of = [TextPair(f"text {number}", ("x",), f"= Article {number % 20} =") for number in range(400)]
    apart = hold_out({"train": passages_of}, 1000, 1000)
    assert not {row.article for row in apart["train"]} & {row.article for row in apart["test"]}
    with pytest.raises(InputError, match="there are no rows"):
        hold_out({}, 10, 10)
    with pytest.raises(InputError, match="no split is called train, only test"):
        hold_out({"test": rows}, 10, 10)
    with pytest.raises(InputError, match="0 rows to learn from"):
        hold_out({"train": rows[:1], "test": rows[:1]}, 10, 10)


def test_splits_are_found_by_the_names_of_files(tmp_path):
    for name in ("train.txt", "valid.txt", "labels.txt"):
        (tmp_path / name).write_text("x\n")
    assert named_splits(str(tmp_path)) == {"train": tmp_path / "train.txt", "validation": tmp_path / "valid.txt"}
    assert named_splits("train=a.txt,test=b.txt") == ["train=a.txt", "test=b.txt"]
    assert named_splits("owner/name") == "owner/name"
    task = TEXTS["wikitext"]
    for name in ("train", "valid"):
        (tmp_path / f"{name}.txt").write_text("\n = A = \n b c .\n")
    row = TextPair("= A =", ("b c .",))
    assert read_pairs(task, str(tmp_path), 9, 9) == {"train": [row], "validation": [row]}
    assert read_pairs(task, f"train={tmp_path}/train.txt,test={tmp_path}/valid.txt", 9, 9) == {
        "train": [row],
        "test": [row],
    }
    assert read_pairs(task, str(tmp_path / "train.txt"), 9, 9) == {"train": [row]}
    with pytest.raises(InputError, match="can't be read"):
        read_pairs(task, "owner/name", 9, 9)
    (tmp_path / "labels.txt").write_text("joy\nanger\n")
    with pytest.raises(InputError, match="no line is a title"):
        read_pairs(task, str(tmp_path / "labels.txt"), 9, 9)


def test_tables_show_the_mean_and_every_seed_where_they_differ():
    rows = [{"order": "a", "seed": s, "f1": f1, "whole": 1} for s, f1 in enumerate((0.25, 0.75))] + [
        {"order": "b", "seed": 0, "f1": 1, "whole": 0.5}
    ]
    columns = {"f1": ("F1", ".2f"), "rouge1": ("ROUGE", ".3f"), "whole": ("whole", ".0%")}
    assert table(rows, columns) == [
        "| order | F1 | whole |",
        "|---|---|---|",
        "| a | 0.50 (0.25, 0.75) | 100% |",
        "| b | 1.00 | 50% |",
    ]


def test_orders_are_compared_with_plain_seed_by_seed():
    rows = [
        {"order": order, "seed": seed, "f1": f1, "whole": 1}
        for order, values in {"none": [0.1], "plain+max": [0.25, 0.5], "rare": [0.5, 0.75]}.items()
        for seed, f1 in enumerate(values)
    ]
    columns = {"f1": ("F1", ".2f"), "rouge1": ("ROUGE", ".3f")}
    expected = ["| difference to plain+max | F1 |", "|---|---|", "| rare | +0.25 (+0.25 to +0.25) |"]
    assert differences(rows, columns) == expected
    assert differences([row for row in rows if row["seed"] == 0], columns) == differences([rows[0]], columns) == []
    # A metric in which no run differs says nothing of the orders.
    assert differences(rows, columns | {"whole": ("whole", ".0%")}) == expected
    assert differences(rows, {"whole": ("whole", ".0%")}) == differences(rows[:3], columns) == []


def test_a_page_says_what_its_brackets_are_where_there_are_some():
    rows = [{"order": name, "seed": seed, "f1": seed + len(name)} for name in ("plain", "max") for seed in (0, 1)]
    columns = {"f1": ("F1", ".1f")}
    each, lines, apart, differing, picture = results(rows, columns)
    assert "each seed" in each and lines == table(rows, columns)
    assert "bootstrap interval" in apart and differing == differences(rows, columns)
    assert picture.endswith("(figures/metrics.png)")
    assert results(rows[::2], columns) == [table(rows[::2], columns), picture]
