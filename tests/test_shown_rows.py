"""A row as the model sees it: its tokens, what is learnt, marks and end, the restored answer; and where seams merge."""

import json
import re
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from test_cli import mireorder  # noqa: F401 (a fixture)
from test_plan import plan_of

from mireorder import Digits, InputError, Labels, Order, Words, apply, check, fit
from mireorder.dataset.shown import ShownPiece, find_row, shown
from mireorder.networks import IGNORED
from mireorder.report.rows import row_view
from mireorder.tokenizing.characters import character_tokenizer
from mireorder.tokenizing.ids import bare_ids, decode
from mireorder.tokenizing.pieces import pieces
from mireorder.tokenizing.reserved import reserve
from mireorder.tokenizing.seams import merged_seams
from mireorder.tokenizing.subwords import subword_tokenizer
from mireorder.tokenizing.tokens import encode, load_tokenizer

BYTES = subword_tokenizer(["12*34=408", "56*78=4368", "the cold rain, the warm rain"] * 9, 300)
PAIRS = [(a, b) for a in range(24) for b in range(24)]
ROWS = [{"q": f"{a}*{b}", "a": str(a * b)} for a, b in PAIRS]
PLAN = plan_of(Digits("pad", width=4), [2, 1, 3, 0])
MARKED = plan_of(Digits("pad", width=2), [1, 0], kind="marked", policy="shuffle", markers="⟨{}⟩")
TEXT_ROW = {"row_id": "a:3", "prompt": "12*34=", "completion": " 0480", "target": "408"}


def view(row, **options):
    out = StringIO()
    Console(file=out, width=500, highlight=False, **options).print(row_view(row))
    return out.getvalue()


# Pieces ------------------------------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_characters="\N{REPLACEMENT CHARACTER}", exclude_categories=["Cs"]), max_size=20)


@given(st.lists(texts, max_size=4))
def test_pieces_are_the_ids_in_order_and_the_text(drawn):
    rows = [ids for some in bare_ids(drawn, BYTES) for ids in some]
    for ids, found in zip(rows, pieces(rows, BYTES), strict=True):
        assert [token for piece in found for token in piece.ids] == ids
        assert "".join(piece.text for piece in found) == decode([ids], BYTES)[0]
        assert all(piece.text for piece in found)


@pytest.mark.parametrize("name", ["gpt2", "qwen2.5"])
def test_pieces_of_real_tokenizers(real, name):
    tokenizer = load_tokenizer(real / "tokenizers" / name)
    ((ids,),) = bare_ids(["12*34 = ⟨2⟩ naïve 日本 🌊🌊 \x1b[31m"], tokenizer)
    found = pieces([ids], tokenizer)[0]
    assert "".join(piece.text for piece in found) == "12*34 = ⟨2⟩ naïve 日本 🌊🌊 \x1b[31m"
    assert [piece.text for piece in found][:2] == (["12", "*"] if name == "gpt2" else ["1", "2"])


def test_ids_that_make_no_text_are_a_piece_too():
    half = BYTES("é")["input_ids"][:1] or [0]
    assert [piece.ids for piece in pieces([[*half, *half], []], BYTES)[0]] == [(*half, *half)]


# Rows --------------------------------------------------------------------------------------------------------------


def test_text_without_a_tokenizer_is_shown_as_it_is():
    row = shown(TEXT_ROW, PLAN)
    assert row.pieces == (ShownPiece("12*34=", (), "prompt"), ShownPiece(" 0480", (), "answer"))
    assert (row.restored.text, row.restored.verdict, row.tokens, row.merged) == ("408", "complete", 0, None)
    assert view(row) == (
        "a:3: text form\nprompt    '12*34='\nlearnt    ' 0480'\ntarget    '408'\nrestored  '408', complete\n"
    )


