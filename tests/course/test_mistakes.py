"""The mistake bank, the answers built from it, and the proof: each complains of what is wrong."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from assignment import PROJECT
from assignment.checks.answer_key import AnswerKey, load_answer_key
from assignment.checks.check import load_exercise
from assignment.checks.softmax import EXERCISE
from assignment.checks.verdict import Judge
from gradkit.authoring import verify
from gradkit.course.answer_key import build, compute_answer_key, stale
from gradkit.course.instructor_tree import CourseError
from gradkit.course.mistakes import (
    Bank,
    Mutant,
    SourceTree,
    bank_paths,
    read_bank,
    without_magics,
)
from gradkit.course.starter import starter_files
from tests.banks import BANK

ANSWERS = compute_answer_key(BANK, EXERCISE.seed)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What the bank is read from, to be changed."""
    for name in ("assignment", "grading", "notebooks"):
        ignored = shutil.ignore_patterns("__pycache__", "*.npz", ".ipynb_checkpoints")
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=ignored)
    return tmp_path


def mistakes(tree: Path) -> Path:
    return tree / "grading" / "softmax" / "mistakes"


# --- reading it -----------------------------------------------------------------------------------


def test_there_are_enough_mistakes_and_variants_for_every_region() -> None:
    assert len(BANK.mistakes) >= 40
    assert len({variant.id for variant in BANK.variants}) >= 12
    regions = {"softmax_naive", "softmax_vectorized", "train_batch", "train_update", "predict"}
    assert {mutant.region for mutant in BANK.mutants} == regions | {"tuning"}
    assert {variant.region for variant in BANK.variants} == regions | {"tuning"}


PLANT = '[[plant]]\nregion = "predict"\nfails = ["predict"]\nbody = "y_pred = 0"\n'
HEAD = 'name = "n"\nhint = "h."\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = ", "is not valid TOML"),
        (HEAD, "has no 'plant'"),
        (f'hint = "h."\n{PLANT}', "has no 'name'"),
        (f'name = "n"\n{PLANT}', "has no hint, and its name is none of"),
        (f'{HEAD}color = "red"\n{PLANT}', "has the unknown key 'color'"),
        (f'{HEAD}{PLANT}color = "red"\n', "has a plant with the unknown key 'color'"),
        (HEAD + PLANT.replace('"predict"\n', '"oracle"\n', 1), "region 'oracle', which is not"),
        (HEAD + PLANT.replace('["predict"]', '["orakle"]'), "'orakle' fails, but there is no such"),
        (f'{HEAD}{PLANT}also = ["nobody"]\n', "there is no nobody.toml"),
        (f'{HEAD}{PLANT}replace = [["a", "b"]]\n', "needs either `body` or `replace`"),
        (PLANT.replace("[[plant]]", "name = 3\n[[plant]]"), "has 3 for 'name'. Write name = \""),
        (f'name = "n"\nhint = 4\n{PLANT}', "has 4 for 'hint'. Write hint = \""),
        (f'name = "n"\nhint = " "\n{PLANT}', "has ' ' for 'hint'. Write hint = \""),
        (HEAD + PLANT.replace("[[plant]]", "[plant]"), "Write [[plant]], with two brackets"),
        (f"{HEAD}plant = [3]\n", "for 'plant'. Write [[plant]], with two brackets"),
        (
            HEAD + PLANT.replace('["predict"]', '"predict"'),
            "has 'predict' for 'fails'. Write fails = [",
        ),
        (HEAD + PLANT.replace('["predict"]', "[3]"), "has [3] for 'fails'. Write fails = ["),
        (f'{HEAD}{PLANT}also = "nobody"\n', "has 'nobody' for 'also'. Write also = ["),
        (
            HEAD + PLANT.replace('body = "y_pred = 0"', 'replace = ["a", "b"]'),
            "has ['a', 'b'] for 'replace'. Write replace = [[",
        ),
        (
            HEAD + PLANT.replace('body = "y_pred = 0"', 'replace = [["a", "b", "c"]]'),
            "for 'replace'. Write replace = [[",
        ),
        (HEAD + PLANT.replace('"y_pred = 0"', "7"), "has 7 for 'body'. Write body = "),
        (HEAD + PLANT.replace('region = "predict"\n', ""), "has a plant without a region"),
        (
            HEAD + PLANT.replace("y_pred = 0", "y_pred = 0\\n### END SOLUTION\\n"),
            "has the marker of a region, or what looks like one, in its plant for predict",
        ),
        (
            HEAD
            + PLANT.replace("y_pred = 0", "y_pred = 0\\n### BEGIN SOLUTION x\\n### END SOLUTION"),
            "has the marker of a region, or what looks like one, in its plant for predict",
        ),
        (
            HEAD + PLANT.replace("y_pred = 0", "y_pred = (0"),
            "plants in predict what is not Python near `y_pred = (0`",
        ),
        (
            HEAD + PLANT.replace('body = "y_pred = 0"', 'replace = [["self.V", "0"]]'),
            "replaces 'self.V', which stands 0 times in predict",
        ),
    ],
)
def test_a_file_that_is_wrong_says_which_and_why(tree: Path, text: str, said: str) -> None:
    (mistakes(tree) / "wrong.toml").write_text(text, encoding="utf-8")
    with pytest.raises(CourseError, match=r"wrong\.toml") as caught:
        read_bank(EXERCISE, tree)
    assert said in str(caught.value)


