"""Cards of published datasets: what they say, that it is true, and that no text of the data has an effect in them."""

import json
import re

import pytest
import yaml
from datasets import load_dataset
from datasets.info import DatasetInfosDict
from huggingface_hub import DatasetCard
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from published import QUIET, ROWS, planned, published, written

from mireorder import Order, apply, fit, publish, pull
from mireorder.report.comparison import in_markdown, markdown_table

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return written(tmp_path_factory.mktemp("datasets"))


OWN = {
    "license": "cc-by-4.0",
    "language": ["de", "en"],
    "pretty_name": "Rows: a *list* <b>of</b> #1",
    "task_categories": ["text-generation"],
    "tags": ["sums"],
    "size_categories": ["n>1T"],
    "unknown": {"of": "no"},
}


def with_card(folder, card):
    folder.mkdir()
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS[:50]))
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump(card)}---\n# Own\n", encoding="utf-8")
    return folder


def test_the_card_says_what_the_input_said_and_nothing_else(hub, folders, tmp_path):
    apply(with_card(tmp_path / "in", OWN), planned("max", "joint"), out=tmp_path / "d")
    publish(tmp_path / "d", "owner/name")
    card = DatasetCard(published(hub)[1]["README.md"].decode())
    said = {name: value for name, value in card.data.to_dict().items() if name not in ("configs", "dataset_info")}
    assert said == {name: OWN[name] for name in ("license", "language", "pretty_name", "task_categories")} | {
        "tags": ["sums", "mireorder"],
        "size_categories": ["n<1K"],
    }
    publish(folders / "max", "owner/bare")
    bare = DatasetCard(published(hub, "owner/bare")[1]["README.md"].decode()).data.to_dict()
    assert bare.keys() == {"tags", "size_categories", "configs", "dataset_info"}


def test_the_source_of_rows_of_the_hub_is_named(hub, tmp_path):
    files = {"rows.jsonl": json.dumps(ROWS[0]).encode(), "README.md": b"---\nlicense: mit\n---\n"}
    hub.create("datasets", "some/source", files=files)
    apply("some/source", planned("reverse"), out=tmp_path / "d")
    publish(tmp_path / "d", "owner/name")
    data = DatasetCard(published(hub)[1]["README.md"].decode()).data
    assert (data.license, data.source_datasets) == ("mit", ["some/source"])


def test_the_card_has_features_bytes_and_examples(hub, folders):
    publish(folders / "max", "owner/name")
    files = published(hub)[1]
    data = DatasetCard(files["README.md"].decode()).data
    info = DatasetInfosDict.from_dataset_card_data(data)["max-joint"]
    loaded = load_dataset("owner/name", "max-joint")
    assert info.features == loaded["dev"].features
    assert {split: one.num_examples for split, one in info.splits.items()} == {"train": 500, "dev": 76}
    assert info.download_size == sum(
        len(files[path]) for path in files if path.startswith("max-joint/") and "-of-" in path
    )
    assert info.dataset_size == sum(one.num_bytes for one in info.splits.values()) > 0


def test_the_card_shows_what_it_must(hub, folders):
    publish(folders / "causal", "owner/name", config="replayed")
    text = published(hub)[1]["README.md"].decode()
    blocks = [token.content for token in MarkdownIt().parse(text) if token.type == "fence"]
    example = json.loads(next(block for block in blocks if block.startswith("{")))
    assert example["natural"] == {"prompt": "0*0", "completion": " 0"} and example["reordered"]["completion"] == " 000"
    assert 'rows = load_dataset("owner/name", "replayed")' in text and "SFTTrainer" in text
    assert 'plan = Plan.load("owner/name:replayed")' in text and "prompt=" in text
    assert "https://arxiv.org/abs/2511.00198" in text and "bibtex" in text and "Limits" in text
    for block in blocks:
        if block.startswith("from"):
            compile(block, "card", "exec")
    publish(folders / "max", "owner/name")
    text, files = published(hub)[1]["README.md"].decode(), published(hub)[1]
    assert "](max-joint/scores.png)" in text and files["max-joint/scores.png"].startswith(b"\x89PNG")


