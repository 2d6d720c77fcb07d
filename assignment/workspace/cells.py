"""The student's cells of a notebook, however editors, converters and students have left them.

`read_cells` finds the text of each region, and the unassigned cells. A region that a
check exercises is code, any other one prose, whatever the type of its cell.
"""

import ast
import contextlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from assignment.checks.check import Exercise
from assignment.workspace.fresh_copy import names_in, parse_cell
from assignment.workspace.regions import (
    ANSWER_STUB,
    Notebook,
    cell_titles,
    is_answered,
    region_of,
    source_of,
    text_digest,
)

MAX_CELL_BYTES = 100_000  # of one region
MAX_CELLS_READ = 100  # in search of the answer to a question
MAX_UNASSIGNED_CELLS = 20  # for a question
MAX_UNASSIGNED_TEXT = 10_000  # characters of one cell
NEAR = 2  # cells from a question
ANSWER_LABEL = ANSWER_STUB.partition(" *")[0]

_START = re.compile(r"(?m)^[ \t]*### (?:BEGIN SOLUTION|START OF YOUR CODE:) (\w+)[ \t]*\r?$")
_END = re.compile(r"(?m)^[ \t]*### END (?:SOLUTION|OF YOUR CODE)[ \t]*\r?$")
_PICTURE = re.compile(r"(?<=;base64,)[\w+/=%]{100,}")  # as Colab puts pasted ones into the text
STUB = re.compile(
    r"""### START OF YOUR CODE: (\w+)\s+raise NotImplementedError\("\1"\)\s+### END OF YOUR CODE"""
)


@dataclass(frozen=True)
class StudentCells:
    """The student's part of a notebook.

    `unfilled` are the regions without a cell, or with nothing but the stub in it. `unassigned` are,
    for each question, the texts of cells that are neither the course's nor a region's, the nearest
    first: the answer may be in one of them, or go on there. For an answered question these are the
    cells between the course's cells around it. `notes` are sentences on the cells that count.
    """

    texts: dict[str, str]  # by region
    missing: list[str]  # regions without a cell
    unfilled: list[str]
    unassigned: dict[str, list[str]]
    notes: list[str]


class _Cell(NamedTuple):
    number: int  # in the notebook, from 1
    text: str
    is_code: bool
    is_marked: bool  # its metadata name its region
    gap: int  # the number of the course's cells above it
    run: int  # its execution count: the highest one is that of the cell that was run last

    @property
    def digest(self) -> str:
        return text_digest(self.text)


def read_cells(
    nb: Notebook, exercise: Exercise, course: Sequence[str], older: Iterable[str] = ()
) -> StudentCells:
    """Find the student's cells in a notebook.

    `course` is the outline of the course's notebook; without it, all regions are accepted, and no
    cell is unassigned. `older` is the outline of the starter that the student has worked with.
    """
    cells, titles = _CellReader(nb, exercise, course, older), cell_titles(nb)
    result = StudentCells({}, [], [], {}, [])
    for name, there in cells.regions.items():
        filled = [cell for cell in there if cells.is_filled(cell)]
        chosen = [cell for cell in filled if cell.is_marked] or filled
        if name in exercise.code_regions:
            chosen = _choose_code(name, chosen)
            result.notes.extend(_code_notes(titles[name], name, there, chosen))
        if there:
            text = "\n".join(cell.text for cell in chosen or there[:1])
            result.texts[name] = text if name in exercise.code_regions else _PICTURE.sub("…", text)
        else:
            result.missing.append(name)
        if not chosen:
            result.unfilled.append(name)
            if name in exercise.code_regions:
                result.notes.extend(_stub_notes(titles[name], there, cells.unassigned))
        if name not in exercise.code_regions and (nearest := cells.nearest_unassigned(name)):
            result.unassigned[name] = nearest
    return result


