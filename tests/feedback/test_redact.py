"""Redaction: no text that code can choose leaves the sandbox in a verdict."""

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from assignment.checks.softmax import SOFTMAX
from assignment.checks.verdict import Status, Verdict
from gradkit.feedback.redact import redact_for_student

FILES = {SOFTMAX: b"def f(W):\n    raise ValueError(W)\n"}
WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)


def verdict(status: Status, headline: str, quoted: str, text: str = "", kind: str = "") -> Verdict:
    return Verdict(
        "naive_loss", "Naive loss", status, 0, 8, headline, text, quoted=quoted, kind=kind
    )


@given(text=WORDS, kind=WORDS)
@example(text="0.8437 seed 8123456789", kind="E8123456789")
@example(text="shapes (6,4) (6,)", kind="ValueError")
def test_a_verdict_hides_words_that_code_can_choose(text: str, kind: str) -> None:
    secret = f"zq{text.encode('utf-8', 'surrogatepass').hex()}zq"
    quoted = f'  File "{SOFTMAX}", line 2, in f\n    raise ValueError(W)\n{kind}: {secret} {text}'
    raised = verdict(Status.RAISED, f"raised {kind}", quoted, kind=kind)
    shown = json.dumps(vars(redact_for_student(raised, FILES, {})), ensure_ascii=False)
    assert secret not in shown
    assert "raise ValueError(W)" in shown
    for number in re.findall(r"\d{5,}|\d\.\d", f"{text}\n{kind}"):
        assert number not in shown


@pytest.mark.parametrize(
    "message",
    [
        "IndexError: index 6 is out of bounds for axis 0 with size 6",
        "TypeError: unsupported operand type(s) for +=: 'NoneType' and 'float'",
        "AttributeError: 'numpy.ndarray' object has no attribute 'append'",
        "UnboundLocalError: cannot access local variable 'W' where it is not associated with "
        "a value",
        "ValueError: too many values to unpack (expected 2)",
        "ZeroDivisionError: division by zero",
        "ValueError: setting an array element with a sequence.",
        "TypeError: only integer scalar arrays can be converted to a scalar index",
    ],
)
def test_messages_of_python_and_numpy_are_kept(message: str) -> None:
    raised = verdict(Status.RAISED, "raised", message)
    assert redact_for_student(raised, FILES, {}).quoted == message


def test_printed_output_is_removed() -> None:
    wrong = verdict(
        Status.WRONG, "not right yet", "It printed:\n0.1234", "loss is off by 3%.", "wrong"
    )
    assert redact_for_student(wrong, FILES, {}).quoted == ""
    assert redact_for_student(wrong, FILES, {}).text == "loss is off by 3%."
