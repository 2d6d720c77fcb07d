"""python -m gradkit verify: the proof that an exercise's checks say what they should.

    the starter       every check says "not attempted"
    the solution      every check passes, in float64 and in float32
    the variants      correct code that is written otherwise passes everything
    the mistakes      each fails what its file says, passes the rest, and is called by its name
    two at once       two mistakes are never called by a third's name
    other seeds       no verdict changes over 200 of them
    the notebook      the checks of its results, after solution, variants and mistakes ran in it
    the answers       the committed ones are those that the tree gives now

The result depends on nothing but the tree. The work is divided among the processors.
"""

import contextlib
import io
import multiprocessing
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from assignment.checks.answer_key import AnswerKey
from assignment.checks.check import Check, Outcome, load_exercise, run_check_for
from assignment.checks.student import Student
from assignment.checks.verdict import Judge, Status, Verdict
from assignment.cifar10.synthetic import write_batches
from assignment.workspace import regions
from gradkit.course.answer_key import compute_answer_key, stale
from gradkit.course.config import read_config
from gradkit.course.mistakes import Bank, Mutant, SourceTree, read_bank, solved_tree, without_magics
from gradkit.course.starter import starter_files

T = TypeVar("T")

SEEDS = range(200)
SLOW_SEEDS = range(5)  # for the checks that are marked slow

DATA_SEED = 1


class Problem(NamedTuple):
    """Where something is not as it should be: in what, how, and what was said instead.

    What was said differs between seeds, the rest does not.
    """

    subject: str
    fault: str
    said: str = ""

    def __str__(self) -> str:
        return f"{self.subject}: {self.fault}" + (f": {self.said}" if self.said else "")


class Row(NamedTuple):
    """One line of the table: what was tried, what should come of it, and where it did not."""

    subject: str
    expected: str
    problems: Sequence[Problem]


def verify(name: str, project: Path) -> Iterator[Row]:
    """Prove one exercise, a row of the table at a time.

    Raises
    ------
    BankError, RegionError, ReleaseError
        The tree cannot be read, so there is nothing to prove.
    """
    bank = _bank(name, project)
    checks, count = _code_checks(bank), len(bank.exercise.checks)
    yield Row("the starter", f"{count} checks: not attempted", _starter(bank, project))
    yield Row("the solution", f"{len(checks)} checks: passed", _solution(bank, SourceTree.student))
    compared = [check for check in checks if check.compared]
    yield Row(
        "the solution in float32",
        f"{len(compared)} checks: passed",
        _solution(bank, _in_float32, compared),
    )
    answer_key = compute_answer_key(bank, bank.exercise.seed)
    problem = stale(answer_key, bank.exercise, project)
    yield Row(
        "the public answers",
        "current",
        [Problem(problem, "run `python -m gradkit build`")] if problem else [],
    )
    # spawn: a fork of a process that has threads, as BLAS makes them, may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), context, _one_thread) as pool:

        def spread(work: Callable[..., list[T]], items: Sequence[Any], size: int) -> list[T]:
            parts = [items[start : start + size] for start in range(0, len(items), size)]
            done = [pool.submit(work, name, project, part) for part in parts]
            return [found for part in done for found in part.result()]

        variants, mistakes = bank.variants, bank.mutants
        forms = range(len(variants))
        yield Row(
            f"{_ids(variants)} variants ({len(variants)} forms)",
            "pass everything",
            spread(_variants, forms, 5),
        )
        forms = range(len(mistakes))
        yield Row(
            f"{_ids(mistakes)} mistakes ({len(mistakes)} forms)",
            "fail what they should, pass the rest, are named",
            spread(_mistakes, forms, 20),
        )
        pairs = list(_pairs(bank))
        yield Row(
            f"{len(pairs)} pairs of mistakes",
            "never called by a third's name",
            spread(_two_at_once, pairs, 300),
        )
        yield Row(
            f"{len(SEEDS)} other seeds",
            "no verdict changes",
            _each_once(spread(_seeds, SEEDS, 10)),
        )
        runs = list(_notebook_runs(bank))
        yield Row(
            f"the notebook's results ({len(runs)} runs)",
            "passed, or the mistake named",
            spread(_notebook, runs, 4),
        )


