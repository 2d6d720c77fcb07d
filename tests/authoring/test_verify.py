"""The proof: a mistake, variant or solution that is not what it should be is reported."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assignment import PROJECT
from assignment.checks.answer_key import load_answer_key
from assignment.checks.softmax import EXERCISE
from gradkit.authoring import proofs, verify
from gradkit.authoring.mistakes_lock import (
    OWN,
    FormVerdict,
    Lock,
    Problem,
    find_differences,
    find_failing_nothing,
    find_gone,
    find_pair_differences,
    lock_path,
)
from gradkit.course.answer_key import compute_answer_key, find_staleness
from gradkit.course.instructor_tree import CourseError
from gradkit.course.mistakes import VARIANTS, Bank, Mutant
from gradkit.course.starter import starter_files
from tests.banks import BANK

ANSWER_KEY = load_answer_key("softmax")


def mutant(id: str) -> Mutant:
    return next(m for m in BANK.mutants if (m.id, m.region) == (id, "softmax_naive"))


SUM = mutant("sum_not_mean")
LOCK = Lock.read(lock_path("softmax", PROJECT))


@pytest.fixture
def use_bank(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Bank], None]]:
    """Makes the proof be about another bank."""

    def use(bank: Bank) -> None:
        monkeypatch.setattr(proofs, "bank_of", lambda name, project: bank)
        proofs.public_runs.cache_clear()

    yield use
    proofs.public_runs.cache_clear()


def calls_of(*mutants: Mutant) -> list[FormVerdict]:
    first = len(proofs.bank_of("softmax", PROJECT).variants)
    found = proofs.prove_forms("softmax", PROJECT, range(first, first + len(mutants)))
    return [call for call in found if isinstance(call, FormVerdict)]


FAILED = LOCK.named[SUM.label]
CHECK = FAILED[0]


@pytest.mark.parametrize(
    ("lock", "difference"),
    [
        (LOCK, ""),
        (Lock({SUM.label: FAILED[1:]}), f"{CHECK} should pass, but is: wrong ("),
        (Lock({SUM.label: (*FAILED, "predict")}), "predict should call it by its own name, but is"),
        (
            Lock({SUM.label: FAILED[1:]}, {f"{SUM.label}: {CHECK}": "mean_twice"}),
            f"{CHECK} should call it by mean_twice, but is: wrong (",
        ),
        (
            Lock(),
            "is not in mistakes.lock, which `gradkit verify --accept` writes: naive_loss calls",
        ),
    ],
)
def test_form_is_compared_with_the_lock(
    use_bank: Callable[[Bank], None], lock: Lock, difference: str
) -> None:
    use_bank(replace(BANK, mutants=(SUM,)))
    problems = list(map(str, find_differences(calls_of(SUM), lock)))
    assert len(problems) == bool(difference)
    assert all(p.startswith(f"{SUM.label}: {difference}") for p in problems), problems


def test_mistake_that_fails_nothing_is_reported(use_bank: Callable[[Bank], None]) -> None:
    right = replace(SUM, tree=BANK.solution)
    use_bank(replace(BANK, mutants=(right,)))
    [problem] = find_failing_nothing(calls_of(right))
    assert str(problem) == f"{SUM.label}: fails no check. Correct it, or move it to variants.toml"


def test_two_mistakes_with_the_same_arrays_are_reported_with_what_to_do(
    use_bank: Callable[[Bank], None],
) -> None:
    twin = replace(SUM, id="mean_twice")
    use_bank(replace(BANK, mutants=(SUM, twin)))
    problems = set(find_differences(calls_of(SUM, twin), LOCK))
    pair = "mean_twice in softmax_naive and sum_not_mean in softmax_naive"
    assert f"{pair}: {CHECK} gets the same arrays from all: merge these mistakes, or" in "".join(
        map(str, sorted(problems))
    )
    assert len(problems) == len({*FAILED})  # for each check once


def test_variant_that_is_wrong_is_reported(use_bank: Callable[[Bank], None]) -> None:
    wrong = replace(mutant("gradient_sign"), file=f"grading/softmax/{VARIANTS}")
    use_bank(replace(BANK, variants=(wrong,), mutants=()))
    assert any("naive_gradient" in str(p) for p in proofs.prove_forms("softmax", PROJECT, [0]))
    assert any(seed == 3 for seed, _ in proofs.prove_seeds(LOCK, "softmax", PROJECT, [3]))


def test_form_that_no_longer_exists_is_reported() -> None:
    [problem] = find_gone(Lock({SUM.label: (), "y in predict": ()}), BANK)
    assert str(problem) == "y in predict: is in mistakes.lock, but not in mistakes.toml"


def test_lock_shows_other_names_on_lines_of_their_own(tmp_path: Path) -> None:
    calls = [
        FormVerdict("x in predict", "a", OWN, ""),
        FormVerdict("x in predict", "b", "y", ""),
        FormVerdict("x in predict", "c", "", ""),
        FormVerdict("x in predict", "d", OWN, ""),
    ]
    lock = Lock.of(calls, {"x + y": "z"})
    lock.write(tmp_path / "mistakes.lock")
    text = (tmp_path / "mistakes.lock").read_text(encoding="utf-8")
    named, review = text.partition("[named]\n")[2].split("\n[review]\n")
    assert named == '"x in predict" = ["a", "d"]\n'
    assert review == '"x in predict: b" = "y"\n"x + y" = "z"\n'
    assert Lock.read(tmp_path / "mistakes.lock") == lock
    assert [lock.name("x in predict", check) for check in "abcd"] == [OWN, "y", "", OWN]


def test_problem_of_several_seeds_is_reported_once() -> None:
    def problem(verdict: str) -> Problem:
        return Problem("x.toml in predict", "predict should pass, but is", verdict)

    for seeds, start in (((7,), "seed 7"), ((3, 5, 8), "seed 3 and 2 other seeds")):
        found = [(seed, problem(f"wrong by {seed}")) for seed in seeds]
        [merged] = verify._merge_seeds(found)
        place = "x.toml in predict: predict should pass, but is"
        assert str(merged) == f"{place}: with {start}: wrong by {seeds[0]}"


def test_solution_that_is_wrong_is_reported_by_the_committed_answer_key() -> None:
    wrong = replace(BANK, solution=mutant("no_reg_in_loss").tree, mutants=())
    own = compute_answer_key(wrong, EXERCISE.seed)
    checks = [check for check in EXERCISE.checks if not check.in_notebook]
    # It agrees with its own reference, so only the committed answer key shows that it is wrong.
    assert verify._solution(wrong, own, wrong.solution.student(), checks) == []
    assert find_staleness(own, EXERCISE, PROJECT)
    assert verify._solution(wrong, ANSWER_KEY, wrong.solution.student(), checks)


def test_starter_with_a_solution_left_in_it_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    files = starter_files(PROJECT, ["softmax"])
    path = "assignment/classifiers/linear_classifier.py"
    assert verify._starter(BANK, ANSWER_KEY, PROJECT) == []
    solved = files | {path: (PROJECT / path).read_bytes()}
    monkeypatch.setattr(verify, "starter_files", lambda project, names: solved)
    problems = verify._starter(BANK, ANSWER_KEY, PROJECT)
    reported = [problem.statement.split()[0] for problem in problems]
    assert reported == ["train_batch", "train_update", "predict"]


def test_third_name_for_two_mistakes_is_reported() -> None:
    two = ("mean_over_classes", "sum_not_mean")
    pairs = [p for p in proofs.pairs_of(BANK) if {BANK.mutants[n].id for n in p} == {*two}]
    named = dict(proofs.name_pairs("softmax", PROJECT, pairs))
    assert named == {" + ".join(two): "divided_by_classes"}
    assert not {*find_pair_differences(named, Lock(review=named))}
    for now, before in ((named, Lock()), ({}, Lock(review=named))):
        [problem] = map(str, find_pair_differences(now, before))
        assert "divided_by_classes" in problem


def test_forms_of_the_notebooks_own_region_are_run_in_it() -> None:
    solution, *numbers = proofs.notebook_runs(BANK)
    assert solution is None
    forms = [*BANK.variants, *BANK.mutants]
    assert numbers == [number for number, form in enumerate(forms) if form.region == "tuning"]
    assert {forms[number].is_variant for number in numbers if number} == {True, False}


# --- the table, and what was proved before --------------------------------------------------------


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[verify.Row]:
    """The rows that `verify` yields, with a cache of the test's own."""
    rows: list[verify.Row] = [verify.Row("the starter", "17 checks", [])]
    monkeypatch.setattr(verify, "verify", lambda *arguments: iter(rows))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("gradkit.course.cache.STARTED", math.inf)  # somebody may edit the project
    return rows


