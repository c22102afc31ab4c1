"""Options that several commands share, and the objects that they name."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from mireorder.errors import InputError

T = TypeVar("T")

Data = Annotated[list[str], typer.Argument(help="files, globs, a saved dataset or a hub id; NAME=FILE names a split")]
SomeData = Annotated[
    list[str] | None, typer.Argument(help="files, globs, a saved dataset or a hub id; NAME=FILE names a split")
]
Split = Annotated[str | None, typer.Option(help="separator between source and target in lines of text, such as =")]
Columns = Annotated[str | None, typer.Option(help="names of the columns of a file without header: a,b,c")]
Quotes = Annotated[
    bool | None,
    typer.Option("--quotes/--plain-quotes", help="quotes in CSV and TSV: around cells, or plain; TSV's are looked at"),
]
Source = Annotated[str | None, typer.Option(help="source column; several, a,b, are joined by a line end")]
Target = Annotated[str | None, typer.Option(help="target column")]
LabelColumns = Annotated[str | None, typer.Option("--labels", help="binary label columns: a,b,c")]
CutterName = Annotated[
    str | None,
    typer.Option("--cutter", help="digits, labels, fields, words, sentences, lines, spans, pieces or tokens"),
]
Names = Annotated[Path | None, typer.Option(help="file with a label name a line, in canonical order")]
Delimiter = Annotated[str | None, typer.Option(help="between the labels of a text column, or between spans")]
Missing = Annotated[
    int | None, typer.Option(help="what an empty cell of a label column is: 0; by default its row is refused")
]
Align = Annotated[str | None, typer.Option(help="how slots are addressed: left or right; digits also pad")]
Width = Annotated[int | None, typer.Option(help="units in a target, if not as many as the longest has")]
Joiner = Annotated[str | None, typer.Option(help="between labels or sentences as they are emitted")]
Language = Annotated[str | None, typer.Option(help="code of the language of sentences, such as de")]
Vocabulary = Annotated[int | None, typer.Option(help="units of text told apart when counted, the commonest")]
CriterionName = Annotated[
    str,
    typer.Option(
        "--criterion", help="joint, pairwise, subset, presence, bigram; none for a policy that looks at no scores"
    ),
]
SubsetSize = Annotated[int | None, typer.Option("--k", help="size of the subsets (subset)")]
Normalised = Annotated[bool | None, typer.Option("--normalised", help="divide scores by H(t_i) (subset)")]
Words = Annotated[int | None, typer.Option(help="how many words are looked at (presence, bigram)")]
PolicyName = Annotated[
    str,
    typer.Option(
        "--policy",
        help="plain, reverse, random, max, min, frequency, rare; another order in every row: shuffle, causal-max, "
        "causal-min, hardest, easiest; units copied ahead: lead, lookahead",
    ),
]
Order = Annotated[str | None, typer.Option(help="the order itself, slots by step: 2,1,3,0")]
Marked = Annotated[bool, typer.Option("--marked", help="write each unit behind a marker of its slot")]
MarkerTemplate = Annotated[
    str | None, typer.Option("--markers", help="what markers look like, {} being the slot, or of lead what is copied")
]
Copies = Annotated[
    str | None, typer.Option(help="units copied ahead: how many (lead), or the length of a span, or all (lookahead)")
]
Place = Annotated[str | None, typer.Option(help="where the span is taken: random, best or last (lookahead)")]
Whole = Annotated[bool, typer.Option("--whole", help="copy to the front of the target, not of each sentence")]
Unmarked = Annotated[bool, typer.Option("--bare", help="copy without marks, as in the paper")]
StopWords = Annotated[int | None, typer.Option(help="how many of the commonest words are never copied (lead)")]
Estimator = Annotated[
    str,
    typer.Option(
        help="whose scores decide: plug-in, miller-madow, laplace, kt, perks, minimax, james-stein, grassberger, "
        "chao-shen, chao-wang-jost or nsb; with criterion bigram, plug-in or cross-fitted"
    ),
]
Ties = Annotated[str, typer.Option(help="criterion that breaks ties, or none for the lowest slot")]
Between = Annotated[
    str | None, typer.Option(help="text between source and target; by default the separator or a space")
]
Shuffles = Annotated[
    int | None, typer.Option(help="shuffled targets each score is tested against; by default enough for all slots")
]
Resamples = Annotated[
    int | None, typer.Option(help="bootstrap resamples that show how sure the order is; by default up to 100")
]
Seed = Annotated[int, typer.Option(help="seed of random orders, shuffles and resamples")]
Memory = Annotated[str | None, typer.Option(help="memory that counts may take before they go to disk, such as 512MB")]
Reject = Annotated[bool, typer.Option("--reject", help="set rows aside that can't be used, instead of stopping")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
Out = Annotated[Path, typer.Option(help="output folder, new or empty")]


def reading(
    split: str | None,
    columns: str | None,
    source: str | None,
    target: str | None,
    labels: str | None,
    quotes: bool | None = None,
) -> Any:
    """How rows are read, from the options."""
    from mireorder.reading import Reading

    if target and labels:
        raise InputError("--target and --labels both name the target", remedy="pass one of them")
    targets = _list(labels) or ((target,) if target else ())
    return Reading(_list(source), targets, split, _list(columns) or None, quotes)


def cutter(name: str | None, names: Path | None, labels: str | None, **options: Any) -> Any:
    """The cutter, from its name and options; --labels and --names mean labels."""
    from mireorder.cutting import CUTTERS

    if name is None and (labels or names):
        name = "labels"
    if name is None:
        raise InputError("no cutter is named", remedy=f"pass --cutter, one of {', '.join(CUTTERS)}")
    if names is not None:
        options["names"] = tuple(line for line in lines(names) if line)
    return _with_options(name, CUTTERS, "cutter", options)


def criterion(name: str, policy: str = "max", **options: Any) -> Any:
    """The criterion, from its name and options; ``auto`` and ``none`` are names that `fit` knows."""
    from mireorder.information.association import Associating
    from mireorder.information.criteria import CRITERIA

    given = [option for option, value in options.items() if value is not None]
    if name == "none" and given:
        raise InputError(f"criterion none takes no --{given[0]}", remedy="leave it out or choose another criterion")
    if name == "none" or (name == "auto" and not given):
        return name
    if name == "auto":
        name = "association" if policy in ("lead", "lookahead") else "joint"
    return _with_options(name, {**CRITERIA, "association": Associating}, "criterion", options)


def criteria(names: str, **options: Any) -> list[Any]:
    """The criteria of a list, each with those of the options that it takes.

    Raises:
        InputError: none of them takes an option that is given, or a name is unknown.
    """
    from mireorder.information.criteria import CRITERIA

    found = []
    left = {option for option, value in options.items() if value is not None}
    for name in _list(names):
        takes = getattr(CRITERIA.get("joint" if name == "auto" else name), "__dataclass_fields__", options)
        own = {option: value for option, value in options.items() if option in takes}
        left -= own.keys()
        found.append(criterion(name, **own))
    if left:
        raise InputError(f"no criterion of {names} takes --{min(left)}", remedy="leave it out")
    return found


def required(data: list[str] | None) -> list[str]:
    """The data, where nothing else was given in its place."""
    if not data:
        raise InputError("no data is named", remedy="name files, or counts with --counts")
    return data


def refuse_beside(context: typer.Context, option: str, taken: set[str], why: str) -> None:
    """Raise InputError if anything is given beside this option that it does not go with.

    Args:
        context: of the command.
        option: as it is written.
        taken: names of the command's parameters that go with it.
        why: the others don't.
    """
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "")
        if given is not None and given.name == "COMMANDLINE" and parameter.name not in taken:
            name = parameter.opts[0] if parameter.param_type_name == "option" else "DATA"
            raise InputError(f"{name} can't be given with {option}: {why}", remedy="leave one of the two out")


def _with_options(name: str, known: Mapping[str, Callable[..., T]], what: str, options: dict[str, Any]) -> T:
    """The cutter or criterion of that name; an option it does not have is an error."""
    if name not in known:
        raise InputError(f"there is no {what} {name!r}", remedy=f"the {what} is one of {', '.join(known)}")
    given = {option: value for option, value in options.items() if value is not None}
    for option in given:
        if option not in known[name].__dataclass_fields__:  # type: ignore[attr-defined]
            raise InputError(f"{what} {name} takes no --{option}", remedy=f"leave it out or choose another {what}")
    return known[name](**given)


def _list(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",")) if text else ()


def permutation(order: str | None) -> list[int] | None:
    """The permutation that --order names."""
    try:
        return None if order is None else [int(slot) for slot in order.split(",")]
    except ValueError:
        raise InputError(f"{order!r} is no order", remedy="write it as 2,1,3,0: slots by step") from None


def copying(
    policy: str, copies: str | None, place: str | None, whole: bool, bare: bool, language: str | None, seed: int
) -> Any:
    """What is copied ahead, by policies lead and lookahead; the policy's name for all others."""
    from mireorder.ordering.copying.policies import Copying, Lead, Lookahead
    from mireorder.ordering.policies import policy_of

    if not policy_of(policy).copies:
        given = {"--copies": copies, "--place": place, "--whole": whole, "--bare": bare}
        if used := [option for option, value in given.items() if value]:
            raise InputError(f"policy {policy} copies nothing, so there is no {used[0]}", remedy="pass --policy lead")
        return policy
    try:
        number = None if copies in (None, "all") else int(str(copies))
    except ValueError:
        raise InputError(f"--copies {copies!r} is no number", remedy="pass a number, or all") from None
    if policy == "lead":
        if place is not None or copies == "all":
            raise InputError("policy lead copies single units", remedy="pass --policy lookahead")
        chosen: Lead | Lookahead = Lead(1 if number is None else number)
    else:
        chosen = Lookahead(4 if copies is None else number, place or "random", seed)
    return Copying(chosen, not whole, language or "en", not bare)


def lines(path: Path) -> list[str]:
    """Lines of a text file, or of standard input for ``-``."""
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"can't be read ({error})", shard=str(path), remedy="name a UTF-8 text file") from None
    return text.removesuffix("\n").split("\n") if text else []


def memory(text: str | None) -> int | None:
    """Bytes of a size such as 512MB, 2GB or 100000."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)\s*([KMGT]?)B?", text.strip(), re.IGNORECASE)
    if not found:
        raise InputError(f"{text!r} is no amount of memory", remedy="write it as 512MB or 2GB")
    return int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[found[2].upper()]