def test_a_variant_that_is_not_python_is_told(tree: Path) -> None:
    text = PLANT.replace('fails = ["predict"]\n', "").replace("y_pred = 0", "print 'hello'")
    (tree / "grading/softmax/variants/wrong.toml").write_text(text, encoding="utf-8")
    with pytest.raises(
        CourseError, match=r"variants/wrong\.toml plants in predict what is not Python"
    ):
        read_bank(EXERCISE, tree)


def test_only_a_mistake_that_is_known_by_its_syntax_may_be_no_python(tree: Path) -> None:
    path = mistakes(tree) / "wrong.toml"
    text = PLANT.replace("y_pred = 0", "print 'hello'")
    for name in ("a print statement", "indentation", "tabs mixed with spaces"):
        path.write_text(f'name = "{name}"\n{text}', encoding="utf-8")
        assert "wrong" in read_bank(EXERCISE, tree).mistakes
    path.write_text(f'name = "xrange"\n{text}', encoding="utf-8")
    with pytest.raises(
        CourseError, match=r"what is not Python near `print 'hello'`: .*'indentation'"
    ):
        read_bank(EXERCISE, tree)


# --- what exercises share -------------------------------------------------------------------------


SVM = load_exercise("svm")
SVM_BANK = read_bank(SVM, PROJECT)


def test_what_is_shared_is_the_same_mistake_in_each_exercise() -> None:
    shared = {path.stem for path in (PROJECT / "grading/linear/mistakes").glob("*.toml")}
    assert len(shared) >= 20
    for bank in (BANK, SVM_BANK):
        assert shared <= set(bank.mistakes)
        assert list(bank.mistakes) == sorted(bank.mistakes)  # wherever each of them is written
    for id in shared:
        assert BANK.mistakes[id] == SVM_BANK.mistakes[id]
    variants = {path.stem for path in (PROJECT / "grading/linear/variants").glob("*.toml")}
    for bank in (BANK, SVM_BANK):
        assert variants <= {variant.id for variant in bank.variants}


def test_there_are_enough_mistakes_and_variants_of_the_svm() -> None:
    own = {path.stem for path in (PROJECT / "grading/svm/mistakes").glob("*.toml")}
    assert len(own) >= 70
    assert len({variant.id for variant in SVM_BANK.variants}) >= 12
    regions = {"svm_naive", "svm_vectorized", "train_batch", "train_update", "predict", "tuning"}
    assert {mutant.region for mutant in SVM_BANK.mutants} == regions
    assert {variant.region for variant in SVM_BANK.variants} == regions


@pytest.mark.parametrize("bank", [BANK, SVM_BANK], ids=["softmax", "svm"])
def test_what_a_traceback_tells_is_a_mistake_of_the_bank(bank: Bank) -> None:
    for check in bank.exercise.checks:
        assert set(check.raises.values()) <= set(bank.mistakes), check.name


def test_the_committed_answers_of_the_svm_are_current() -> None:
    assert stale(compute_answer_key(SVM_BANK, SVM.seed), SVM, PROJECT) == ""


