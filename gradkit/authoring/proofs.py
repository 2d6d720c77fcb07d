"""The runs that `gradkit verify` proves verdicts by, a part of them in each process of its pool.

prove_forms        the checks on forms of variants and mistakes, for the public seed
prove_seeds        the same for other seeds
name_pairs         the names for two mistakes at once
prove_notebooks    the checks of the notebook's results, after it ran with a form in it

Each takes the exercise's name, the project and its part of the work, and returns what is wrong.
"""

import contextlib
import io
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import cache
from itertools import combinations, compress
from pathlib import Path
from typing import Any

from assignment.checks.answer_key import ROUNDING
from assignment.checks.check import Arrays, Check, Outcome, load_exercise, run_check_for
from assignment.checks.differences import is_part, relative_error
from assignment.checks.student import Student
from assignment.checks.verdict import Judge, Status, Verdict
from assignment.workspace import regions
from gradkit.authoring.mistakes_lock import (
    NO_NAME,
    OWN,
    FormVerdict,
    Lock,
    Problem,
    find_differences,
)
from gradkit.course.answer_key import compute_answer_key
from gradkit.course.exercise_config import read_config
from gradkit.course.exercise_data import draw_data, notebook_variables
from gradkit.course.mistakes import (
    Bank,
    Mutant,
    SourceTree,
    apply_edits,
    read_bank,
    without_magics,
)
from gradkit.files import temporary_folder

SLOW_SEEDS = range(5)  # for checks that are marked slow

DATA_SEED = 1


@cache
def bank_of(name: str, project: Path) -> Bank:
    return read_bank(load_exercise(name), project)


def forms_of(bank: Bank) -> tuple[Mutant, ...]:
    """Return all forms of variants, then of mistakes; the pool's processes get their numbers."""
    return (*bank.variants, *bank.mutants)


def code_checks(bank: Bank) -> list[Check]:
    return [check for check in bank.exercise.checks if not check.in_notebook]


def not_passed(judge: Judge, checks: Iterable[Check], subject: str) -> list[Problem]:
    verdicts = [judge.verdict(check.name) for check in checks]
    return [
        Problem(subject, f"{verdict.check} should pass, but is", verdict_text(verdict))
        for verdict in verdicts
        if not verdict.passed
    ]


def verdict_text(verdict: Verdict) -> str:
    lines = " / ".join(filter(None, [verdict.headline, verdict.text, verdict.quoted]))
    return f"{verdict.status} ({lines})"


# ---- forms and seeds -----------------------------------------------------------------------------


class _Runs:
    """The outcomes of checks for one seed, each run once on each tree, and the answer key."""

    def __init__(self, bank: Bank, seed: int) -> None:
        self.bank, self.seed = bank, seed
        self._outcomes: dict[tuple[SourceTree, str], Outcome] = {}
        self.answer_key = compute_answer_key(bank, seed, self.run)

    def run(self, check: Check, tree: SourceTree) -> Outcome:
        key = (tree, check.name)
        if key not in self._outcomes:
            self._outcomes[key] = run_check_for(check, tree.loaded, self.seed)
        return self._outcomes[key]

    def judge(self, tree: SourceTree) -> Judge:
        def outcome_of(check: Check) -> Outcome:
            return self.run(check, tree)

        return Judge(self.bank.exercise, self.answer_key, tree.files, outcome_of)

    def alike(self, check: Check, mutant: Mutant) -> set[str]:
        """Return the mistakes from which a check gets the same compared arrays as from a form."""
        if not check.compared:
            return set()
        stack, reference = self.answer_key.stack(check.name), self.answer_key.reference[check.name]
        compared = [name for name in reference if is_part(name, check.compared)]
        matches = stack.match(self.run(check, mutant.tree).arrays, compared)
        return {print_.mistake for print_ in compress(stack.fingerprints, matches)}

    def twins(self, check: Check, mutant: Mutant, named: str) -> tuple[str, ...]:
        """Return the forms from which a check gets the same arrays as from one that it names wrong.

        A form that it calls by its own name is told apart, except the one whose name it gives.
        """
        arrays = self.run(check, mutant.tree).arrays
        return tuple(
            other.label
            for other in self.bank.mutants
            if other.id in self.alike(check, mutant) - {mutant.id}
            if _are_same(arrays, self.run(check, other.tree).arrays)
            if named == other.id or self.judge(other.tree).verdict(check.name).mistake != other.id
        )


