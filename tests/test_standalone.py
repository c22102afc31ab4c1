"""restore.py: one file, no packages, the same answers as the library, whatever a model wrote."""

import ast
import base64
import importlib.util
import json
import random
import re
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from test_ordering import CUTTERS, ODD, TARGETS, text_of
from test_plan import plan_of

from mireorder.cutting import Digits, Fields, Labels, Lines, Sentences, Spans, Tokens, Words
from mireorder.cutting.source import survey_numbers
from mireorder.information.evidence import Evidence
from mireorder.ordering.copying.policies import Copying, Lead, Lookahead
from mireorder.ordering.emission import emit
from mireorder.restoring.causal import SourceEvidence
from mireorder.standalone import modules, standalone

# --- plans of every kind and cutter -----------------------------------------------------------------------------

SOURCES = ["12*34", "7*8 or 99?", "0012", "no number", ""]
TEXT = st.text("ab é⟪⟩<.", max_size=9)
TEXTS = {
    "words": (Words(width=12), TEXT),
    "words from the right": (Words("right", width=12), TEXT),
    "lines": (Lines(width=12), st.text("ab \r\n", max_size=9)),
    "spans": (Spans(width=12, delimiter="--"), st.text("ab -", max_size=9).filter(lambda t: "---" not in t)),
    "sentences": (Sentences(width=12), st.sampled_from(["It was. It is.", "A b? C! D.", "no", ""])),
}
IN_TEXT = {align: Digits(align, width=4, length=4, pattern="last-number") for align in ("pad", "left", "right")}
SENTENCES = st.sampled_from(["so 3,407.", "$0!", "1 of 12", "−17", "a 0.5 b"]) | st.text("019 ,.-+ea", max_size=9)
WITHIN = {name: Fields(("a", "é"), canonical=name == "canonical", path=("x",)) for name in ("within", "canonical")}
CALLS = st.sampled_from(
    ['{"x": {"a": 1, "é": []}, "y": 1}', '{"n":1e1, "x":"{\\"a\\": 1, \\"é\\": \\"\\\\n\\"}"}', '{"x": "{}"}']
)
PAD = {name: CUTTERS[name] for name in ("padded", "padded, decimals and sign", "padded, plus")}
RADICES = {"padded": [10] * 4, "padded, decimals and sign": [2, 10, 10, 1, 10, 10], "padded, plus": [2, 10, 10]}


def evidence(radices, sources, seed):
    """Any evidence, of the numbers in these sources."""
    draw, survey = np.random.default_rng(seed), survey_numbers(pa.array(sources))
    by_source, by_emitted = (draw.integers(-9, 9, (sum(r), len(radices))) for r in (survey.radices, radices))
    return Evidence(survey, by_source, by_emitted, tuple(radices)).as_dict()


def ahead(cutter, policy, **options):
    copying = Copying(policy, **options)
    markers = "⟪{}⟫" if copying.marks else None
    content = copying.as_dict() | {"costs": {"units": 0, "copied": 0, "parts": 0, "with_copies": 0}}
    if policy.needs_scores:
        held_out = {"counts": 0} | dict.fromkeys(("model", "unigram", "conditional"))
        layer = base64.b64encode(bytes(6)).decode()
        content["association"] = {"words": "a", "stop_words": "", "left": layer, "right": layer, "held_out": held_out}
    slots = range(len(cutter.slots))
    return plan_of(cutter, slots, kind="lead", policy=copying.policy.name, markers=markers, copying=content)


