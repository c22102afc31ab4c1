"""fit with a tokenizer says which units are not one token each, and what mends it."""

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_cli import mireorder  # noqa: F401 (a fixture)
from test_plan import plan_of
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from mireorder import Digits, Fields, Labels, Order, Plan, Words, fit
from mireorder.tokenizing.characters import character_tokenizer
from mireorder.tokenizing.light import fast_tokenizer
from mireorder.tokenizing.reserved import reserve
from mireorder.tokenizing.subwords import subword_tokenizer
from mireorder.tokenizing.tokens import load_tokenizer
from mireorder.tokenizing.units import token_warnings

PAIRS = subword_tokenizer(["48", "04", "joy", " calm"] * 9, 300)  # these are tokens
SINGLE = subword_tokenizer(["48", "04", "joy", " calm"] * 9, 300, single_digits=True)  # the words are, the numbers not
CHARACTERS = character_tokenizer(['0123456789 ⟨⟩joycalm,abe{}:"'])
PAD = plan_of(Digits("pad", width=4), [2, 1, 3, 0])
MARKED = plan_of(Digits("pad", width=2), [1, 0], kind="marked", policy="shuffle", markers="⟨{}⟩")
RESERVING = "apply with --form token and --reserve, which makes each marker one token"


@given(st.text(st.sampled_from("0123456789 =joycalm٣é\n"), max_size=20))
def test_single_digits_are_tokens_of_their_own_and_every_text_comes_back(text):
    ids = SINGLE(text, add_special_tokens=False)["input_ids"]
    assert SINGLE.decode(ids, clean_up_tokenization_spaces=False) == text
    pieces = [SINGLE.decode([each]) for each in ids]
    assert not [piece for piece in pieces if len(piece) > 1 and any(digit in piece for digit in "0123456789")]


def test_words_are_tokens_beside_single_digits():
    assert [SINGLE.decode([each]) for each in SINGLE("joy48 calm")["input_ids"]] == ["joy", "4", "8", " calm"]
    assert [PAIRS.decode([each]) for each in PAIRS("joy48 calm")["input_ids"]] == ["joy", "48", " calm"]


