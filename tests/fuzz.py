"""Fuzzers of what strangers give: plans, manifests, targets to cut, answers to restore.

    python tests/fuzz.py --list
    python tests/fuzz.py plan 600         # seconds; with atheris if it is installed, else with hypothesis
    python tests/fuzz.py plan 0 crash-1   # what a file that was found does

A find ends the run with its bytes in a file; `tests/test_fuzz.py` keeps them and runs each target for a moment.
"""

import contextlib
import copy
import json
import sys
import tempfile
import time
from functools import cache, partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
INSTRUMENTED = ["mireorder.restoring", "mireorder.dataset.manifest", "mireorder.serialise", "mireorder.json_text"]
KINDS = ("fixed", "set", "marked", "lead", "causal")
OTHERS = ("refuse", "plain")
CUT = ("digits", "labels", "fields", "words", "lines", "spans", "sentences", "pieces", "tokens")
NAMES = ("plan", "bundle", "manifest", *(f"cut-{name}" for name in CUT), *(f"restore-{kind}" for kind in KINDS))


@cache
def scratch():
    """A folder for this process."""
    return Path(tempfile.mkdtemp(prefix="mireorder-fuzz-"))


@cache
def bundled():
    """`restore.py` as a module."""
    from conftest import bundled_in

    return bundled_in(scratch())


def one_line(error):
    """What an error says, which is one line that no terminal obeys."""
    text = str(error)
    assert text.isprintable() and len(text) < 2000, text
    return text


# --- plans and manifests ----------------------------------------------------------------------------------------


def plan(data):
    """A file of these bytes, or a plan with values put in places that the bytes name: all doors say the same."""
    from mireorder import Plan, Restorer

    said = of_doors(data, plans(), Plan.load, Restorer.load, bundled().Restorer.load)
    if said is None:
        loaded = Plan.load(scratch() / "mireorder.json")
        assert loaded.summary() and Plan.from_dict(json.loads(loaded.to_json())) == loaded


def bundle(data):
    """The same of a bundle of plans."""
    from mireorder.ordering.bundle import load_plan
    from mireorder.restoring.bundled import load_restorer

    said = of_doors(data, bundles(), load_plan, load_restorer, bundled().load_restorer)
    if said is None:
        loaded = load_plan(scratch() / "mireorder.json")
        assert repr(loaded) and type(loaded).from_dict(json.loads(loaded.to_json())) == loaded


def of_doors(data, golden, here, way_back, alone):
    """What the library, its way back and the one file say of a plan; None if they take it."""
    from mireorder import PlanError

    path = scratch() / "mireorder.json"
    path.write_bytes(data[1:] if data[:1] < b"\x80" else altered(data[1:], golden))
    said = []
    for load, refusal in (here, PlanError), (way_back, PlanError), (alone, bundled().PlanError):
        try:
            load(path)
            said.append(None)
        except refusal as error:
            said.append(one_line(error))
    assert len(set(said)) == 1, said
    return said[0]


@cache
def plans():
    """The golden plans, each with the places in it."""
    from test_odd_plans import GOLDEN, SOME

    return [(GOLDEN[name], SOME[name]) for name in sorted(GOLDEN)]


@cache
def bundles():
    """A bundle of each route, with the places in it."""
    from bundle_cases import by_route
    from test_odd_plans import places

    found = [json.loads(by_route(kind, other).to_json()) for kind in ("column", "prefix", "tag") for other in OTHERS]
    return [(one, [path for path in places(one) if not any(type(key) is int and key > 2 for key in path)])
            for one in found]  # fmt: skip


def altered(data, golden):
    """The text of a golden plan with values that the bytes choose at places that they choose."""
    from test_odd_plans import VALUES

    content, places = golden[data[0] % len(golden) if data else 0]
    content = copy.deepcopy(content)
    for at in range(1, min(len(data) - 3, 12), 4):
        path = places[int.from_bytes(data[at : at + 2], "big") % len(places)]
        place = content
        with contextlib.suppress(KeyError, IndexError, TypeError):  # what was put there before has no such place
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = VALUES[data[at + 2] % len(VALUES)]
    return json.dumps(content).encode()


def manifest(data):
    """Rows that lie in the folder, each once, or one line."""
    from mireorder import OutputError
    from mireorder.dataset import manifest as module

    folder = scratch() / "data"
    folder.mkdir(exist_ok=True)
    (folder / module.FILE).write_bytes(data)
    try:
        entries = module.read(folder)
    except OutputError as error:
        one_line(error)
        return
    outputs = [entry.output for entry in entries]
    assert len(set(outputs)) == len(outputs)
    assert all((folder / output).resolve().parent.parent == folder.resolve() for output in outputs)
    module.write(folder, entries)
    assert module.read(folder) == entries


# --- targets ----------------------------------------------------------------------------------------------------


def texts_of(data):
    return [text.decode("utf-8", "replace") for text in data.split(b"\0")[:8]]


