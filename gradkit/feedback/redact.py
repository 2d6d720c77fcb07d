"""What a student may be told of a graded run: nothing that code in the sandbox could choose freely.

A verdict holds texts of two kinds. Headlines, hints and differences are ours. Tracebacks, what an
exception says and what was printed come out of the sandbox, where code that knows a problem's
numbers may write anything, and so carry them out to whoever hands in next. Of these a student gets

    lines of code       those that stand in the student's own files or cells
    sentences           those made of words of the kit, of Python's own messages, or of the
                        student's code, with small whole numbers, as the shapes of arrays
    what was printed    nothing

The rest is left out, and said to be. The checks in the student's own copy show all of it.
"""

import builtins
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache

from assignment import PROJECT
from assignment.checks.verdict import Status, Verdict
from assignment.workspace.regions import read_notebook, region_of, source_of

MAX_LINES = 12
MAX_CHARACTERS = 300
MAX_NUMBERS = 16
LEFT_OUT = "(The rest of it is not shown here; the checks in your own copy show it.)"

# In the messages of Python's and numpy's exceptions, beside the words of the kit's own checks.
_MESSAGES = """
access add after ambiguous arange argmax args argument arguments arr arrays assigned assignment
associated astype attribute axes axis base bincount block boolean bounds bracket broadcast call
broadcastable cannot cast casting changed char character choose class closed closing comma compare
comparison concatenate concatenation contains continuation convert converted copy core could decimal
dictionary did Did different dimension dimensional dimensions divide dot dtype during element
elements empty enclosing end enough equal error escape exceeded exceeds exp expected expecting
exponent expression factor failed few first fit float16 float32 float64 following for forget forgot
found fromnumeric function generator given global got gufunc has have here homogeneous identical
identity implemented import imported in incompatible incomplete inconsistent indent indentation
index indexed indexing indices inhomogeneous initial inner Input inputs instance instances instead
int32 int64 integer integers invalid is item iterable iterate iteration its k key keyword keywords
leading left length lengths level like line literal local log long loop loops m mapping mask masked
match matches matching matmul matrices matrix maximum maximum_value maybe mean meant memory mismatch
missing Missing mode module more multiple multiply must n name named names nan ndarray ndarrays ndim
needs negative never new no non NoneType nonlocal nor not number numbers numpy objects of on one
only opening operand operands operation operator or order out output over overflow p parameter
parent parentheses parenthesis parse part perhaps positional positive possible power previous
problem provided quote random reached read reduction referenced remap remapping requested required
requires reshape result return right rule s safe same same_kind scalar scalars second self sequence
setting shape shapes signature single size slices solve space spaces split squeeze stack statement
stop string strings subscriptable subtract support supported swapaxes syntax tab tabs take takes
than the their then this through to together too truth types ufunc uint64 uint8 unable unexpected
unexpectedly unhashable unicode uniform unindent unknown unmatched unpack unpacked unsigned
unsupported unterminated use using value values variable version was were when where which while
with without writeable you zero zeros
"""

_FRAME = re.compile(r' *File "(?P<path>[\w/.-]+)", line \d{1,5}(, in (?P<name>[\w.<>]+))?')
_CELL = re.compile(r"Cell In\[\d{1,4}\], line \d{1,5}(, in (?P<name>[\w.<>()= ,*]+))?")
_RAISED = re.compile(r"(?P<kind>[A-Za-z_]\w{0,60})(?:: (?P<text>.*))?")
_ARROW = re.compile(r"^(-*> *)?\d+ ")  # in front of a line of a notebook's traceback
_MARKS = re.compile(r"[ ^~]+")  # below a line, where in it
_WORD = re.compile(r"[^\W\d]\w*")
_NUMBER = re.compile(r"\d+")