@pytest.mark.parametrize("kind", ["mistakes", "variants"])
def test_a_file_that_is_in_both_folders_is_told(tree: Path, kind: str) -> None:
    own, shared = (tree / "grading" / name / kind for name in ("softmax", "linear"))
    first = min(shared.glob("*.toml"))
    shutil.copy(first, own)
    with pytest.raises(CourseError, match=r"have the same name\. Keep one\.") as caught:
        read_bank(EXERCISE, tree)
    assert str(first) in str(caught.value)
    assert str(own / first.name) in str(caught.value)
    assert len(read_bank(SVM, tree).mistakes) == len(SVM_BANK.mistakes)  # it is not the svm's


def test_a_shared_folder_that_is_not_there_is_told(tree: Path) -> None:
    edit(tree / "grading/softmax/exercise.toml", '["linear"]', '["linear", "cubic"]')
    with pytest.raises(CourseError, match=r"exercise\.toml shares 'cubic'; there is no .*cubic"):
        read_bank(EXERCISE, tree)


def test_shared_words_are_those_of_each_exercise_that_has_the_mistake(tree: Path) -> None:
    words = tree / "grading/linear/descriptions.toml"
    edit(words, 'name = "mean taken twice"', 'name = "twice the mean"')
    for exercise in (EXERCISE, SVM):
        assert read_bank(exercise, tree).mistakes["mean_twice"].name == "twice the mean"
    edit(words, "[mean_twice]", "[mean_thrice]")
    with pytest.raises(CourseError, match=r"softmax/mistakes/mean_twice\.toml has no 'name'"):
        read_bank(EXERCISE, tree)


def test_words_in_two_places_are_told(tree: Path) -> None:
    path = mistakes(tree) / "mean_twice.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(f'hint = "h."\n{text}', encoding="utf-8")
    with pytest.raises(
        CourseError, match=r"mean_twice\.toml has a name or a hint, but .*descriptions\.toml"
    ):
        read_bank(EXERCISE, tree)
    path.write_text(text, encoding="utf-8")
    own = tree / "grading/softmax/descriptions.toml"
    own.write_text(f"[mean_twice]\n{HEAD}", encoding="utf-8")
    with pytest.raises(CourseError, match=r"both have words for 'mean_twice'\. Keep one\."):
        read_bank(EXERCISE, tree)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[x]\nname = 3\n", "should have a table [x] with a name and a hint"),
        ("x = 3\n", "should have a table [x] with a name and a hint"),
        ('[x]\nname = 3\nhint = "h."\n', "has 3 for 'name'"),
        ("[x\n", "is not valid TOML"),
    ],
)
def test_a_file_of_words_that_is_wrong_is_told(tree: Path, text: str, said: str) -> None:
    path = tree / "grading/softmax/descriptions.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CourseError, match=r"softmax/descriptions\.toml") as caught:
        read_bank(EXERCISE, tree)
    assert said in str(caught.value)


def test_all_files_that_mistakes_are_read_from_are_named() -> None:
    paths = bank_paths("svm", PROJECT)
    assert {path.stem for path in paths} == {*SVM_BANK.mistakes, "words"}
    assert all(path.exists() for path in paths)


def test_a_cell_with_a_line_for_jupyter_is_python_as_well() -> None:
    assert without_magics("%time\nx = 1  # %time\n") == "\nx = 1  # %time\n"


def test_a_plant_changes_its_region_and_nothing_else() -> None:
    for mutant in (*BANK.mutants, *BANK.variants):
        theirs, ours = mutant.tree.bodies(), BANK.solution.bodies()
        changed = {name for name in ours if theirs[name] != ours[name]}
        assert changed == {mutant.region}, mutant


# --- the answers ----------------------------------------------------------------------------------


def test_the_committed_answers_are_current() -> None:
    assert stale(ANSWERS, EXERCISE, PROJECT) == ""


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda tree: edit(mistakes(tree) / "log2.toml", "which measures", "this measures"),
            "hint",
        ),
        (lambda tree: (mistakes(tree) / "log2.toml").unlink(), "other mistakes"),
        (
            lambda tree: edit(
                tree / "grading/softmax/mistakes/reg_gradient_halved.toml", "0.5 *", "0.4 *"
            ),
            "other numbers for naive_gradient",
        ),
    ],
)
def test_answers_that_are_no_longer_true_are_noticed_and_built_anew(
    tree: Path, change: Callable[[Path], None], said: str
) -> None:
    change(tree)
    answer_key = compute_answer_key(read_bank(EXERCISE, tree), EXERCISE.seed)
    assert said in stale(answer_key, EXERCISE, tree)
    build(EXERCISE, tree)
    assert stale(answer_key, EXERCISE, tree) == ""


