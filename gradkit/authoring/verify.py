"""`gradkit verify`: the proof that an exercise's checks give the right verdicts.

    the settings      checks, questions and parameters have their cells in the notebook
    the leak scan     the starter holds no line of a solution
    the starter       every check is "not attempted"
    the solution      every check passes, in float64 and in float32
    the answer key    the committed one is what the tree gives now
    the variants      correct code that is written otherwise passes everything
    the mistakes      checks fail each form, or give it a remark, and name it, as in mistakes.lock
    two at once       two mistakes are called by a third's name only where mistakes.lock has it;
                      of two mistakes one pair of forms is tried, of all pairs in turn
    the graded run    the solution has full points, graded as a submission
    the notebook      the checks of its results, after solution, variants and mistakes ran in it
    other seeds       no verdict changes; each seed tries one form of a mistake, in turn

The rows that take less time come first, and the proof ends after one that is broken. It depends
only on the tree and on the versions of Python and numpy. An exercise that was proved is not proved
again until one of these changes. All processors share the runs.
"""

import contextlib
import io
import multiprocessing
import os
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from functools import cache, partial
from itertools import combinations, compress
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple, TypeVar

import numpy as np

from assignment.checks.answer_key import ROUNDING, AnswerKey
from assignment.checks.calls import copied
from assignment.checks.check import Arrays, Check, Outcome, load_exercise, run_check_for
from assignment.checks.differences import is_part, relative_error
from assignment.checks.student import Student
from assignment.checks.verdict import Judge, Status, Verdict
from assignment.workspace import regions
from gradkit.authoring import readiness
from gradkit.authoring.mistakes_lock import (
    NO_NAME,
    OWN,
    TWINS,
    FormVerdict,
    Lock,
    Problem,
    find_differences,
    find_failing_nothing,
    find_gone,
    find_pair_differences,
    lock_path,
)
from gradkit.autograder.version import kit_digest
from gradkit.course import cache as results
from gradkit.course.answer_key import compute_answer_key, find_staleness
from gradkit.course.exercise_config import read_config
from gradkit.course.exercise_data import draw_data, notebook_variables
from gradkit.course.exercises import solved_paths
from gradkit.course.instructor_tree import CourseError
from gradkit.course.mistakes import (
    Bank,
    Mutant,
    SourceTree,
    apply_edits,
    read_bank,
    solved_tree,
    without_magics,
)
from gradkit.course.starter import starter_files
from gradkit.files import temporary_folder
from gradkit.release import leaks
from gradkit.release.leaks import record_path

T = TypeVar("T")

SEEDS = 20
SLOW_SEEDS = range(5)  # for checks that are marked slow

DATA_SEED = 1


class Row(NamedTuple):
    """A line of the table: the subject, its expected verdicts, the problems found, and notes."""

    subject: str
    expected: str
    problems: Sequence[Problem]
    notes: Sequence[str] = ()


def verify_all(
    names: Iterable[str],
    project: Path,
    accept: bool = False,
    mistake: str = "",
    seeds: int = SEEDS,
    again: bool = False,
    keep_going: bool = False,
) -> bool:
    """Prove exercises and print the table; return whether every statement is true.

    The first options are those of `verify`. `again` also proves exercises whose inputs have not
    changed since they were proved. The proof ends after a broken row unless `keep_going` is set.

    Raise CourseError if no exercise has the mistake.
    """
    if mistake:
        names = [name for name in names if mistake in _bank(name, project).mistakes]
        if not names:
            raise CourseError(
                f"mistakes.toml has no {mistake!r}. Write the id of one of its tables."
            )
    all_right = True
    for name in names:
        digest = _inputs_digest(name, project)
        proved = results.load(f"proof-{name}", digest)
        if proved and int(proved) >= seeds and not (again or accept or mistake):
            print(f"✓ {name}: proved before, nothing has changed (--all proves it again)")
            continue
        print(name)
        is_right, printed = True, set[tuple[str, str]]()
        for row in verify(name, project, accept, mistake, seeds):
            is_right = is_right and not row.problems
            print(f"  {'✗' if row.problems else '✓'} {row.subject:38} {row.expected}", flush=True)
            for problem in row.problems:
                if problem[:2] not in printed:
                    print(f"      {problem}", flush=True)
                    printed.add(problem[:2])
            for note in row.notes:
                print(f"      {note}", flush=True)
            if row.problems and (accept or not keep_going):
                print("      The proof ends here; --keep-going proves the later rows, too.")
                break
        if is_right and not mistake and _inputs_digest(name, project) == digest:
            results.store(f"proof-{name}", digest, str(seeds))
        all_right = all_right and is_right
    return all_right


