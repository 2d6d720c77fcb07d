"""The proof: a mistake, variant or solution that is not what it should be is reported."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from assignment import PROJECT
from assignment.checks.answer_key import load_answer_key
from assignment.checks.softmax import EXERCISE
from gradkit.authoring import verify
from gradkit.course.answer_key import compute_answer_key, find_staleness
from gradkit.course.mistakes import Bank, Mutant
from gradkit.course.starter import starter_files
from tests.banks import BANK

ANSWER_KEY = load_answer_key("softmax")


def mutant(id: str) -> Mutant:
    return next(m for m in BANK.mutants if (m.id, m.region) == (id, "softmax_naive"))


SUM = mutant("sum_not_mean")


@pytest.fixture
def use_bank(monkeypatch: pytest.MonkeyPatch) -> Callable[[Bank], None]:
    """Makes the proof be about another bank."""

    def use(bank: Bank) -> None:
        monkeypatch.setattr(verify, "_bank", lambda name, project: bank)
        verify._public_runs.cache_clear()

    return use


def prove_mistakes(*mutants: Mutant) -> list[str]:
    first = len(verify._bank("softmax", PROJECT).variants)
    numbers = range(first, first + len(mutants))
    return list(map(str, verify._prove_forms("softmax", PROJECT, numbers)))


@pytest.mark.parametrize(
    ("wrong", "statement"),
    [
        (replace(SUM, fails=("naive_loss",)), "naive_large_scores should pass, but is"),
        (replace(SUM, fails=(*SUM.fails, "naive_gradient")), "naive_gradient should fail, but is"),
        (replace(SUM, tree=BANK.solution), "naive_loss should fail, but is: passed"),
    ],
)
def test_mistake_that_contradicts_its_file_is_reported(
    use_bank: Callable[[Bank], None], wrong: Mutant, statement: str
) -> None:
    use_bank(replace(BANK, mutants=(wrong,)))
    problems = prove_mistakes(wrong)
    assert any(statement in problem for problem in problems), problems
    place = "grading/softmax/mistakes/sum_not_mean.toml in softmax_naive: "
    assert all(problem.startswith(place) for problem in problems), problems


def test_two_mistakes_with_the_same_arrays_are_reported(use_bank: Callable[[Bank], None]) -> None:
    twin = replace(SUM, id="mean_twice")
    use_bank(replace(BANK, mutants=(SUM, twin)))
    assert any("naive_loss does not name it" in problem for problem in prove_mistakes(SUM, twin))


def test_variant_that_is_wrong_is_reported(use_bank: Callable[[Bank], None]) -> None:
    use_bank(replace(BANK, variants=(replace(mutant("gradient_sign"), fails=()),), mutants=()))
    assert any("naive_gradient" in str(p) for p in verify._prove_forms("softmax", PROJECT, [0]))
    assert any(seed == 3 for seed, _ in verify._prove_seeds("softmax", PROJECT, [3]))


def test_problem_of_several_seeds_is_reported_once() -> None:
    def problem(verdict: str) -> verify.Problem:
        return verify.Problem("x.toml in predict", "predict should pass, but is", verdict)

    for seeds, start in (((7,), "seed 7"), ((3, 5, 8), "seed 3, and for 2 other seeds")):
        found = [(seed, problem(f"wrong by {seed}")) for seed in seeds]
        [merged] = verify._merge_seeds(found)
        place = "x.toml in predict: predict should pass, but is"
        assert str(merged) == f"{start}: {place}: wrong by {seeds[0]}"


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


def test_third_name_for_two_mistakes_is_reported(use_bank: Callable[[Bank], None]) -> None:
    ids = [m.id for m in BANK.mutants]
    pair = ids.index("half_missing_in_loss"), ids.index("reg_gradient_doubled")
    assert verify._prove_pairs("softmax", PROJECT, [pair]) == []
    # The file of the third says with `also` that it combines these two.
    use_bank(replace(BANK, mutants=tuple(replace(m, also=()) for m in BANK.mutants)))
    problems = verify._prove_pairs("softmax", PROJECT, [pair])
    assert any("the other convention" in problem.verdict for problem in problems)


def test_forms_of_the_notebooks_own_region_are_run_in_it() -> None:
    solution, *numbers = verify._notebook_runs(BANK)
    assert solution is None
    forms = [*BANK.variants, *BANK.mutants]
    assert numbers == [number for number, form in enumerate(forms) if form.region == "tuning"]
    assert {bool(forms[number].fails) for number in numbers if number} == {True, False}


# --- the table, and what was proved before --------------------------------------------------------


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[verify.Row]:
    """The rows that `verify` yields, with a cache of the test's own."""
    rows: list[verify.Row] = [verify.Row("the starter", "17 checks", [])]
    monkeypatch.setattr(verify, "verify", lambda name, project: iter(rows))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("gradkit.course.cache.STARTED", math.inf)  # somebody may edit the project
    return rows


PROVED_BEFORE = "✓ softmax: proved before, nothing has changed (--all proves it again)\n"


def test_table_lists_problems_below_their_row(
    rows: list[verify.Row], capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = verify.Problem("y", "z should pass, but is", "wrong")
    rows.append(verify.Row("x", "passed", [wrong]))
    assert not verify.verify_all(["softmax"], PROJECT)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "softmax"
    assert lines[1].startswith("  ✓ the starter")
    assert lines[2].startswith("  ✗ x")
    assert lines[3] == "      y: z should pass, but is: wrong"
    assert not verify.verify_all(["softmax"], PROJECT)  # a problem is never remembered


def test_proved_exercise_is_proved_again_only_after_a_change(
    rows: list[verify.Row], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_proved(again: bool = False) -> bool:
        assert verify.verify_all(["softmax"], PROJECT, again)
        out = capsys.readouterr().out
        assert out == PROVED_BEFORE or "the starter" in out
        return out != PROVED_BEFORE

    assert is_proved()
    assert not is_proved()
    assert is_proved(again=True)
    changed = starter_files(PROJECT, ["softmax"]) | {"README.md": b"changed"}
    with monkeypatch.context() as patch:
        patch.setattr(verify, "starter_files", lambda project, names: changed)
        assert is_proved()
    monkeypatch.setattr("numpy.__version__", "1.0")
    assert is_proved()
