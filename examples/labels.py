"""The labels of a text: which first? A column of label names, an order for all rows, and a set per answer.

Run it: python examples/labels.py FOLDER
"""

import random
import sys
from pathlib import Path

from mireorder import Labels, Order, apply, check, fit

WORDS = {"sport": "match goal team", "politics": "vote law minister", "money": "bank price tax", "health": "doctor flu"}

folder, draw = Path(sys.argv[1]), random.Random(0)
rows = []
for _ in range(2000):
    labels = sorted(draw.sample(sorted(WORDS), draw.randint(1, 3)))
    words = [draw.choice(WORDS[label].split()) for label in labels for _ in range(3)]
    rows.append({"text": " ".join(draw.sample(words, len(words))), "labels": labels})

cutter = Labels(tuple(sorted(WORDS)))
plan = fit(rows, source="text", target="labels", cutter=cutter, order=Order("max", criterion="presence"))
apply(rows, plan, out=folder / "labelled")
print("every row comes back:", check(folder / "labelled").ok)
print(plan)

emitted = plan.emit("health, sport", source="flu goal")
print(f"the model learns to write {emitted!r}; whatever order it answers in, restored it is the set:")
for answer in (emitted, "sport, health", "health, health, sport", "sport, weather"):
    restored = plan.restore(answer)
    print(f"  {answer!r}: {restored.text!r}, {restored.verdict}{f' ({restored.problem})' if restored.problem else ''}")
