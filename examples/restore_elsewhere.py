"""Train elsewhere, restore here: the folder to take along, and answers put back with nothing but Python.

Run it: python examples/restore_elsewhere.py FOLDER
"""

import subprocess
import sys
from pathlib import Path

from mireorder import apply, fit
from mireorder.serving.served import restore_completion
from mireorder.serving.stream import Stream

folder = Path(sys.argv[1])
rows = [{"q": f"{a}+{b}=", "a": str(a + b)} for a in range(60) for b in range(60)]
plan = fit(rows, source="q", target="a", cutter="digits", order="reverse")
apply(rows, plan, out=folder / "to-train", file_format="parquet")  # any trainer reads its prompt and completion

answers = ["680\n", "210\n"]  # what a model trained on it writes: 086 and 012, the units first
command = [sys.executable, str(folder / "to-train" / "restore.py")]  # Python 3.9, and nothing else
print(subprocess.run(command, input="".join(answers), capture_output=True, text=True, check=False).stdout, end="")

served = {"choices": [{"text": "680", "finish_reason": "stop"}]}  # of a server with OpenAI's API
print(restore_completion(served, plan)["choices"][0]["text"])

stream = Stream(plan)  # token by token: text is passed on as soon as nothing that follows can change it
for piece in ("6", "80"):
    stream.feed(piece)
print(stream.finish().text)
