"""Both notebooks, read and not run: their texts, hints and examples, in their order."""

import ast
import re
from typing import Any

import nbformat
import numpy as np
import pytest

from assignment import PROJECT
from assignment.checks.check import load_exercise
from gradkit.authoring.notebook_outputs import printed

BY_NAME = {
    name: nbformat.read(PROJECT / load_exercise(name).notebook, as_version=4)
    for name in ("softmax", "svm")
}
CELLS = {name: {cell.id: cell for cell in nb.cells} for name, nb in BY_NAME.items()}
BOTH = pytest.mark.parametrize("name", BY_NAME)


@pytest.mark.parametrize(
    ("id", "words"),
    [
        ("title", "**Run All Above Selected Cell**"),  # where `check` is a NameError
        ("loss-text", "0.0001"),
        ("gradient-text", r"\partial s_c / \partial W_{dc} = x_d"),
        ("gradient-text", "| `X.T @ dscores` | (D, N) @ (N, C) = (D, C) |"),
        ("numeric-text", "30,000"),
        ("tuning-text", "stand-ins"),
        ("tuning-text", "(mean ± standard deviation)"),
        ("edge-text", "edge of the grid"),
        ("test-spread-text", r"0.6 / 1000}"),
    ],
)
@BOTH
def test_a_text_has_the_fact_that_students_missed(name: str, id: str, words: str) -> None:
    assert words in " ".join(CELLS[name][id].source.split())


def test_the_derivation_of_softmax_has_a_line_for_the_sum() -> None:
    source = CELLS["softmax"]["gradient-text"].source
    assert (
        r"\frac{1}{S} \cdot \frac{\partial S}{\partial s_c} = \frac{1}{S} \cdot e^{s_c}" in source
    )
    assert "the same for every class" not in source


@BOTH
def test_three_hints_are_folded_and_the_first_is_a_question(name: str) -> None:
    hints = re.findall(r"<details>(.+?)</details>", CELLS[name]["trap-text"].source, re.DOTALL)
    assert [re.findall(r"<b>Hint (\d)</b>", hint) for hint in hints] == [["1"], ["2"], ["3"]]
    assert hints[0].strip().endswith("?")


@pytest.mark.parametrize(
    ("name", "id", "shown"),
    [
        ("softmax", "one-hot-example", ["mask", "example_p", "example_p - mask", "np.nan"]),
        ("softmax", "one-hot-example", ["example_X.T @ (example_p - mask)"]),
        ("svm", "mask-example", ["margins", "mask", "changes"]),
    ],
)
def test_an_example_prints_the_mask_of_three_images(
    name: str, id: str, shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {"np": np}
    exec(CELLS[name][id].source, names)
    text = capsys.readouterr().out
    assert names["mask"].shape == (3, 4)
    assert [x for x in shown if str(eval(x, names)) not in text] == []


@BOTH
def test_the_best_pair_of_the_given_grid_lies_on_its_edge(name: str) -> None:
    given = ast.parse(CELLS[name]["parameters"].source).body
    grid = {
        x.targets[0].id: ast.literal_eval(x.value)
        for x in given
        if isinstance(x, ast.Assign) and isinstance(x.targets[0], ast.Name)
        if x.targets[0].id.startswith("TUNING") and isinstance(x.value, ast.List)
    }
    line = r"lr (.+), reg (.+): training .+, validation (.+)"
    shown = re.findall(line, "\n".join(printed(CELLS[name]["tuning-results"])))
    found = [[float(number) for number in numbers] for numbers in shown]
    learning_rate, reg, _ = max(found, key=lambda numbers: numbers[2])
    rates, regs = grid["TUNING_LEARNING_RATES"], grid["TUNING_REGS"]
    assert len(found) == len(rates) * len(regs)
    assert learning_rate in (rates[0], rates[-1]) or reg in (regs[0], regs[-1])


@BOTH
def test_the_assignment_is_imported_before_numpy_so_that_blas_has_one_thread(name: str) -> None:
    imported = [
        module
        for cell in BY_NAME[name].cells
        if cell.cell_type == "code" and not cell.source.startswith("%")
        for node in ast.walk(ast.parse(cell.source))
        for module in [x.name for x in getattr(node, "names", ())] + [getattr(node, "module", None)]
    ]
    first = [str(module).partition(".")[0] for module in imported]
    assert first.index("assignment") < first.index("numpy")


@BOTH
def test_words_that_the_course_does_not_use_are_in_no_text(name: str) -> None:
    texts = "\n".join(c.source for c in BY_NAME[name].cells if c.cell_type == "markdown")
    texts += (PROJECT / "docs/README-students.md").read_text("utf-8")
    texts += (PROJECT / f"assignment/checks/{name}.json").read_text("utf-8")
    assert not re.findall(r"right class|right answer|pictures?\b|adds? up to", texts)