class _CellReader:
    """The cells of a notebook: those of regions, the course's, and the unassigned ones."""

    def __init__(
        self, nb: Notebook, exercise: Exercise, course: Sequence[str], older: Iterable[str]
    ) -> None:
        self.course = [line.partition(" ")[::2] for line in course]
        self.known = {line.partition(" ")[0] for line in (*course, *older)}
        self.regions: dict[str, list[_Cell]] = {name: [] for _, name in self.course if name}
        self.unassigned: list[_Cell] = []
        self.places: dict[str, int] = {}  # of the course's cells, by the digests of their texts
        before, gap = None, 0
        texts = self._join_split(nb)
        for number, (cell, text) in enumerate(zip(nb["cells"], texts, strict=True), start=1):
            name = region_of(cell)
            is_code, run = cell["cell_type"] == "code", cell.get("execution_count")
            is_marked = name is not None and (name in self.regions or not course)
            own = _Cell(number, text, is_code, is_marked, gap, run if isinstance(run, int) else 0)
            if is_code and not is_marked:
                names = {*_START.findall(text)} & self.regions.keys() & exercise.code_regions
                name = names.pop() if len(names) == 1 else None
            if name is not None and (is_marked or is_code):
                pieces = self.regions.setdefault(name, [])
                # A copy apart from the region's other cells may be the answer to another question,
                # and a cell with two answers holds one.
                is_apart = name not in exercise.code_regions and (
                    (bool(pieces) and name != before) or text.count(ANSWER_LABEL) > 1
                )
                pieces.append(own)
            else:
                is_apart = bool(course)
                self.places.setdefault(own.digest, number)
                gap += own.digest in self.known
            if is_apart and self.is_filled(own):
                self.unassigned.append(own)
            before = name

    def _join_split(self, nb: Notebook) -> list[str]:
        """Return the texts of all cells, with code that was split between markers in one of them.

        Some editors give the new cells no metadata.
        """
        texts, pieces = dict(enumerate(map(source_of, nb["cells"]))), list[int]()
        for place, cell in enumerate(nb["cells"]):
            if text_digest(texts[place]) in self.known:
                pieces = []
            elif cell["cell_type"] == "code" and (pieces or _START.search(texts[place])):
                if _START.search(texts[place]):
                    pieces = []
                pieces.append(place)
                if _END.search(texts[place]):
                    texts[pieces[0]] = "\n".join(texts[piece] for piece in pieces)
                    texts |= dict.fromkeys(pieces[1:], "")
                    pieces = []
        return [*texts.values()]

    def is_filled(self, cell: _Cell) -> bool:
        """Return whether a cell is neither a stub nor another one of the course's."""
        is_stub = cell.digest in self.known or STUB.search(cell.text)
        return is_answered(cell.text) and not is_stub

    def nearest_unassigned(self, region: str) -> list[str]:
        """Return the texts of the unassigned cells, those nearest to a region first.

        Code that is not near is left out: students try things out in cells of their own. Of an
        answered question all code is, and what is beyond the next cells of the course.
        """
        place = 0
        for digest, name in self.course:
            if name == region:
                break
            place = self.places.get(digest, place)
        if self.regions[region]:
            place = self.regions[region][0].number
        own = next((cell for cell in self.regions[region] if self.is_filled(cell)), None)
        there = [c for c in self.unassigned if not own or (c.gap == own.gap and c != own)]
        nearest = sorted(there, key=lambda cell: abs(cell.number - place))
        texts = [
            text
            for cell in nearest[:MAX_CELLS_READ]
            for text in [_PICTURE.sub("…", cell.text)[:MAX_UNASSIGNED_TEXT]]
            if not (cell.is_code and _is_python(text))
            or (not own and abs(cell.number - place) <= NEAR)
        ]
        return texts[:MAX_UNASSIGNED_CELLS]


def _is_python(text: str) -> bool:
    """Return whether a cell of code holds a statement, and not only comments, texts or prose."""
    try:
        statements = parse_cell(text).body
    except SyntaxError:
        return False
    return not all(
        isinstance(x, ast.Expr) and isinstance(x.value, ast.Constant) for x in statements
    )


def _choose_code(name: str, cells: list[_Cell]) -> list[_Cell]:
    """Choose among the filled cells of a code region.

    Pieces of a split cell all count. Of cells with both marker lines, which are copies, the one
    that was run last counts, else the last one. A piece above it counts if it defines a name that
    the copy needs: otherwise it is an older try, which may fail. A piece below it counts unless
    Python cannot read it.
    """
    copies = [
        cell for cell in cells if name in _START.findall(cell.text) and _END.search(cell.text)
    ]
    if not copies:
        return cells
    base = max(copies, key=lambda cell: (cell.run, cell.number))
    pieces = [cell for cell in cells if cell not in copies]
    if sum(len(cell.text) for cell in (base, *pieces)) > MAX_CELL_BYTES:  # too much to be parsed
        return [base]
    used, bound = names_in(base.text)
    needed, chosen = used - bound, [base]
    for piece in reversed([piece for piece in pieces if piece.number < base.number]):
        used, bound = names_in(piece.text)
        if bound & {*needed, "*"}:
            chosen.insert(0, piece)
            needed = (needed - bound) | used
    for piece in [piece for piece in pieces if piece.number > base.number]:
        with contextlib.suppress(SyntaxError):
            parse_cell(piece.text)
            chosen.append(piece)
    return chosen


def _code_notes(title: str, name: str, there: list[_Cell], chosen: list[_Cell]) -> list[str]:
    """Return sentences on how the cells of a code region were chosen, where that is not plain."""
    notes = []
    if chosen and not chosen[0].is_marked:
        notes.append(
            f"Cell {chosen[0].number} counts as your code, by its line `### START OF "
            f"YOUR CODE: {name}`: its metadata are gone."
        )
    different = {cell.digest: cell for cell in (*there, *chosen) if cell.text.strip()}
    if chosen and different.keys() - {cell.digest for cell in chosen}:
        notes.append(
            f"The notebook has {len(different)} different cells of {title}, numbers "
            f"{_numbers(different.values())}; {_numbers(chosen)} counts."
        )
    return notes


def _stub_notes(title: str, there: list[_Cell], unassigned: list[_Cell]) -> list[str]:
    """Return a sentence on code beside an unfilled code region, which may be meant for it."""
    beside = [
        cell
        for cell in unassigned
        if cell.is_code and any(abs(cell.number - own.number) <= NEAR for own in there)
    ]
    if not beside:
        return []
    return [
        f"The cell of {title} is unfilled, and code beside it does not count: cell "
        f"{_numbers(beside)}."
    ]


def _numbers(cells: Iterable[_Cell]) -> str:
    numbers = [str(number) for number in sorted(cell.number for cell in cells)]
    return ", ".join(numbers[:9]) + (" ..." if len(numbers) > 9 else "")
