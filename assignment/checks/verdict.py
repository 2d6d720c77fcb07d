"""Judge the outcome of a check.

    outcome of a check -> judge -> Verdict

"Not attempted", exceptions and invalid results are reported directly. A rule, where the check has
one, looks for mistakes by its own means. Otherwise the compared arrays are held against the
reference. An array that differs is looked up among the fingerprints of known mistakes; a difference
that no fingerprint explains is described.

A mistake is named only when its fingerprint matches all compared arrays, except for rounding: a
wrong name is worse than no name. Where several match, one that an earlier check of the same code
named goes first. The results without regularization and what `reg` adds are looked up apart if need
be, each also as a product of two mistakes.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property, partial
from itertools import compress, takewhile
from typing import Any, NamedTuple

import numpy as np

from assignment.checks import errors
from assignment.checks.answer_key import AnswerKey
from assignment.checks.check import (
    Arrays,
    Check,
    Exercise,
    Mistake,
    Outcome,
    Raised,
    RuleContext,
    run_check_for,
)
from assignment.checks.differences import (
    ADDED_BY_REG,
    HEADLINES,
    Difference,
    added_by_reg,
    find_difference,
    is_part,
    is_without_reg,
)
from assignment.checks.student import Student
from assignment.workspace.regions import unwritten


class Status(StrEnum):
    """The verdict in one word."""

    PASSED = "passed"
    NOT_ATTEMPTED = "not attempted"
    WAITING = "waiting"  # for another check, without which it is worth nothing
    RAISED = "raised"
    TIMED_OUT = "timed out"
    CRASHED = "crashed"
    WRONG = "wrong"


@dataclass(frozen=True)
class Verdict:
    """The verdict on one check, as students and graders read it.

    `headline` is the mistake's name or the kind of difference, in a few words; `text` says where it
    shows, `hint` points at the cause, `quoted` is the student's traceback or output. `kind` is the
    kind of difference, `mistake` the mistake's id, `details` describe other inputs.
    Each may be empty.
    """

    check: str
    title: str
    status: Status
    points: int
    out_of: int
    headline: str = ""
    text: str = ""
    hint: str = ""
    quoted: str = ""
    kind: str = ""
    mistake: str = ""
    details: str = ""

    @property
    def passed(self) -> bool:
        return self.status is Status.PASSED


class Judge:
    """Judges the checks of an exercise, each at most once.

    `answer_key` belongs to the seed that the checks are made from, `sources` are the student's
    files, for the rules that read them, and `data` the notebook's data and parameters. `bounds`
    replace some of the exercise's. `outcome_of` returns the outcome of a check; it is called once
    for each, and only if its verdict needs it.
    """

    def __init__(
        self,
        exercise: Exercise,
        answer_key: AnswerKey,
        sources: Mapping[str, str],
        outcome_of: Callable[[Check], Outcome],
        data: Mapping[str, Any] | None = None,
        bounds: Mapping[str, float] | None = None,
    ) -> None:
        self.exercise, self.answer_key, self.sources = exercise, answer_key, sources
        self.outcome_of, self.data = outcome_of, data or {}
        self.bounds = {**exercise.bounds, **(bounds or {})}
        self._verdicts: dict[str, Verdict] = {}

    @classmethod
    def of_student(
        cls,
        exercise: Exercise,
        answer_key: AnswerKey,
        student: Student,
        data: Mapping[str, Any] | None = None,
    ) -> "Judge":
        """Make a judge that runs the checks in this process, on this student's code."""

        def outcome_of(check: Check) -> Outcome:
            return run_check_for(check, student, answer_key.seed)

        return cls(exercise, answer_key, student.sources, outcome_of, data)

    @cached_property
    def _unwritten(self) -> dict[str, str]:
        """Sentences on what to write, by the names of the regions that do nothing."""
        return {
            region: f"Write {title} in {path}."
            for path, text in self.sources.items()
            for region, title in unwritten(path, text).items()
        }

    def verdict(self, name: str) -> Verdict:
        """Return the verdict on the exercise's check of that name."""
        if name not in self._verdicts:
            check = self.exercise.check(name)
            self._verdicts[name] = self._with_cause(check, self.verdict_on(check))
        return self._verdicts[name]

    def _with_cause(self, check: Check, verdict: Verdict) -> Verdict:
        """Return the verdict on what the notebook made, or on why it could not.

        Code that is not written, or raises, has a check of its own, which says so. So has wrong
        code, where the notebook raises.
        """
        has_cause = check.in_notebook and check.requires  # a practice check explains itself
        if not has_cause or verdict.status in (Status.PASSED, Status.WAITING):
            return verdict
        for other in self.exercise.checks:
            if not other.in_notebook and {*other.regions} <= {*check.regions}:
                cause = self.verdict(other.name)
                if cause.status is Status.NOT_ATTEMPTED:
                    return _not_attempted(check, cause.text)
                if cause.status is Status.RAISED or (
                    verdict.status is Status.RAISED and not cause.passed
                ):
                    return _waiting(check, other)
        return verdict

    def verdict_on(self, check: Check) -> Verdict:
        """Return the verdict on a check, which need not belong to the exercise."""
        unmet = [name for name in check.requires if not self.verdict(name).passed]
        if unmet:
            first = self.verdict(unmet[0])
            if first.status is Status.NOT_ATTEMPTED:
                return _not_attempted(check, first.text)
            return _waiting(check, self.exercise.check(unmet[0]))
        for name in check.baseline:
            needed = {*self.exercise.check(name).compared} & {*check.compared}
            if needed and self.verdict(name).status is Status.NOT_ATTEMPTED:
                return _not_attempted(check, self.verdict(name).text)
        outcome = self.outcome_of(check)
        own_seed = check.seed_from(self.answer_key.seed)
        context = RuleContext(own_seed, self.sources, outcome.cpu_ratio, self.data, self.bounds)
        baseline = self._baseline(check)
        # The answer key for the public seed comes with the assignment; any other one is secret.
        is_public = self.answer_key.seed == self.exercise.seed
        verdict = judge(check, outcome, self.answer_key, context, baseline, is_public)
        # Code outside its region passes as well.
        if not verdict.passed and check.regions and self._unwritten.keys() >= {*check.regions}:
            return _not_attempted(check, self._unwritten[check.regions[0]])
        return verdict

    def _baseline(self, check: Check) -> "Baseline":
        here = {print_.mistake for print_ in self.answer_key.fingerprints.get(check.name, [])}
        verdicts = [self.verdict(name) for name in check.baseline]
        explained = [v.passed or bool(v.mistake and v.mistake not in here) for v in verdicts]
        return Baseline(
            right=bool(verdicts) and all(explained),
            untouched=all(v.status is Status.NOT_ATTEMPTED for v in verdicts),
            finite=all(v.kind != "nan" for v in verdicts),
            earlier=partial(self._earlier, check),
        )

    def _earlier(self, check: Check) -> tuple[set[str], set[str]]:
        """Return the mistakes that earlier checks of this code name, and those they rule out."""
        before = takewhile(lambda other: other.name != check.name, self.exercise.checks)
        shared = [c.name for c in before if not c.in_notebook and {*c.regions} & {*check.regions}]
        verdicts = [self.verdict(name) for name in (*check.baseline, *shared)]
        passed = [self.answer_key.fingerprints.get(v.check, []) for v in verdicts if v.passed]
        ruled_out = {print_.mistake for prints in passed for print_ in prints}
        return {verdict.mistake for verdict in verdicts}, ruled_out