def test_missing_answers_are_noticed(tree: Path) -> None:
    (tree / "assignment/checks/softmax.json").unlink()
    assert stale(ANSWERS, EXERCISE, tree) == "softmax.json is missing"


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"seed": 1, "mistakes": {"a": 1}, "checks": {}}']
)
def test_damaged_answers_are_noticed(tree: Path, text: str) -> None:
    (tree / "assignment/checks/softmax.json").write_text(text)
    said = stale(ANSWERS, EXERCISE, tree)
    assert said == "softmax.json is empty or damaged"


@pytest.mark.parametrize(
    ("empty", "said"),
    [
        (lambda answer_key: answer_key.reference.clear(), "references for other checks or arrays"),
        (
            lambda answer_key: answer_key.reference["naive_loss"].popitem(),
            "references for other checks or arrays",
        ),
        (lambda answer_key: answer_key.fingerprints.clear(), "other fingerprints for naive_loss"),
        (
            lambda answer_key: answer_key.fingerprints["naive_loss"][0].arrays.clear(),
            "other numbers for naive_loss",
        ),
    ],
)
def test_answers_that_lack_something_are_noticed(
    tree: Path, empty: Callable[[AnswerKey], object], said: str
) -> None:
    answer_key = load_answer_key("softmax")
    empty(answer_key)
    (tree / "assignment/checks/softmax.json").write_text(answer_key.to_json(), encoding="utf-8")
    assert said in stale(ANSWERS, EXERCISE, tree)


def test_another_seed_has_other_numbers_and_the_same_mistakes() -> None:
    public, other = load_answer_key("softmax"), compute_answer_key(BANK, 12345)
    assert public.mistakes == other.mistakes
    for name, prints in public.fingerprints.items():
        assert {p.mistake for p in prints} == {p.mistake for p in other.fingerprints[name]}
    arrays = "loss where N = 6, D = 3, C = 4, reg = 0"
    assert public.reference["naive_loss"][arrays] != other.reference["naive_loss"][arrays]


# --- the proof ------------------------------------------------------------------------------------


def mutant(id: str, region: str = "softmax_naive") -> Mutant:
    [first] = [p for p in BANK.mutants if (p.id, p.region, p.number) == (id, region, 0)]
    return first


@pytest.fixture
def bank(monkeypatch: pytest.MonkeyPatch) -> Callable[[Bank], None]:
    """Makes the proof be about another bank."""

    def put(other: Bank) -> None:
        monkeypatch.setattr(verify, "_bank", lambda name, project: other)
        verify._public_runs.cache_clear()

    return put


def prove_mistakes(*mutants: Mutant) -> list[str]:
    return list(map(str, verify._mistakes("softmax", PROJECT, range(len(mutants)))))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (replace(mutant("sum_not_mean"), fails=()), "its file says no check that it fails"),
        (replace(mutant("sum_not_mean"), fails=("naive_loss",)), "naive_large_scores should pass"),
        (
            replace(
                mutant("sum_not_mean"), fails=(*mutant("sum_not_mean").fails, "naive_gradient")
            ),
            "naive_gradient should fail",
        ),
        (
            replace(mutant("sum_not_mean"), tree=BANK.solution),
            "naive_loss should fail, but says: p",
        ),
    ],
)
def test_a_mistake_that_does_not_do_what_its_file_says_is_reported(
    bank: Callable[[Bank], None], wrong: Mutant, said: str
) -> None:
    bank(replace(BANK, mutants=(wrong,)))
    problems = prove_mistakes(wrong)
    assert any(said in problem for problem in problems), problems
    place = "grading/softmax/mistakes/sum_not_mean.toml in softmax_naive: "
    assert all(problem.startswith(place) for problem in problems), problems


def test_two_mistakes_that_cannot_be_told_apart_are_reported(bank: Callable[[Bank], None]) -> None:
    first = mutant("sum_not_mean")
    twin = replace(first, id="mean_twice")  # the same arrays under another name
    bank(replace(BANK, mutants=(first, twin)))
    problems = prove_mistakes(first, twin)
    assert any("naive_loss does not name it" in problem for problem in problems)


