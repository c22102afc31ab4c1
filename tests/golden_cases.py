"""Golden copies: what plans, counts and datasets of small data said before the house was rebuilt, and must say still.

`python tests/golden_cases.py` writes them anew, into `tests/golden/`. A difference must be named in the changelog.
"""

import hashlib
import json
import random
import sys
import tempfile
from pathlib import Path

from datasets import Dataset

from mireorder import Reading, apply, count, fit
from mireorder.cutting import CUTTERS
from mireorder.information.association import Associating
from mireorder.information.criteria import CRITERIA
from mireorder.ordering.copying.policies import Copying, Lead, Lookahead
from mireorder.ordering.order import Order
from mireorder.ordering.schedule import annealed, mixed
from mireorder.tokenizing.characters import character_tokenizer

FOLDER = Path(__file__).with_name("golden")
SHOWN = 3  # rows of a dataset that stand in its copy; of the others the hash does
COLUMNS = {
    "text": ["prompt", "completion", "permutation", "row_id", "target"],
    "token": ["input_ids", "labels", "permutation", "row_id", "target"],
}
ADJECTIVES, NOUNS = ["cold", "warm", "old", "new", "dark"], ["rain", "sun", "river", "town", "road"]
MOODS = ["calm", "glad", "angry", "sad"]


def products():
    pairs = [(a, b) for a in range(24) for b in range(24)]
    return {"q": [f"{a}*{b}" for a, b in pairs], "a": [str(a * b) for a, b in pairs]}


def differences():
    pairs = [(a, b) for a in range(12) for b in range(12)]
    return {"q": [f"{a} less {b}" for a, b in pairs], "a": [f"{(a - b) / 4:+.2f}" for a, b in pairs]}


def _sentence(draw):
    return f"The {draw.choice(ADJECTIVES)} {draw.choice(NOUNS)} met the {draw.choice(NOUNS)}."


def news():
    draw = random.Random(0)
    sources = [" ".join(_sentence(draw) for _ in range(draw.randint(1, 3))) for _ in range(150)]
    targets = [" ".join([source.split(". ")[0].rstrip(".") + ".", _sentence(draw)]) for source in sources]
    return {"q": sources, "a": targets}


def steps():
    draw = random.Random(1)
    parts = [[str(draw.randint(0, 9)) for _ in range(draw.randint(1, 4))] for _ in range(120)]
    return {"q": ["+".join(part) for part in parts], "a": ["\n".join([*part, "= "]) for part in parts]}


def moods():
    draw = random.Random(2)
    sets = [sorted(draw.sample(range(4), draw.randint(1, 3))) for _ in range(120)]
    texts = [" ".join(NOUNS[slot] for slot in chosen) + " " + draw.choice(ADJECTIVES) for chosen in sets]
    return {"q": texts, "a": [",".join(MOODS[slot] for slot in chosen) for chosen in sets]}


def marks():
    draw = random.Random(3)
    rows = [[draw.randint(0, 1) for _ in range(3)] for _ in range(100)]
    texts = [" ".join(noun for noun, one in zip(NOUNS, row, strict=False) if one) or "none" for row in rows]
    return {"q": texts} | {name: [row[at] for row in rows] for at, name in enumerate(MOODS[:3])}


def records():
    draw = random.Random(4)
    rows = [
        {"city": draw.choice(NOUNS), "day": draw.randint(1, 5), "note": draw.choice(ADJECTIVES)} for _ in range(120)
    ]
    return {"q": [f"{row['city']} on {row['day']}" for row in rows], "a": [json.dumps(row) for row in rows]}


DATA = {f.__name__: f for f in (products, differences, news, steps, moods, marks, records)}
NOTHING_DRAWN = {"shuffles": 0, "resamples": 0}


def digits(**options):
    return {"data": "products", "cutter": ("digits", {}), **options}


def text(cutter="words", **options):
    return {"data": "news", "cutter": (cutter, {}), **options}