PROVED_BEFORE = "✓ softmax: proved before, nothing has changed (--all proves it again)\n"


def test_table_ends_after_a_broken_row_and_lists_each_problem_once(
    rows: list[verify.Row], capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = Problem("y", "z should pass, but is", "wrong")
    rows += [verify.Row("x", "passed", [wrong])] * 2
    table = ["softmax", "  ✓ the starter", "  ✗ x", "      y: z should pass, but is: wrong"]
    for keep_going, last in ((False, "      The proof ends here; --keep-going"), (True, "  ✗ x")):
        assert not verify.verify_all(["softmax"], PROJECT, keep_going=keep_going)
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 5
        for line, start in zip(lines, [*table, last], strict=True):
            assert line.startswith(start)


def test_mistake_that_no_exercise_has_is_refused() -> None:
    with pytest.raises(CourseError, match=r"mistakes\.toml has no 'log3'\. Write the id of one"):
        verify.verify_all(["softmax"], PROJECT, mistake="log3")


def test_proved_exercise_is_proved_again_only_after_a_change(
    rows: list[verify.Row], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_proved(**options: Any) -> bool:
        assert verify.verify_all(["softmax"], PROJECT, **options)
        out = capsys.readouterr().out
        assert out == PROVED_BEFORE or "the starter" in out
        return out != PROVED_BEFORE

    assert is_proved()
    assert not is_proved()
    assert is_proved(again=True)
    assert is_proved(seeds=200)
    assert not is_proved(seeds=20)
    changed = starter_files(PROJECT, ["softmax"]) | {"README.md": b"changed"}
    with monkeypatch.context() as patch:
        patch.setattr(verify, "starter_files", lambda project, names: changed)
        assert is_proved()
    monkeypatch.setattr("numpy.__version__", "1.0")
    assert is_proved()