def verify_all(names: Iterable[str], project: Path) -> bool:
    """Prove these exercises and print the table; whether all is as it should be."""
    right = True
    for name in names:
        print(name)
        for row in verify(name, project):
            right = right and not row.problems
            print(f"  {'✗' if row.problems else '✓'} {row.subject:38} {row.expected}", flush=True)
            for problem in row.problems:
                print(f"      {problem}", flush=True)
    return right


@cache
def _bank(name: str, project: Path) -> Bank:
    return read_bank(load_exercise(name), project)


def _one_thread() -> None:
    """Before numpy is first used: more threads than processors make BLAS wait for itself."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"


def _ids(mutants: Iterable[Mutant]) -> int:
    return len({mutant.id for mutant in mutants})


def _code_checks(bank: Bank) -> list[Check]:
    return [check for check in bank.exercise.checks if not check.in_notebook]


# ---- one process ---------------------------------------------------------------------------------


def _starter(bank: Bank, project: Path) -> list[Problem]:
    files = starter_files(project, [bank.exercise.name])
    paths = (*bank.exercise.files, bank.exercise.notebook)
    starter = solved_tree(bank.exercise, {path: files[path].decode() for path in paths})
    answer_key = AnswerKey(bank.exercise.seed)
    judge = Judge.of_student(bank.exercise, answer_key, starter.student(notebook={}))
    verdicts = [judge.verdict(name) for name in bank.exercise.names]
    return [
        Problem("the starter", f"{verdict.check} should not be attempted, but says", _said(verdict))
        for verdict in verdicts
        if verdict.status is not Status.NOT_ATTEMPTED
    ]


def _solution(
    bank: Bank, student_of: Callable[[SourceTree], Student], checks: Sequence[Check] | None = None
) -> list[Problem]:
    answer_key = compute_answer_key(bank, bank.exercise.seed)
    judge = Judge.of_student(bank.exercise, answer_key, student_of(bank.solution))
    return _not_passed(judge, checks or _code_checks(bank), "the solution")


class _Float32Student(Student):
    """Hands float32 to every function where a check hands it float64."""

    def function(self, module: str, name: str) -> Any:
        found = super().function(module, name)
        if isinstance(found, type):
            return found

        def in_float32(*arguments: Any) -> Any:
            return found(*(_to_float32(argument) for argument in arguments))

        return in_float32


def _in_float32(tree: SourceTree) -> Student:
    return _Float32Student(tree.files)


def _to_float32(argument: Any) -> Any:
    is_double = isinstance(argument, np.ndarray) and argument.dtype == np.float64
    return argument.astype(np.float32) if is_double else argument


def _not_passed(judge: Judge, checks: Iterable[Check], subject: str) -> list[Problem]:
    verdicts = [judge.verdict(check.name) for check in checks]
    return [
        Problem(subject, f"{verdict.check} should pass, but says", _said(verdict))
        for verdict in verdicts
        if not verdict.passed
    ]


def _said(verdict: Verdict) -> str:
    lines = " / ".join(filter(None, [verdict.headline, verdict.text, verdict.quoted]))
    return f"{verdict.status} ({lines})"


# ---- the pool's work -----------------------------------------------------------------------------


_STUDENTS: dict[int, Student] = {}


def _student(tree: SourceTree) -> Student:
    """A tree's student, loaded once a process; the bank holds its trees, so ids stay theirs."""
    if id(tree) not in _STUDENTS:
        _STUDENTS[id(tree)] = tree.student()
    return _STUDENTS[id(tree)]


class _Runs:
    """Runs checks for one seed, each on each tree once."""

    def __init__(self, bank: Bank, seed: int) -> None:
        self.bank, self.seed = bank, seed
        self._outcomes: dict[tuple[int, str], Outcome] = {}
        self.answer_key = compute_answer_key(bank, seed, self.run)

    def run(self, check: Check, tree: SourceTree) -> Outcome:
        key = (id(tree), check.name)
        if key not in self._outcomes:
            self._outcomes[key] = run_check_for(check, _student(tree), self.seed)
        return self._outcomes[key]

    def judge(self, tree: SourceTree) -> Judge:
        def outcome_of(check: Check) -> Outcome:
            return self.run(check, tree)

        return Judge(self.bank.exercise, self.answer_key, tree.files, outcome_of)


