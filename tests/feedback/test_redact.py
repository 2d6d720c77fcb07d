"""Redaction: no text that code can choose leaves the sandbox in a verdict."""

import json
import re

from hypothesis import example, given
from hypothesis import strategies as st

from assignment.checks.softmax import SOFTMAX
from assignment.checks.verdict import Status, Verdict
from gradkit.feedback.redact import redact_for_student

FILES = {SOFTMAX: b"def f(W):\n    raise ValueError(W)\n"}
WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)


@given(text=WORDS, kind=WORDS)
@example(text="0.8437 seed 8123456789", kind="E8123456789")
@example(text="shapes (6,4) (6,)", kind="ValueError")
@example(text="a name without words", kind="8123456789")
def test_a_verdict_hides_words_that_code_can_choose(text: str, kind: str) -> None:
    secret = f"zq{text.encode('utf-8', 'surrogatepass').hex()}zq"
    quoted = f'  File "{SOFTMAX}", line 2, in f\n    raise ValueError(W)\n{kind}: {secret} {text}'
    raised = Verdict("", "", Status.RAISED, 0, 8, f"raised {kind}", quoted=quoted, kind=kind)
    shown = json.dumps(vars(redact_for_student(raised, FILES, {})), ensure_ascii=False)
    assert secret not in shown
    assert "raise ValueError(W)" in shown
    for number in re.findall(r"\d{5,}|\d\.\d", f"{text}\n{kind}"):
        assert number not in shown


def test_messages_of_python_and_numpy_are_kept() -> None:
    messages = """IndexError: index 6 is out of bounds for axis 0 with size 6
TypeError: unsupported operand type(s) for +=: 'NoneType' and 'float'
AttributeError: 'numpy.ndarray' object has no attribute 'append'
UnboundLocalError: cannot access local variable 'W' where it is not associated with a value
ValueError: too many values to unpack (expected 2)
ZeroDivisionError: division by zero
ValueError: setting an array element with a sequence.
TypeError: only integer scalar arrays can be converted to a scalar index"""
    raised = Verdict("", "", Status.RAISED, 0, 8, "raised", quoted=messages)
    assert redact_for_student(raised, FILES, {}).quoted == messages


def test_printed_output_is_removed() -> None:
    text, quoted = "loss is off by 3%.", "It printed:\n0.1234"
    wrong = Verdict("", "", Status.WRONG, 0, 8, "not right yet", text, quoted=quoted, kind="wrong")
    shown = redact_for_student(wrong, FILES, {})
    assert (shown.text, shown.quoted) == (text, "")