def _inputs_digest(name: str, project: Path) -> str:
    """Return a digest of all that an exercise's proof depends on."""
    rooms = Path(__file__).parent, Path(leaks.__file__).parent
    sources = [path for room in rooms for path in room.glob("*.py")]
    sources += [record_path(project, name), lock_path(name, project)]
    others = {path.name: path.read_bytes() for path in sources if path.exists()}
    others["autograder"] = kit_digest().encode()
    others |= starter_files(project, [name])
    return results.exercise_digest(project, name, others)


def verify(
    name: str, project: Path, accept: bool = False, mistake: str = "", seeds: int = SEEDS
) -> Iterator[Row]:
    """Prove one exercise, a row of the table at a time.

    `accept` writes mistakes.lock in place of comparing with it. `mistake` proves the forms of this
    mistake only, for the public seed. The caller ends after a broken row.
    """
    bank, path = _bank(name, project), lock_path(name, project)
    lock, calls, forms = Lock.read(path), list[FormVerdict](), _forms(bank)
    if not mistake:
        yield from _first_rows(bank, project)
    with one_thread_pool() as pool:

        def spread(prove: Callable[..., list[T]], items: Sequence[Any], size: int) -> list[T]:
            parts = [items[start : start + size] for start in range(0, len(items), size)]
            done = [pool.submit(prove, name, project, part) for part in parts]
            return [problem for part in done for problem in part.result()]

        def compare(found: Sequence[Problem | FormVerdict]) -> list[Problem]:
            new = [item for item in found if isinstance(item, FormVerdict)]
            calls.extend(new)
            problems = [item for item in found if isinstance(item, Problem)]
            differences = [] if accept else find_differences(new, lock)
            return [*problems, *find_failing_nothing(new), *differences]

        runs = [n for n in _notebook_runs(bank) if mistake in ("", n is not None and forms[n].id)]
        in_code = [n for n in range(len(forms)) if n not in runs]
        variants = [n for n in in_code if forms[n].is_variant and not mistake]
        mistakes = [n for n in in_code if not forms[n].is_variant and mistake in ("", forms[n].id)]
        if variants:
            problems = compare(spread(_prove_forms, variants, 5))
            yield Row(f"{len(variants)} forms of variants", "pass everything", problems)
        if mistakes:
            problems = compare(spread(_prove_forms, mistakes, 20))
            problems += [] if accept else find_gone(lock, bank)
            subject = f"{len({forms[n].id for n in mistakes})} mistakes ({len(mistakes)} forms)"
            yield Row(subject, "fail the checks in mistakes.lock, are named", problems)
        if not mistake:
            pairs, thirds = list(_pairs(bank)), defaultdict[str, set[str]](set)
            for pair, third in spread(_name_pairs, pairs, 300):
                thirds[pair].add(third)
            called = {pair: ", ".join(sorted(names)) for pair, names in sorted(thirds.items())}
            problems = [] if accept else find_pair_differences(called, lock)
            yield Row(f"{len(pairs)} pairs of mistakes", "never called by a third's name", problems)
            problems = [
                Problem("the solution", x) for x in readiness.graded_problems(bank, project)
            ]
            yield Row("the solution, graded", "full points, as a submission", problems)
        if runs:
            problems = compare(spread(_prove_notebooks, runs, 4))
            subject = f"the notebook's results ({len(runs)} runs)"
            yield Row(subject, "passed, or the mistake named", problems)
        if accept:
            before, lock = lock, Lock.of(calls, called)
            lock.write(path)
            notes = [
                ": ".join(line) for line in sorted(lock.review.items() - before.review.items())
            ]
            twins = [str(p) for p in find_differences(calls, before) if p.verdict == TWINS]
            notes += dict.fromkeys(twins)
            yield Row(path.name, f"written; new in [review]: {len(notes)}", [], notes)
        if not mistake:
            found = spread(partial(_prove_seeds, lock), range(seeds), 10)
            yield Row(f"{seeds} other seeds", "no verdict changes", _merge_seeds(found))


