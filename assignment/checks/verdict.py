"""From what came out of a check to what is said about it.

    outcome of a check -> judge -> Verdict

Not attempted, raised and unusable are said as they are. A rule, where the check has one, finds a
mistake by its own means. Otherwise the judged arrays are compared with the reference; what differs
is looked up among the fingerprints of known mistakes, and what is not found there is described.

A mistake is called by name only when its fingerprint matches within rounding in all the judged
arrays: a wrong name is worse than none.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np

from assignment.checks import errors
from assignment.checks.answer_key import ROUNDING, AnswerKey
from assignment.checks.check import (
    Arrays,
    Check,
    Exercise,
    Outcome,
    Raised,
    RuleContext,
    run_check_for,
)
from assignment.checks.differences import (
    HEADLINES,
    find_difference,
    quantity,
    relative_error,
)
from assignment.checks.student import Student


class Status(StrEnum):
    """What a verdict says, in one word."""

    PASSED = "passed"
    NOT_ATTEMPTED = "not attempted"
    WAITING = "waiting"  # for another check, without which it is worth nothing
    RAISED = "raised"
    TIMED_OUT = "timed out"
    CRASHED = "crashed"
    WRONG = "wrong"


@dataclass(frozen=True)
class Verdict:
    """What is said about one check.

    Attributes
    ----------
    check, title : str
        Its name and how people call it.
    status : Status
    points, out_of : int
        What was earned, and what there was to earn.
    headline : str
        What it is in a few words: the mistake's name, or the kind of difference. Empty if passed.
    text : str
        What was found, and where.
    hint : str
        What to look at; may be empty.
    quoted : str
        The student's own traceback, or what the code printed; may be empty.
    kind, mistake : str
        The kind of difference, the mistake's id; empty where there is none.
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

    @property
    def passed(self) -> bool:
        return self.status is Status.PASSED


class Judge:
    """Says what comes of an exercise's checks.

    Parameters
    ----------
    exercise : Exercise
    answers : Answers
        For the seed that the checks are made from.
    sources : mapping
        The student's files, for the rules that read them.
    outcome_of : callable
        Gives the outcome of a check; asked once for each, and only if its verdict needs it.
    data : mapping
        What the rules may look at of the notebook's data and parameters.
    """

    def __init__(
        self,
        exercise: Exercise,
        answer_key: AnswerKey,
        sources: Mapping[str, str],
        outcome_of: Callable[[Check], Outcome],
        data: Mapping[str, Any] | None = None,
    ) -> None:
        self.exercise, self.answer_key, self.sources = exercise, answer_key, sources
        self.outcome_of, self.data = outcome_of, data or {}
        self._verdicts: dict[str, Verdict] = {}

    @classmethod
    def of_student(
        cls,
        exercise: Exercise,
        answer_key: AnswerKey,
        student: Student,
        data: Mapping[str, Any] | None = None,
    ) -> "Judge":
        """A judge that runs the checks here, on this code."""

        def outcome_of(check: Check) -> Outcome:
            return run_check_for(check, student, answer_key.seed)

        return cls(exercise, answer_key, student.sources, outcome_of, data)

    def verdict(self, name: str) -> Verdict:
        """The verdict on the check of that name."""
        if name not in self._verdicts:
            self._verdicts[name] = self.verdict_on(self.exercise.check(name))
        return self._verdicts[name]

    def verdict_on(self, check: Check) -> Verdict:
        """The verdict on a check, which may be none of the exercise's."""
        unmet = [name for name in check.requires if not self.verdict(name).passed]
        if unmet:
            first = self.verdict(unmet[0])
            if first.status is Status.NOT_ATTEMPTED:
                return _verdict(check, Status.NOT_ATTEMPTED, "not attempted yet", text=first.text)
            title = self.exercise.check(unmet[0]).title
            text = f"This one counts once “{title}” ({unmet[0]}) passes."
            return _verdict(check, Status.WAITING, "waits for another check", text=text)
        outcome = self.outcome_of(check)
        context = RuleContext(
            check.seed_from(self.answer_key.seed), self.sources, outcome.seconds, self.data
        )
        return judge(check, outcome, self.answer_key, context, self._baseline(check))

    def _baseline(self, check: Check) -> "Baseline":
        here = {print_.mistake for print_ in self.answer_key.fingerprints.get(check.name, [])}
        verdicts = [self.verdict(name) for name in check.baseline]
        explained = [v.passed or bool(v.mistake and v.mistake not in here) for v in verdicts]
        return Baseline(
            right=bool(verdicts) and all(explained),
            untouched=all(v.status is Status.NOT_ATTEMPTED for v in verdicts),
            finite=all(v.kind != "nan" for v in verdicts),
            mistakes={v.mistake for v in verdicts if v.mistake},
        )


class Baseline(NamedTuple):
    """What is known of the same code on ordinary input.

    It is `right` but for mistakes that do not show in the check at hand; it is `untouched`; it is
    `finite`, right or not; the `mistakes` that were called by their names there.
    """

    right: bool
    untouched: bool
    finite: bool
    mistakes: set[str]


