"""Reports: they say what `inspect` says, show real rows, and hold nothing of the data but text."""

import json
import re
from html.parser import HTMLParser

import polars as pl
import pytest
from reported import NAMES, PRODUCTS, comparison, hostile, products

from mireorder import Copying, InputError, Lookahead, Order, OutputError, Plan, PlanError, apply, fit
from mireorder.cli import main
from mireorder.evaluate.compare import Comparison
from mireorder.ordering.record import Stability
from mireorder.ordering.summary import UNBOUNDED
from mireorder.report.comparison import comparison_page
from mireorder.report.examples import examples_of
from mireorder.report.page import write_page
from mireorder.serialise import printable

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

MOST_BYTES = 3_000_000
VOID = {"meta", "link", "input", "br", "img"}


class Page(HTMLParser):
    """The text of a page, its tags with their attributes, and whether they nest."""

    def __init__(self, path):
        super().__init__()
        self.texts, self.tags, self.inside = [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.inside == []
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.inside.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.inside.pop() == tag

    def handle_data(self, data):
        if self.inside[-1:] not in (["style"], ["script"]):
            self.texts.append(data)

    def counted(self, name):
        return sum(tag == name for tag, _ in self.tags)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("products") / "rows"
    return folder, products(folder, resamples=10)


def words(text):
    """What `inspect` prints, without the frames of tables and the marks of lists."""
    return re.sub("[\u2500-\u257f]", " ", text).split()


@pytest.mark.parametrize("order", [Order("max", resamples=10), Order("max", criterion="pairwise"), Order("reverse"),
                                   Order("shuffle", markers=True)])  # fmt: skip
def test_a_report_says_what_inspect_says(tmp_path, order):
    plan = fit(PRODUCTS, source="question", target="answer", cutter="digits", order=order)
    said = Page(write_page(plan, tmp_path / "a.html")).text.split()
    missing = [word for word in words(plan.summary(UNBOUNDED)) if word not in said]
    assert missing == []


def test_many_slots_are_shown_by_step_as_inspect_does(tmp_path):
    rows = [
        {"text": f"w{row % 20} w{row % 7}", "labels": [f"label{row % 20}", f"label{(row + 7) % 20}"]}
        for row in range(99)
    ]
    plan = fit(rows, source="text", target="labels", cutter="labels", order=Order("max", criterion="presence"))
    page = Page(write_page(plan, tmp_path / "a.html"))
    assert [word for word in words(plan.summary(UNBOUNDED)) if word not in page.text.split()] == []
    assert page.counted("table") == 1


def test_costs_of_orders_are_shown_where_they_are_known(tmp_path, dataset):
    costs = {
        name: {"permutation": order, "bits": bits, "lead": 4.5 - bits, "low": low, "high": high}
        for name, order, bits, low, high in (
            ("plain", [0, 1, 2, 3], 4.5, 0.0, 0.0),
            ("best", [3, 2, 1, 0], 4.0, 0.25, 0.75),
            ("reverse", [2, 3, 0, 1], 4.75, -0.5, 0.125),
            ("max", [0, 1, 2, 3], 4.5, 0.0, 0.0),
        )
    }
    probe = {
        "probe": "masked",
        "bits_per_unit": [1.5] * 4,
        "steps": [5, 6],
        "rows": 90,
        "held_out": 10,
        "total_steps": 30,
    }
    content = json.loads(dataset[1].to_json())
    content["stability"] = Stability(costs=costs, probe=probe).as_dict()
    page = Page(write_page(Plan.from_dict(content), tmp_path / "a.html"))
    assert "What orders cost" in page.text
    assert "best 4.000 bits, 0.500 (0.250 to 0.750) less than plain: 10^0 10^1 10^2 10^3" in page.text
    assert "reverse 4.750 bits, 0.250 (-0.125 to 0.500) more than plain" in page.text
    assert "max 4.500 bits, as many as plain" in page.text
    assert page.counted("svg") == 2


def test_what_a_search_trained_is_shown(tmp_path, dataset):
    orders = [
        {
            "permutation": order,
            "costs": {"joint": 4.5},
            "reached": [{"step": step, "exact_match": step / 40 - late, "bits": 1.5} for step in steps],
        }
        for order, steps, late in (([3, 2, 1, 0], [10, 20], 0.0), ([0, 1, 2, 3], [10], 0.125))
    ]
    numbers = {"steps": 20, "batch_size": 8, "seeds": 2, "held_out": 90, "budget": 2.0, "trainings": 1.5}
    content = json.loads(dataset[1].to_json())
    content["stability"] = Stability(search={"model": "nano", "orders": orders} | numbers).as_dict()
    page = Page(write_page(Plan.from_dict(content), tmp_path / "a.html"))
    assert "What trained orders reached" in page.text
    assert "10^0 10^1 10^2 10^3: 25.0% at step 10, 50.0% at step 20" in page.text
    assert page.counted("svg") == 2


def test_examples_are_rows_whose_units_move(dataset):
    folder, plan = dataset
    found = examples_of(folder, plan)
    assert 1 < len(found) <= 6
    for example in found:
        texts = dict(example.texts)
        assert texts["natural"] == str(eval(texts["prompt"].rstrip("=")))
        assert "".join(unit.text for unit in example.units) == texts["emitted"] == plan.emit(texts["natural"])
        natural = "".join(unit.text for unit in sorted(example.units, key=lambda unit: unit.slot))
        assert natural == texts["natural"].zfill(4) != texts["emitted"]


@pytest.mark.parametrize("order", ["causal-max", Order("shuffle", markers=True)])
def test_examples_of_every_row_are_in_its_own_order(tmp_path, order):
    plan = fit(PRODUCTS, source="question", target="answer", cutter="digits", order=order)
    apply(PRODUCTS, plan, out=tmp_path / "rows")
    for example in examples_of(tmp_path / "rows", plan):
        natural = "".join(unit.text for unit in sorted(example.units, key=lambda unit: unit.slot))
        assert natural.lstrip("0") == dict(example.texts)["natural"]


def test_examples_of_copies_show_them_beside_what_they_copy(tmp_path):
    rows = [{"article": "rain", "summary": f"Heavy rain came in year {year}. The town flooded."} for year in range(20)]
    order = Order(Copying(Lookahead(2)))
    plan = fit(rows, source="article", target="summary", cutter="words", order=order)
    apply(rows, plan, out=tmp_path / "rows")
    for example in examples_of(tmp_path / "rows", plan):
        kept = [unit for unit in example.units if not unit.is_copy]
        assert len(kept) < len(example.units)
        assert " ".join(unit.text for unit in kept) == dict(example.texts)["natural"]


def test_ids_are_shown_as_the_texts_they_stand_for(tmp_path):
    pytest.importorskip("transformers")
    from mireorder import Tokens
    from mireorder.tokenizing.characters import character_tokenizer

    tokenizer = character_tokenizer("0123456789*= ")
    plan = fit(PRODUCTS, source="question", target="answer", cutter=Tokens(), order="reverse", tokenizer=tokenizer)
    apply(PRODUCTS, plan, form="token", tokenizer=tokenizer, out=tmp_path / "rows")
    example, *_ = examples_of(tmp_path / "rows", plan)
    texts = dict(example.texts)
    units = "".join(unit.text for unit in example.units).replace(
        "␣", " "
    )  # the space that opens completions moves, too
    assert units == texts["emitted"] == f"{texts['natural'][::-1]} "


# Safety -------------------------------------------------------------------------------------------------------


def test_hostile_names_and_texts_stay_text(tmp_path):
    hostile(tmp_path / "rows")
    path = write_page(tmp_path / "rows", tmp_path / "a.html")
    page = Page(path)
    plain = Page(write_page(products(tmp_path / "plain"), tmp_path / "b.html"))
    assert {tag for tag, _ in page.tags} - {"ul", "p"} <= {tag for tag, _ in plain.tags} | {"li"}
    assert (page.counted("script"), page.counted("style"), page.counted("img")) == (1, 1, 0)
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on") or name == "style"]
    for name in NAMES:
        assert " ".join(printable(name).split()) in page.text
    raw = path.read_text(encoding="utf-8")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e]", raw)