@cache
def _public_runs(name: str, project: Path) -> _Runs:
    bank = _bank(name, project)
    return _Runs(bank, bank.exercise.seed)


def _variants(name: str, project: Path, numbers: Sequence[int]) -> list[Problem]:
    bank, runs = _bank(name, project), _public_runs(name, project)
    return [
        problem
        for mutant in (bank.variants[number] for number in numbers)
        for problem in _not_passed(runs.judge(mutant.tree), _code_checks(bank), str(mutant))
    ]


def _mistakes(name: str, project: Path, numbers: Sequence[int]) -> list[Problem]:
    bank, runs = _bank(name, project), _public_runs(name, project)
    return [
        problem
        for mutant in (bank.mutants[number] for number in numbers)
        for problem in _not_as_it_says(bank, mutant, runs.judge(mutant.tree), _code_checks(bank))
    ]


def _not_as_it_says(
    bank: Bank, mutant: Mutant, judge: Judge, checks: Iterable[Check]
) -> Iterator[Problem]:
    """Where a mistake's verdicts are not those that its file promises."""
    names = _names(bank, mutant)
    code_checks = {check.name for check in _code_checks(bank)}
    if not mutant.fails:
        yield Problem(str(mutant), "its file says no check that it fails")
    for check in checks:
        verdict = judge.verdict(check.name)
        if check.name in mutant.fails and check.name in code_checks | {verdict.check}:
            if verdict.status not in (Status.WRONG, Status.RAISED):
                yield Problem(str(mutant), f"{check.name} should fail, but says", _said(verdict))
            elif verdict.headline not in names:
                yield Problem(str(mutant), f"{check.name} does not name it", _said(verdict))
        elif not verdict.passed and verdict.status is not Status.WAITING:
            yield Problem(str(mutant), f"{check.name} should pass, but says", _said(verdict))


def _names(bank: Bank, *mutants: Mutant) -> set[str]:
    """By which names these mistakes may be called: also by that of one which is all of them."""
    ids = {id for mutant in mutants for id in (mutant.id, *mutant.also)}
    ids |= {mutant.id for mutant in bank.mutants if mutant.also and ids.issuperset(mutant.also)}
    return {bank.mistakes[id].name for id in ids}


def _seeds(name: str, project: Path, seeds: Sequence[int]) -> list[tuple[int, Problem]]:
    bank = _bank(name, project)
    return [(seed, problem) for seed in seeds for problem in _seed(bank, seed)]


def _each_once(found: Iterable[tuple[int, Problem]]) -> list[Problem]:
    """What was found for many seeds, each problem once, as the first of its seeds has it."""
    seeds: dict[tuple[str, str], list[int]] = {}
    said: dict[tuple[str, str], str] = {}
    for seed, (subject, fault, words) in found:
        seeds.setdefault((subject, fault), []).append(seed)
        said.setdefault((subject, fault), words)
    return [
        Problem(f"seed {first}{_and_for(len(others))}: {subject}", fault, said[subject, fault])
        for (subject, fault), (first, *others) in seeds.items()
    ]


def _and_for(others: int) -> str:
    return f", and for {others} other seed{'s' * (others > 1)}" if others else ""


def _seed(bank: Bank, seed: int) -> Iterator[Problem]:
    """Where a seed gives another verdict on a variant or mistake than its file promises."""
    runs = _Runs(bank, seed)
    for mutant in (*bank.variants, *bank.mutants):
        checks = [
            check
            for check in _code_checks(bank)
            if mutant.region in check.regions and (not check.slow or _is_quick(mutant, seed))
        ]
        judge = runs.judge(mutant.tree)
        if mutant in bank.variants:
            yield from _not_passed(judge, checks, str(mutant))
        else:
            yield from _not_as_it_says(bank, mutant, judge, checks)


def _is_quick(mutant: Mutant, seed: int) -> bool:
    return seed in SLOW_SEEDS and not mutant.fails