def cases():
    """Name -> a plan, and its natural targets; None where only spoilt emissions are drawn."""
    order = random.Random(1)
    found = {}
    targets = {name: TARGETS[name].map(lambda target, name=name: text_of(name, target)) for name in CUTTERS}
    for name, cutter in CUTTERS.items():
        slots = list(range(len(cutter.slots)))
        found[name] = plan_of(cutter, order.sample(slots, len(slots))), targets[name]
        if cutter.kind == "fixed":
            marked = plan_of(cutter, slots, kind="marked", policy="shuffle", markers="⟨{}⟩", between=" A:")
            found[f"marked, {name}"] = marked, targets[name]
    for name, (cutter, texts) in TEXTS.items():
        slots = list(range(len(cutter.slots)))
        found[name] = plan_of(cutter, order.sample(slots, len(slots)), between="?\n"), texts
        found[f"marked, {name}"] = plan_of(cutter, slots, kind="marked", policy="shuffle", markers="<{} >"), texts
        found[f"ahead, {name}"] = ahead(cutter, Lookahead(2), by_sentence=False), texts
        found[f"bare, {name}"] = ahead(cutter, Lookahead(1), by_sentence=name == "words", marks=False), texts
    for align, cutter in IN_TEXT.items():
        slots = list(range(len(cutter.slots)))
        found[f"in text, {align}"] = plan_of(cutter, order.sample(slots, len(slots))), SENTENCES
    for name, cutter in WITHIN.items():
        found[f"fields, {name}"] = plan_of(cutter, [1, 0]), CALLS
    found["bare leads"] = ahead(Words(width=12), Lead(3), marks=False), None
    found["bare leads of whole targets"] = ahead(Words(width=12), Lead(1), marks=False, by_sentence=False), None
    for seed, (name, cutter) in enumerate(PAD.items()):
        for policy, sources in ("causal-max", SOURCES[:1]), ("causal-min", SOURCES):
            said = evidence(RADICES[name], sources, seed)
            slots = range(len(cutter.slots))
            plan = plan_of(cutter, slots, kind="causal", policy=policy, evidence=said, between="=")
            found[f"{policy}, {name}"] = plan, targets[name]
    return found


CASES = cases()
every_case = pytest.mark.parametrize("name", CASES)


def emission(plan, target, source="12*34"):
    """What a model is trained to write for the target, and the prompt; None if the row would be refused."""
    kind = pa.list_(pa.string()) if isinstance(target, list) else pa.string()
    batch = pa.record_batch({"source": [source], "target": pa.array([target], kind)})
    cut = plan.cutter.cut(batch)
    if cut.problems or not fits(plan, source):
        return None
    written = emit(plan, cut, batch)
    return None if written.problems else written.completions[0].as_py()


@pytest.fixture(scope="session")
def restorers(bundled, tmp_path_factory):
    """The one file's restorer of every case."""
    folder = tmp_path_factory.mktemp("plans")
    return {
        name: bundled.Restorer.load(plan.save(folder / str(number)))
        for number, (name, (plan, _)) in enumerate(CASES.items())
    }


# --- the same answers -------------------------------------------------------------------------------------------


@every_case
@given(data=st.data())
def test_the_file_restores_as_the_library_does(name, data, restorers):
    (plan, targets), source = CASES[name], data.draw(st.sampled_from([*SOURCES, "5*999999", "٣ \ud800"]))
    prompt = plan.prompt(source)
    texts = data.draw(st.lists(ODD | st.text("⟪⟫⟨⟩<>0123 ab.-\n,{}", max_size=12) | st.text(max_size=6), max_size=4))
    if targets is not None:
        target = data.draw(targets)
        whole = emission(plan, target, source.replace("\ud800", ""))
        if whole is not None:
            at, more = data.draw(st.integers(0, len(whole))), data.draw(ODD | st.just(""))
            texts += [whole, whole[:at], whole[:at] + more + whole[at + 1 :], f" {whole} "]
            found = restorers[name].restore(whole, plan.prompt(source.replace("\ud800", "")))
            if plan.kind != "lead":  # copies of units that look like others may be refused when they are written
                natural = ", ".join(target) or "none" if isinstance(target, list) else target
                assert (found.text, found.verdict) == (natural, "complete")
    for text in texts:
        if not fits(plan, source):
            said = [refusal(restorer, text, prompt) for restorer in (plan, restorers[name])]
            assert said[0] == said[1] and "does not fit the plan" in said[0]
            continue
        one, other = plan.restore(text, prompt), restorers[name].restore(text, prompt)
        assert (one.text, one.verdict, one.problem) == (other.text, other.verdict, other.problem)


def fits(plan, source):
    """Whether restoring can go by the source: always where it is not looked at."""
    return plan.kind != "causal" or not plan.row_evidence.misfits(pa.array([source.replace("\ud800", "?")]))


def refusal(restorer, text, prompt):
    with pytest.raises(Exception, match="does not fit") as refused:  # of one of two modules
        restorer.restore(text, prompt)
    assert type(refused.value).__name__ == "InputError"
    return str(refused.value)


@pytest.mark.parametrize("align", ["left", "right"])
@given(st.permutations(range(5)), st.lists(st.integers(0, 9), max_size=7))
def test_ids_are_restored_as_by_the_library(bundled, align, order, ids):
    plan = plan_of(Tokens(align, width=5), order, tokenizer="0" * 64)
    content = json.loads(plan.to_json())
    alone = bundled.Restorer.of(content, bundled.make(content["cutter"], bundled.RESTORERS))
    one, other = plan.restore_ids(ids), alone.restore_ids(ids)
    assert (one.ids, one.verdict, one.problem) == (other.ids, other.verdict, other.problem)
    with pytest.raises(bundled.PlanError, match="token ids"):
        alone.restore("a")


