"""Restore while a model writes: natural text is passed on as soon as nothing that follows can change it."""

from __future__ import annotations

from typing import Protocol

from mireorder.restoring.bundled import AnyRestorer, BundleRestorer
from mireorder.restoring.restorer import Restorer
from mireorder.restoring.units import Restored
from mireorder.serving.following import follow
from mireorder.serving.within import Follower, Plain


class Planned(Protocol):
    """A plan, as far as streams go."""

    @property
    def restorer(self) -> AnyRestorer: ...  # noqa: D102


class Stream:
    """One answer, restored while it is written.

    ``feed`` takes what the model has written since and gives the natural text that is certain by now; ``finish`` gives
    the verdict. What ``feed`` gave, one after the other, and ``rest`` after ``finish`` are the restored text.

    Args:
        plan: the model's, or its `Restorer`; or a bundle, or its `BundleRestorer`.
        prompt: what it answers, as it stands in the dataset; kind ``causal`` needs it, and bundles may.
        group: of a bundle, the group of the row; None where the prompt says it.

    Attributes:
        rest: the natural text that only the end made certain, once finished.

    Raises:
        PlanError, InputError: as `Restorer.restore` does where units are ids, or the prompt can't be used; or as
            `BundleRestorer.restore` where nothing says the group, or it has no plan.

    Example:
        >>> from mireorder import Digits, fit
        >>> rows = [{"question": f"{a}+{b}=", "answer": str(a + b)} for a in range(40) for b in range(40)]
        >>> stream = Stream(fit(rows, source="question", target="answer", cutter="digits", order="plain"))
        >>> [stream.feed(piece) for piece in ("4", "2")]
        ['4', '2']
        >>> stream.finish().text
        '42'
    """

    def __init__(self, plan: Planned | AnyRestorer, prompt: str | None = None, group: str | None = None) -> None:
        found = plan if isinstance(plan, Restorer | BundleRestorer) else plan.restorer
        self._start = found.start
        restorer, prompt = found.member(prompt, group) if isinstance(found, BundleRestorer) else (found, prompt)
        if restorer is not None:
            restorer.require_text()
        self._restorer = restorer
        self._follower: Follower = Plain() if restorer is None else follow(restorer, restorer.source(prompt))
        self._prompt, self._emitted, self._given = prompt, list[str](), list[str]()
        self._opening: str | None = ""  # what may be the white space that opens a completion
        self.rest = ""

    @property
    def given(self) -> str:
        """The natural text passed on so far."""
        return "".join(self._given)

    @property
    def held(self) -> list[str]:
        """The units that are there but held back, as they were emitted: others belong in front of them."""
        return self._follower.held

    def feed(self, text: str) -> str:
        """Take more of the emission; returns the natural text that has become certain, often ''.

        A malformed emission takes nothing back.
        """
        self._emitted.append(text)
        if self._opening is not None:
            text, start = self._opening + text, self._start
            if len(text) < len(start) and start.startswith(text):
                self._opening = text
                return ""
            self._opening, text = None, text.removeprefix(start)
        new = self._follower.feed(text)
        self._given.append(new)
        return new

    def finish(self) -> Restored:
        """The emission has ended: what it restores to. If that contradicts what was given, the verdict says so."""
        emitted = "".join(self._emitted)
        if self._restorer is None:
            restored = Restored(emitted.removeprefix(self._start), "complete")
        else:
            restored = self._restorer.restore(emitted, self._prompt)
        given = self.given
        if restored.text.startswith(given):
            self.rest = restored.text[len(given) :]
            return restored
        problem = f"{restored.problem or 'it changed its mind'}; {given!r} had been passed on"
        return Restored(given, "malformed", problem)
