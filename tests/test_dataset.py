"""The dataset's folder: what opens it, what a crash leaves, what a rerun keeps, and what `check` finds."""

import hashlib
import json
import random
import shutil
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pytest
from datasets import Dataset, Features, IterableDatasetDict, load_dataset, load_from_disk
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_128

from mireorder import Digits, InputError, OutputError, Plan, Reading, apply, check, fit
from mireorder.dataset.card import card
from mireorder.dataset.forms.text import TextForm
from mireorder.dataset.manifest import FILE as MANIFEST
from mireorder.dataset.manifest import digest_of
from mireorder.dataset.manifest import read as read_manifest
from mireorder.dataset.writer import metadata
from mireorder.files import HashedFile, file_digest
from mireorder.ordering.order import Order

READING = Reading(separator="=")
SUMS = [f"{a}+{b}={a + b}\n" for a in range(40) for b in range(0, 40, 4)]
ARROW = "train/data-{:05d}-of-{:05d}.arrow"
PARQUET = ARROW.replace(".arrow", ".parquet")


@pytest.fixture(autouse=True)
def apart(monkeypatch):
    """Small files become a shard each, as large ones do."""
    monkeypatch.setattr("mireorder.dataset.folder.TOGETHER_BYTES", 1)


def hashes(folder):
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def stamps(folder):
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in Path(folder).rglob("*") if path.is_file()}


# What it is


def test_every_way_to_open_it_gives_the_same_rows_and_types(written, inputs, plan, tmp_path):
    saved = load_from_disk(str(written))["train"]
    cache = str(tmp_path / "cache")
    loaded = load_dataset(str(written), cache_dir=cache)["train"]
    streamed = load_dataset(str(written), streaming=True, cache_dir=cache)
    assert isinstance(streamed, IterableDatasetDict) and len(saved) == len(SUMS)
    in_memory = apply(inputs, plan)["train"]
    rows = saved.to_list()
    assert loaded.to_list() == rows == list(streamed["train"]) == in_memory.to_list()
    assert loaded.features == saved.features == streamed["train"].features == in_memory.features
    assert [row["target"] for row in rows] == [line.strip().split("=")[1] for line in SUMS]
    assert [row["row_id"] for row in rows[148:152]] == ["b.txt:148", "b.txt:149", "c.txt:0", "c.txt:1"]


def test_as_parquet_it_is_the_same_rows_and_types(written, inputs, plan, tmp_path):
    given = apply(inputs, plan, out=tmp_path / "parquet", file_format="parquet")["train"]
    cache = str(tmp_path / "cache")
    loaded = load_dataset(str(tmp_path / "parquet"), cache_dir=cache)["train"]
    streamed = load_dataset(str(tmp_path / "parquet"), streaming=True, cache_dir=cache)["train"]
    saved = load_from_disk(str(written))["train"]
    assert given.to_list() == loaded.to_list() == list(streamed) == saved.to_list()
    assert given.features == loaded.features == streamed.features == saved.features
    assert (
        not list((tmp_path / "parquet").rglob("*.arrow")) and len(list((tmp_path / "parquet").rglob("*.parquet"))) == 3
    )
    assert check(tmp_path / "parquet").ok
    (tmp_path / "parquet" / PARQUET.format(1, 3)).write_bytes(b"PAR1")
    assert check(tmp_path / "parquet").failed == {"files": 1}


def test_an_interrupted_run_as_parquet_resumes_and_does_not_mix_formats(inputs, plan, tmp_path):
    out = tmp_path / "parquet"
    apply(inputs, plan, out=out, file_format="parquet")
    before = hashes(out)
    (out / "README.md").unlink()
    with pytest.raises(OutputError, match="not a finished dataset"):
        check(out)
    (out / PARQUET.format(1, 3)).unlink()
    kept = stamps(out)
    apply(inputs, plan, out=out, file_format="parquet")
    assert hashes(out) == before
    assert all(stamps(out)[path] == kept[path] for path in kept if path.suffix == ".parquet")
    with pytest.raises(OutputError, match="which this input does not make"):
        apply(inputs, plan, out=out)
    with pytest.raises(InputError, match=r"there is no file format 'parket'; did you mean 'parquet'\?"):
        apply(inputs, plan, out=tmp_path / "other", file_format="parket")
    with pytest.raises(InputError, match="no parquet files are written without a folder; pass out"):
        apply(inputs, plan, file_format="parquet")
    assert not (tmp_path / "other").exists()


def test_several_splits_are_named_by_the_card(inputs, plan, tmp_path):
    apply({"train": inputs[1], "test": inputs[2]}, plan, out=tmp_path / "out")
    loaded = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {name: len(rows) for name, rows in loaded.items()} == {"train": 150, "test": len(SUMS) - 150}


