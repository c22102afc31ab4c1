"""Bad rows: refused, or set aside and counted, up to a bound."""

import json

import pytest

from mireorder import Digits, InputError, apply, count, count_like, fit
from mireorder.cli import main

GOOD = [{"q": f"{a}+{b}=", "a": str(a + b)} for a in range(9) for b in range(9)]
BAD = [{"q": "x", "a": word} for word in ("one", "two", "three")]
COLUMNS = {"source": "q", "target": "a"}


@pytest.fixture(scope="module")
def plan():
    return fit(GOOD, **COLUMNS, cutter="digits", order="reverse")


def stage(name, plan, tmp_path, data=None, **options):
    """What a stage says of rows of which three are bad: how many it set aside."""
    data = data or {"train": GOOD + BAD[:2], "test": GOOD[:5] + BAD[2:]}
    train = data["train"] + data["test"]
    if name == "fit":
        return fit(train, **COLUMNS, cutter="digits", order="plain", **options).rejected
    if name == "count":
        return count(train, **COLUMNS, cutter=Digits(width=2), tie_breaker=None, **options).rejected
    if name == "count_like":
        like = count(GOOD, **COLUMNS, cutter=Digits(width=2), tie_breaker=None)
        return count_like(train, like, **options).rejected
    out = tmp_path / "out" if name == "apply" else None
    written = apply(data, plan, out=out, **options)
    return len(train) - sum(len(split) for split in written.values())


STAGES = ["fit", "count", "count_like", "apply", "apply in memory"]


@pytest.mark.parametrize("name", STAGES)
def test_bad_rows_are_set_aside_up_to_a_bound(name, plan, tmp_path):
    assert stage(name, plan, tmp_path, reject=True) == 3
    assert stage(name, plan, tmp_path, reject=True, max_rejected=3) == 3
    with pytest.raises(InputError, match=r"3 rows can't be used, and at most 2 may .* allow more with max_rejected"):
        stage(name, plan, tmp_path, reject=True, max_rejected=2)
    if name.startswith("apply"):  # all is there by now: the bound holds of what is kept, too
        assert not (tmp_path / "out").exists() or stage(name, plan, tmp_path, reject=True) == 3


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize(("reject", "most"), [(False, 3), (True, -1)])
def test_a_bound_that_bounds_nothing_is_refused(name, reject, most, plan, tmp_path):
    with pytest.raises(InputError, match="rows are to be set aside"):
        stage(name, plan, tmp_path, reject=reject, max_rejected=most)
    assert not (tmp_path / "out").exists()


def test_a_run_that_stops_at_the_bound_resumes_with_another(plan, tmp_path, monkeypatch):
    monkeypatch.setattr("mireorder.dataset.folder.TOGETHER_BYTES", 1)
    for name, rows in (("a", GOOD), ("b", GOOD[:9] + BAD), ("c", GOOD)):
        lines = (json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    data, out = sorted(map(str, tmp_path.glob("*.jsonl"))), tmp_path / "out"
    with pytest.raises(InputError, match="rejected: 3 rows can't be used"):
        apply(data, plan, out=out, reject=True, max_rejected=2, workers=1)
    reasons = [json.loads(line)["problem"] for file in (out / "rejected").iterdir() for line in file.open()]
    assert len(reasons) == 3 and all("is not a number" in reason for reason in reasons)
    assert apply(data, plan, out=out, reject=True, max_rejected=3).num_rows == {"train": 2 * len(GOOD) + 9}


def test_commands_take_the_bound_and_count_in_their_summary(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("".join(f"{row['q']}{row['a']}\n" for row in GOOD) + "1=x\n1=y\n")
    arguments = [str(tmp_path / "a.txt"), "--split", "=", "--cutter", "digits", "--reject", "--max-rejected"]
    apply_it = ["apply", arguments[0], "--plan", str(tmp_path / "fit"), "--reject", "--max-rejected"]
    for most, status in (("1", 2), ("2", 0)):
        for command in ["fit", *arguments], ["count", *arguments], apply_it:
            if most == "1" and command[0] == "apply":
                continue
            with pytest.raises(SystemExit) as ended:
                main([*command, most, "--out", str(tmp_path / command[0])])
            said = capsys.readouterr()
            assert (ended.value.code or 0) == status
            if status:
                assert said.err.startswith("error: a.txt: 2 rows can't be used") and "--max-rejected" in said.err
            else:
                assert "2 set aside" in said.out or "2 rows" in said.out