CASES = {
    **{f"digits {policy}": digits(policy=policy, criterion=None) for policy in ("plain", "reverse", "random")},
    **{f"digits max {name}": digits(criterion=(name, {})) for name in ("joint", "pairwise", "subset")},
    **{f"digits min {name}": digits(policy="min", criterion=(name, {})) for name in ("joint", "pairwise", "subset")},
    "digits max joint nsb": digits(criterion=("joint", {}), estimator="nsb"),
    "digits max pairwise chao-wang-jost, no ties": digits(
        criterion=("pairwise", {}), estimator="chao-wang-jost", tie_breaker=None
    ),
    "digits max subset of one, normalised": digits(criterion=("subset", {"k": 1, "normalised": True})),
    "digits plain, scored": digits(policy="plain", criterion=("joint", {})),
    "digits max drawn": digits(criterion=("pairwise", {}), shuffles=20, resamples=5),
    "digits explicit": digits(policy="explicit", permutation=[1, 2, 0], criterion=None),
    "digits causal-max": digits(policy="causal-max"),
    "digits causal-min": digits(policy="causal-min"),
    "digits shuffle": digits(policy="shuffle", markers="⟨{}⟩", criterion=None),
    "digits marked plain": digits(policy="plain", markers="<{}>", criterion=None),
    "digits from the left": digits(cutter=("digits", {"align": "left"}), policy="reverse", criterion=None),
    "digits from the right": digits(cutter=("digits", {"align": "right"}), criterion=("pairwise", {})),
    "digits signed": {"data": "differences", "cutter": ("digits", {}), "criterion": ("joint", {})},
    "labels max presence": {"data": "moods", "cutter": ("labels", {}), "criterion": ("presence", {"words": 5})},
    "labels min joint": {"data": "moods", "cutter": ("labels", {}), "policy": "min", "criterion": ("joint", {})},
    **{
        f"labels {policy}": {"data": "moods", "cutter": ("labels", {}), "policy": policy}
        for policy in ("frequency", "rare", "hardest", "easiest", "graph")
    },
    "labels counted": {"data": "moods", "cutter": ("labels", {"counted": True}), "policy": "graph"},
    "labels shuffle": {"data": "moods", "cutter": ("labels", {}), "policy": "shuffle", "criterion": None},
    "labels of columns": {"data": "marks", "cutter": ("labels", {"names": None}), "criterion": ("presence", {})},
    "fields max joint": {"data": "records", "cutter": ("fields", {}), "criterion": ("joint", {})},
    "fields reverse": {"data": "records", "cutter": ("fields", {}), "policy": "reverse", "criterion": None},
    "words max bigram": text(criterion=("bigram", {"words": 12}), tie_breaker=None),
    "words reverse": text(policy="reverse"),
    "words lead": text(policy="lead", association={"words": 20, "stop_words": 2}),
    "words bare leads": text(copying=Copying(Lead(2), marks=False), association={"words": 20}),
    "words lookahead": text(policy="lookahead"),
    "words lookahead, last": text(copying=Copying(Lookahead(2, "last"), by_sentence=False)),
    "sentences reverse": text("sentences", policy="reverse"),
    "lines max pairwise": {"data": "steps", "cutter": ("lines", {}), "criterion": ("pairwise", {})},
    "lines from the right": {"data": "steps", "cutter": ("lines", {"align": "right"}), "policy": "random"},
    "spans reverse": {"data": "steps", "cutter": ("spans", {"delimiter": "\n"}), "policy": "reverse"},
    "pieces infilled": text("pieces", policy="explicit", permutation=[0, 2, 1], markers="<{}>"),
    "tokens reverse": {"data": "steps", "cutter": ("tokens", {}), "policy": "reverse", "form": "token"},
    "token form, digits": digits(criterion=("joint", {}), form="token"),
    "token form, reserved": digits(policy="shuffle", markers="⟨{}⟩", criterion=None, form="token", reserve=True),
}
COUNTS = {
    "counts joint": digits(criterion=("joint", {})),
    "counts pairwise": digits(criterion=("pairwise", {})),
    "counts subset": digits(criterion=("subset", {})),
    "counts presence": {"data": "moods", "cutter": ("labels", {}), "criterion": ("presence", {})},
    "counts bigram": text(criterion=("bigram", {"words": 12})),
}