def test_labels_can_not_write_into_the_card(plan):
    units = ["a|b", "`<img src=x>`", "c\n# d"]
    shown = card(replace(plan, units=units, permutation=[2, 0, 1]), TextForm(), {"train": 1}, "0f")
    assert r"- order of a full target: `` c\n# d, a|b, `<img src=x>` ``" in shown.splitlines()


def test_an_empty_first_shard_has_the_schema_of_the_others(written, inputs, plan, tmp_path):
    def schema(shard):
        with pa.ipc.open_stream(str(written / ARROW.format(shard, 3))) as stream:
            return stream.schema

    assert schema(0) == schema(1) == schema(2)
    without = apply(inputs[1:], plan)["train"]
    assert load_from_disk(str(written))["train"].to_list() == without.to_list()


def test_nothing_in_it_misleads_a_trainer(written):
    columns = set(load_from_disk(str(written))["train"].column_names)
    assert columns == {"prompt", "completion", "permutation", "row_id", "target"}  # no text, images, messages
    assert not (written / "state.json").exists()  # load_from_disk would take the root for a single split
    assert Plan.load(written).restore("").verdict == "cut short"  # the way back travels along


# What check finds


def tamper(folder, change, shard=1, of=3):
    """Change the rows of a shard, and all that says what it was: what only the rows can tell then."""
    before = digest_of(read_manifest(folder))
    path = folder / ARROW.format(shard, of)
    with pa.ipc.open_stream(path.read_bytes()) as stream:
        schema, rows = stream.schema, stream.read_all().to_pylist()
    change(rows)
    with pa.ipc.new_stream(str(path), schema) as stream:
        stream.write_table(pa.Table.from_pylist(rows, schema))
    entries = [json.loads(line) for line in (folder / MANIFEST).read_text().splitlines()]
    entries[shard] |= {"output_digest": file_digest(path), "rows": len(rows)}
    (folder / MANIFEST).write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    digests = {entry["output"]: entry["output_digest"] for entry in entries}
    for name, text in metadata(Features.from_arrow_schema(schema), {"train": list(digests)}, digests).items():
        (folder / name).write_text(text)
    card = (folder / "README.md").read_text(encoding="utf-8")
    (folder / "README.md").write_text(card.replace(before, digest_of(read_manifest(folder))), encoding="utf-8")


def swap_permutation(rows):
    first, second, *rest = rows[77]["permutation"]
    rows[77]["permutation"] = [second, first, *rest]


def repeat_slot(rows):
    rows[77]["permutation"][0] = rows[77]["permutation"][1]


def change_target(rows):
    rows[77]["target"] += "1"


def change_completion(rows):
    rows[77]["completion"] = rows[77]["completion"][::-1]


def repeat_id(rows):
    rows[77]["row_id"] = rows[78]["row_id"]


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (swap_permutation, {"moved": 1}),
        (repeat_slot, {"permutation": 1, "moved": 1}),
        (change_target, {"moved": 1, "restored": 1}),
        (change_completion, {"moved": 1, "restored": 1}),
        (repeat_id, {"rows": 1}),
        (lambda rows: rows[78].update(row_id="c.txt:5"), {"rows": 1}),
        (lambda rows: None, {}),
    ],
)
def test_check_finds_rows_that_break_a_law(written, change, broken):
    tamper(written, change)
    checked = check(written)
    assert checked.failed == broken
    assert checked.rows == {"train": len(SUMS)}  # and every other row was looked at
    if "moved" in broken:
        assert any("b.txt:77" in failure for failure in checked.failures)


def test_check_finds_damaged_and_missing_files(written):
    path = written / ARROW.format(2, 3)
    content = bytearray(path.read_bytes())
    for at in random.Random(0).sample(range(len(content)), 5):  # in the rows or in what describes them
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        assert check(written).failures == ["train/data-00002-of-00003.arrow: is altered; no rows were checked"]
    path.unlink()
    assert check(written).failures == ["train/data-00002-of-00003.arrow: is missing; no rows were checked"]


def test_check_finds_lost_rows_and_another_plan(written, inputs):
    entries = (written / MANIFEST).read_text()
    (written / MANIFEST).write_text(entries.replace('"rows": 150', '"rows": 151'))
    assert check(written).failures == ["train: has 400 rows, the manifest says 401"]
    (written / MANIFEST).write_text(entries)
    fit(inputs, reading=READING, cutter=Digits(align="pad"), order=Order("plain", shuffles=0)).save(written)
    checked = check(written)
    assert checked.failed["files"] == 3 and "made by another plan" in checked.failures[0]
    assert checked.failed["restored"] > 0


# Token form


def characters(texts=("0123456789+=? ",)):
    pytest.importorskip("transformers")
    from mireorder.tokenizing.characters import character_tokenizer

    return character_tokenizer(texts)