def _are_same(some: Arrays, others: Arrays) -> bool:
    return some.keys() == others.keys() and all(
        relative_error(array, others[name]) <= ROUNDING for name, array in some.items()
    )


@cache
def public_runs(name: str, project: Path) -> _Runs:
    bank = bank_of(name, project)
    return _Runs(bank, bank.exercise.seed)


def prove_forms(name: str, project: Path, numbers: Sequence[int]) -> list[Problem | FormVerdict]:
    bank, runs = bank_of(name, project), public_runs(name, project)
    found: list[Problem | FormVerdict] = []
    for mutant in (forms_of(bank)[number] for number in numbers):
        judge, checks = runs.judge(mutant.tree), code_checks(bank)
        if mutant.is_variant:
            found += not_passed(judge, checks, str(mutant))
        else:
            found += (_call(bank, mutant, judge, check, runs) for check in checks)
    return found


def _named(bank: Bank, verdict: Verdict) -> set[str]:
    """Return the mistakes that a headline names: two parts of a result may have one each."""
    ids = {mistake.name: id for id, mistake in bank.mistakes.items()}
    return {ids[name] for name in verdict.headline.split("; ") if name in ids}


def _call(
    bank: Bank, mutant: Mutant, judge: Judge, check: Check, runs: _Runs | None = None
) -> FormVerdict:
    """Return how a check calls a form of a mistake; its twins only if `runs` are given."""
    verdict = judge.verdict(check.name)
    others, twins = _named(bank, verdict) - {mutant.id}, tuple[str, ...]()
    name = ", ".join(sorted(others)) or verdict.mistake or NO_NAME
    if (verdict.passed and not verdict.mistake) or verdict.status is Status.WAITING:
        name = ""
    elif _named(bank, verdict) == {mutant.id}:
        name = OWN
    elif runs and check.compared:
        twins = runs.twins(check, mutant, name)
    return FormVerdict(mutant.label, check.name, name, verdict_text(verdict), twins)


def prove_seeds(
    lock: Lock, name: str, project: Path, seeds: Sequence[int]
) -> list[tuple[int, Problem]]:
    bank = bank_of(name, project)
    found: list[tuple[int, Problem]] = []
    for seed in seeds:
        runs = _Runs(bank, seed)
        for mutant in _one_form_each(bank, seed):
            runs_slow_checks = seed in SLOW_SEEDS and mutant.is_variant
            checks = [
                check
                for check in code_checks(bank)
                if mutant.region in check.regions and (not check.slow or runs_slow_checks)
            ]
            judge = runs.judge(mutant.tree)
            if mutant.is_variant:
                problems = not_passed(judge, checks, str(mutant))
            else:
                calls = [_call(bank, mutant, judge, check) for check in checks]
                problems = find_differences(calls, lock)
            found += [(seed, problem) for problem in problems]
    return found


def _one_form_each(bank: Bank, turn: int) -> list[Mutant]:
    """Return a form of each variant and mistake in each region: a later one with the next turn."""
    alike = defaultdict[tuple[bool, str, str], list[Mutant]](list)
    for form in forms_of(bank):
        alike[form.is_variant, form.id, form.region].append(form)
    return [forms[turn % len(forms)] for forms in alike.values()]


# ---- two mistakes at once ------------------------------------------------------------------------


def pairs_of(bank: Bank) -> Iterator[tuple[int, int]]:
    """Yield a pair of forms for two mistakes, in one region, that change different text of it.

    All forms take turns, and so do the regions that both may be in.
    """
    alike = defaultdict[tuple[str, str], list[tuple[int, int]]](list)
    for (a, first), (b, second) in combinations(enumerate(bank.mutants), 2):
        both = first.edits and second.edits and first.region == second.region
        if both and first.id != second.id and _combined_body(bank, first, second) is not None:
            alike[first.id, second.id].append((a, b))
    for turn, pairs in enumerate(alike.values()):
        yield pairs[turn % len(pairs)]