numbers = st.text("0123456789ab é٣\r", max_size=9)


@given(st.lists(numbers, min_size=1, max_size=5), st.lists(numbers, min_size=1, max_size=5))
@example(["1 2", "a", "0"], ["", "000123 4 5 6", "b"])
@example(["1 2", "10 20"], ["3 4", "100 2", "1 2 3", "1"])
def test_one_source_says_what_a_column_of_sources_says(counted, asked):
    radices = [3, 2]
    content = evidence(radices, counted, len(asked))
    column, one = Evidence.from_dict(content), SourceEvidence.from_dict(content)
    sources = [*counted, *asked]
    misfits = column.misfits(pa.array(sources))
    assert {row: one.misfit(source) for row, source in enumerate(sources) if one.misfit(source)} == misfits
    assert min(misfits, default=len(counted)) >= len(counted), "what was counted fits"
    fitting = [source for row, source in enumerate(sources) if row not in misfits]
    assert [one.of_source(source) for source in fitting] == column.of_sources(pa.array(fitting)).tolist()


# --- whatever a model writes ------------------------------------------------------------------------------------

AT_A_TIME = 20_000 // 20


def could_be_written(plan, text, natural, prompt):
    """Whether such an emission could have been written for that target."""
    text = text.removeprefix(plan.completion_start)
    cutter = plan.cutter
    if plan.kind == "fixed" and not isinstance(cutter, Digits):
        units = text.split(cutter.joiner)
        slots = [slot for slot in plan.permutation if slot in cutter.present(len(units))]
        in_order = [unit for _, unit in sorted(zip(slots, units, strict=True))]  # raises if they are too many
        return cutter.gap.join(in_order) == natural
    if plan.kind in ("fixed", "causal"):
        again = emission(plan, natural, plan.source(prompt))
        written = text if cutter.partial else text.strip()
        return again is not None and again.removeprefix(plan.completion_start) == written
    if plan.kind == "set":
        text, natural = (cutter.part(whole).text for whole in (text, natural))
        units, slots = cutter.split(text).units, cutter.split(text).slots
        back = cutter.split(natural)
        return sorted(units) == sorted(back.units) and back.slots == sorted(slots) == sorted(set(slots))
    if plan.kind == "marked":
        opening, closing = plan.markers.split("{}")
        marked = re.findall(
            f"{re.escape(opening)}([0-9]+){re.escape(closing)}((?:(?!{re.escape(opening)}).)*)", text, re.S
        )
        slots = [int(slot) for slot, _ in marked]
        units = [unit for _, unit in sorted(marked, key=lambda m: int(m[0]))]
        whole = "".join(f"{opening}{slot}{closing}{unit}" for slot, unit in marked) == text
        return whole and sorted(slots) == [*cutter.present(len(slots))] and cutter.glue(sorted(slots), units) == natural
    joiner = cutter.joiner
    if plan.markers is not None:
        mark = "⟪([^⟪⟫]+)⟫" + re.escape(joiner)
        for copy in re.finditer(mark, text):
            behind = re.sub(mark, "", text[copy.end() :])
            if joiner + copy[1] + joiner not in joiner + behind + joiner:
                return False
            if copy.start() and not text[: copy.start()].endswith(joiner):
                return False
        return re.sub(mark, "", text).replace(joiner, cutter.gap) == natural and not re.search("[⟪⟫]", natural)
    bare = plan.copying.unmarked
    parts = [part.split(joiner) for part in (text.split(bare.gap) if bare.gap else [text])]
    announced = all(set(part[: bare.number]) - {""} <= set(part[bare.number :]) for part in parts)
    return announced and cutter.gap.join(unit for part in parts for unit in part[bare.number :]) == natural


def spoilt(whole, draw):
    """An emission with a few characters lost, changed, moved or made up."""
    alphabet = whole + '0123456789+-. ,⟪⟫⟨⟩<>{}":\nab'
    for _ in range(draw.randint(0, 3)):
        at, to = sorted((draw.randint(0, len(whole)), draw.randint(0, len(whole))))
        how, char = draw.randrange(5), draw.choice(alphabet)
        whole = (
            whole[:at] + char + whole[at + (how == 0) :] if how < 2
            else whole[:at] if how == 2
            else whole[:at] + whole[to:] + whole[at:to] if how == 3
            else whole[:to] + whole[at:]
        )  # fmt: skip
    return whole


