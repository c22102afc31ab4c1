"""Plans on a hub: pushed by one commit, loaded by id and revision, whatever the line does; the token stays secret."""

import traceback

import pytest
from hub import TOKEN, UNKNOWN, Fault

from mireorder import HubError, Plan, PlanError, fit

ROWS = [{"q": f"{a}*{b}", "a": str(a * b)} for a in range(20) for b in range(20)]


@pytest.fixture(scope="module")
def plan():
    return fit(ROWS, source="q", target="a", cutter="digits", order="reverse")


def test_a_plan_comes_back_from_the_hub(hub, plan):
    commit = plan.push_to_hub("owner/name")
    made = hub.repository("datasets", "owner/name")
    assert made.private and [one.oid for one in made.commits][1:] == [commit]
    assert set(made.commits[-1].files) == {".gitattributes", "mireorder.json", "restore.py"}
    assert Plan.load("owner/name") == plan
    assert plan.push_to_hub("owner/name") == commit and len(made.commits) == 2
    other = fit(ROWS, source="q", target="a", cutter="digits", order="plain")
    assert other.push_to_hub("owner/name", revision="next") != commit
    assert Plan.load("owner/name", revision="next") == other and Plan.load("owner/name") == plan
    assert Plan.load("owner/name", revision=commit) == plan
    assert other.push_to_hub("owner/name:plain") and Plan.load("owner/name:plain") == other


def test_the_plan_of_a_model_is_found(hub, plan):
    plan.push_to_hub("owner/model", kind="model", private=False)
    assert not hub.repository("models", "owner/model").private
    assert Plan.load("owner/model") == plan


@pytest.mark.parametrize(
    ("repo_id", "revision", "problem"),
    [
        ("owner/nothing", None, "no plan here, and the hub gives none: owner/nothing: no such dataset or model"),
        ("owner/name", "gone", "owner/name: has no revision 'gone'"),
        ("owner/name:max", None, "owner/name:max: has no max/mireorder.json"),
        ("a/b/c", "v1", "a/b/c: no hub id"),
    ],
)
def test_what_is_not_there_is_an_error_of_one_line(hub, plan, repo_id, revision, problem):
    plan.push_to_hub("owner/name")
    with pytest.raises(PlanError, match=problem) as raised:
        Plan.load(repo_id, revision=revision)
    assert "\n" not in str(raised.value)


def test_a_repository_that_is_there_keeps_who_may_see_it(hub, plan):
    plan.push_to_hub("owner/name", private=False)
    with pytest.raises(
        HubError, match="name: is public, not private; change it in its settings, or pass private=False"
    ):
        plan.push_to_hub("owner/name", private=True)
    with pytest.raises(HubError) as raised:
        plan.push_to_hub("owner/name", private=True)
    assert raised.value.command_line.endswith("or pass --public")
    assert plan.push_to_hub("owner/name")


FAULTS = {
    "rate limit": [Fault("POST", "/commit/", 429, {"Retry-After": "70"}), Fault("GET", "/api/datasets/o/n$", 429)],
    "failing": [Fault("POST", path, 503) for path in ("/create", "/preupload", "/commit/")],
    "failing often": [Fault("GET", "/tree/", 500, times=3)],
    "cut in the request": [Fault("POST", "/commit/", cut="request")],
    "cut in the answer": [Fault("GET", "/api/datasets/o/n$", cut="answer")],
    "the answer is lost": [Fault("POST", "/commit/", cut="reply"), Fault("POST", "/create", cut="reply")],
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_whatever_the_line_does_there_is_one_commit(hub, plan, faults):
    hub.faults = [Fault(**vars(fault)) for fault in faults]
    plan.push_to_hub("o/n")
    assert not any(fault.times for fault in hub.faults) and hub.waits
    assert len(hub.repository("datasets", "o/n").commits) == 2
    assert Plan.load("o/n") == plan
    if "Retry-After" in faults[0].headers:
        assert max(hub.waits) >= 70


def test_a_commit_of_others_in_between_is_kept(hub, plan):
    def rival(served):
        there = served.repository("datasets", "o/n")
        there.commit("main", there.at("main").files | {"notes.txt": b"of others"}, "another")

    hub.faults = [Fault("POST", "/commit/", do=rival, times=2)]
    plan.push_to_hub("o/n")
    commits = hub.repository("datasets", "o/n").commits
    assert [one.message for one in commits] == ["initial commit", "another", "another", "Add a mireorder plan"]
    assert commits[-1].files["notes.txt"] == b"of others" and "mireorder.json" in commits[-1].files


ECHO = f"bad {TOKEN}\nand hf_another"
REFUSED = {
    "a token that is unknown": ([], UNKNOWN, "does not accept the token; log in with 'hf auth login', or set HF_TOKEN"),
    "no token": ([], None, "o/n: (no such dataset on the hub|the hub does not accept)"),
    "no permission": ([Fault("POST", "/create", 403, times=9)], TOKEN, "the token has no permission"),
    "a hub that echoes": ([Fault("POST", "/commit/", 400, message=ECHO)], TOKEN, r"bad \*\*\*"),
    "always failing": ([Fault("POST", "/commit/", 503, times=99)], TOKEN, r"the hub fails \(status 503\)"),
    "always limited": ([Fault("POST", "/commit/", 429, times=99)], TOKEN, "rate limit is reached"),
    "always cut": ([Fault("GET", "/api/", cut="answer", times=99)], TOKEN, "the connection to the hub breaks"),
    "always in conflict": ([Fault("POST", "/commit/", 412, times=99)], TOKEN, "others commit to it at the same time"),
}


@pytest.mark.parametrize(("faults", "token", "problem"), REFUSED.values(), ids=REFUSED)
def test_what_can_not_be_done_is_one_line_without_the_token(hub, plan, faults, token, problem, monkeypatch, caplog):
    hub.faults = [Fault(**vars(fault)) for fault in faults]
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match=problem) as raised:
        plan.push_to_hub("o/n", token=token)
    assert "\n" not in str(raised.value)
    shown = "".join(traceback.format_exception(raised.value)) + caplog.text + repr(raised.value.__dict__)
    assert not any(secret in shown for secret in (TOKEN, UNKNOWN, "hf_another"))
    there = hub.repository("datasets", "o/n")
    assert there is None or len(there.commits) == 1


def test_a_repository_that_goes_while_it_is_written_is_said_to_be_gone(hub, plan):
    hub.faults = [Fault("POST", "/commit/", do=lambda served: served.repositories.clear())]
    with pytest.raises(HubError, match="o/n: no such dataset on the hub"):
        plan.push_to_hub("o/n")
    plan.push_to_hub("o/n")
    assert len(hub.repository("datasets", "o/n").commits) == 2
