"""Run every block of README.md and docs/, as a reader would: `python tests/run_readme.py [PAGE...]`.

Each page has a folder and a Python session of its own, in which its blocks marked `sh` and `python` run in order; the
first that fails ends the page. A Python line whose comment begins with a value must have that value:
`plan.restore("0480").text  # '408'`. `make` and `pip` lines are left out, as CI runs them itself. What a page asks
of the hub, a hub on loopback answers; what it asks of S3, one server for all pages, where moto is installed. It has a
bucket called `bucket`. Pages run side by side, one a core.
"""

import ast
import io
import os
import re
import subprocess
import sys
import tempfile
import time
import tokenize
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path

from hub import TOKEN, serving
from s3 import serving_s3

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LEFT_OUT = ("make", "pip")
LONG = re.compile("mireorder (?:train|search|compare|choose|generate)|--policy best|load_pipeline")


def pages() -> list[Path]:
    """The pages that readers see, those that take longest first."""
    found = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    return sorted(found, key=lambda page: -sum(len(LONG.findall(code)) for _, code in blocks_of(page)))


def blocks_of(page: Path) -> list[tuple[str, str]]:
    """Language and code of the blocks that are run."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def main(named: list[str]) -> int:
    if named[:1] == ["--here"]:
        run_here(Path(named[1]))
        return 0
    chosen = [Path(name).resolve() for name in named] or pages()
    with ThreadPoolExecutor(os.cpu_count()) as pool, serving_s3() if find_spec("moto") else nullcontext() as s3:
        os.environ.update(s3.environment if s3 else {})
        failed = [page for page, status in zip(chosen, pool.map(run_apart, chosen), strict=True) if status]
    for page in failed:
        print(f"FAILED: {page.relative_to(ROOT)}")
    print(f"{len(chosen) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


def run_apart(page: Path) -> int:
    """Run a page in a process and a folder of its own; print what it printed when it has ended."""
    # Pipelines are not installed: a reader stands in the repository's root.
    env = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "PYTHONUNBUFFERED": "1",
    }
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as root, serving(root) as hub:
        env |= hub.environment | {"HF_TOKEN": TOKEN, "HF_HOME": f"{root}/home", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        command = [sys.executable, __file__, "--here", str(page)]
        done = subprocess.run(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seconds = time.monotonic() - started
    print(f"{done.stdout}\n=== {page.relative_to(ROOT)}: {len(blocks_of(page))} blocks, {seconds:.0f} s", flush=True)
    return done.returncode


def run_here(page: Path) -> None:
    """Run a page's blocks in this process and folder."""
    session: dict[str, object] = {"__name__": "page"}
    for number, (language, code) in enumerate(blocks_of(page), 1):
        print(f"\n--- {page.name}, block {number}\n{code}", end="", flush=True)
        started = time.monotonic()
        if language == "python":
            run_python(code, f"{page.name}, block {number}", session)
        else:
            kept = "".join(line for line in code.splitlines(True) if not line.startswith(LEFT_OUT))
            subprocess.run(["bash", "-euo", "pipefail", "-c", kept], check=True)
        print(f"({time.monotonic() - started:.1f} s)", flush=True)


def run_python(code: str, place: str, session: dict[str, object]) -> None:
    """Run statements in turn; compare expressions with the value that their comment says."""
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    comments = {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}
    for statement in ast.parse(code).body:
        said = value_of(comments.get(statement.end_lineno or 0, ""))
        if isinstance(statement, ast.Expr) and said:
            found = eval(compile(ast.Expression(statement.value), place, "eval"), session)
            assert found == said[0], f"{place}: {ast.unparse(statement)} is {found!r}, not {said[0]!r}"
        else:
            exec(compile(ast.Module([statement], []), place, "exec"), session)


def value_of(comment: str) -> list[object]:
    """The value that a comment begins with, up to a colon or its end; nothing if it begins with none."""
    text = comment.lstrip("# ")
    for end in (len(text), *(found.start() for found in re.finditer(r"[:,;] ", text))):
        try:
            return [ast.literal_eval(text[:end])]
        except (ValueError, SyntaxError):
            continue
    return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
