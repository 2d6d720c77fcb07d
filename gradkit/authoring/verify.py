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
again until one of these changes. All processors share the runs (gradkit.authoring.proofs).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple, TypeVar

import numpy as np

from assignment.checks.answer_key import AnswerKey
from assignment.checks.calls import copied
from assignment.checks.check import Check, with_noun
from assignment.checks.student import Student
from assignment.checks.verdict import Judge, Status
from gradkit.authoring import proofs, readiness
from gradkit.authoring.mistakes_lock import (
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
from gradkit.course.answer_key import find_staleness
from gradkit.course.exercises import solved_paths
from gradkit.course.instructor_tree import CourseError
from gradkit.course.mistakes import (
    Bank,
    solved_tree,
)
from gradkit.course.starter import starter_files
from gradkit.processes import process_pool
from gradkit.release import leaks
from gradkit.release.leaks import record_path

T = TypeVar("T")

SEEDS = 20


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
        names = [name for name in names if mistake in proofs.bank_of(name, project).mistakes]
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
    bank, path = proofs.bank_of(name, project), lock_path(name, project)
    lock, calls, forms = Lock.read(path), list[FormVerdict](), proofs.forms_of(bank)
    if not mistake:
        yield from _first_rows(bank, project)
    with process_pool() as pool:

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

        runs = [
            n for n in proofs.notebook_runs(bank) if mistake in ("", n is not None and forms[n].id)
        ]
        in_code = [n for n in range(len(forms)) if n not in runs]
        variants = [n for n in in_code if forms[n].is_variant and not mistake]
        mistakes = [n for n in in_code if not forms[n].is_variant and mistake in ("", forms[n].id)]
        if variants:
            problems = compare(spread(proofs.prove_forms, variants, 5))
            subject = f"{with_noun(len(variants), 'form')} of variants"
            yield Row(subject, "pass everything", problems)
        if mistakes:
            problems = compare(spread(proofs.prove_forms, mistakes, 20))
            problems += [] if accept else find_gone(lock, bank)
            subject = with_noun(len({forms[n].id for n in mistakes}), "mistake")
            subject += f" ({with_noun(len(mistakes), 'form')})"
            yield Row(subject, "fail the checks in mistakes.lock, are named", problems)
        if not mistake:
            pairs, thirds = list(proofs.pairs_of(bank)), defaultdict[str, set[str]](set)
            for pair, third in spread(proofs.name_pairs, pairs, 300):
                thirds[pair].add(third)
            called = {pair: ", ".join(sorted(names)) for pair, names in sorted(thirds.items())}
            problems = [] if accept else find_pair_differences(called, lock)
            subject = f"{with_noun(len(pairs), 'pair')} of mistakes"
            yield Row(subject, "never called by a third's name", problems)
            problems = [
                Problem("the solution", x) for x in readiness.graded_problems(bank, project)
            ]
            yield Row("the solution, graded", "full points, as a submission", problems)
        if runs:
            problems = compare(spread(proofs.prove_notebooks, runs, 4))
            subject = f"the notebook's results ({with_noun(len(runs), 'run')})"
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
            found = spread(partial(proofs.prove_seeds, lock), range(seeds), 10)
            yield Row(with_noun(seeds, "other seed"), "no verdict changes", _merge_seeds(found))


def _first_rows(bank: Bank, project: Path) -> Iterator[Row]:
    """Yield the rows on settings, starter, solution and answer key."""
    name = bank.exercise.name
    found = [*readiness.notebook_problems(name, project), *readiness.unknown_mistakes(bank)]
    problems = [Problem(*problem) for problem in found]
    yield Row("notebook and settings", "fit to the checks", problems)
    problems = [Problem("the starter", leak) for leak in readiness.starter_leaks(name, project)]
    yield Row("the leak scan", "no line of a solution in the starter", problems)
    checks = proofs.code_checks(bank)
    answer_key = proofs.public_runs(name, project).answer_key
    problems = _starter(bank, answer_key, project)
    count = with_noun(len(bank.exercise.checks), "check")
    yield Row("the starter", f"{count}: not attempted", problems)
    solution = bank.solution
    problems = _solution(bank, answer_key, solution.student(), checks)
    yield Row("the solution", f"{with_noun(len(checks), 'check')}: passed", problems)
    compared = [check for check in checks if check.compared]
    problems = _solution(bank, answer_key, _Float32Student(solution.files), compared)
    yield Row("the solution in float32", f"{with_noun(len(compared), 'check')}: passed", problems)
    staleness = find_staleness(answer_key, bank.exercise, project)
    problems = [Problem(staleness, "run `gradkit answer-key`")] if staleness else []
    yield Row("the public answer key", "current", problems)


# ---- starter and solution ------------------------------------------------------------------------


def _starter(bank: Bank, answer_key: AnswerKey, project: Path) -> list[Problem]:
    files = starter_files(project, [bank.exercise.name])
    texts = {path: files[path].decode() for path in solved_paths(bank.exercise)}
    student = solved_tree(bank.exercise, texts).student(notebook={})
    judge = Judge.of_student(bank.exercise, answer_key, student)
    return [
        Problem(
            "the starter",
            f"{verdict.check} should not be attempted, but is",
            proofs.verdict_text(verdict),
        )
        for verdict in map(judge.verdict, bank.exercise.names)
        if verdict.status is not Status.NOT_ATTEMPTED
    ]


def _solution(
    bank: Bank, answer_key: AnswerKey, student: Student, checks: Iterable[Check]
) -> list[Problem]:
    judge = Judge.of_student(bank.exercise, answer_key, student)
    return proofs.not_passed(judge, checks, "the solution")


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
