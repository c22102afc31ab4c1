"""What is released: wheel and sdist in an environment of their own, the examples, and what `doctor` says."""

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from test_extras import python

from mireorder import Plan, fit

ROOT = Path(__file__).parents[1]
TRIED_ELSEWHERE = (
    "demo",
    "on_ray",
    "encoder_decoder",
    "smollm2",
)  # make demo, below, test_encoder_decoder, test_smollm2
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py") if path.stem not in TRIED_ELSEWHERE)


def ran(command, folder, **environment):
    """What a command prints; it must end well."""
    done = subprocess.run(command, cwd=folder, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


# -- wheel and sdist


BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


@pytest.mark.slow
def test_the_wheel_that_the_sdist_builds_works_in_an_empty_environment(tmp_path):
    files = ran(["git", "ls-files"], ROOT).split()
    for name in files:  # a clean copy: building writes beside the sources
        if name.partition("/")[0] in ("mireorder", "pyproject.toml", "README.md", "LICENSE"):
            (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "source" / name).write_bytes((ROOT / name).read_bytes())
    sdist = ran([sys.executable, "-c", BUILD, "build_sdist", str(tmp_path)], tmp_path / "source").split()[-1]
    with tarfile.open(tmp_path / sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    wheel = tmp_path / ran([sys.executable, "-c", BUILD, "build_wheel", str(tmp_path)], unpacked).split()[-1]
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == {name for name in files if name.startswith("mireorder/")}

    venv.create(tmp_path / "empty", with_pip=True)
    own = tmp_path / "empty" / "bin" / "python"
    ran([own, "-m", "pip", "install", "--no-index", "--no-deps", str(wheel)], tmp_path)
    purelib = Path(ran([own, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], tmp_path).strip())
    (purelib / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")  # what it depends on, without itself
    where = ran([own, "-c", "import mireorder; print(mireorder.__file__)"], tmp_path, PYTHONPATH="").strip()
    assert Path(where) == purelib / "mireorder" / "__init__.py"
    command = tmp_path / "empty" / "bin" / "mireorder"
    (tmp_path / "sums.txt").write_text("".join(f"{a}+{b}={a + b}\n" for a in range(20) for b in range(20)))
    ran([command, "fit", "sums.txt", "--split", "=", "--cutter", "digits", "--out", "plan"], tmp_path, PYTHONPATH="")
    ran([command, "apply", "sums.txt", "--plan", "plan", "--out", "data"], tmp_path, PYTHONPATH="")
    ran([command, "check", "data"], tmp_path, PYTHONPATH="")
    assert (tmp_path / "data" / "restore.py").is_file()


def test_the_citation_is_of_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (cited["version"], cited["license"], cited["cff-version"]) == (version("mireorder"), "Apache-2.0", "1.2.0")
    assert "2511.00198" in cited["references"][0]["url"]


# -- the examples


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run_as_they_stand(name, tmp_path):
    if name == "read_comparison" and find_spec("trl") is None:
        pytest.skip("the extra train is not installed")
    said = ran([sys.executable, str(ROOT / "examples" / f"{name}.py"), str(tmp_path / "out")], tmp_path)
    expected = {
        "jsonl": "restored, that is '408'",
        "labels": "'sport, health': 'health, sport', complete",
        "json_fields": 'restored, that is {"total":',
        "restore_elsewhere": "86\n12\n86\n86\n",
        "read_comparison": "of the answers are right",
    }[name]
    assert expected in said


@pytest.mark.slow
def test_the_stages_run_on_ray_and_give_the_same_plan(tmp_path):
    pytest.importorskip("ray")
    (tmp_path / "sums.txt").write_text("".join(f"{a}+{b}={a + b}\n" for a in range(40) for b in range(40)))
    said = ran([sys.executable, str(ROOT / "examples/on_ray.py"), "sums.txt", "out"], tmp_path)
    plan = fit(tmp_path / "sums.txt", separator="=", cutter="digits")
    assert said.splitlines()[-2:] == [plan.in_words, "train: 1,600 rows"] and Plan.load(tmp_path / "out") == plan


# -- doctor

DOCTOR = """
def doctor():
    out, status = io.StringIO(), 0
    with contextlib.redirect_stdout(out):
        try:
            main(["doctor", "--json"])
        except SystemExit as ended:
            status = ended.code or 0
    return status, json.loads(out.getvalue())["packages"]
"""


def test_doctor_says_what_is_missing(tmp_path):
    code = DOCTOR + "print(json.dumps(doctor()))"
    status, packages = python(code, tmp_path)
    assert status == 0, "the core is here"
    by_part = {}
    for package in packages:
        by_part.setdefault(package["part"], []).append(package["problem"])
    assert set(by_part["core"]) == {None}
    assert "ModuleNotFoundError" in by_part["report"][0] or by_part["report"] == ["not installed"]


def test_doctor_ends_with_1_where_the_core_is_broken(monkeypatch, capsys):
    from mireorder.cli import doctor, main

    monkeypatch.setattr(doctor, "WHAT", {"core": "all", "report": "pictures"})
    monkeypatch.setattr(doctor, "version", lambda name: {"numpy": "1.0", "mireorder": "0"}.get(name) or version(name))
    with pytest.raises(SystemExit) as ended:
        main(["doctor"])
    said = capsys.readouterr().out
    assert ended.value.code == 1
    assert "another version is needed" in said
    assert "core fails: all; pip install -U mireorder" in said
    assert json.dumps("report is ready: pictures")[1:-1] in said or "report is not installed" in said