def test_token_form_says_the_same_as_text_form(inputs, plan, written, tmp_path):
    tokenizer = characters()
    rows = apply(inputs, plan, form="token", tokenizer=tokenizer, out=tmp_path / "tokens")["train"]
    assert check(tmp_path / "tokens").ok
    assert check(tmp_path / "tokens").passed["labels"] == len(SUMS)
    for row, text in zip(rows, load_from_disk(str(written))["train"], strict=True):
        prompt = len(text["prompt"])
        assert tokenizer.decode(row["input_ids"]) == text["prompt"] + text["completion"] + tokenizer.eos_token
        assert row["input_ids"].count(tokenizer.eos_token_id) == 1
        assert row["labels"] == [-100] * prompt + row["input_ids"][prompt:]
        assert row["permutation"] == text["permutation"] and row["target"] == text["target"]


def test_token_form_is_taken_up_again_and_refuses_another_tokenizer(inputs, plan, tmp_path):
    apply(inputs, plan, form="token", tokenizer=characters(), out=tmp_path / "out")
    whole, before = hashes(tmp_path / "out"), stamps(tmp_path / "out")
    apply(inputs, plan, form="token", tokenizer=str(tmp_path / "out" / "tokenizer"), out=tmp_path / "out")
    assert stamps(tmp_path / "out") == before
    (tmp_path / "out" / ARROW.format(1, 3)).unlink()
    apply(inputs, plan, form="token", tokenizer=characters(), out=tmp_path / "out")
    assert hashes(tmp_path / "out") == whole
    from mireorder.tokenizing.characters import character_tokenizer

    with pytest.raises(OutputError, match="was written with tokenizer"):
        apply(inputs, plan, form="token", tokenizer=character_tokenizer(["0123456789+=?! "]), out=tmp_path / "out")


def test_token_form_with_a_bpe_vocabulary(real, tmp_path):
    """GPT-2 merges digits, so the ids of a number and of its reordered digits are cut differently."""
    pytest.importorskip("transformers")
    vocabulary = str(real / "tokenizers" / "gpt2")
    words = [("the cat sat", ["animals", "home"]), ("stocks fell", ["money"]), ("a dog's stock", ["animals", "money"])]
    data = Dataset.from_dict({"q": [q for q, _ in words], "a": [a for _, a in words]})
    reading = Reading(("q",), ("a",))
    plan = fit(
        data, reading=reading, cutter="labels", between="\nLabels: ", order=Order("reverse", criterion="presence")
    )
    rows = apply(data, plan, form="token", tokenizer=vocabulary, out=tmp_path / "labels")["train"]
    assert check(tmp_path / "labels").ok
    from mireorder.tokenizing.tokens import load_tokenizer

    tokenizer = load_tokenizer(vocabulary)
    kept = [[i for i in row["labels"] if i != -100] for row in rows]
    assert [tokenizer.decode(ids) for ids in kept] == [f" {', '.join(a[::-1])}<|endoftext|>" for _, a in words]
    (tmp_path / "n.txt").write_text("".join(f"{n}*{n}={n * n}\n" for n in range(100, 300)))
    plan = fit(
        str(tmp_path / "n.txt"), reading=READING, cutter=Digits(align="right"), order=Order("reverse", shuffles=0)
    )
    apply(str(tmp_path / "n.txt"), plan, form="token", tokenizer=vocabulary, out=tmp_path / "digits")
    assert check(tmp_path / "digits").ok


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_what_the_disk_refuses_is_raised():
    with pytest.raises(OSError, match="No space left"), HashedFile(Path("/dev/full")) as file:
        file.write(b"1")


@given(st.lists(st.binary(max_size=9), max_size=20), st.integers(0, 12))
def test_a_file_is_written_and_hashed_as_it_was_given(tmp_path_factory, parts, block):
    path = tmp_path_factory.mktemp("hashed") / "file"
    with patch("mireorder.files._BLOCK", block), HashedFile(path) as file:
        assert [file.write(part) for part in parts] == [len(part) for part in parts]
    assert path.read_bytes() == b"".join(parts)
    assert file.digest == file_digest(path) == xxh3_128(b"".join(parts)).hexdigest()


@pytest.mark.parametrize("file_format", ["arrow", "parquet"])
def test_the_cache_of_datasets_knows_a_folder_from_an_earlier_one_of_its_name(file_format, tmp_path):
    """It goes by the card, not by the files: a folder written anew gave the rows of the old one."""
    rows, found = [{"s": f"{n}", "t": f"{n:03d}"} for n in range(200)], []
    for policy in ("plain", "reverse"):
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
        plan = fit(rows, source="s", target="t", cutter="digits", order=policy)
        apply(rows, plan, out=tmp_path / "data", file_format=file_format)
        loaded = load_dataset(str(tmp_path / "data"), cache_dir=str(tmp_path / "cache"))["train"]
        found.append(loaded["completion"][12])
    assert found == [" 012", " 210"]