def test_text_with_a_tokenizer_is_shown_as_it_is_trained_on():
    tokenizer = character_tokenizer(["0123456789*= "])
    (ids,), (labels,) = encode(["12*34="], [" 0480"], tokenizer)
    row = shown(TEXT_ROW, PLAN, tokenizer)
    assert [token for piece in row.pieces for token in piece.ids] == ids
    assert [piece.learnt for piece in row.pieces] == [label != IGNORED for label in labels]
    assert (row.tokens, row.learnt, row.merged) == (12, 6, False)
    lines = view(row).splitlines()
    assert lines[0] == "a:3: text form, 12 tokens, 6 of them learnt"
    assert lines[1:4] == ["prompt    '1' '2' '*' '3' '4' '='", "learnt    ' ' '0' '4' '8' '0'", "end       '<eos>'"]


def test_token_form_is_shown_as_it_stands_marks_as_marks():
    for tokenizer in BYTES, reserve(BYTES, MARKED):
        (ids,), (labels,) = encode(["1+2="], [" ⟨1⟩3⟨0⟩0"], tokenizer)
        row = shown({"row_id": "a:0", "input_ids": ids, "labels": labels, "target": "3"}, MARKED, tokenizer)
        roles = [(piece.text, piece.role) for piece in row.pieces if piece.learnt]
        assert "".join(text for text, role in roles if role == "mark") == "⟨1⟩⟨0⟩"
        assert "".join(text for text, role in roles if role == "answer") == " 30"
        assert roles[-1][1] == "end" and (row.restored.text, row.restored.verdict) == ("3", "complete")
        assert row.learnt == len([label for label in labels if label != IGNORED]) and row.tokens == len(ids)
    assert "^'⟨1⟩' '3' ^'⟨0⟩' '0'" in view(row) and "^         a mark" in view(row)


def test_a_spoilt_row_is_shown_with_what_is_wrong():
    row = shown(TEXT_ROW | {"completion": " 04x0"}, PLAN)
    assert row.restored.verdict == "malformed" and "malformed: 'x' is not part of a number" in view(row)
    with pytest.raises(InputError, match="rows of ids are shown by their tokenizer; pass tokenizer"):
        shown({"row_id": "a:0", "input_ids": [1], "labels": [1], "target": "3"}, PLAN)


HOSTILE = ["[red]x[/red]", "\x1b[31mred\x1b[0m", "a\r\nb\tc\x07", "\u202eevil", "[/]", "`'\"\\"]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_is_markup_or_obeyed(text):
    """In colours or not: what is not printable is written as an escape, and brackets stay."""
    row = {"row_id": text, "prompt": text, "completion": f" {text}", "target": text}
    plan = plan_of(Words(width=9), [1, 0, *range(2, 9)])
    for tokenizer in None, subword_tokenizer(HOSTILE, 300):
        plain = view(shown(row, plan, tokenizer))
        assert repr(text) in plain and all(char.isprintable() or char == "\n" for char in plain)
        coloured = view(shown(row, plan, tokenizer), force_terminal=True, color_system="standard")
        assert "\x1b[" in coloured and re.sub("\x1b\\[[0-9;]*m", "", coloured) == plain


# The command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = fit(ROWS, source="q", target="a", cutter="digits", order=Order("reverse", criterion=None))
    data = {"train": ROWS, "test": ROWS[:5]}
    apply(data, plan, out="data")
    tokenizer = character_tokenizer(["0123456789* "])
    apply(data, plan, form="token", tokenizer=tokenizer, out="ids", file_format="parquet")
    return tmp_path


def test_rows_are_found_by_number_split_and_row_id(place, mireorder):  # noqa: F811
    assert find_row("data", "30") == find_row(place / "data", "train:30")
    assert find_row(place / "data", "test:3")["prompt"] == "0*3"
    status, out, err = mireorder("show data 30")
    assert (status, err) == (0, "") and out.splitlines()[:2] == ["train:30: text form", "prompt    '1*6'"]
    assert mireorder("show data")[1].startswith("train:0: text form")
    for row in "test:5", "999", "-1", "x:1", "":
        with pytest.raises(InputError, match=r"there is no row .*; rows: train 576, test 5; name a number from 0"):
            find_row(place / "data", row)
    status, out, err = mireorder("show data dev:1")
    assert (status, out) == (2, "") and "there is no row 'dev:1'" in err


