"""Options that several commands share, in panels, and the objects that they name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

import typer

from mireorder.cli import choices
from mireorder.cli.signature import Argument, Option
from mireorder.cli.values import dashed, lines, listed
from mireorder.errors import InputError
from mireorder.serialise import one_of

if TYPE_CHECKING:
    from mireorder.ordering.order import Order
    from mireorder.reading import Reading

T = TypeVar("T")


_FILES = Argument("files, globs, URLs, a saved dataset or a hub id; NAME=FILE names a split", "Data")
Data = Annotated[list[str], _FILES]
SomeData = Annotated[list[str] | None, _FILES]
Out = Annotated[Path, Option("output folder or URL, new or empty", "Output", urls=True)]
LocalOut = Annotated[Path, Option("output folder, new or empty", "Output")]
Restart = Annotated[
    bool,
    Option(
        "start in a fresh folder; what is there is kept beside, as OUT.old (then OUT.old-2, ...)", "Output", rare=True
    ),
]
Json = Annotated[bool, Option("print JSON", "Output", "--json")]
Memory = Annotated[
    str | None, Option("memory that counts may take before they go to disk, such as 512MB", "Output", rare=True)
]
MaxRejected = Annotated[int | None, Option("the most rows that may be set aside", "Output", rare=True, least=0)]
Reject = Annotated[bool, Option("set rows aside that can't be used, instead of stopping", "Output")]
AnyPlan = Annotated[Path, Argument("folder with a plan: a plan's, a dataset's or a model's", "Data", urls=True)]
Ties = Annotated[str, Option("criterion that breaks ties, or none for the lowest slot", "Order", rare=True)]
Estimator = Annotated[str | None, Option("whose scores decide: {names}", "Trust", names=choices.estimators)]
CutterTokenizer = Annotated[
    str | None,
    Option(
        "tokenizer folder or hub id: whose tokens are the units of cutter tokens; of all other cutters, to say which "
        "units are not one token",
        "Units",
        "--tokenizer",
        rare=True,
    ),
]


@dataclass(frozen=True)
class Rows:
    """How rows are read."""

    panel: ClassVar[str] = "Data"

    split: Annotated[str | None, Option("separator between source and target in lines of text, such as =")] = None
    columns: Annotated[str | None, Option("names of the columns of a file without header: a,b,c", rare=True)] = None
    quotes: Annotated[
        bool | None,
        Option("quotes in CSV and TSV: around cells, or plain", flag="--quotes/--plain-quotes", rare=True),
    ] = None
    csv_delimiter: Annotated[str | None, Option("between the cells of CSV and TSV, such as ;", rare=True)] = None
    source: Annotated[str | None, Option("source column; several, a,b, are joined by a line end")] = None
    target: Annotated[str | None, Option("target column")] = None
    labels: Annotated[str | None, Option("binary label columns: a,b,c")] = None

    def reading(self, instead_of: Reading | None = None) -> Reading:
        """How rows are read.

        Args:
            instead_of: what holds where an option is not given.

        Raises:
            InputError: options contradict each other.
        """
        from mireorder.reading import Reading

        if self.target and self.labels:
            raise InputError("--target and --labels both name the target", remedy="pass one of them")
        target = listed(self.labels) or ((self.target,) if self.target else ())
        mark = "\t" if self.csv_delimiter == r"\t" else self.csv_delimiter
        given = Reading(listed(self.source), target, self.split, listed(self.columns) or None, self.quotes, mark)
        if instead_of is None or given.separator:
            return given
        named = given.source or given.target
        return Reading(
            given.source or instead_of.source,
            given.target or instead_of.target,
            None if named else instead_of.separator,
            given.columns or instead_of.columns,
            instead_of.quotes if given.quotes is None else given.quotes,
            given.delimiter or instead_of.delimiter,
        )


@dataclass(frozen=True)
class Units:
    """How targets are cut into units."""

    panel: ClassVar[str] = "Units"

    cutter: Annotated[str | None, Option("how targets are cut: {names}", names=choices.cutters)] = None
    names: Annotated[Path | None, Option("file with a label name a line, in canonical order")] = None
    delimiter: Annotated[str | None, Option("between the labels of a text column, or between spans", rare=True)] = None
    missing: Annotated[
        int | None, Option("what an empty cell of a label column is: 0; else its row is refused", rare=True)
    ] = None
    counted: Annotated[bool | None, Option("write the number of labels in front of them: 2: a, b", rare=True)] = None
    pattern: Annotated[str | None, Option("of the number within a text (digits): last-number", rare=True)] = None
    path: Annotated[str | None, Option("to the object within a target (fields): a.b.0.c", rare=True)] = None
    canonical: Annotated[bool | None, Option("take members in any order and style (fields)", rare=True)] = None
    align: Annotated[str | None, Option("how slots are addressed: left or right; digits also pad", rare=True)] = None
    width: Annotated[int | None, Option("units in a target, if not as many as the longest has", rare=True)] = None
    joiner: Annotated[str | None, Option("between labels or sentences as they are emitted", rare=True)] = None
    language: Annotated[str | None, Option("code of the language of sentences, such as de", rare=True)] = None
    vocabulary: Annotated[int | None, Option("units of text counted by name, the commonest", rare=True)] = None

    def made(self, labels: str | None, copying: bool = False) -> Any:
        """The cutter, from its name and options; --labels and --names mean labels.

        Args:
            labels: columns of --labels.
            copying: whether units are copied; the language is then that of their sentences, not the cutter's.

        Raises:
            InputError: no cutter is named, or it takes no such option.
        """
        from mireorder.cutting import CUTTERS

        name = self.cutter or ("labels" if labels or self.names else None)
        if name is None:
            raise InputError("no cutter is named", remedy=f"pass --cutter, one of {', '.join(CUTTERS)}")
        options: dict[str, Any] = {
            "delimiter": self.delimiter,
            "missing": self.missing,
            "counted": self.counted,
            "pattern": self.pattern,
            "path": tuple(self.path.split(".")) if self.path else None,
            "canonical": self.canonical,
            "align": self.align,
            "width": self.width,
            "joiner": self.joiner,
            "language": None if copying else self.language,
            "vocabulary": self.vocabulary,
        }
        if self.names is not None:
            options["names"] = tuple(line for line in lines(self.names) if line)
        return _with_options(name, CUTTERS, "cutter", options)


@dataclass(frozen=True)
class Scores:
    """What scores slots."""

    panel: ClassVar[str] = "Order"

    criterion: Annotated[
        str,
        Option(
            "what scores slots: {names}; none counts rows alone, auto is the policy's, or joint", names=choices.criteria
        ),
    ] = "auto"
    k: Annotated[int | None, Option("size of the subsets (subset)", rare=True)] = None
    normalised: Annotated[bool | None, Option("divide scores by H(t_i) (subset)", rare=True)] = None
    words: Annotated[int | None, Option("how many words are looked at (presence, bigram)", rare=True)] = None
    spelled: Annotated[
        int | None, Option("bytes that a unit is spelled out in, 0 for none (usable)", rare=True, least=0)
    ] = None

    @property
    def given(self) -> dict[str, Any]:
        """The options of a criterion that are given."""
        options = {"k": self.k, "normalised": self.normalised, "words": self.words, "spelled": self.spelled}
        return {name: value for name, value in options.items() if value is not None}


@dataclass(frozen=True)
class SeveralScores(Scores):
    """What scores slots, where several criteria are compared."""

    criterion: Annotated[str, Option("one or several, as in joint,subset: {names}", names=choices.criteria)] = "auto"

    def several(self) -> list[Any]:
        """The criteria, each with those of the options that it takes.

        Raises:
            InputError: none of them takes an option that is given, or a name is unknown.
        """
        from mireorder.information.criteria import CRITERIA

        found, left = [], set(self.given)
        for name in listed(self.criterion):
            takes = getattr(CRITERIA.get("joint" if name == "auto" else name), "__dataclass_fields__", self.given)
            own = {option: value for option, value in self.given.items() if option in takes}
            left -= own.keys()
            found.append(criterion(name, own))
        if left:
            problem = f"no criterion of {self.criterion} takes --{dashed(min(left))}"
            raise InputError(problem, remedy="leave it out")
        return found


def criterion(name: str, options: Mapping[str, Any], copies: bool = False, own: str | None = None) -> Any:
    """The criterion, from its name and options; ``auto`` and ``none`` are names that `Order` knows.

    Args:
        name: in `CRITERIA`, ``auto`` or ``none``.
        options: those that are given.
        copies: whether they are of what chooses copies, which has no name.
        own: the one that a policy takes where none is named; None takes ``joint``.

    Raises:
        InputError: there is no such criterion, or it takes no such option.
    """
    from mireorder.information.association import Associating
    from mireorder.information.criteria import CRITERIA

    if name in ("none", "auto") and not options:
        return name
    if name == "none":
        raise InputError(f"criterion none takes no --{dashed(min(options))}", remedy="leave it out")
    if name == "auto" and copies:
        return _with_options("lead", {"lead": Associating}, "policy", options)
    return _with_options((own or "joint") if name == "auto" else name, CRITERIA, "criterion", options)


@dataclass(frozen=True)
class Choice:
    """Which order is asked for."""

    panel: ClassVar[str] = "Order"

    policy: Annotated[
        str | None, Option("what makes the order, max if none is given: {names}", names=choices.policies)
    ] = None
    order: Annotated[str | None, Option("the order itself, slots by step, or names: 2,1,3,0 or b,a")] = None
    marked: Annotated[bool, Option("write each unit behind a marker of its slot")] = False
    markers: Annotated[
        str | None, Option("what markers look like, {} being the slot, or of lead what is copied", rare=True)
    ] = None
    copies: Annotated[
        str | None,
        Option("units copied to the front: how many (lead), or a span's length, or all (others)", rare=True),
    ] = None
    place: Annotated[str | None, Option("where the span is taken: random, best or last (of a span)", rare=True)] = None
    whole: Annotated[bool, Option("copy to the front of the target, not of each sentence", rare=True)] = False
    unmarked: Annotated[bool, Option("copy without marks, as in the paper", rare=True)] = False
    stop_words: Annotated[int | None, Option("how many of the commonest words are never copied (lead)", rare=True)] = (
        None
    )

    @property
    def copying(self) -> bool:
        """Whether units are copied. Raises InputError if there is no such policy."""
        from mireorder.ordering.policies import policy_of

        return self.policy is not None and policy_of(self.policy).copies is not None

    def asked(self, scores: Scores, ties: str, trust: Trust, language: str | None) -> Order:
        """The order that is asked for.

        Args:
            scores: what scores slots.
            ties: criterion that breaks ties, or none.
            trust: how it is tested.
            language: of the sentences whose front units are copied to.

        Raises:
            InputError: a name is unknown, or options contradict each other.
        """
        from mireorder.ordering.order import Order
        from mireorder.ordering.policies import POLICIES

        if self.order is not None and self.policy is not None:
            raise InputError("--order and --policy both name the order", remedy="pass one of them")
        policy = one_of(self.policy or "max", {name: POLICIES[name] for name in choices.policies()}, "policy")
        options = scores.given | ({} if self.stop_words is None else {"stop_words": self.stop_words})
        return Order(
            self._copies(trust.seed, language) if self.copying else self._moves(),
            criterion(scores.criterion, options, self.copying, policy.criterion or policy.usual),
            None if ties == "none" else ties,
            trust.estimator,
            self._permutation(),
            self.markers or self.marked,
            trust.shuffles,
            trust.resamples,
            trust.seed,
        )

    def _permutation(self) -> list[int] | list[str] | None:
        from mireorder.ordering.named import parts_of

        if self.order is None:
            return None
        if self.order in choices.policies():
            problem, remedy = f"{self.order!r} is no order", f"that is a policy: pass --policy={self.order}"
            raise InputError(problem, remedy=remedy)
        return parts_of(self.order)

    def _moves(self) -> str | None:
        """The policy's name, where nothing is copied."""
        given = {"--copies": self.copies, "--place": self.place, "--whole": self.whole, "--unmarked": self.unmarked}
        if used := [option for option, value in given.items() if value]:
            problem = f"policy {self.policy or 'max'} copies nothing, so there is no {used[0]}"
            raise InputError(problem, remedy="pass --policy=lead")
        return self.policy

    def _copies(self, seed: int, language: str | None) -> Any:
        """What is copied ahead."""
        from mireorder.ordering.copying.policies import Copying, Lead, Lookahead
        from mireorder.ordering.copying.trelawney import Trelawney

        try:
            number = None if self.copies in (None, "all") else int(str(self.copies))
        except ValueError:
            raise InputError(f"--copies {self.copies!r} is not a number", remedy="pass a number, or all") from None
        if self.policy == "lead":
            if self.place is not None or self.copies == "all":
                raise InputError("policy lead copies single units", remedy="pass --policy=lookahead")
            chosen: Lead | Lookahead = Lead(1 if number is None else number)
        else:
            spans = Trelawney if self.policy == "trelawney" else Lookahead
            chosen = spans(4 if self.copies is None else number, self.place or "random", seed)
        return Copying(chosen, not self.whole, language or "en", not self.unmarked)