class Baseline(NamedTuple):
    """The verdicts on the same code for ordinary input.

    `right` allows for mistakes that do not show in the check at hand; `untouched` means that no
    code has been written; `finite` that no nan was found. `earlier` returns the mistakes that
    these and other earlier checks of the same code name, and those that they rule out.
    """

    right: bool
    untouched: bool
    finite: bool
    earlier: Callable[[], tuple[set[str], set[str]]]


def judge(
    check: Check,
    outcome: Outcome,
    answer_key: AnswerKey,
    context: RuleContext,
    baseline: Baseline,
    show_expected: bool = False,
) -> Verdict:
    """Judge one outcome; the text gives expected numbers only if `show_expected` is set."""
    if outcome.missing:
        return _not_attempted(check, outcome.missing)
    if outcome.timed_out:
        text = outcome.timed_out
        return _failed(check, Status.TIMED_OUT, "timed out", text=text, quoted=_quote(outcome))
    if outcome.crashed:
        return _failed(check, Status.CRASHED, "crashed", text=outcome.crashed)
    if outcome.raised is not None:
        return _raised(check, outcome, outcome.raised, answer_key)
    if outcome.invalid:
        return _invalid(check, outcome.invalid)
    try:
        finding = check.rule(outcome.arrays, context) if check.rule else None
    except Exception:  # in a graded run the arrays may have been forged, with any names and shapes
        return _invalid(check, "The results do not have the form that this check returns.")
    noted = None
    if finding is not None:
        described = {**check.mistakes, **answer_key.mistakes}
        id = finding.mistake if finding.mistake in described else ""
        headline = finding.headline or finding.mistake.replace("_", " ")
        known = described[id] if id else Mistake(headline, "")
        noted = _wrong(check, outcome, known.name, finding.detail, known.hint, id)
        if not finding.passes:
            return noted
    verdict = _passed(check)
    if check.compared:
        verdict = _compare(check, outcome, answer_key, baseline, show_expected)
    if noted and verdict.passed:
        return replace(noted, status=Status.PASSED, points=check.points, quoted="")
    return verdict