def test_a_page_allows_its_own_style_and_script_alone(tmp_path, dataset):
    page = Page(write_page(dataset[1], tmp_path / "a.html"))
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    allowed = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert allowed["default-src"] == allowed["base-uri"] == allowed["form-action"] == "'none'"
    assert all(re.fullmatch(r"'sha256-[\w+/=]+'", allowed[what]) for what in ("style-src", "script-src"))
    links = [a[name] for _, a in page.tags for name in ("href", "src") if name in a]
    assert all(link.startswith("#") or link == "data:," for link in links)


def test_ids_are_there_once_and_what_is_pointed_at_is_there(tmp_path):
    path = write_page(comparison(), tmp_path / "a.html")
    page = Page(path)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    named = [a[name] for _, a in page.tags for name in ("aria-labelledby", "aria-describedby", "for") if name in a]
    links = [a["href"][1:] for _, a in page.tags if a.get("href", "").startswith("#")]
    assert set(named + links) <= set(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", path.read_text())) <= set(ids)


@pytest.mark.slow
def test_a_report_of_endless_names_is_small(tmp_path):
    names = [f"{number}-{'long name ' * 400}" for number in range(120)]
    rows = [{"text": f"w{row}", "labels": [names[row], names[row - 7]]} for row in range(120)]
    plan = fit(rows, source="text", target="labels", cutter="labels",
               order=Order("max", criterion="presence", shuffles=0, resamples=0))  # fmt: skip
    apply(rows, plan, out=tmp_path / "rows")
    assert write_page(tmp_path / "rows", tmp_path / "a.html").stat().st_size < MOST_BYTES


# Comparisons --------------------------------------------------------------------------------------------------


def test_a_comparison_has_the_numbers_of_its_page(tmp_path):
    found = comparison()
    page = Page(write_page(found, tmp_path / "a.html"))
    cells = re.findall(r"\| ([^|\n]+) (?=\|)", comparison_page(found, []))
    assert [cell for cell in cells if " ".join(cell.replace("`", "").split()) not in page.text] == []
    assert "max leads plain." in page.text
    assert "mireorder apply DATA --plan comparison/plans/max --out rows/" in page.text
    assert page.counted("svg") == 2


def test_one_seed_leads_nothing(tmp_path):
    page = Page(write_page(comparison(seeds=1), tmp_path / "a.html"))
    assert "one seed, which says nothing of how seeds differ" in page.text
    assert "leads plain." not in page.text


def written_comparison(folder):
    """The folder of a comparison, as `compare` writes it."""
    found = comparison(folder)
    for arm, plan in found.plans.items():
        plan.save(folder / "plans" / arm)
    content = {
        "budget": {"steps": 20, "batch_size": 8},
        "rows": {"learnt": 810, "held out": 90},
        "evaluations": 2,
        "lora": False,
    }
    (folder / "comparison.json").write_text(json.dumps(content))
    pl.DataFrame(found.rows).write_parquet(folder / "results.parquet")
    return found


def test_a_comparison_is_read_from_its_folder(tmp_path):
    found = written_comparison(tmp_path / "c")
    loaded = Comparison.load(tmp_path / "c")
    assert (loaded.plans, loaded.train_rows, loaded.held_out_rows) == (found.plans, 810, 90)
    assert [str(outcome) for outcome in loaded.outcomes] == [str(outcome) for outcome in found.outcomes]
    pages = [write_page(what, tmp_path / f"{n}.html").read_text() for n, what in enumerate((found, tmp_path / "c"))]
    assert pages[0] == pages[1]


@pytest.mark.parametrize("file, said", [("comparison.json", "no plan here"), ("results.parquet", "not finished")])
def test_a_comparison_that_lacks_a_file_is_refused(tmp_path, file, said):
    written_comparison(tmp_path / "c")
    (tmp_path / "c" / file).unlink()
    with pytest.raises((OutputError, PlanError), match=said):
        write_page(tmp_path / "c", tmp_path / "a.html")


@pytest.mark.parametrize("file", ["comparison.json", "results.parquet"])
@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"PAR1"])
def test_a_comparison_that_is_damaged_is_refused(tmp_path, file, content):
    written_comparison(tmp_path / "c")
    (tmp_path / "c" / file).write_bytes(content)
    with pytest.raises(OutputError, match="not a readable comparison"):
        write_page(tmp_path / "c", tmp_path / "a.html")