def _first_rows(bank: Bank, project: Path) -> Iterator[Row]:
    """Yield the rows on settings, starter, solution and answer key."""
    name = bank.exercise.name
    found = [*readiness.notebook_problems(name, project), *readiness.unknown_mistakes(bank)]
    problems = [Problem(*problem) for problem in found]
    yield Row("notebook and settings", "fit to the checks", problems)
    problems = [Problem("the starter", leak) for leak in readiness.starter_leaks(name, project)]
    yield Row("the leak scan", "no line of a solution in the starter", problems)
    checks, count = _code_checks(bank), len(bank.exercise.checks)
    answer_key = _public_runs(name, project).answer_key
    problems = _starter(bank, answer_key, project)
    yield Row("the starter", f"{count} checks: not attempted", problems)
    solution = bank.solution
    problems = _solution(bank, answer_key, solution.student(), checks)
    yield Row("the solution", f"{len(checks)} checks: passed", problems)
    compared = [check for check in checks if check.compared]
    problems = _solution(bank, answer_key, _Float32Student(solution.files), compared)
    yield Row("the solution in float32", f"{len(compared)} checks: passed", problems)
    staleness = find_staleness(answer_key, bank.exercise, project)
    problems = [Problem(staleness, "run `gradkit answer-key`")] if staleness else []
    yield Row("the public answer key", "current", problems)


@cache
def _bank(name: str, project: Path) -> Bank:
    return read_bank(load_exercise(name), project)


def one_thread_pool() -> ProcessPoolExecutor:
    """Return a pool of as many processes as there are processors, each with one BLAS thread."""
    # spawn: a fork of a process with threads, such as those of BLAS, may hang.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(os.cpu_count(), context, _use_one_thread)


def _use_one_thread() -> None:
    """Limit BLAS before numpy is first used: more threads than processors wait for each other."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"


def _forms(bank: Bank) -> tuple[Mutant, ...]:
    """Return all forms of variants, then of mistakes; the pool's processes get their numbers."""
    return (*bank.variants, *bank.mutants)


def _code_checks(bank: Bank) -> list[Check]:
    return [check for check in bank.exercise.checks if not check.in_notebook]


# ---- starter and solution ------------------------------------------------------------------------


def _starter(bank: Bank, answer_key: AnswerKey, project: Path) -> list[Problem]:
    files = starter_files(project, [bank.exercise.name])
    texts = {path: files[path].decode() for path in solved_paths(bank.exercise)}
    student = solved_tree(bank.exercise, texts).student(notebook={})
    judge = Judge.of_student(bank.exercise, answer_key, student)
    return [
        Problem("the starter", f"{verdict.check} should not be attempted, but is", _text(verdict))
        for verdict in map(judge.verdict, bank.exercise.names)
        if verdict.status is not Status.NOT_ATTEMPTED
    ]


def _solution(
    bank: Bank, answer_key: AnswerKey, student: Student, checks: Iterable[Check]
) -> list[Problem]:
    judge = Judge.of_student(bank.exercise, answer_key, student)
    return _not_passed(judge, checks, "the solution")