def _compare(
    check: Check,
    outcome: Outcome,
    answer_key: AnswerKey,
    baseline: Baseline,
    show_expected: bool,
) -> Verdict:
    """Compare an outcome's arrays with the reference, and explain the difference."""
    reference = answer_key.reference[check.name]
    difference = find_difference(
        outcome.arrays, reference, check.compared, check.tolerance, show_expected
    )
    if difference is None:
        return _passed(check)
    if baseline.untouched and _all_zero(outcome.arrays, reference, check.compared):
        what = " and ".join(check.compared)
        return _not_attempted(check, f"The function still returns 0 for {what}: write that part.")
    whole = _Part(reference, check.compared)
    explained = [whole.explain(difference, check, outcome.arrays, answer_key, baseline)]
    mistakes = explained[0].mistakes
    # A sign or divisor that is wrong in all of it is no mistake of what `reg` adds.
    if not explained[0].fully and len(mistakes) < 2:
        apart = _explain_parts(check, outcome.arrays, answer_key, baseline, show_expected)
        if any(part.mistakes for part in apart):
            if all(part.fully for part in apart) or not mistakes:
                explained = apart
        elif apart and difference.kind == "unregularised":
            added = apart[0].difference
            text = f"{added.text} It is right where reg is 0."
            difference = Difference(difference.kind, text, added.details)
    ids = [id for part in explained for id in part.mistakes]
    if ids:
        known = answer_key.mistakes
        hints = [known[id].hint for id in ids]
        if not explained[0].mistakes and not check.baseline:
            hint = check.hints.get(explained[0].difference.kind, "")
            hints = [hint, *hints] if hint and hint not in known else hints
        return _wrong(
            check,
            outcome,
            join_headlines([name for part in explained for name in part.headlines(known)]),
            " ".join(part.difference.text for part in explained),
            " ".join(hints),
            ids[0],
            explained[0].difference.kind,
        )
    # A nan in code that is finite on ordinary input has a cause of its own, which the hint names.
    applies = baseline.finite if difference.kind == "nan" else baseline.right
    hint = check.hints.get(difference.kind, "") if applies or not check.baseline else ""
    mistake = hint if hint in answer_key.mistakes else ""
    headline = HEADLINES[difference.kind]
    if mistake:
        headline, hint = vars(answer_key.mistakes[mistake]).values()
    wrong = _wrong(check, outcome, headline, difference.text, hint, mistake, difference.kind)
    return wrong if mistake else replace(wrong, details=difference.details)