def cut(name, data):
    """Every target comes back from a shuffle of its units, or is refused."""
    import random

    import pyarrow as pa
    from lossless import batch_of, emissions, settled
    from test_ordering import restore

    from mireorder import InputError
    from mireorder.cutting import CUTTERS
    from mireorder.cutting.tokens import with_ids

    batch = batch_of(texts_of(data))
    if name == "tokens":
        batch = with_ids(batch, lambda texts: ([list(text.encode()) for text in texts], {}))
    try:
        cutter = settled(CUTTERS[name]().adapted(None, True), batch)
        found = cutter.cut(batch)
    except InputError as error:
        one_line(error)
        return
    permutation = random.Random(len(data)).sample(range(len(cutter.slots)), len(cutter.slots))
    natural, emitted = cutter.natural(found, batch).to_pylist(), emissions(cutter, found, permutation)
    assert all(problem.isprintable() for problem in found.problems.values()), found.problems
    units = pa.array(found.units).to_pylist()
    for row in set(range(batch.num_rows)) - found.problems.keys():
        own = slice(found.offsets[row], found.offsets[row + 1])
        whole = units[own] if name == "tokens" else natural[row]
        assert cutter.glue(found.slots[own].tolist(), units[own]) == whole
        if not cutter.needs_markers and name != "tokens":
            restored = restore(cutter, permutation, emitted[row])
            assert (restored.text, restored.verdict) == (natural[row], "complete")


# --- answers ----------------------------------------------------------------------------------------------------


@cache
def restorers(kind):
    """The plans of a kind, and the one file's restorers of them."""
    from test_standalone import CASES

    plans = [case[0] for case in CASES.values() if case[0].kind == kind]
    alone = [bundled().Restorer.load(one.save(scratch() / f"{kind}{at}")) for at, one in enumerate(plans)]
    return list(zip(plans, alone, strict=True))


def restore_kind(kind, data):
    """Nothing that a model emits raises an error, and the one file says what the library says."""
    from mireorder import InputError

    text, _, source = data[1:].decode("utf-8", "surrogatepass" if data[:1] > b"\xc0" else "replace").partition("\0")
    plans = restorers(kind)
    one, other = plans[(data[0] if data else 0) % len(plans)]
    said = []
    for restorer, refusal in (one, InputError), (other, bundled().InputError):
        try:
            found = restorer.restore(text, one.prompt(source or "12*34"))
            assert found.verdict in ("complete", "cut short", "malformed")
            assert (found.problem is None) == (found.verdict == "complete")
            said.append((found.text, found.verdict, found.problem))
        except refusal as error:
            assert kind == "causal"
            said.append(str(error))
    assert said[0] == said[1]


def restore(kind, data):
    with contextlib.suppress(UnicodeDecodeError):
        restore_kind(kind, data)


TARGETS = {
    "plan": plan,
    "bundle": bundle,
    "manifest": manifest,
    **{f"cut-{name}": partial(cut, name) for name in CUT},
    **{f"restore-{kind}": partial(restore, kind) for kind in KINDS},
}
LINE = {"split": "train", "input": "ä.txt", "input_digest": "0" * 32, "plan_sha256": "0" * 64, "form": "text"} | {
    "tokenizer": None, "rows": 3, "rejected": 0, "output": "train/data-00000-of-00001.arrow", "output_digest": "1" * 32,
}  # fmt: skip
SEEDS = {
    "manifest": [(json.dumps(LINE, ensure_ascii=False) + "\n").encode() * times for times in (1, 2)],
    "cut-digits": [b"12\0-3.50\0+7\x001,000"],
    "cut-labels": [b"a,b\0none\0b", b"['x', 'y']\0['z']"],
    "cut-fields": [b'{"a": 1, "b": [2.50]}\0{"b": "x", "a": {}}'],
    "cut-sentences": [b"It was. It is.\0No? Yes! e.g. so."],
}
"""What a target begins with. Of plans, the golden ones."""


def seeds(name):
    if name in ("plan", "bundle"):
        golden = plans() if name == "plan" else bundles()
        return [b"\x00" + json.dumps(one).encode() for one, _ in golden] + [b"\xff" + bytes(range(13))]
    texts = [b"a b c\0d", b"\x00 12 34\n7", "⟨0⟩4⟨1⟩2 ⟪a b⟫ a b c".encode(), b'{"a": 1}']
    return SEEDS.get(name, []) + texts


def main(name, seconds, found=None):
    """Run a target for that long, or on what was found."""
    if found is not None:
        TARGETS[name](Path(found).read_bytes())
        return
    try:
        import atheris
    except ImportError:
        for seed in seeds(name):  # which imports tests: hypothesis would not have that done within a run
            TARGETS[name](seed)
        by_hypothesis(TARGETS[name], seeds(name), float(seconds))
        return
    with atheris.instrument_imports(include=INSTRUMENTED):
        import mireorder.dataset.manifest
        import mireorder.restoring.restorer  # noqa: F401
    corpus = scratch() / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds(name)):
        (corpus / str(number)).write_bytes(seed)
        TARGETS[name](seed)
    options = [
        f"-max_total_time={seconds}",
        "-max_len=40000" if name in ("plan", "bundle") else "-max_len=2000",
        "-timeout=60",
    ]
    atheris.Setup([sys.argv[0], *options, "-print_final_stats=1", str(corpus)], TARGETS[name])
    atheris.Fuzz()


def by_hypothesis(target, begun, seconds):
    from hypothesis import given, settings
    from hypothesis import strategies as st

    end, runs = time.monotonic() + seconds, 0

    @settings(max_examples=1000, deadline=None, database=None)
    @given(st.binary(max_size=300) | st.sampled_from(begun) | st.text().map(str.encode))
    def run(data):
        nonlocal runs
        runs += 1
        target(data)

    while time.monotonic() < end:
        run()
    print(f"{runs:,} runs")


if __name__ == "__main__":
    if sys.argv[1:] == ["--list"]:
        print(*NAMES, sep="\n")
    else:
        main(*sys.argv[1:])