@dataclass(frozen=True)
class Trust:
    """How sure the order is."""

    panel: ClassVar[str] = "Trust"

    estimator: Estimator = None
    shuffles: Annotated[
        int | None,
        Option("shuffled targets each score is tested against; by default enough for all slots", rare=True, least=0),
    ] = None
    resamples: Annotated[
        int | None, Option("bootstrap resamples that show how sure the order is; by default up to 100", least=0)
    ] = None
    seed: Annotated[int, Option("seed of random orders, shuffles and resamples", rare=True, least=0)] = 0


@dataclass(frozen=True)
class Run:
    """What becomes of rows, and what is printed."""

    panel: ClassVar[str] = "Output"

    between: Annotated[
        str | None, Option("text between source and target; by default the separator or a space", rare=True)
    ] = None
    memory: Memory = None
    reject: Reject = False
    max_rejected: MaxRejected = None
    restart: Restart = False
    as_json: Json = False


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
        taken: names of the command's parameters that go with it; where and what is printed always does.
        why: the others don't.
    """
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "")
        if given is not None and given.name == "COMMANDLINE" and parameter.name not in taken | {"out", "as_json"}:
            name = parameter.opts[0] if parameter.param_type_name == "option" else "DATA"
            raise InputError(f"{name} can't be given with {option}: {why}", remedy="leave one of the two out")


def _with_options(name: str, known: Mapping[str, type[T]], what: str, options: Mapping[str, Any]) -> T:
    """The cutter or criterion of that name; an option it does not have is an error."""
    kind = one_of(name, known, what)
    given = {option: value for option, value in options.items() if value is not None}
    for option in given:
        if option not in kind.__dataclass_fields__:  # type: ignore[attr-defined]
            problem = f"{what} {name} takes no --{dashed(option)}"
            raise InputError(problem, remedy=f"leave it out or choose another {what}")
    return kind(**given)