def _reading(case):
    return Reading(("q",), tuple(MOODS[:3]) if case["data"] == "marks" else ("a",))


def _cutter(case):
    name, options = case["cutter"]
    return CUTTERS[name](**options)


def _criterion(case):
    if "association" in case:
        return Associating(**case["association"])
    found = case.get("criterion", "auto")
    return CRITERIA[found[0]](**found[1]) if isinstance(found, tuple) else found


def _tokenizer(rows):
    return character_tokenizer([" ⟨⟩0123", *(text for column in rows.values() for text in column)])


def planned(case):
    """The plan of a case, the rows it is of, and the tokenizer, if it needs one."""
    rows = DATA[case["data"]]()
    options = NOTHING_DRAWN | {
        name: case[name] for name in ("permutation", "markers", "estimator", "tie_breaker", "shuffles", "resamples")
        if name in case
    }  # fmt: skip
    tokenizer = _tokenizer(rows) if case.get("form") == "token" else None
    tokens = tokenizer if case["cutter"][0] == "tokens" else None
    policy = case.get("copying") or case.get("policy", "max")
    data = Dataset.from_dict(rows)
    if "permutation" in case:
        policy = None
    order = Order(policy, _criterion(case), seed=7, **options)
    plan = fit(data, reading=_reading(case), cutter=_cutter(case), order=order, tokenizer=tokens)
    return plan, data, tokenizer


def _written(plan, data, tokenizer, case):
    form = case.get("form", "text")
    written = apply(data, plan, form=form, tokenizer=tokenizer, reserve=case.get("reserve", False))["train"]
    lines = [json.dumps(row, ensure_ascii=False, sort_keys=True) for row in written.select_columns(COLUMNS[form])]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return {"rows": len(lines), "sha256": digest, "first": [json.loads(line) for line in lines[:SHOWN]]}


def of_plan(name):
    """Plan and dataset of a case."""
    plan, data, tokenizer = planned(CASES[name])
    return {"plan": json.loads(plan.to_json()), "dataset": _written(plan, data, tokenizer, CASES[name])}


def of_counts(name):
    """`counts.json` of a case, with the hashes of its arrays."""
    case = COUNTS[name]
    counts = count(
        Dataset.from_dict(DATA[case["data"]]()),
        reading=_reading(case),
        cutter=_cutter(case),
        criterion=_criterion(case),
    )
    with tempfile.TemporaryDirectory() as folder:
        return {"counts": json.loads(counts.save(Path(folder) / "counts").read_text(encoding="utf-8"))}


def of_mix(name):
    """Schedules: plans that are made of plans."""
    first, data, _ = planned(CASES["digits shuffle"])
    last, _, _ = planned(CASES["digits shuffle"] | {"policy": "plain"})
    plan = {"mixed": lambda: mixed([first, last], [3, 1]), "annealed": lambda: annealed(first, last, 3)[1]}[name]()
    return {"plan": json.loads(plan.to_json()), "dataset": _written(plan, data, None, {})}


ALL = dict.fromkeys(CASES, of_plan) | dict.fromkeys(COUNTS, of_counts) | dict.fromkeys(
    ("mixed", "annealed"), of_mix
)  # fmt: skip


def path_of(name):
    return FOLDER / (name.replace(",", "").replace(" ", "-") + ".json")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name in sys.argv[1:] or ALL:
        content = json.dumps(ALL[name](name), ensure_ascii=False, sort_keys=True, indent=1)
        path_of(name).write_text(content + "\n", encoding="utf-8")
        print(name)