# The command --------------------------------------------------------------------------------------------------


def test_the_command_writes_a_page(tmp_path, dataset, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["report", str(dataset[0]), "-o", str(tmp_path / "a.html")])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"report written to {tmp_path / 'a.html'}\n"
    assert f"mireorder check {dataset[0]}" in Page(tmp_path / "a.html").text


def test_the_command_compares_as_the_page_says(tmp_path, monkeypatch):
    """The options of the line are those that `compare` knows."""
    from mireorder.cli import models

    asked = {}
    monkeypatch.setattr(models, "compare", models.compare)
    plan = fit(PRODUCTS, source="question", target="answer", cutter="digits", order=Order("max", shuffles=0))
    line = next(line for line in Page(write_page(plan, tmp_path / "a.html")).text.split("mireorder ")
                if line.startswith("compare DATA"))  # fmt: skip
    words = line.split(" Train a model")[0].split()
    monkeypatch.setattr("mireorder.evaluate.compare.compare", lambda data, orders, *_, **given: asked.update(
        data=data, orders=list(orders), **given) or comparison())  # fmt: skip
    monkeypatch.setattr("mireorder.report.comparison.write_report", lambda found: [])
    with pytest.raises(SystemExit) as ended:
        main([*words])
    assert ended.value.code == 0
    assert (asked["data"], asked["orders"]) == (["DATA"], ["plain", "max"])
    assert asked["cutter"].name == "digits" and asked["reading"] == plan.reading


@pytest.mark.parametrize("name", ["report", "report.txt", "mireorder.json"])
def test_a_page_is_not_written_over_something_else(tmp_path, dataset, name):
    with pytest.raises(InputError, match=r"end it in \.html"):
        write_page(dataset[1], tmp_path / name)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("form", ["text", "token"])
def test_a_row_stands_there_as_the_model_sees_it(tmp_path, form):
    rows = [{"q": f"{n}=", "a": f"{n:03d}"} for n in range(12, 40)]
    plan = fit(rows, source="q", target="a", cutter="digits", order="reverse")
    options = {}
    if form == "token":
        from mireorder.tokenizing.characters import character_tokenizer

        character_tokenizer(["0123456789= "]).save_pretrained(tmp_path / "tokenizer")
        options = {"form": "token", "tokenizer": tmp_path / "tokenizer"}
    apply(rows, plan, out=tmp_path / "rows", **options)
    text = Page(write_page(tmp_path / "rows", tmp_path / "a.html")).text
    assert "A row as the model sees it" in text
    expected = "learnt '2' '1' '0' end" if form == "token" else "learnt ' 210' target '012' restored '012', complete"
    assert expected in text or "learnt ' ' '2' '1' '0' end" in text
