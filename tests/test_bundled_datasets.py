"""Data sets of bundles: applied, checked, exported, published, restored from the command line, and trained on."""

import io
import json
import shutil
import subprocess
import sys

import polars as pl
import pytest
from bundle_cases import COLUMNS, NO_GROUP, ROWS, by_route
from datasets import ClassLabel, Dataset, load_dataset

from mireorder import (
    Bundle,
    Digits,
    InputError,
    Labels,
    Order,
    OutputError,
    apply,
    check,
    export,
    fit_by,
    publish,
    pull,
)
from mireorder.cli import main
from mireorder.dataset.shown import find_row, shown
from mireorder.restoring.bundled import ROUTES as KINDS
from mireorder.standalone import FILE as SCRIPT
from mireorder.tokenizing.characters import character_tokenizer

every_route = pytest.mark.parametrize("kind", KINDS)
SPLITS = {"train": ROWS[:300], "test": [*ROWS[300:], *NO_GROUP]}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The data set of each route."""
    root = tmp_path_factory.mktemp("bundled")
    for kind in KINDS:
        bundle = by_route(kind, "plain")
        bundle.save(root / f"{kind}-bundle")
        apply(SPLITS, bundle, out=root / kind)
    return root


@pytest.fixture
def command(capsys, monkeypatch):
    """Run a command line: exit status, standard output and error."""

    def run(*words, lines=()):
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        with pytest.raises(SystemExit) as ended:
            main(list(map(str, words)))
        return ended.value.code or 0, *capsys.readouterr()

    return run


def written(folder):
    """Split -> rows of a data set."""
    return {split: Dataset.from_file(str(folder / split / "data-00000-of-00001.arrow")).to_list() for split in SPLITS}


# --- written and proved -------------------------------------------------------------------------------------------


@every_route
def test_every_row_of_every_group_is_proved(kind, folders):
    found = check(folders / kind)
    assert found.ok and found.passed["restored"] == len(ROWS) + len(NO_GROUP)
    rows = written(folders / kind)
    for split, natural in SPLITS.items():
        assert [row["task"] for row in rows[split]] == [row["task"] for row in natural]
        assert [row["target"] for row in rows[split]] == [row["a"] for row in natural]
    of_sum = next(row for row in rows["train"] if row["task"] == "add" and len(row["target"]) == 2)
    assert of_sum["completion"] == f" {of_sum['target'][::-1]}" and of_sum["permutation"] == [1, 0]
    assert of_sum["prompt"].startswith("<task:add> sum ") == (kind == "tag")


@every_route
def test_rows_that_moved_to_another_group_are_found(kind, folders):
    rows = pl.DataFrame(written(folders / kind)["train"]).to_arrow()
    assert check(rows, plan=folders / kind).ok
    at = rows.column("task").to_pylist().index("add")
    moved = rows.to_pylist()
    moved[at] |= {"task": "mood", "prompt": "<task:mood> mood " if kind == "tag" else "mood "}
    broken = check(Dataset.from_list(moved), plan=folders / kind)
    assert broken.failed["restored"] == 1 and f"row {at}: " in broken.failures[-1]


def test_a_group_without_a_plan_is_refused_or_set_aside(tmp_path):
    bundle = by_route("column")
    rows = [*ROWS[:5], {"task": "sub", "q": "3-2", "a": "1"}]
    said = (
        "train, row 5: there is no plan for group 'sub'; the bundle has plans for add, causal, mood: make one with it"
    )
    with pytest.raises(InputError, match=f"^{said}, or with other='plain', or pass reject=True$"):
        apply(rows, bundle, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    apply(rows, bundle, out=tmp_path / "out", reject=True)
    (line,) = (tmp_path / "out/rejected/train-data-00000-of-00001.jsonl").read_text().splitlines()
    assert json.loads(line)["row_id"] == "train:5" and "there is no plan for group 'sub'" in line
    with pytest.raises(InputError, match="has no column 'task' beside source and target"):
        apply([{"q": "1", "a": "1"}], bundle)
    with pytest.raises(InputError, match="rows of a bundle are written once; leave out copies"):
        apply(ROWS, bundle, copies=2)


def test_the_column_stays_without_the_others_and_has_its_classes(tmp_path):
    rows = Dataset.from_list([row | {"id": 7} for row in ROWS[:40]])
    names = sorted({*rows["task"], "other"})
    rows = rows.map(lambda row: {"task": names.index(row["task"])}).cast_column("task", ClassLabel(names=names))
    kept = apply(rows, by_route("column"), out=tmp_path / "out", keep_columns=False)["train"]
    assert kept.column_names == ["prompt", "completion", "permutation", "row_id", "target", "task"]
    assert kept.features["task"].names == names and check(tmp_path / "out").ok
    seen = shown(find_row(tmp_path / "out", "3"), Bundle.load(tmp_path / "out"))
    assert (seen.restored.text, seen.restored.verdict) == (seen.target, "complete")
    export(tmp_path / "out", "trl", tmp_path / "rows")
    exported = load_dataset(str(tmp_path / "rows"), cache_dir=str(tmp_path / "cache"))["train"]
    assert exported["task"][:] == [row["task"] for row in ROWS[:40]]


def test_another_bundle_does_not_resume_it(folders, tmp_path):
    there = shutil.copytree(folders / "tag", tmp_path / "there")
    with pytest.raises(OutputError, match=r"was begun with another plan \(they differ in other\)"):
        apply(SPLITS, by_route("tag"), out=there)
    with pytest.raises(OutputError, match=r"was begun with another plan \(they differ in .*route"):
        apply(SPLITS, by_route("column", "plain"), out=there)
    apply(SPLITS, by_route("tag", "plain"), out=there)


@every_route
def test_token_form_is_proved_too(kind, tmp_path):
    bundle = by_route(kind)
    texts = [bundle.prompt(row["q"], row["task"]) + row["a"] + " " for row in ROWS]
    tokenizer = character_tokenizer(texts)
    apply(ROWS[:80], bundle, form="token", tokenizer=tokenizer, out=tmp_path / "ids")
    assert check(tmp_path / "ids").ok
    seen = shown(find_row(tmp_path / "ids", "5"), bundle, tokenizer)
    assert (seen.restored.text, seen.restored.verdict) == (seen.target, "complete")


# --- the command line ---------------------------------------------------------------------------------------------


@pytest.fixture
def tasks(tmp_path):
    path = tmp_path / "tasks.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


READ = ("--source", "q", "--target", "a")


def test_plans_of_groups_are_fitted_and_bundled(command, tasks, tmp_path):
    digits = ("--cutter", "digits", "--policy", "reverse", "--criterion", "none")
    labels = ("--names", tmp_path / "names", "--policy", "reverse", "--criterion", "none")
    causal = ("--cutter", "digits", "--policy", "causal-max", "--resamples", 0, "--shuffles", 0)
    (tmp_path / "names").write_text("joy\nfear\ncalm\n")
    for group, asked in {"add": digits, "mood": labels, "causal": causal}.items():
        out = tmp_path / group
        assert command("fit", tasks, *READ, "--by", "task", "--group", group, *asked, "--out", out)[0] == 0
    plans = [f"{group}={tmp_path / group}" for group in ("mood", "add", "causal")]
    status, out, _ = command("bundle", *plans, "--by", "task", "--tag", "--out", tmp_path / "bundle", "--json")
    bundle = Bundle.load(tmp_path / "bundle")
    assert (status, json.loads(out)["sha256"]) == (0, bundle.sha256) and bundle == by_route("tag")
    assert command("apply", tasks, "--plan", tmp_path / "bundle", "--out", tmp_path / "out")[0] == 0
    assert command("check", tmp_path / "out")[0] == 0
    assert "group mood" in command("inspect", tmp_path / "bundle")[1]
    assert (
        json.loads(command("inspect", tmp_path / "bundle", "--group", "add", "--json")[1])["cutter"]["name"] == "digits"
    )


def test_fit_makes_the_bundle_at_once(command, tasks, tmp_path):
    rows = [json.loads(line) for line in tasks.read_text().splitlines()]
    sums = [row for row in rows if row["task"] != "mood"]
    tasks.write_text("".join(json.dumps(row) + "\n" for row in sums))
    asked = ("--cutter", "digits", "--policy", "reverse", "--criterion", "none")
    texts = ("--prefix", "add=sum ", "--prefix", "causal=digits ", "--other", "plain")
    assert command("fit", tasks, *READ, *texts, *asked, "--out", tmp_path / "b")[0] == 0
    wanted = fit_by(sums, {"add": "sum ", "causal": "digits "}, other="plain", cutter="digits",
                    order=Order("reverse", None), **COLUMNS)  # fmt: skip
    assert Bundle.load(tmp_path / "b") == wanted


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tag"], "nothing says the group of a row; pass --by, the column that does, or --prefix"),
        (["--group", "add"], "nothing says the group of a row; pass --by"),
        (["--by", "task", "--prefix", "a=b"], "--by and --prefix both tell groups; pass one of them"),
        (["--prefix", "ab"], "'ab' names no group; pass --prefix as GROUP=TEXT, once for each group"),
        (["--prefix", "a=b", "--prefix", "a=c"], "'a=c' names group 'a' again; pass --prefix as GROUP=TEXT"),
        (["--by", "task", "--group", "sub"], "there are no rows of group 'sub'"),
    ],
)
def test_options_that_say_no_group_are_refused(words, said, command, tasks, tmp_path):
    status, _, error = command("fit", tasks, *READ, "--cutter", "digits", *words, "--out", tmp_path / "b")
    assert status == 2 and error.startswith(f"error: {said}") and not (tmp_path / "b").exists()


def test_commands_of_one_plan_refuse_a_bundle(command, folders, tmp_path):
    for words in (["schema", folders / "tag"], ["mix", folders / "tag-bundle"]):
        status, _, error = command(*words, "--out", tmp_path / "out")
        assert status == 2 and "it is a bundle of plans; name the plan of one of its groups" in error
    status, _, error = command("inspect", folders / "tag", "--png", tmp_path / "a.png")
    assert status == 2 and "a picture is of one plan; name one with --group" in error


@every_route
@pytest.mark.parametrize("script", [False, True])
def test_answers_are_restored_by_the_line(kind, script, command, folders, tmp_path):
    rows = [row for of in written(folders / kind).values() for row in of]
    (tmp_path / "prompts").write_text("".join(row["prompt"] + "\n" for row in rows))
    (tmp_path / "groups").write_text("".join(f"{row['task']}\n" for row in rows))
    beside = ["--prompts", tmp_path / "prompts", "--strings"] + (["--groups", tmp_path / "groups"] * (kind == "column"))
    lines = [json.dumps(row["completion"]) for row in rows]
    if script:
        done = subprocess.run([sys.executable, "-I", "-S", folders / kind / SCRIPT, *beside], capture_output=True,
                              text=True, input="".join(f"{line}\n" for line in lines))  # fmt: skip
        status, out, error = done.returncode, done.stdout, done.stderr
    else:
        status, out, error = command("restore", folders / kind, *beside, lines=lines)
    assert (status, error) == (0, "")
    assert out.splitlines() == [row["target"].replace("\n", "\\n") for row in rows]


@pytest.mark.parametrize(
    ("kind", "words", "said"),
    [
        ("column", [], "column 'task' says which plan is a row's; pass its group"),
        ("tag", [], "the prompt says which plan is a row's; pass it, or the group"),
        ("tag", ["--group", "add", "--groups", "groups"], "--group and --groups both name groups; pass one of them"),
        ("tag", ["--groups", "groups"], "groups: 1 groups for more answers; pass a group for each line"),
        ("tag", ["--group", "add", "--ids"], "the plan's units are text; leave out --ids"),
    ],
)
def test_lines_that_say_no_group_are_refused(kind, words, said, command, folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "groups").write_text("add\n")
    assert command("restore", folders / kind, *words, lines=["21"] * 2)[::2] == (2, f"error: {said}\n")


def test_one_plan_has_no_groups(command, folders, tmp_path):
    Bundle.load(folders / "tag").members["add"].save(tmp_path)
    status, _, error = command("inspect", tmp_path, "--group", "add")
    assert (status, error) == (2, f"error: {tmp_path}: there is one plan for all rows; leave out --group\n")
    status, _, error = command("restore", tmp_path, "--group", "add", lines=["21"])
    assert (status, error) == (2, "error: there is one plan for all rows; leave out --group and --groups\n")


# --- shared and trained on ----------------------------------------------------------------------------------------


@every_route
def test_a_published_bundle_comes_back(kind, hub, folders, tmp_path):
    pytest.importorskip("matplotlib")
    publish(folders / kind, "owner/name")
    assert Bundle.load("owner/name") == Bundle.load(folders / kind)
    found = pull("owner/name", tmp_path / "back")
    assert found.ok and found.passed["restored"] == len(ROWS) + len(NO_GROUP)
    natural = load_dataset("owner/name", "natural")
    assert natural["train"]["completion"][:] == [f" {row['a']}" for row in SPLITS["train"]]
    said = hub.repository("datasets", "owner/name").commits[-1].files["README.md"].decode()
    assert f"## Configuration `bundle-{kind}`" in said and "- group `mood`: policy reverse, kind set" in said


def test_a_prompt_of_no_group_is_named_before_it_is_answered():
    pytest.importorskip("trl")
    from mireorder.training.generate import answers

    class Silent:
        plan = by_route("tag")

        def __call__(self, prompts, **_):
            return [[{}] for _ in prompts]

    with pytest.raises(InputError, match="row 1: the prompt begins with no text of a group; begin it with one"):
        list(answers(Silent(), ["<task:add> sum 1+1", "sum 1+1"]))


@pytest.mark.slow
def test_a_model_of_tagged_prompts_answers_each_in_its_order(folders, tmp_path, command):
    pytest.importorskip("trl")
    from mireorder.training.budget import Budget
    from mireorder.training.from_scratch import train_from_scratch
    from mireorder.training.generate import generate

    for kind in ("tag", "column"):
        train_from_scratch(folders / kind, "nano", tmp_path / kind, Budget(300, 32))
    prompts = [row["prompt"] for row in written(folders / "tag")["train"] if row["task"] == "mood"][:8]
    answers = list(generate(tmp_path / "tag", prompts))
    assert [answer["prompt"] for answer in answers] == prompts
    right = [answer["generated_text"] == answer["prompt"].rpartition(" ")[0].removeprefix("<task:mood> mood ")
             for answer in answers]  # fmt: skip
    assert sum(right) >= 6
    (tmp_path / "prompts").write_text("sum 1+1\n")
    status, _, error = command("generate", tmp_path / "column", "--prompts", tmp_path / "prompts")
    assert status == 2 and "bundle the plans with --tag, and train on that" in error


@pytest.mark.slow
def test_a_mixed_real_data_set_comes_back_whole(real, tmp_path):
    rows = []
    for name, task in {"add_3digit": "add", "mul_2digit": "mul"}.items():
        for line in (real / "arithmetic" / f"{name}_train.txt").read_text().splitlines():
            question, _, answer = line.partition("=")
            rows.append({"task": task, "q": question, "a": answer})
    names = (real / "goemotions/labels.txt").read_text().split()
    moods = pl.read_csv(real / "goemotions/dev.tsv", separator="\t", has_header=False, quote_char=None)
    for text, ids, _ in moods.iter_rows():
        labels = ", ".join(names[int(label)] for label in str(ids).split(","))
        rows.append({"task": "emotions", "q": text, "a": labels})
    members = {"emotions": {"cutter": Labels(names=tuple(names)), "order": Order("max", "presence", tie_breaker=None)}}
    bundle = fit_by(rows, "task", tag=True, members=members, cutter=Digits(align="pad"), between="=",
                    order=Order("max", shuffles=0, resamples=0), **COLUMNS)  # fmt: skip
    apply(rows, bundle, out=tmp_path / "out")
    found = check(tmp_path / "out")
    assert found.ok and found.passed["restored"] == len(rows) > 8_000
    restored = [bundle.restore(row["completion"], row["prompt"]).text for row in Dataset.from_file(
        str(tmp_path / "out/train/data-00000-of-00001.arrow"))]  # fmt: skip
    assert restored == [row["a"] for row in rows]


@pytest.mark.slow
def test_the_pipeline_trains_every_arm_and_resumes(tmp_path, monkeypatch):
    pytest.importorskip("trl")
    from pipelines import mixed, teaching

    mixed.main(tmp_path / "all", orders="mul=3-2-1-0", small=True)
    metrics = pl.read_parquet(tmp_path / "all/metrics.parquet")
    assert metrics["order"].to_list() == list(mixed.ARMS)
    tasks = {"add", "mul", "gcd", "chicken", "labels"}
    assert tasks <= set(metrics.columns)
    own = Bundle.load(tmp_path / "all/bundles/own")
    assert own.members["mul"].permutation == [3, 2, 1, 0] and set(own.members) == tasks
    shared = Bundle.load(tmp_path / "all/bundles/shared").members
    assert [place + 1 for place in shared["add"].permutation] == [p for p in shared["mul"].permutation if p]
    assert Bundle.load(tmp_path / "all/bundles/own-tag").members == own.members
    row = Dataset.from_file(str(tmp_path / "all/datasets/own/train/data-00000-of-00001.arrow"))[0]
    assert sum(label >= 0 for label in row["labels"]) == len(row["target"]) + 1  # a token a digit, and the end
    page = (tmp_path / "all/README.md").read_text()
    monkeypatch.setattr(teaching, "_is_trained", lambda *_: True)
    monkeypatch.setattr(mixed, "texts_of", lambda *_: pytest.fail("measured again"))
    mixed.main(tmp_path / "all", orders="mul=3-2-1-0", small=True)
    assert (tmp_path / "all/README.md").read_text() == page
    with pytest.raises(InputError, match="'sub=1-0' is no order of a task; write it as mul=3-2-1-0"):
        mixed.main(tmp_path / "other", orders="sub=1-0", small=True)