class _Float32Student(Student):
    """A student whose functions, methods and attributes get float32 where a check gives float64."""

    def function(self, module: str, name: str) -> Any:
        value = super().function(module, name)
        if not isinstance(value, type):
            return lambda *arguments: value(*map(_to_float32, arguments))
        methods = {
            name: _with_float32(method)
            for cls in reversed(value.__mro__[:-1])
            for name, method in vars(cls).items()
            if isinstance(method, FunctionType)
        }
        return type(value.__name__, (value,), {"__setattr__": _set_float32, **methods})


def _with_float32(method: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        return method(self, *map(_to_float32, arguments), **_to_float32(named))

    return call


def _set_float32(self: Any, name: str, value: Any) -> None:
    object.__setattr__(self, name, _to_float32(value))


_to_float32 = partial(copied, dtype=np.float32)


def _not_passed(judge: Judge, checks: Iterable[Check], subject: str) -> list[Problem]:
    verdicts = [judge.verdict(check.name) for check in checks]
    return [
        Problem(subject, f"{verdict.check} should pass, but is", _text(verdict))
        for verdict in verdicts
        if not verdict.passed
    ]


def _text(verdict: Verdict) -> str:
    lines = " / ".join(filter(None, [verdict.headline, verdict.text, verdict.quoted]))
    return f"{verdict.status} ({lines})"


# ---- variants, mistakes and seeds, in the pool's processes ---------------------------------------


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
def _public_runs(name: str, project: Path) -> _Runs:
    bank = _bank(name, project)
    return _Runs(bank, bank.exercise.seed)


def _prove_forms(name: str, project: Path, numbers: Sequence[int]) -> list[Problem | FormVerdict]:
    bank, runs = _bank(name, project), _public_runs(name, project)
    found: list[Problem | FormVerdict] = []
    for mutant in (_forms(bank)[number] for number in numbers):
        judge, checks = runs.judge(mutant.tree), _code_checks(bank)
        if mutant.is_variant:
            found += _not_passed(judge, checks, str(mutant))
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
    return FormVerdict(mutant.label, check.name, name, _text(verdict), twins)


def _prove_seeds(
    lock: Lock, name: str, project: Path, seeds: Sequence[int]
) -> list[tuple[int, Problem]]:
    bank = _bank(name, project)
    found: list[tuple[int, Problem]] = []
    for seed in seeds:
        runs = _Runs(bank, seed)
        for mutant in _one_form_each(bank, seed):
            runs_slow_checks = seed in SLOW_SEEDS and mutant.is_variant
            checks = [
                check
                for check in _code_checks(bank)
                if mutant.region in check.regions and (not check.slow or runs_slow_checks)
            ]
            judge = runs.judge(mutant.tree)
            if mutant.is_variant:
                problems = _not_passed(judge, checks, str(mutant))
            else:
                calls = [_call(bank, mutant, judge, check) for check in checks]
                problems = find_differences(calls, lock)
            found += [(seed, problem) for problem in problems]
    return found


def _one_form_each(bank: Bank, turn: int) -> list[Mutant]:
    """Return a form of each variant and mistake in each region: a later one with the next turn."""
    alike = defaultdict[tuple[bool, str, str], list[Mutant]](list)
    for form in _forms(bank):
        alike[form.is_variant, form.id, form.region].append(form)
    return [forms[turn % len(forms)] for forms in alike.values()]


def _merge_seeds(problems: Iterable[tuple[int, Problem]]) -> list[Problem]:
    """Return each problem of several seeds once, with the verdict of its first seed."""
    seeds: dict[tuple[str, str], list[int]] = {}
    firsts: dict[tuple[str, str], Problem] = {}
    for seed, problem in problems:
        seeds.setdefault(problem[:2], []).append(seed)
        firsts.setdefault(problem[:2], problem)
    merged = []
    for key, (first, *others) in seeds.items():
        more = f" and {len(others)} other seed{'s' * (len(others) > 1)}" if others else ""
        problem = firsts[key]
        merged.append(problem._replace(verdict=f"with seed {first}{more}: {problem.verdict}"))
    return merged


# ---- two mistakes at once ------------------------------------------------------------------------


def _pairs(bank: Bank) -> Iterator[tuple[int, int]]:
    """Yield a pair of forms for two mistakes in one region whose forms change different text of it.

    All forms take turns.
    """
    alike = defaultdict[tuple[str, str, str], list[tuple[int, int]]](list)
    for (a, first), (b, second) in combinations(enumerate(bank.mutants), 2):
        both = first.edits and second.edits and first.region == second.region
        if both and first.id != second.id and _combined_body(bank, first, second) is not None:
            alike[first.region, first.id, second.id].append((a, b))
    for turn, pairs in enumerate(alike.values()):
        yield pairs[turn % len(pairs)]


def _combined_body(bank: Bank, first: Mutant, second: Mutant) -> str | None:
    """Return the region's body with both mistakes in it; None if they change the same text."""
    return apply_edits(bank.solution.body(first.region).text, (*first.edits, *second.edits))


def _name_pairs(
    name: str, project: Path, pairs: Sequence[tuple[int, int]]
) -> list[tuple[str, str]]:
    """Return each third mistake by whose name a check calls a pair, with the ids of the pair.

    A third one that gives a check the same arrays as one of the two is as good a name there.
    """
    bank, runs = _bank(name, project), _public_runs(name, project)
    found = []
    for both in ([bank.mutants[number] for number in numbers] for numbers in pairs):
        region, ids = both[0].region, sorted(mutant.id for mutant in both)
        body = _combined_body(bank, *both)
        assert body is not None
        student = bank.solution.with_region(region, body).student()
        judge = Judge.of_student(bank.exercise, runs.answer_key, student)
        for check in _code_checks(bank):
            if region in check.regions and not check.slow:
                verdict = judge.verdict(check.name)
                thirds = set() if verdict.mistake == verdict.headline else _named(bank, verdict)
                for third in thirds - {*ids}:
                    if not any(third in runs.alike(check, mutant) for mutant in both):
                        found.append((" + ".join(ids), third))
    return found


# ---- the notebook --------------------------------------------------------------------------------


def _notebook_runs(bank: Bank) -> Iterator[int | None]:
    """Yield None for the solution, then the forms in regions that only the notebook tests."""
    if any(check.in_notebook for check in bank.exercise.checks):
        yield None
        code = {region for check in _code_checks(bank) for region in check.regions}
        for number, mutant in enumerate(_forms(bank)):
            if mutant.region not in code:
                yield number


def _prove_notebooks(
    name: str, project: Path, runs: Sequence[int | None]
) -> list[Problem | FormVerdict]:
    bank, answer_key = _bank(name, project), _public_runs(name, project).answer_key
    checks = [check for check in bank.exercise.checks if check.in_notebook]
    found: list[Problem | FormVerdict] = []
    path = project / bank.exercise.notebook
    source = regions.read_notebook(regions.read_source(path), path.name)
    data = draw_data(bank.exercise, source, read_config(project, name).quick, DATA_SEED)
    with temporary_folder() as folder:
        for number in runs:
            mutant = None if number is None else _forms(bank)[number]
            tree = mutant.tree if mutant else bank.solution
            variables = notebook_variables(data) | {"BEST_MODEL": folder / "best.npz"}
            notebook = run_notebook(tree, path, deepcopy(variables))
            student = Student(tree.files, notebook)
            judge = Judge.of_student(bank.exercise, answer_key, student, notebook)
            if mutant is None or mutant.is_variant:
                found += _not_passed(judge, checks, str(mutant or "the solution"))
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