def test_a_variant_that_is_wrong_is_reported(bank: Callable[[Bank], None]) -> None:
    wrong = replace(mutant("gradient_sign"), fails=())
    bank(replace(BANK, variants=(wrong,)))
    assert any("naive_gradient" in str(p) for p in verify._variants("softmax", PROJECT, [0]))
    assert any(seed == 3 for seed, _ in verify._seeds("softmax", PROJECT, [3]))


def test_what_is_wrong_for_many_seeds_is_said_once(bank: Callable[[Bank], None]) -> None:
    wrong = replace(mutant("sum_not_mean"), fails=("naive_loss",))
    bank(replace(BANK, mutants=(wrong,), variants=()))
    assert len(verify._each_once(verify._seeds("softmax", PROJECT, [3]))) == 2
    first, second = map(str, verify._each_once(verify._seeds("softmax", PROJECT, [3, 5, 8])))
    place = "seed 3, and for 2 other seeds: grading/softmax/mistakes/sum_not_mean.toml in"
    assert first.startswith(f"{place} softmax_naive: naive_large_scores should pass, but says: ")
    assert second.startswith(f"{place} softmax_naive: naive_underflow should pass, but says: ")


def test_a_seed_of_its_own_is_told_alone() -> None:
    problem = verify.Problem("x.toml in predict", "predict should pass, but says", "wrong")
    [told] = verify._each_once([(7, problem)])
    assert str(told) == "seed 7: x.toml in predict: predict should pass, but says: wrong"


def test_a_solution_that_is_wrong_is_reported() -> None:
    wrong = replace(BANK, solution=mutant("no_reg_in_loss").tree)
    assert (
        verify._solution(wrong, SourceTree.student) == []
    )  # it agrees with the reference, which is its own ...
    assert stale(
        compute_answer_key(wrong, EXERCISE.seed), EXERCISE, PROJECT
    )  # ... but not this one


def test_a_starter_with_a_solution_left_in_it_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = starter_files(PROJECT, ["softmax"])
    path = "assignment/classifiers/linear_classifier.py"
    assert verify._starter(BANK, PROJECT) == []
    solved = files | {path: (PROJECT / path).read_bytes()}
    monkeypatch.setattr(verify, "starter_files", lambda project, names: solved)
    monkeypatch.setattr(verify, "Answers", lambda seed: load_answer_key("softmax"))
    problems = verify._starter(BANK, PROJECT)
    assert [problem.fault.split()[0] for problem in problems] == [
        "train_batch",
        "train_update",
        "predict",
    ]


def test_a_third_name_for_two_mistakes_is_reported(
    bank: Callable[[Bank], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    a = [p.id for p in BANK.mutants].index("half_missing_in_loss")
    b = [p.id for p in BANK.mutants].index("reg_gradient_doubled")
    assert verify._two_at_once("softmax", PROJECT, [(a, b)]) == []
    # Without the note that these two together are the third:
    bank(replace(BANK, mutants=tuple(replace(mutant, also=()) for mutant in BANK.mutants)))
    problems = verify._two_at_once("softmax", PROJECT, [(a, b)])
    assert any("the other convention" in problem.said for problem in problems)


def test_the_table_says_what_was_proved_and_fails_when_something_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = verify.Problem("y", "z should pass, but says", "wrong")
    rows = [verify.Row("the starter", "17 checks", []), verify.Row("x", "passed", [wrong])]
    monkeypatch.setattr(verify, "verify", lambda name, project: iter(rows))
    assert not verify.verify_all(["softmax"], PROJECT)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "softmax"
    assert lines[1].startswith("  ✓ the starter")
    assert lines[2].startswith("  ✗ x")
    assert lines[3] == "      y: z should pass, but says: wrong"
    rows.pop()
    assert verify.verify_all(["softmax"], PROJECT)


def test_answers_without_fingerprints_judge_as_well() -> None:
    answer_key = AnswerKey(EXERCISE.seed, reference=load_answer_key("softmax").reference)
    judge = Judge.of_student(EXERCISE, answer_key, mutant("sum_not_mean").tree.student())
    verdict = judge.verdict("naive_loss")
    assert not verdict.passed
    assert verdict.mistake == ""