class _Part(NamedTuple):
    """Some arrays of a check's reference, and the quantities among them that are compared.

    A mistake that changes an array in `others` belongs to another part.
    """

    reference: Arrays
    quantities: tuple[str, ...]
    others: Collection[str] = ()

    @property
    def compared(self) -> list[str]:
        return [name for name in self.reference if is_part(name, self.quantities)]

    def explain(
        self,
        difference: Difference,
        check: Check,
        arrays: Arrays,
        answer_key: AnswerKey,
        baseline: "Baseline",
    ) -> "_Explained":
        """Explain the compared arrays by one mistake, or by the product of two."""
        mistake, fully = self._one_mistake(check, arrays, answer_key, baseline)
        mistakes: tuple[str, ...] = (mistake,) if mistake else ()
        if not mistake and difference.kind in ("factor", "offset", "wrong"):
            mistakes = self._product(check, arrays, answer_key, baseline)
        return _Explained(difference, mistakes, fully)

    def _one_mistake(
        self, check: Check, arrays: Arrays, answer_key: AnswerKey, baseline: "Baseline"
    ) -> tuple[str, bool]:
        """Return the id of the one mistake that explains the compared arrays, or "".

        Several may explain them: a factor in the loss may be in the gradient, too. Then the
        diagnostic arrays decide, then the names given before, then the number of checks that a
        mistake fails: the fewest; and last, whether it would have shown before. Also return whether
        it explains the diagnostic arrays. A fingerprint that is all nan proves little: it counts
        where the same code is right on ordinary input, or the same mistake was named there.
        """
        stack = answer_key.stack(check.name)
        disjoint = (f.arrays.keys().isdisjoint(self.others) for f in stack.fingerprints)
        own = np.fromiter(disjoint, bool)
        compared_match = stack.match(arrays, self.compared) & own
        if not compared_match.any():
            return "", False
        all_match = stack.match(arrays, self.reference) & own
        partly = list(compress(stack.fingerprints, compared_match))
        fully = list(compress(stack.fingerprints, all_match))
        candidates = [f for f in fully or partly if _has_numbers(f.arrays, check.compared)]
        ruled_out: set[str] = set()
        if len({f.mistake for f in candidates}) != 1:
            named, ruled_out = baseline.earlier()
            first = [f for f in candidates or fully if f.mistake in named]
            candidates = first or candidates or fully * baseline.right
        fewest = min((f.shows_in for f in candidates), default=0)
        ids = {f.mistake for f in candidates if f.shows_in == fewest}
        if len(ids) > 1:
            ids -= ruled_out
        return (ids.pop(), bool(fully)) if len(ids) == 1 else ("", False)

    def _product(
        self, check: Check, arrays: Arrays, answer_key: AnswerKey, baseline: "Baseline"
    ) -> tuple[str, ...]:
        """Return the ids of the only two mistakes whose product explains the compared arrays.

        The second one multiplies all by sizes, such as by N where a mean became a sum.
        """
        found = {}
        if not any(arrays[name].any() for name in self.compared):
            return ()  # any multiple of 0 is 0
        for factors, product in answer_key.stack(check.name).products(self.compared):
            divided = {name: arrays[name] / factor for name, factor in factors.items()}
            if first := self._one_mistake(check, divided, answer_key, baseline)[0]:
                second = self._one_mistake(check, product, answer_key, baseline)[0]
                if second not in ("", first):
                    found[frozenset((first, second))] = first, second
        return found.popitem()[1] if len(found) == 1 else ()


class _Explained(NamedTuple):
    """A difference, and the mistakes that explain it, if any do.

    `fully` means that they explain the diagnostic arrays, too.
    """

    difference: Difference
    mistakes: tuple[str, ...]
    fully: bool

    def headlines(self, known: Mapping[str, Mistake]) -> list[str]:
        return [known[id].name for id in self.mistakes] or [HEADLINES[self.difference.kind]]