def test_what_the_owner_writes_into_the_card_stays(hub, folders):
    publish(folders / "max", "owner/name")
    there = hub.repository("datasets", "owner/name")
    files = dict(there.commits[-1].files)
    text = (
        files["README.md"]
        .decode()
        .replace("## Citation", "My words.\n\n## Citation")
        .replace("tags:", "license: mit\ntags:")
    )
    there.commit("main", files | {"README.md": text.encode()}, "mine")
    assert publish(folders / "max", "owner/name").sent == {}
    publish(folders / "reverse", "owner/name")
    after = published(hub)[1]["README.md"].decode()
    assert "My words." in after and "license: mit" in after and after.count("## Configuration") == 2
    assert after.index("max-joint") < after.index("## Configuration `reverse`") < after.index("My words.")


HOSTILE = [
    "<script>alert(1)</script>", "a|b `c` ``d``", "---", "<!-- /mireorder max-joint -->", "\u202eleft",
    "x\u2028---\u2028y",
    "![x](http://evil)", "$\\frac{1}$ $", "null", "[]{}: &a *b !!python/object:os.system", "```", "# head",
    "é 漢 👩‍👩‍👧",
]  # fmt: skip


def test_hostile_names_and_texts_stay_text(hub, tmp_path):
    kept = {f"kept {text}": text for text in HOSTILE}
    rows = [{"q": f"{text}\n---\n{text}", "a": [text, "x"], **kept} for text in HOSTILE]
    plan = fit(rows, source="q", target="a", cutter="labels", order=Order("max", "joint", **QUIET))
    card = {"pretty_name": "<img src=x>\n---\n# x", "tags": ["- a: b", "\u2028---"], "license": "mit\n---\n"}
    (tmp_path / "README.md").write_text(f"---\n{yaml.safe_dump(card, allow_unicode=True)}---\n", encoding="utf-8")
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    apply(tmp_path, plan, out=tmp_path / "d")
    for card_file in ((tmp_path / "d" / "README.md").read_text("utf-8"), None):
        if card_file is None:
            publish(tmp_path / "d", "owner/name")
            card_file = published(hub)[1]["README.md"].decode()
        data = DatasetCard(card_file).data
        assert data.pretty_name == "<img src=x> --- # x" and data.tags == ["- a: b", "---", "mireorder"]
        tokens = MarkdownIt().parse(DatasetCard(card_file).text)
        inline = [child for token in tokens for child in token.children or []]
        html = [token.content for token in [*tokens, *inline] if token.type.startswith("html")]
        assert all(re.fullmatch(r"<!-- /?mireorder max-joint -->\n?", one) for one in html)
        assert {one.attrs["href"] for one in inline if one.type == "link_open"} == {"https://arxiv.org/abs/2511.00198"}
        assert {one.attrs["src"] for one in inline if one.type == "image"} <= {"max-joint/scores.png"}
        assert not re.search("[\u202e\u2028]", card_file)
    here = load_dataset(str(tmp_path / "d"))["train"]
    assert load_dataset("owner/name", "max-joint")["train"].to_list() == here.to_list()
    assert publish(tmp_path / "d", "owner/name").sent == {} and pull("owner/name", tmp_path / "back").ok
    publish(tmp_path / "back", "owner/name", config="again")
    assert DatasetCard(published(hub)[1]["README.md"].decode()).text.count("## Configuration") == 2


def test_splits_whose_names_yaml_takes_for_something_else_are_loaded(hub, tmp_path):
    splits = dict.fromkeys(("null", "on", "123", "1e3", "größe", "v1.2"), ROWS[:9])
    apply(splits, planned("reverse"), out=tmp_path / "d")
    publish(tmp_path / "d", "owner/name")
    for loaded in (load_dataset(str(tmp_path / "d")), load_dataset("owner/name", "natural")):
        assert loaded.keys() == splits.keys()


@given(st.text(max_size=40))
@example("[a](http://b.c) https://d.e *f* _g_ __h__ a_b ~~i~~ `j` <b>k</b> | l &lt; &amp; \\* \\")
def test_texts_in_the_tables_of_reports_are_no_mark_up(text):
    table = "\n".join(markdown_table(("a", "b"), [[in_markdown(text), "b"], ["c", "d"]]))
    tokens = MarkdownIt().enable(["table", "strikethrough"]).parse(table)
    cells = [token for token in tokens if token.type == "inline"]
    shown = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    assert "".join(child.content for child in cells[2].children) == shown and [c.content for c in cells[3:]] == [*"bcd"]
    assert {child.type for child in cells[2].children} <= {"text", "text_special"} and not re.search(
        r"\w://", in_markdown(text)
    )
