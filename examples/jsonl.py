"""Your JSONL, reordered: find the order, write the dataset, prove it, restore an answer.

Run it: python examples/jsonl.py FOLDER
"""

import json
import sys
from pathlib import Path

from mireorder import Order, apply, check, fit

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
rows = [{"id": f"{a}x{b}", "question": f"{a} times {b}?", "answer": str(a * b)} for a in range(60) for b in range(60)]
(folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

plan = fit(str(folder / "mine.jsonl"), source="question", target="answer", cutter="digits", order=Order("max"))
apply(str(folder / "mine.jsonl"), plan, out=folder / "reordered")
print("every row comes back:", check(folder / "reordered").ok)
print(plan)

emitted = plan.emit("408", source="12 times 34?")
print(f"the model learns to write {emitted!r}; restored, that is {plan.restore(emitted).text!r}")
