"""Rows that are too long, or that no tokenizer gives back: refused by row and reason before any trainer cuts them."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("trl")

from datasets import Dataset
from reached import QUIET, run
from test_sft import write_dataset
from trl import SFTConfig, SFTTrainer

from mireorder import Reading, apply, check, fit
from mireorder.cli import main
from mireorder.errors import InputError, MireorderError, OutputError
from mireorder.tokenizing.characters import character_tokenizer
from mireorder.tokenizing.tokens import encode, load_tokenizer
from mireorder.training.presets import build
from mireorder.training.train import train

READING = Reading(source=("q",), target=("a",))
ROWS = [{"q": "x" * (row % 7) + "=", "a": str(100 + row)} for row in range(50)]


def jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def characters(extra=""):
    return character_tokenizer(["0123456789x=y " + extra])


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    data = jsonl(tmp_path_factory.mktemp("fit") / "d.jsonl", ROWS)
    return fit(data, reading=READING, cutter="digits", between="", order="reverse")


def rejected(folder: Path) -> list[dict]:
    return [json.loads(line) for file in sorted((folder / "rejected").iterdir()) for line in file.open()]


# -- apply


def test_a_row_with_more_tokens_than_allowed_is_named_with_its_file(plan, tmp_path, monkeypatch):
    monkeypatch.setattr("mireorder.dataset.formats.arrow_files.BATCH_ROWS", 16)
    rows = [*ROWS[:40], {"q": "y" * 9 + "=", "a": "123"}, *ROWS[40:], {"q": "y" * 20, "a": "123"}]
    data = jsonl(tmp_path / "d.jsonl", rows)
    longest = 7 + 3 + 1
    with pytest.raises(InputError) as error:
        apply(data, plan, form="token", tokenizer=characters(), max_tokens=longest, out=tmp_path / "out")
    assert str(error.value) == (
        "d.jsonl, row 40: the row has 14 tokens, its end included, of which 11 are allowed; "
        "shorten it, allow more, or pass reject=True"
    )
    assert not (tmp_path / "out").exists()
    kept = apply(data, plan, form="token", tokenizer=characters(), max_tokens=longest, out=tmp_path / "o", reject=True)
    assert [(row["row_id"], row["source"]) for row in rejected(tmp_path / "o")] == [
        ("d.jsonl:40", "y" * 9 + "="),
        ("d.jsonl:51", "y" * 20),
    ]
    assert kept["train"]["row_id"][:] == [f"d.jsonl:{row}" for row in range(51) if row != 40]
    assert max(map(len, kept["train"]["input_ids"])) == longest
    assert check(tmp_path / "o").ok
    whole = apply(jsonl(tmp_path / "good.jsonl", ROWS), plan, form="token", tokenizer=characters())["train"]
    assert whole.remove_columns("row_id").to_dict() == kept["train"].remove_columns("row_id").to_dict()


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(100, 999)), min_size=1, max_size=20), st.integers(5, 30))
def test_what_is_kept_is_whole_and_what_is_set_aside_is_too_long(plan, rows, most):
    tokenizer = characters()
    data = Dataset.from_list([{"q": "x" * length, "a": str(number)} for length, number in rows])
    kept = apply(data, plan, form="token", tokenizer=tokenizer, max_tokens=most, reject=True)["train"]
    whole = apply(data, plan, form="token", tokenizer=tokenizer)["train"]
    assert kept.to_list() == [row for row in whole.to_list() if len(row["input_ids"]) <= most]


def test_rows_that_can_not_be_cut_and_rows_too_long_are_set_aside_in_their_order(plan, tmp_path):
    rows = [{"q": "y" * 30, "a": "111"}, {"q": "1", "a": None}, *ROWS[:3], {"q": "y" * 30, "a": "222"}, {"a": "333"}]
    data = jsonl(tmp_path / "d.jsonl", rows)
    kept = apply(data, plan, form="token", tokenizer=characters(), max_tokens=20, out=tmp_path / "out", reject=True)
    found = rejected(tmp_path / "out")
    assert [row["row_id"] for row in found] == ["d.jsonl:0", "d.jsonl:1", "d.jsonl:5", "d.jsonl:6"]
    assert ["tokens" in row["problem"] for row in found] == [True, False, True, False]
    assert kept["train"]["row_id"][:] == ["d.jsonl:2", "d.jsonl:3", "d.jsonl:4"]


def test_a_length_is_that_of_the_row_as_it_is_emitted(real, tmp_path):
    """GPT-2 has a token for 1984 and none for 4891: the same answer has another length in another order."""
    gpt2 = load_tokenizer(real / "tokenizers" / "gpt2")
    data = jsonl(tmp_path / "d.jsonl", [{"q": "x=", "a": str(number)} for number in (1984, 1997)])
    lengths = {}
    for policy in ("plain", "reverse"):
        order = fit(data, reading=READING, cutter="digits", between="", order=policy)
        rows = apply(data, order, form="token", tokenizer=gpt2)["train"]
        lengths[policy] = [len(ids) for ids in rows["input_ids"]]
    assert lengths == {"plain": [4, 4], "reverse": [5, 5]}
    assert len(apply(data, order, form="token", tokenizer=gpt2, max_tokens=5)["train"]) == 2
    with pytest.raises(InputError, match="row 0: the row has 5 tokens"):
        apply(data, order, form="token", tokenizer=gpt2, max_tokens=4)


def test_a_folder_begun_with_another_bound_is_not_taken_up(plan, tmp_path):
    data, out = jsonl(tmp_path / "d.jsonl", ROWS), tmp_path / "out"
    options = {"form": "token", "tokenizer": characters(), "out": out}
    first = apply(data, plan, max_tokens=20, **options)["train"].to_dict()
    assert apply(data, plan, max_tokens=20, **options)["train"].to_dict() == first
    for other, words in ((8, "20, now it is 8"), (None, "20, now it is None")):
        with pytest.raises(OutputError, match=f"at most this many tokens a row: {words}"):
            apply(data, plan, max_tokens=other, **options)


def test_a_bound_needs_tokens_to_count(plan, tmp_path, capsys):
    data = jsonl(tmp_path / "d.jsonl", ROWS)
    with pytest.raises(InputError, match="text form counts no tokens; pass max_tokens with form='token'"):
        apply(data, plan, max_tokens=8)
    with pytest.raises(InputError, match="text form has no use for a tokenizer; pass form='token'"):
        apply(data, plan, tokenizer="gpt2")
    with pytest.raises(InputError, match="at most 0 tokens a row leave none"):
        apply(data, plan, max_tokens=0, form="token", tokenizer=characters())
    characters().save_pretrained(tmp_path / "tokenizer")
    plan.save(tmp_path / "plan")
    command = f"apply {data} --plan {tmp_path}/plan --form token --tokenizer {tmp_path}/tokenizer --max-tokens 9"
    with pytest.raises(SystemExit, match="2"):
        main([*command.split(), "--out", str(tmp_path / "out")])
    assert "row 5: the row has 10 tokens" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(SystemExit, match="0"):
        main([*command.split(), "--out", str(tmp_path / "out"), "--reject", "--json"])
    assert json.loads(capsys.readouterr().out)["rejected"] == sum(len(row["q"]) > 5 for row in ROWS)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("ab<eos>", "holds the end token '<eos>' itself"),
        ("abc", r"turns the completion 'abc, e' into 'ab<unk>, e'"),
    ],
)
def test_rows_that_could_not_be_restored_from_their_tokens_are_refused_by_row(answer, problem, tmp_path):
    rows = [{"q": "x=", "a": ["e", "ab"]}, {"q": "x=", "a": ["e", answer]}, {"q": "x=", "a": ["ab"]}]
    data = jsonl(tmp_path / "d.jsonl", rows)
    labels = fit(data, reading=READING, cutter="labels", between="", order="plain")
    tokenizer = character_tokenizer(["x= ,abe"])
    with pytest.raises(InputError, match=f"^d.jsonl, row 1: .*{problem}"):
        apply(data, labels, form="token", tokenizer=tokenizer)
    kept = apply(data, labels, form="token", tokenizer=tokenizer, out=tmp_path / "out", reject=True)
    assert kept["train"]["row_id"][:] == ["d.jsonl:0", "d.jsonl:2"]
    assert [row["row_id"] for row in rejected(tmp_path / "out")] == ["d.jsonl:1"]
    assert check(tmp_path / "out").ok


# -- train


@pytest.mark.parametrize("form", ["text", "token"])
def test_training_names_the_row_that_the_model_can_not_read(form, tmp_path):
    tokenizer = characters()
    build("tiny", tokenizer, 16, seed=0).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    rows = [("1=", "11"), ("1" * 10 + "=", "11"), ("x" * 14 + "=", "11"), ("1=", "11")]
    data = write_dataset(tmp_path / "text", [("1=", "11")], test=rows)
    if form == "token":
        from test_sft import as_token_form

        data = as_token_form(data, tokenizer, tmp_path / "token")
    with pytest.raises(MireorderError) as error:
        train(data, str(tmp_path / "model"), tmp_path / "out")
    assert str(error.value).startswith(
        "split test, row 2: the longest row has 18 tokens, the model reads at most 16; choose a model with a longer "
        "context, or write the dataset again with form='token' and max_tokens=16"
    )
    assert not (tmp_path / "out").exists()


# -- the trainer's own cut


def _trainer(dataset, tokenizer, out, **options):
    config = SFTConfig(str(out), **QUIET | options)
    return SFTTrainer(build("tiny", tokenizer, 64, 0), args=config, train_dataset=dataset, processing_class=tokenizer)


@pytest.mark.parametrize("packing", [False, True], ids=["padded", "packed"])
def test_what_the_trainer_cuts_silently_the_bound_has_named_before(packing, plan, tmp_path):
    """TRL cuts rows to `max_length` without a word, and with them the end; rows within the bound stay whole."""
    tokenizer, most = characters(), 12
    rows = Dataset.from_list([*ROWS, {"q": "y" * 10, "a": "123"}, {"q": "y" * 20, "a": "456"}])
    loose = apply(rows, plan, form="token", tokenizer=tokenizer)["train"]
    cut = run(_trainer(loose, tokenizer, tmp_path / "a", max_length=most, packing=packing)).rows
    assert any(tokenizer.eos_token_id not in ids for ids, _ in cut), "an answer that never ends was trained on"
    bound = apply(rows, plan, form="token", tokenizer=tokenizer, max_tokens=most, reject=True)["train"]
    whole = run(_trainer(bound, tokenizer, tmp_path / "b", max_length=most, packing=packing)).rows
    assert sorted(ids for ids, _ in whole) == sorted(map(tuple, bound["input_ids"]))
    assert len(whole) == len(ROWS)
    assert all(ids[-1] == labels[-1] == tokenizer.eos_token_id for ids, labels in whole)


def test_the_way_to_train_never_lets_the_trainer_cut(tmp_path):
    """`train` turns TRL's bound off: past its default of 1,024 tokens a row still ends."""
    from mireorder.training.budget import Budget
    from mireorder.training.encoded import encode_dataset
    from mireorder.training.train import _trainer as ours

    tokenizer = characters()
    data = write_dataset(tmp_path / "text", [("x" * 1100 + "=", "11"), ("1=", "12")])
    encoded = encode_dataset(data, tokenizer, tmp_path)
    assert (encoded.longest, encoded.longest_at) == (1104, "split train, row 0")
    trainer = ours(build("tiny", tokenizer, 1104, 0), encoded, tmp_path / "out", Budget(1, 2), scratch=True)
    ids, labels = encode(["x" * 1100 + "=", "1="], ["11", "12"], tokenizer)
    assert sorted(run(trainer).rows) == sorted(zip(map(tuple, ids), map(tuple, labels), strict=True))