def _combined_body(bank: Bank, first: Mutant, second: Mutant) -> str | None:
    """Return the region's body with both mistakes in it; None if they change the same text."""
    return apply_edits(bank.solution.body(first.region).text, (*first.edits, *second.edits))


def name_pairs(name: str, project: Path, pairs: Sequence[tuple[int, int]]) -> list[tuple[str, str]]:
    """Return each third mistake by whose name a check calls a pair, with the ids of the pair.

    A third one that gives a check the same arrays as one of the two is as good a name there.
    """
    bank, runs = bank_of(name, project), public_runs(name, project)
    found = []
    for both in ([bank.mutants[number] for number in numbers] for numbers in pairs):
        region, ids = both[0].region, sorted(mutant.id for mutant in both)
        body = _combined_body(bank, *both)
        assert body is not None
        student = bank.solution.with_region(region, body).student()
        judge = Judge.of_student(bank.exercise, runs.answer_key, student)
        for check in code_checks(bank):
            if region in check.regions and not check.slow:
                verdict = judge.verdict(check.name)
                thirds = set() if verdict.mistake == verdict.headline else _named(bank, verdict)
                for third in thirds - {*ids}:
                    if not any(third in runs.alike(check, mutant) for mutant in both):
                        found.append((" + ".join(ids), third))
    return found


# ---- the notebook --------------------------------------------------------------------------------


def notebook_runs(bank: Bank) -> Iterator[int | None]:
    """Yield None for the solution, then the forms in regions that only the notebook tests."""
    if any(check.in_notebook for check in bank.exercise.checks):
        yield None
        code = {region for check in code_checks(bank) for region in check.regions}
        for number, mutant in enumerate(forms_of(bank)):
            if mutant.region not in code:
                yield number


def prove_notebooks(
    name: str, project: Path, runs: Sequence[int | None]
) -> list[Problem | FormVerdict]:
    bank, answer_key = bank_of(name, project), public_runs(name, project).answer_key
    checks = [check for check in bank.exercise.checks if check.in_notebook]
    found: list[Problem | FormVerdict] = []
    path = project / bank.exercise.notebook
    source = regions.read_notebook(regions.read_source(path), path.name)
    data = draw_data(bank.exercise, source, read_config(project, name).quick, DATA_SEED)
    with temporary_folder() as folder:
        for number in runs:
            mutant = None if number is None else forms_of(bank)[number]
            tree = mutant.tree if mutant else bank.solution
            variables = notebook_variables(data) | {"BEST_MODEL": folder / "best.npz"}
            notebook = run_notebook(tree, path, deepcopy(variables))
            student = Student(tree.files, notebook)
            judge = Judge.of_student(bank.exercise, answer_key, student, notebook)
            if mutant is None or mutant.is_variant:
                found += not_passed(judge, checks, str(mutant or "the solution"))
            else:
                tested = [check for check in checks if mutant.region in check.regions]
                found += (_call(bank, mutant, judge, check) for check in tested)
    return found


def run_notebook(tree: SourceTree, path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Run the cells of a notebook that compute something, in this process; return its variables.

    `given` are the parameters and data of `draw_data`. Line magics are left out, and so are cells
    with a check or a display, or with data that are given.
    """
    notebook = regions.read_notebook(regions.read_source(path), path.name)
    variables: dict[str, Any] = {"__vsc_ipynb_file__": str(path)}
    before = list(sys.path)
    with (
        tree.student().in_place(),
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        for cell in notebook["cells"]:
            metadata = cell["metadata"].get("gradkit", {})
            source = tree.cells.get(metadata.get("region", ""), "".join(cell["source"]))
            role = "check" if regions.check_of(cell) else metadata.get("role")
            if cell["cell_type"] != "code" or role in ("check", "display"):
                continue
            if role != "data":
                exec(compile(without_magics(source), f"cell {cell.get('id')}", "exec"), variables)
            if role in ("parameters", "data"):
                variables.update(given)
    sys.path[:] = before
    return variables