def without_bounds(text):
    """A tokenizer that has the whole text as one token, whatever stands in it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator([text] * 9, trainers.BpeTrainer(initial_alphabet=alphabet, show_progress=False))
    return fast_tokenizer(tokenizer, eos_token="<eos>")


def said(plan, rows, tokenizer):
    """What is said of rows: completions and permutations."""
    completions, permutations = zip(*rows, strict=True)
    batch = pa.record_batch({"completion": list(completions), "permutation": list(permutations)})
    return token_warnings(plan, [batch], tokenizer)


def test_digits_that_share_tokens_are_named_with_what_mends_it():
    (warning,) = said(PAD, [(" 0480", [2, 1, 3, 0]), (" 1480", [2, 1, 3, 0]), (" 1111", [2, 1, 3, 0])], PAIRS)
    assert warning == (
        "tokens hold several digits in 2 of 3 rows looked at ('04' in ' 0480'), so that the model emits these "
        "together, in no order; not one token each: 10^2 10^1 10^0; take a tokenizer that has a token for each, as "
        f"models trained from scratch have, or write each behind a marker: fit with --marked, and {RESERVING}"
    )
    assert said(PAD, [(" 0480", [2, 1, 3, 0])], CHARACTERS) == []


def test_markers_are_to_be_tokens():
    rows = [("⟨1⟩4⟨0⟩8", [1, 0])]
    assert said(MARKED, rows, PAIRS) == [f"2 of 2 markers are several tokens each, such as '⟨0⟩'; {RESERVING}"]
    assert said(MARKED, rows, reserve(PAIRS, MARKED)) == []
    assert said(MARKED, rows, without_bounds("4⟨0⟩8"))[0].endswith(f"not one token each: all of them; {RESERVING}")


def test_labels_of_several_tokens_are_named():
    plan = plan_of(Labels(("calm", "joy", "awe")), [1, 0, 2])
    (warning,) = said(plan, [("joy, calm", [1, 0]), ("calm, awe", [0, 2]), ("none", [])], PAIRS)
    assert warning.startswith("2 of 3 labels are several tokens (calm, awe): each is moved as a whole")
    assert said(plan_of(Labels(("joy",)), [0]), [("joy", [0])], PAIRS) == []


def test_labels_that_share_tokens_have_no_markers_to_mend_it():
    plan = plan_of(Labels(("a", "b"), joiner=","), [1, 0])
    (warning,) = said(plan, [("b,a", [1, 0])], without_bounds("b,a"))
    assert "tokens hold several labels in 1 of 1 rows" in warning and "--marked" not in warning
    assert "not one token each: all of them" in warning


@pytest.mark.parametrize("plan", [plan_of(Fields(("a", "b"), between=","), [1, 0]), plan_of(Words(width=4), range(4))])
def test_tokens_that_hold_only_the_edges_of_units_break_no_order(plan):
    """The quotes and the comma between two members are one token in many vocabularies."""
    tokenizer = subword_tokenizer(['","'] * 9 + ["e f"], 259)
    assert '","' in tokenizer.get_vocab()
    texts = {"fields": '{"b":"1","a":"2"}', "words": "ab e cd"}
    slots = {"fields": [1, 0], "words": [0, 1, 2]}
    assert said(plan, [(texts[plan.cutter.name], slots[plan.cutter.name])], tokenizer) == []


def test_fit_warns_only_with_a_tokenizer_and_changes_nothing_else(tmp_path):
    rows = [{"q": f"{a}*{b}", "a": str(a * b)} for a in range(24) for b in range(24)]
    order = Order("reverse", criterion=None)
    options = {"source": "q", "target": "a", "cutter": "digits", "order": order}
    plain = json.loads(fit(rows, **options).to_json())
    PAIRS.save_pretrained(str(tmp_path))
    for tokenizer in PAIRS, tmp_path, str(tmp_path):
        found = json.loads(fit(rows, **options, tokenizer=tokenizer).to_json())
        assert found["warnings"] != plain["warnings"] and found | {"warnings": plain["warnings"]} == plain
    assert json.loads(fit(rows, **options, tokenizer=CHARACTERS).to_json()) == plain
    bad = [*rows, {"q": "x", "a": "many"}]
    assert "of 576 rows looked at" in fit(bad, **options, tokenizer=PAIRS, reject=True).warnings[0]


@pytest.mark.parametrize(("name", "merges"), [("gpt2", True), ("qwen2.5", False)])
def test_real_tokenizers(real, name, merges):
    """GPT-2 has tokens of two and three digits, Qwen2.5 one for each."""
    tokenizer = load_tokenizer(real / "tokenizers" / name)
    rows = [{"q": f"{a}*{b}", "a": str(a * b)} for a in range(24) for b in range(24)]
    options = {"source": "q", "target": "a", "cutter": "digits", "tokenizer": tokenizer}
    found = fit(rows, **options, order=Order("reverse", criterion=None)).warnings
    assert len(found) == merges and all("tokens hold several digits in 576 of 576 rows" in warning for warning in found)
    marked = Order("shuffle", criterion=None, permutation=None, markers="⟨{}⟩")
    assert fit(rows, **options | {"tokenizer": None}, order=marked).warnings == []
    plan = fit(rows, **options, order=marked)
    assert plan.warnings == [f"3 of 3 markers are several tokens each, such as '⟨0⟩'; {RESERVING}"]
    reserved = reserve(tokenizer, plan)
    assert fit(rows, **options | {"tokenizer": reserved}, order=marked).warnings == []


def test_the_command_shows_the_warning(tmp_path, monkeypatch, mireorder):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mul.txt").write_text("".join(f"{a}*{b}={a * b}\n" for a in range(24) for b in range(24)))
    PAIRS.save_pretrained("tokenizer")
    status, out, _ = mireorder(
        "fit mul.txt --split = --cutter digits --policy reverse --tokenizer tokenizer --out plan"
    )
    assert status == 0 and "warning: tokens hold several digits in" in out and RESERVING in out
    assert any("tokens hold several digits" in warning for warning in Plan.load("plan").warnings)


def test_no_code_of_a_tokenizer_is_run(tmp_path, monkeypatch, mireorder):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mul.txt").write_text("1*2=2\n3*4=12\n")
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil/own.py").write_text("open('ran', 'w')\nclass Own: pass\n")
    config = {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", None]}}
    (tmp_path / "evil/tokenizer_config.json").write_text(json.dumps(config))
    fit = "fit mul.txt --split = --cutter digits --policy reverse"
    for line in f"{fit} --out plan", "apply mul.txt --plan plan --out data":
        assert mireorder(line)[0] == 0
    for line in f"{fit} --tokenizer evil --out other", "show data --tokenizer evil", "check data --tokenizer evil":
        status, out, err = mireorder(line)
        assert (status, out, err.count("\n")) == (2, "", 1) and "no tokenizer can be read here" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "evil", "mul.txt", "plan"]