def _pairs(bank: Bank) -> Iterator[tuple[int, int]]:
    """Mistakes of one region that can be made together, since they change other lines of it."""
    for (a, first), (b, second) in combinations(enumerate(bank.mutants), 2):
        both = first.edits and second.edits and first.region == second.region
        if both and first.id != second.id and _together(bank, first, second):
            yield a, b


def _together(bank: Bank, first: Mutant, second: Mutant) -> SourceTree | None:
    lines = {line for old, _ in first.edits for line in old.splitlines()}
    body = first.tree.body(first.region).text
    for old, new in second.edits:
        if lines & set(old.splitlines()) or body.count(old) != 1:
            return None
        body = body.replace(old, new)
    return bank.solution.with_region(first.region, body)


def _two_at_once(name: str, project: Path, pairs: Sequence[tuple[int, int]]) -> list[Problem]:
    bank, runs = _bank(name, project), _public_runs(name, project)
    problems = []
    for numbers in pairs:
        first, second = (bank.mutants[number] for number in numbers)
        tree = _together(bank, first, second)
        assert tree is not None
        names = _names(bank, first, second)
        judge = Judge.of_student(bank.exercise, runs.answer_key, tree.student())
        for check in _code_checks(bank):
            if first.region in check.regions and not check.slow:
                verdict = judge.verdict(check.name)
                if verdict.mistake and verdict.headline not in names:
                    fault = f"{check.name} calls them by a third's name"
                    problems.append(Problem(f"{first} and {second}", fault, _said(verdict)))
    return problems


# ---- the notebook --------------------------------------------------------------------------------


def _notebook_runs(bank: Bank) -> Iterator[tuple[str, int]]:
    """The solution, and what is planted in a region that only the notebook's results show.

    None where no check looks at them.
    """
    if not any(check.in_notebook for check in bank.exercise.checks):
        return
    yield "solution", 0
    code = {region for check in _code_checks(bank) for region in check.regions}
    for kind in ("variants", "plants"):
        for number, mutant in enumerate(getattr(bank, kind)):
            if mutant.region not in code:
                yield kind, number


def _notebook(name: str, project: Path, runs: Sequence[tuple[str, int]]) -> list[Problem]:
    bank = _bank(name, project)
    checks = [check for check in bank.exercise.checks if check.in_notebook]
    problems: list[Problem] = []
    with tempfile.TemporaryDirectory() as folder:
        config = read_config(project, name)
        parameters = {**config.quick, "BEST_MODEL": Path(folder) / "best.npz"}
        if config.images_per_batch:
            # Of a hundred sets six have, by chance, the best model equally good on the validation
            # and the test set, so that a choice by the wrong one does not show; this is none.
            write_batches(Path(folder), seed=DATA_SEED)
            parameters["DATA"] = folder
        for kind, number in runs:
            mutant: Mutant | None = None if kind == "solution" else getattr(bank, kind)[number]
            tree = mutant.tree if mutant else bank.solution
            notebook = run_notebook(tree, project / bank.exercise.notebook, parameters)
            student = Student(tree.files, notebook)
            answer_key = AnswerKey(bank.exercise.seed, mistakes=dict(bank.mistakes))
            judge = Judge.of_student(bank.exercise, answer_key, student, notebook)
            if mutant and mutant.fails:
                concerned = [check for check in checks if check.name in mutant.fails]
                problems.extend(_not_as_it_says(bank, mutant, judge, concerned))
            else:
                problems.extend(_not_passed(judge, checks, str(mutant or "the solution")))
    return problems


def run_notebook(tree: SourceTree, path: Path, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Run the cells of a notebook that compute something, in this process: its variables.

    Cells that only show something, and the checks, are left out, and so are lines for Jupyter.
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
            about = cell["metadata"].get("gradkit", {})
            source = tree.cells.get(about.get("region", ""), "".join(cell["source"]))
            if cell["cell_type"] != "code" or "check" in about or about.get("role") == "display":
                continue
            exec(compile(without_magics(source), f"cell {cell.get('id')}", "exec"), variables)
            if about.get("role") == "parameters":
                variables.update(parameters)
    sys.path[:] = before
    return variables
