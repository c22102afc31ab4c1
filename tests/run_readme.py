"""Run every command of README.md, in order, in a folder of its own, as a reader would: `python tests/run_readme.py`.

Blocks marked `sh` and `python` are run; the first that fails ends the run. `make` lines are left out: CI runs
them itself.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def main() -> None:
    # Pipelines are not installed: a reader stands in the repository's root.
    env = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    blocks = BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert blocks, "README.md has no commands"
    with tempfile.TemporaryDirectory() as folder:
        for language, code in blocks:
            if language == "sh":
                code = "".join(line for line in code.splitlines(True) if not line.startswith(("make", "pip")))
            if not code.strip():
                continue
            print(f"\n$ {code}", flush=True)
            started = time.monotonic()
            command = ["bash", "-euo", "pipefail", "-c", code] if language == "sh" else [sys.executable, "-c", code]
            subprocess.run(command, cwd=folder, env=env, check=True)
            print(f"({time.monotonic() - started:.0f} s)", flush=True)
    print(f"README.md: {len(blocks)} blocks run")


if __name__ == "__main__":
    main()