def judge(
    check: Check,
    outcome: Outcome,
    answer_key: AnswerKey,
    context: RuleContext,
    baseline: Baseline,
) -> Verdict:
    """The verdict on one outcome.

    Where the same code is right on ordinary input, a nan speaks for itself. Otherwise a fingerprint
    of which nothing is left but nan names no mistake that has not been named there.
    """
    if outcome.missing:
        return _verdict(check, Status.NOT_ATTEMPTED, "not attempted yet", text=outcome.missing)
    if outcome.timed_out:
        at = outcome.raised.traceback if outcome.raised else ""
        return _verdict(check, Status.TIMED_OUT, "timed out", text=outcome.timed_out, quoted=at)
    if outcome.crashed:
        return _verdict(check, Status.CRASHED, "crashed", text=outcome.crashed)
    if outcome.raised is not None:
        return _raised(check, outcome.raised, answer_key)
    if outcome.invalid:
        return _verdict(
            check, Status.WRONG, "nothing to judge", text=outcome.invalid, kind="unusable"
        )
    try:
        finding = check.rule(outcome.arrays, context) if check.rule else None
    except Exception:  # in a graded run the arrays may have been forged, with any names and shapes
        text = "What came out has not the form that this check returns."
        return _verdict(check, Status.WRONG, "nothing to judge", text=text, kind="unusable")
    if finding is not None:
        if finding.headline:
            return _wrong(check, outcome, finding.headline, finding.detail)
        mistake = answer_key.mistakes[finding.mistake]
        return _wrong(check, outcome, mistake.name, finding.detail, mistake.hint, finding.mistake)
    if not check.compared:
        return _passed(check)
    reference = answer_key.reference[check.name]
    difference = find_difference(outcome.arrays, reference, check.compared, check.tolerance)
    if difference is None:
        return _passed(check)
    if baseline.untouched and _all_zero(outcome.arrays, reference, check.compared):
        what = " and ".join(check.compared)
        text = f"{what} came back as it was set at the start: 0. Nothing has been computed yet."
        return _verdict(check, Status.NOT_ATTEMPTED, "not attempted yet", text=text)
    name = _name_of(check, outcome.arrays, answer_key, baseline)
    if name:
        mistake = answer_key.mistakes[name]
        return _wrong(
            check, outcome, mistake.name, difference.text, mistake.hint, name, difference.kind
        )
    telling = baseline.finite if difference.kind == "nan" else baseline.right
    hint = check.hints.get(difference.kind, "") if telling or not check.baseline else ""
    headline = HEADLINES[difference.kind]
    return _wrong(check, outcome, headline, difference.text, hint, "", difference.kind)


def _passed(check: Check) -> Verdict:
    return Verdict(check.name, check.title, Status.PASSED, check.points, check.points)


def _raised(check: Check, raised: Raised, answer_key: AnswerKey) -> Verdict:
    headline, hint, mistake = f"raised {raised.kind}", "", ""
    known = errors.recognise(raised)
    found = [name for pattern, name in check.raises.items() if re.search(pattern, raised.traceback)]
    if found:
        mistake = found[0]
        headline, hint = answer_key.mistakes[mistake].name, answer_key.mistakes[mistake].hint
    elif known:
        headline, hint, mistake = known.name, known.hint, known.name
    return _verdict(
        check,
        Status.RAISED,
        headline,
        hint=hint,
        quoted=raised.traceback,
        kind=raised.kind,
        mistake=mistake,
    )


def _verdict(check: Check, status: Status, headline: str, **said: str) -> Verdict:
    return Verdict(check.name, check.title, status, 0, check.points, headline, **said)


def _wrong(
    check: Check,
    outcome: Outcome,
    headline: str,
    text: str,
    hint: str = "",
    mistake: str = "",
    kind: str = "",
) -> Verdict:
    return _verdict(
        check,
        Status.WRONG,
        headline,
        text=text,
        hint=hint,
        quoted=f"It printed:\n{outcome.printed}" if outcome.printed else "",
        kind=kind,
        mistake=mistake,
    )


def _all_zero(arrays: Arrays, reference: Arrays, compared: tuple[str, ...]) -> bool:
    """Whether all is 0.0, as a stub sets it; a 0 that is an integer may be an honest label."""
    names = [name for name in reference if quantity(name) in compared]
    return all(
        name in arrays
        and arrays[name].dtype.kind == "f"
        and arrays[name].shape == reference[name].shape
        and not arrays[name].any()
        for name in names
    )


def _name_of(check: Check, arrays: Arrays, answer_key: AnswerKey, baseline: Baseline) -> str:
    """The id of the one mistake that explains the judged arrays, or nothing.

    Several may explain them, as when the loss has a factor that the gradient may have, too. Then
    the witnesses decide, and where they say nothing, the mistake that claims least.
    """
    reference = answer_key.reference[check.name]
    found = [
        fingerprint
        for fingerprint in answer_key.fingerprints.get(check.name, [])
        if _matches(fingerprint.arrays, arrays, reference, check.compared)
    ]
    everything = tuple({quantity(name) for name in reference})
    exactly = [f for f in found if _matches(f.arrays, arrays, reference, everything)]
    telling = [f for f in exactly or found if _says_something(f.arrays, check.compared)]
    named = [f for f in exactly if f.mistake in baseline.mistakes]
    found = telling or (exactly if baseline.right else named)
    least = min((fingerprint.shows_in for fingerprint in found), default=0)
    names = {fingerprint.mistake for fingerprint in found if fingerprint.shows_in == least}
    return names.pop() if len(names) == 1 else ""


def _says_something(fingerprint: Arrays, compared: tuple[str, ...]) -> bool:
    """Whether there is any finite number in it: a nan alone is no proof of anything."""
    return any(
        quantity(name) in compared and np.isfinite(array).all()
        for name, array in fingerprint.items()
    )


def _matches(
    fingerprint: Arrays,
    arrays: Arrays,
    reference: Arrays,
    quantities: tuple[str, ...],
) -> bool:
    """Whether each array is that of the fingerprint, or of the reference where it has none."""
    return all(
        name in arrays and relative_error(arrays[name], fingerprint.get(name, right)) <= ROUNDING
        for name, right in reference.items()
        if quantity(name) in quantities
    )