def redact_for_student(
    verdict: Verdict, files: Mapping[str, bytes], cells: Mapping[str, str]
) -> Verdict:
    """The verdict on a submission with these files and cells, as its student may see it."""
    if verdict.status in (Status.PASSED, Status.WAITING):
        return verdict
    own = _Own(files, cells)
    text = own.sentence(verdict.text) if _is_sandboxes(verdict) else verdict.text
    raised = verdict.status is Status.RAISED
    named = not raised or verdict.headline != f"raised {verdict.kind}" or own.knows(verdict.kind)
    return replace(
        verdict,
        headline=verdict.headline if named else "raised an exception",
        text=text,
        quoted="" if verdict.status is Status.WRONG else own.traceback(verdict.quoted),
        kind=verdict.kind if named else "",
    )


def _is_sandboxes(verdict: Verdict) -> bool:
    """Whether a verdict's text may be what the sandbox sent."""
    return verdict.kind == "invalid" or verdict.status in (Status.NOT_ATTEMPTED, Status.CRASHED)


class _Own:
    """What is a student's own, and so tells nothing new."""

    def __init__(self, files: Mapping[str, bytes], cells: Mapping[str, str]) -> None:
        texts = [*(content.decode("utf-8", "replace") for content in files.values())]
        texts += cells.values()
        self.paths = set(files)
        self.lines = {line.strip() for text in texts for line in text.splitlines()}
        self.words = {word for text in texts for word in _WORD.findall(text)}

    def knows(self, word: str) -> bool:
        return word in self.words or word in _kits_words()

    def sentence(self, text: str) -> str:
        return text if self.is_harmless(text) else LEFT_OUT

    def is_harmless(self, text: str) -> bool:
        numbers = _NUMBER.findall(text)
        return (
            len(text) <= MAX_CHARACTERS
            and len(numbers) <= MAX_NUMBERS
            and all(len(number) <= 4 for number in numbers)
            and not re.search(r"\d[.\w]*[.e]\d", text)
            and all(map(self.knows, _WORD.findall(text)))
        )

    def traceback(self, quoted: str) -> str:
        """The lines of a traceback that are the student's, and what was raised there."""
        kept, lines = [], quoted.splitlines()
        for line in lines:
            if self._is_place(line) or self._is_code(_ARROW.sub("", line.strip()).strip()):
                kept.append(line)
            elif _MARKS.fullmatch(line):
                kept += [line] * bool(kept)
            elif self.is_harmless(line):
                kept.append(line)
            elif (raised := _RAISED.fullmatch(line)) and self.knows(raised["kind"]):
                kept.append(f"{raised['kind']}: {LEFT_OUT}")
        if lines and not kept:
            return LEFT_OUT
        return "\n".join(kept[:MAX_LINES])

    def _is_place(self, line: str) -> bool:
        if found := _FRAME.fullmatch(line):
            return found["path"] in self.paths and self._is_name(found["name"] or "")
        found = _CELL.fullmatch(line)
        return found is not None and self._is_name(found["name"] or "")

    def _is_code(self, line: str) -> bool:
        return line in self.lines or line in _kits_lines()

    def _is_name(self, name: str) -> bool:
        return all(map(self.knows, _WORD.findall(name)))


@cache
def _kits_lines() -> frozenset[str]:
    """The lines of the notebooks' cells that are not the student's."""
    lines = set()
    for path in (PROJECT / "notebooks").glob("*.ipynb"):
        for cell in read_notebook(path.read_text(encoding="utf-8"), path.name)["cells"]:
            if region_of(cell) is None and cell["cell_type"] == "code":
                lines |= {line.strip() for line in source_of(cell).splitlines()}
    return frozenset(lines)


@cache
def _kits_words() -> frozenset[str]:
    """The words of the kit's own checks, and of what Python and numpy say."""
    folder = PROJECT / "assignment" / "checks"
    texts: Iterable[str] = (path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    return frozenset({*dir(builtins), *_WORD.findall("\n".join([_MESSAGES, *texts]))})