def _explain_parts(
    check: Check,
    arrays: Arrays,
    answer_key: AnswerKey,
    baseline: Baseline,
    show_expected: bool,
) -> list[_Explained]:
    """Explain the results without regularization, and what `reg` adds to them, each by itself.

    Return only the parts that differ from the reference.
    """
    reference = answer_key.reference[check.name]
    arrays = arrays | added_by_reg(arrays)
    data = {name: array for name, array in reference.items() if is_without_reg(name)}
    added = tuple(f"{ADDED_BY_REG}{name}" for name in check.compared)
    parts = _Part(data, check.compared), _Part(added_by_reg(reference), added, data)
    if not all(part.compared and arrays.keys() >= {*part.compared} for part in parts):
        return []
    found: list[_Explained] = []
    for part in parts:
        difference = find_difference(
            arrays, part.reference, part.quantities, check.tolerance, show_expected
        )
        if difference:
            explained = part.explain(difference, check, arrays, answer_key, baseline)
            adds_nothing = not any(arrays[name].any() for name in part.compared)
            if found and not found[0].mistakes and adds_nothing:
                # The mistake may be there without `reg`: then it is in the data's part.
                explained = explained._replace(mistakes=())
            found.append(explained)
    return found


def join_headlines(headlines: Iterable[str]) -> str:
    """Join the headlines of the result without regularization and of what `reg` adds."""
    first, *others = dict.fromkeys(headlines)
    unnamed = HEADLINES.values()
    others = ["the regularization as well" if name in unnamed else name for name in others]
    return "; ".join([first, *others])


def _passed(check: Check) -> Verdict:
    return Verdict(check.name, check.title, Status.PASSED, check.points, check.points)


def _failed(check: Check, status: Status, headline: str, **texts: str) -> Verdict:
    return Verdict(check.name, check.title, status, 0, check.points, headline, **texts)


def _waiting(check: Check, other: Check) -> Verdict:
    text = f"This check counts once “{other.title}” ({other.name}) passes."
    return _failed(check, Status.WAITING, "waits for another check", text=text)


def _not_attempted(check: Check, text: str) -> Verdict:
    return _failed(check, Status.NOT_ATTEMPTED, "not attempted yet", text=text)


def _invalid(check: Check, text: str) -> Verdict:
    return _failed(check, Status.WRONG, "cannot be checked", text=text, kind="invalid")


def _raised(check: Check, outcome: Outcome, raised: Raised, answer_key: AnswerKey) -> Verdict:
    headline, hint = f"raised {raised.kind}", ""
    causes = (id for pattern, id in check.raises.items() if re.search(pattern, raised.traceback))
    if mistake := next((id for id in causes if id in answer_key.mistakes), ""):
        headline, hint = answer_key.mistakes[mistake].name, answer_key.mistakes[mistake].hint
    elif known := errors.recognise(raised):
        headline, hint, mistake = known.name, known.hint, known.name
    return _failed(
        check,
        Status.RAISED,
        headline,
        hint=hint,
        quoted=_quote(outcome),
        kind=raised.kind,
        mistake=mistake,
    )


def _wrong(
    check: Check,
    outcome: Outcome,
    headline: str,
    text: str,
    hint: str = "",
    mistake: str = "",
    kind: str = "",
) -> Verdict:
    return _failed(
        check,
        Status.WRONG,
        headline,
        text=text,
        hint=hint,
        quoted=_quote(outcome),
        kind=kind,
        mistake=mistake,
    )


def _quote(outcome: Outcome) -> str:
    """Return the traceback of an outcome and what the code printed."""
    traceback = outcome.raised.traceback if outcome.raised else ""
    printed = f"It printed:\n{outcome.printed}" if outcome.printed else ""
    return "\n\n".join(filter(None, [traceback, printed]))


def _all_zero(arrays: Arrays, reference: Arrays, compared: tuple[str, ...]) -> bool:
    """Return whether all is 0.0, as a stub sets it; an integer 0 may be a predicted label."""
    names = [name for name in reference if is_part(name, compared)]
    return all(
        name in arrays
        and arrays[name].dtype.kind == "f"
        and arrays[name].shape == reference[name].shape
        and not arrays[name].any()
        for name in names
    )


def _has_numbers(fingerprint: Arrays, compared: tuple[str, ...]) -> bool:
    """Return whether a compared array is all finite."""
    return any(
        is_part(name, compared) and np.isfinite(array).all() for name, array in fingerprint.items()
    )
