"""The mistake bank: a file that is wrong is refused with a sentence that names it."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from assignment import PROJECT
from assignment.checks.check import load_exercise
from assignment.checks.linear import LINEAR_CLASSIFIER
from assignment.checks.softmax import EXERCISE
from gradkit.course.instructor_tree import CourseError
from gradkit.course.mistakes import Bank, mistake_paths, read_bank, without_magics
from tests.banks import BANK

SVM_BANK = read_bank(load_exercise("svm"), PROJECT)
both_banks = pytest.mark.parametrize("bank", [BANK, SVM_BANK], ids=["softmax", "svm"])

HEAD = 'name = "n"\nhint = "h."\n'
BODY = 'region = "predict"\nbody = "y_pred = 0"\n'


def write(project: Path, path: str, text: str) -> Path:
    (project / "grading" / path).write_text(text, encoding="utf-8")
    return project / "grading" / path


def refusal(project: Path) -> str:
    with pytest.raises(CourseError) as caught:
        read_bank(EXERCISE, project)
    return str(caught.value)


# --- this project's banks -------------------------------------------------------------------------


@pytest.mark.parametrize(("bank", "mistakes"), [(BANK, 80), (SVM_BANK, 90)], ids=["softmax", "svm"])
def test_bank_has_mistakes_and_variants_for_every_region(bank: Bank, mistakes: int) -> None:
    regions = set(bank.solution.places)
    assert len(regions) == 6
    assert {mutant.region for mutant in bank.mutants} == regions
    assert {variant.region for variant in bank.variants} == regions
    assert len(bank.mistakes) >= mistakes
    assert len({variant.id for variant in bank.variants}) >= 15


@both_banks
def test_mutant_changes_its_region_and_nothing_else(bank: Bank) -> None:
    solved = bank.solution.bodies()
    for mutant in (*bank.mutants, *bank.variants):
        bodies = mutant.tree.bodies()
        assert {name for name in solved if bodies[name] != solved[name]} == {mutant.region}, mutant


@both_banks
def test_label_of_a_form_belongs_to_no_other(bank: Bank) -> None:
    assert len({mutant.label for mutant in bank.mutants}) == len(bank.mutants)


@both_banks
def test_mistake_that_a_traceback_shows_is_in_the_bank(bank: Bank) -> None:
    for check in bank.exercise.checks:
        assert set(check.raises.values()) <= set(bank.mistakes), check.name


def test_shared_mistakes_and_variants_are_those_of_each_exercise() -> None:
    shared = [{m.id for m in bank.mutants if "linear" in m.file} for bank in (BANK, SVM_BANK)]
    assert len(shared[0]) >= 20
    assert shared[0] == shared[1]
    for bank in (BANK, SVM_BANK):
        assert list(bank.mistakes) == sorted(bank.mistakes)  # whichever file they are in
        assert {"other_ways_to_draw", "other_ways_to_update"} <= {v.id for v in bank.variants}
    assert all(BANK.mistakes[id] == SVM_BANK.mistakes[id] for id in shared[0])


def test_mistake_paths_are_all_files_that_mistakes_are_read_from() -> None:
    paths = mistake_paths("svm", PROJECT)
    assert [path.parent.name for path in paths] == ["svm", "linear"]
    assert all(path.exists() for path in paths)


# --- tables ---------------------------------------------------------------------------------------


def test_region_is_the_one_that_holds_the_replaced_lines(project: Path) -> None:
    forms = """
        [[x.form]]
        replace = [["np.argmax(X @ self.W, axis=1)", "0"]]
        [[x.form]]
        replace = [["sum_exp = probs", "sum_exp = 2 * probs"], ["dW += reg * W", "dW += W"]]
        [[x.form]]
        region = "softmax_naive"
        replace = [["num_train = X.shape[0]", "num_train = 5"]]
        [[x.form]]
        replace = [["dW += reg * W", "pass"]]
    """
    write(project, "softmax/mistakes.toml", f"[x]\n{HEAD}{forms}")
    labels = [mutant.label for mutant in read_bank(EXERCISE, project).mutants]
    vectorized = "x in softmax_vectorized"
    assert labels == ["x in predict", vectorized, "x in softmax_naive", f"{vectorized}, form 2"]


def test_replacements_do_not_depend_on_their_order(project: Path) -> None:
    edits = ['["X @ self", "axis @ self"]', '["axis", "axes"]']
    for pairs in (edits, edits[::-1]):
        write(project, "softmax/variants.toml", f"[x]\nreplace = [{', '.join(pairs)}]\n")
        [variant] = read_bank(EXERCISE, project).variants
        assert "np.argmax(axis @ self.W, axes=1)" in variant.tree.body("predict").text


def replaced(pairs: str, region: str = "") -> str:
    return f"[x]\n{HEAD}replace = {pairs}\n" + (f'region = "{region}"\n' if region else "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[x", "is not valid TOML"),
        ("x = 3\n", "x does not fit: Expected `object`, got `int`"),
        (f"[x]\n{HEAD}", "x has no form. Write `replace` or `body`."),
        (f'[x]\nhint = "h."\n{BODY}', "x has no 'name'. Write name = \""),
        (
            f'[x]\nname = "n"\n{BODY}',
            "x has no 'hint'. Write one; only a mistake with one of these",
        ),
        (f'[x]\n{HEAD}color = "red"\n{BODY}', "unknown field `color`"),
        (f"[x]\nname = 3\n{BODY}", "at `$.name`"),
        (f'[x]\nname = "n"\nhint = " "\n{BODY}', "at `$.hint`"),
        (f"[x]\n{HEAD}[x.form]\n{BODY}", "at `$.form`"),
        (f"[x]\n{HEAD}[[x.form]]\nname = 'n'\n{BODY}", "unknown field `name` - at `$.form[0]`"),
        (f'[x]\n{HEAD}region = "predict"\n', "x needs either `body` or `replace` in each form"),
        (f'[x]\n{HEAD}{BODY}replace = [["a", "b"]]\n', "x needs either `body` or `replace` in"),
        (f'[x]\n{HEAD}body = "y = 0"\n', "x has a body, but no region. The regions are: softmax_"),
        (f'[x]\n{HEAD}body = "y = 0"\nregion = "oracle"\n', "has the unknown region 'oracle'. The"),
        (replaced('[["a", "b", "c"]]'), "at `$.replace[0]`"),
        (replaced('[["self.V", "0"]]'), "x replaces 'self.V', which stands in no region."),
        (replaced('[["self.V", "0"]]', "predict"), "'self.V', which stands 0 times in predict."),
        (
            replaced('[["argmax", "argmin"], ["y_batch = y[drawn]", ""]]'),
            "x replaces lines that stand together in no region. Give each region a form of its",
        ),
        (
            replaced('[["num_train = X.shape[0]", "num_train = 5"]]'),
            "x replaces lines that stand together in softmax_naive, softmax_vectorized. Add `",
        ),
        (
            replaced('[["argmax(", "max("], ["(X", "(W"]]'),
            "x replaces a part of predict twice, in 'argmax(' and '(X'. Make one pair of these",
        ),
        (
            f'[y]\nname = "m"\nhint = "h."\n{BODY}[x]\n{HEAD}{BODY}',
            "y in predict has the same code as grading/softmax/mistakes.toml: x in predict. Remove",
        ),
        (
            f"[y]\n{HEAD}{BODY}[x]\n{HEAD}{BODY}".replace("0", "1", 1),
            "y has the same name as grading/softmax/mistakes.toml: x: 'n'. Rename one, or make",
        ),
        (replaced('[["argmax(", "argmax("]]'), "x in predict has the same code as the solution."),
        (
            f"[x]\n{HEAD}" + BODY.replace("0", "0\\n### END SOLUTION\\n"),
            f"{LINEAR_CLASSIFIER}, in the",
        ),
        (
            f"[x]\n{HEAD}" + BODY.replace("0", "(0"),
            "x in predict is invalid Python near `y_pred = (0`",
        ),
    ],
)
def test_mistake_that_is_wrong_is_refused(project: Path, text: str, problem: str) -> None:
    path = write(project, "softmax/mistakes.toml", text)
    assert str(path.relative_to(project)) in refusal(project)
    assert problem in refusal(project)


def test_mistake_of_a_ready_made_check_needs_no_name_and_hint(project: Path) -> None:
    write(project, "softmax/mistakes.toml", f"[loop_in_vectorized]\n{BODY}")
    assert read_bank(EXERCISE, project).mistakes["loop_in_vectorized"].name == "one loop too many"
    write(project, "softmax/mistakes.toml", f"[loop_in_vectorized]\n{HEAD}{BODY}")
    assert read_bank(EXERCISE, project).mistakes["loop_in_vectorized"].name == "n"


def test_region_that_no_file_has_is_refused(project: Path) -> None:
    wrong = replace(EXERCISE.checks[0], regions=("softmax_naiv",))
    exercise = replace(EXERCISE, checks=(wrong, *EXERCISE.checks[1:]))
    with pytest.raises(CourseError, match="'naive_loss' has regions='softmax_naiv', which no file"):
        read_bank(exercise, project)


def test_each_place_of_lines_that_stand_there_twice_is_shown(project: Path) -> None:
    write(
        project,
        "softmax/mistakes.toml",
        replaced('[["for c in", "for k in"]]', "softmax_naive"),
    )
    head, *places = refusal(project).splitlines()
    assert "stands 2 times in softmax_naive. Quote lines that stand there once." in head
    path = EXERCISE.files[0]
    lines = (project / path).read_text(encoding="utf-8").splitlines()
    for place in places:
        match = re.fullmatch(r"  (\S+), line (\d+): `(.*)`", place)
        assert match
        shown, number, line = match.groups()
        assert (shown, line) == (path, lines[int(number) - 1].strip())
        assert line == "for c in range(num_classes):"
    assert len(places) == 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            '[x]\nregion = "predict"\nbody = "print 1"\n',
            "variants.toml: x in predict is invalid Pyth",
        ),
        (f"[x]\n{HEAD}{BODY}", "unknown field `name`"),
    ],
)
def test_variant_that_is_not_python_or_has_a_name_is_refused(
    project: Path, text: str, problem: str
) -> None:
    write(project, "softmax/variants.toml", text)
    assert problem in refusal(project)


def test_only_a_mistake_named_after_a_syntax_error_may_be_invalid_python(project: Path) -> None:
    form = BODY.replace("y_pred = 0", "print 'hello'")
    for name in ("a print statement", "indentation", "tabs mixed with spaces"):
        write(project, "softmax/mistakes.toml", f'[wrong]\nname = "{name}"\n{form}')
        assert "wrong" in read_bank(EXERCISE, project).mistakes
    write(project, "softmax/mistakes.toml", f'[wrong]\nname = "xrange"\n{form}')
    assert "near `print 'hello'`: " in refusal(project)


@pytest.mark.parametrize("kind", ["mistakes", "variants"])
def test_forms_in_two_files_are_refused(project: Path, kind: str) -> None:
    paths = [
        write(project, f"{name}/{kind}.toml", f"[x]\n{BODY}") for name in ("softmax", "linear")
    ]
    assert refusal(project) == f"{paths[0]} and {paths[1]} both have forms of x. Keep one."


def test_shared_folder_that_does_not_exist_is_refused(project: Path) -> None:
    write(project, "softmax/exercise.toml", 'shared = ["cubic"]\n')
    assert "exercise.toml shares 'cubic', but there is no " in refusal(project)


def test_shared_name_and_hint_are_those_of_each_mistake_with_the_id(project: Path) -> None:
    write(project, "softmax/mistakes.toml", f"[x]\n{BODY}")
    shared = write(project, "linear/mistakes.toml", f"[x]\n{HEAD}[y]\n{HEAD}")
    [mistake] = read_bank(EXERCISE, project).mistakes.values()
    assert (mistake.name, mistake.hint) == ("n", "h.")
    own = write(project, "softmax/mistakes.toml", f'[x]\nhint = "h."\n{BODY}')
    assert refusal(project) == f"{own} and {shared} both describe x. Keep one."
    write(project, "linear/mistakes.toml", f"[y]\n{HEAD}")
    assert "softmax/mistakes.toml: x has no 'name'." in refusal(project)


def test_cell_with_a_line_magic_is_python_without_it() -> None:
    assert without_magics("%time\nx = 1  # %time\n") == "\nx = 1  # %time\n"