BY_KIND = re.compile("^(marked|ahead|bare|causal-max|causal-min), |^bare leads.*|(?<=^in text), .*")
SEEDS = {
    "padded": "3407",
    "padded, decimals and sign": "-12.34",
    "padded, plus": "+42",
    "padded as in the data": "007",
    "from the left": "-12.5",
    "from the right": "3407",
    "": None,
    "in text": "1 of 3,407.",
    "words": "the cat. sat on a mat. so",
    "words from the right": "a b c d",
    "lines": "a\nb c\n\nd",
    "spans": "a--b c----d",
    "sentences": "It was. It is. So be it.",
    "labels": ["a", "b c", "no"],
    "fields": '{"a": 1, "c d": "{", "é": null}',
    **dict.fromkeys(("fields, within", "fields, canonical"), '{"n": 1, "x": "{\\"a\\": 1, \\"é\\": null}"} '),
    "fields, spread": '{\n  "a": 1,\n  "é": [2]\n}',
}


@every_case
def test_nothing_is_complete_that_could_not_be_written(name, restorers):
    """Over all cases more than 20,000 texts."""
    (plan, _), draw = CASES[name], random.Random(name)
    natural = SEEDS[BY_KIND.sub("", name)]
    source = draw.choice([source for source in SOURCES if fits(plan, source)])
    prompt = plan.prompt(source)
    whole = emission(plan, natural, source) if natural else plan.completion_start + "b a b c\n a"
    assert whole is not None
    verdicts = {}
    for _ in range(AT_A_TIME):
        text = spoilt(whole, draw)
        found = restorers[name].restore(text, prompt)
        verdicts[found.verdict] = verdicts.get(found.verdict, 0) + 1
        assert (found.problem is None) == (found.verdict == "complete")
        if found.problem is None:
            assert could_be_written(plan, text, found.text, prompt), (text, found)
    assert verdicts.keys() <= {"complete", "cut short", "malformed"} and verdicts["complete"] > 5
    assert len(CASES) * AT_A_TIME > 20_000


# --- the file ---------------------------------------------------------------------------------------------------


def test_the_file_is_the_same_every_time_and_says_what_it_is():
    again = subprocess.run(
        [sys.executable, "-c", "from mireorder.standalone import standalone; print(standalone(), end='')"],
        capture_output=True, check=True, encoding="utf-8",
    )  # fmt: skip
    assert again.stdout == standalone() and standalone.cache_info().currsize == 1
    head = standalone()[:1200]
    assert "python restore.py < emitted.txt > natural.txt" in head and "from restore import Restorer" in head
    assert f"mireorder {importlib.metadata.version('mireorder')} " in head and "Apache License 2.0" in head


def test_the_file_is_python_3_9_and_imports_the_standard_library_alone():
    tree = ast.parse(standalone(), feature_version=(3, 9))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in imports}
    assert {str(module).split(".")[0] for module in modules} <= sys.stdlib_module_names
    assert all(node in tree.body for node in imports), "an import stands within something"
    aliases = [alias.asname for node in imports for alias in node.names]
    assert aliases == [None] * len(aliases)


def test_no_name_is_given_twice():
    defined = []
    for node in ast.parse(standalone()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            defined.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            defined += [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
    assert len(defined) == len(set(defined)), sorted(name for name in defined if defined.count(name) > 1)


def test_every_module_of_the_way_back_is_in_the_file():
    room = importlib.resources.files("mireorder") / "restoring"
    there = {f"restoring/{path.name.removesuffix('.py')}" for path in room.iterdir() if path.name.endswith(".py")}
    assert there - {"restoring/__init__"} == {name for name in modules() if name.startswith("restoring/")}


def test_modules_in_the_file_build_on_those_before_them():
    package, names = importlib.resources.files("mireorder"), modules()
    assert len(names) == len(set(names))
    for place, name in enumerate(names):
        tree = ast.parse((package / f"{name}.py").read_text("utf-8"))
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        imported = [str(getattr(node, "module", "")) for node in imports]
        ours = {module.replace(".", "/").removeprefix("mireorder/") for module in imported if "mireorder" in module}
        assert ours <= set(names[:place]), name


assert {type(plan.cutter) for plan, _ in CASES.values()} == {Digits, Fields, Labels, Lines, Sentences, Spans, Words}