def test_token_form_is_shown_by_its_own_tokenizer(place, mireorder):  # noqa: F811
    status, out, _ = mireorder("show ids test:3")
    assert status == 0 and "learnt    ' ' '0' '0' '0'\nend       '<eos>'" in out and "\x1b" not in out
    status, out, _ = mireorder("show ids test:3 --json")
    found = json.loads(out)
    assert (found["tokens"], found["learnt"], found["restored"]["verdict"]) == (8, 5, "complete")
    assert mireorder("show ids --tokenizer data")[2].endswith("a tokenizer of its own; leave out --tokenizer\n")


# Seams -------------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(texts, texts), max_size=5))
def test_a_seam_is_merged_where_ids_together_are_others_than_apart(pairs):
    prompts, completions = [list(side) for side in zip(*pairs, strict=True)] or [[], []]
    ids = lambda text: BYTES(text, add_special_tokens=False)["input_ids"]  # noqa: E731
    expected = [ids(p + c) != ids(p) + ids(c) for p, c in pairs]
    assert merged_seams(prompts, completions, BYTES).tolist() == expected


def test_check_finds_merged_seams_by_row(tmp_path):
    tokenizer = subword_tokenizer(["20", "0", "2"] * 9, 258)  # 20 is a token
    rows = [{"q": q, "a": a} for q, a in (("1", "2"), ("12", "0"), ("32", "10"), ("2", "0"))]
    plan = fit(rows, source="q", target="a", cutter=Labels(("0", "2", "10")), order="plain", between="")
    apply(rows, plan, out=tmp_path / "data")
    tokenizer.save_pretrained(str(tmp_path / "tokenizer"))
    assert check(tmp_path / "data").ok
    for given_ in tokenizer, tmp_path / "tokenizer":
        found = check(tmp_path / "data", tokenizer=given_)
        assert (found.passed["seam"], found.failed) == (2, {"seam": 2}) and not found.ok
        assert [failure.partition("; ")[0] for failure in found.failures] == [
            f"train:{row}: tokens merge where {prompt!r} meets '0'" for row, prompt in ((1, "12"), (3, "2"))
        ]
        assert all(failure.endswith("or fit with a space between both") for failure in found.failures)
    row = shown(find_row(tmp_path / "data", "1"), plan, tokenizer)
    assert row.merged and "warning   encoded together, tokens span" in view(row)
    shuffled = [find_row(tmp_path / "data", str(n)) for n in (3, 0)]  # without a manifest, columns say the form
    assert check(shuffled, plan=plan, tokenizer=tokenizer).failed == {"seam": 1}


def test_both_remedies_mend_seams(tmp_path):
    tokenizer = subword_tokenizer(["20", "0", "2"] * 9, 258)
    rows = [{"q": "12", "a": "0"}]
    apart = fit(rows, source="q", target="a", cutter=Labels(("0",)), order="plain")
    apply(rows, apart, out=tmp_path / "apart")
    assert check(tmp_path / "apart", tokenizer=tokenizer).ok
    plan = fit(rows, source="q", target="a", cutter=Labels(("0",)), order="plain", between="")
    apply(rows, plan, form="token", tokenizer=tokenizer, out=tmp_path / "ids")
    assert check(tmp_path / "ids").ok


def test_the_command_says_what_merged_seams_mean(tmp_path, monkeypatch, mireorder):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    rows = [{"q": "12", "a": "0"}]
    subword_tokenizer(["20"] * 9, 258).save_pretrained("tokenizer")
    apply(rows, fit(rows, source="q", target="a", cutter=Labels(("0",)), order="plain", between=""), out="data")
    status, out, _ = mireorder("check data --tokenizer tokenizer")
    assert status == 1 and "every row comes back, but some trainers see other tokens" in out
    assert mireorder("check data")[0] == 0
