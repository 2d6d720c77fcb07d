"""Regions: the named blocks of a project that belong to the student.

In a `.py` file a region stands between two marker lines. Markers have two forms, the solved one in
the course's own files and the one in starters:

    ....### BEGIN SOLUTION name            ....### START OF YOUR CODE: name
    ....its body                           ....its body
    ....### END SOLUTION                   ....### END OF YOUR CODE

In a notebook a region is a cell whose metadata contain `gradkit: {"region": "name"}`. Several cells
of one name, which splitting or copying a cell makes, are one region. Such a cell is extracted and
grafted whole; in a cell of code, markers separate the student's lines from the course's.

    find               list the regions of a text
    extract, graft     take the bodies of regions out of one text, and put them into another
    stub               replace solutions by stubs, as in starters
    skeleton           return a text without the student's part, to find what the course has changed
    region_titles      name regions as students see them

`extract_cells`, `graft_cells` and `stub_cells` do the same for notebooks. Text outside a region
comes out byte for byte as it went in. A wrong text raises `RegionError`, which names the place and
what to do; `salvage_notebook` reads what it can. Texts may come from anyone: each function takes
time in proportion to their length.
"""

import hashlib
import json
import re
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, NamedTuple

Notebook = dict[str, Any]

ANSWER_STUB = "**Your answer:** *write it here*"

_BOM = "\ufeff"
_ESCAPES = rb"\u0041 ~{ +AGE- .xn--bcher-kva"
_NAME = "[a-z][a-z0-9_]*"
_NAME_RULE = "a name has small letters, digits and _, and begins with a letter"
# str.splitlines also ends lines at \f, \x0b or \u2028. In source code only these three end a line.
_LINE = re.compile(r"(?P<text>[^\r\n]*)(?P<newline>\r\n|\r|\n)|(?P<last>[^\r\n]+)")
_MARKER = re.compile(
    r"(?P<indent>[ \t]*)### (?:"
    rf"(?P<begin>BEGIN SOLUTION|START OF YOUR CODE:) (?P<name>{_NAME})"
    r"|(?P<end>END SOLUTION|END OF YOUR CODE))[ \t]*"
)
_PHRASES = ("BEGIN SOLUTION", "END SOLUTION", "START OF YOUR CODE", "END OF YOUR CODE")
_PHRASE_LINE = re.compile(rf"\s*### ({'|'.join(_PHRASES)})\b")
_CHECK_LINE = re.compile(r"""check\((?P<quote>["'])(?P<name>\w+)(?P=quote)\)""")

# The rest of the metadata is written by Jupyter, such as which cells are collapsed.
_KEPT_CELL_METADATA = ("gradkit", "tags")
_KEPT_METADATA = ("kernelspec", "language_info")
# Far more than any notebook has, and below Python's limit of recursion.
_MAX_NESTING = 100


_IDLE = re.compile(r"(pass|\.\.\.|[\w, ]{1,100}= ?None[None, ]{0,100})?\s*(#.*)?")


class RegionError(ValueError):
    """A text whose regions cannot be read; the message names the place and what to do."""


@dataclass(frozen=True)
class Region:
    """The place of a region in its source, in characters.

    It extends from `start`, before its first marker, to `end`, after its last. `indent` and
    `newline` are those of its first marker line; `solved` is whether it has the solved form.
    """

    name: str
    indent: str
    newline: str
    start: int
    body_start: int
    body_end: int
    end: int
    solved: bool


@dataclass(frozen=True)
class Body:
    """The text between two markers, with the indentation and the newline of the first marker."""

    text: str
    indent: str
    newline: str


# --- Python sources ------------------------------------------------------------------------------


def read_source(path: Path) -> str:
    """Read a text as `decode` does."""
    return decode(path.read_bytes(), str(path))


def decode(content: bytes, where: str) -> str:
    """Decode a text with its own line endings; raise RegionError if Python would not.

    The encoding is UTF-8, or what a comment in the first two lines declares: `# coding: gbk`.
    """
    encoding, problem = _declared_encoding(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        number = len(re.findall(rb"\r\n|\r|\n", content[: error.start])) + 1
        raise RegionError(
            f"{where}, line {number}: the byte {content[error.start]:#04x} is not "
            f"{encoding.upper()}. Save the file with the encoding UTF-8."
        ) from error
    if problem:
        raise RegionError(f"{where}: {problem}. Remove the line that declares an encoding.")
    return text


def _declared_encoding(content: bytes) -> tuple[str, str]:
    """Return the encoding that a text declares, or UTF-8 with the problem of its declaration."""
    first_lines = re.match(rb"[^\r\n]*(?:\r\n?|\n)?[^\r\n]*", content)
    lines = first_lines[0].splitlines(keepends=True) if first_lines else []
    try:
        encoding = tokenize.detect_encoding(iter(lines).__next__)[0].removesuffix("-sig")
        # Escapes are not for texts, and punycode takes time quadratic in the length.
        if _ESCAPES.decode(encoding).encode() == _ESCAPES:
            return encoding, ""
    except (SyntaxError, LookupError, UnicodeError) as error:
        return "utf-8", str(error)
    return "utf-8", f"{encoding} is not an encoding of texts"


def find(source: str, where: str) -> list[Region]:
    """Return the regions of a source, in order. `where` names the file in errors."""
    regions: list[Region] = []
    lines: dict[str, int] = {}  # a region's name -> the line where it begins
    opened: tuple[re.Match[str], _Line] | None = None
    # A byte order mark is not a part of the first line.
    for line in _lines(source, start=len(_BOM) if source.startswith(_BOM) else 0):
        marker = _match_marker(line, where)
        if marker is None:
            continue
        if marker["begin"]:
            if opened:
                raise _nested_error(marker["name"], line, *opened, where)
            if marker["name"] in lines:
                raise RegionError(
                    f"{where}, line {line.number}: a second region {marker['name']!r}; the first "
                    f"is in line {lines[marker['name']]}. Remove the copy, or rename it."
                )
            opened = marker, line
            lines[marker["name"]] = line.number
        else:
            if opened is None:
                raise RegionError(
                    f"{where}, line {line.number}: `### {marker['end']}` without the first line of "
                    "its region. Put that line back, or remove this one."
                )
            begin, first = opened
            if marker["end"] != _end_of(begin):
                raise RegionError(
                    f"{where}, line {line.number}: region {begin['name']!r} of line {first.number} "
                    f"is ended by `### {marker['end']}`. Its end is `### {_end_of(begin)}`."
                )
            regions.append(
                Region(
                    name=begin["name"],
                    indent=begin["indent"],
                    newline=first.newline,
                    start=first.start,
                    body_start=first.end,
                    body_end=line.start,
                    end=line.end,
                    solved=begin["begin"] == "BEGIN SOLUTION",
                )
            )
            opened = None
    if opened:
        begin, first = opened
        raise RegionError(
            f"{where}, line {first.number}: region {begin['name']!r} begins here and never ends. "
            f"Put the line `### {_end_of(begin)}` back below its code."
        )
    return regions


def extract(source: str, where: str) -> dict[str, Body]:
    """Return the bodies of a source's regions, by name."""
    return {
        region.name: Body(
            source[region.body_start : region.body_end], region.indent, region.newline
        )
        for region in find(source, where)
    }


def graft(source: str, bodies: Mapping[str, Body], where: str) -> str:
    """Put bodies into the regions of a source, by name; leave its other regions unchanged.

    A body takes the indentation and the line endings of its new place.
    """
    regions = find(source, where)
    _require_known(bodies, [region.name for region in regions], where)
    pieces, position = [], 0
    for region in regions:
        if region.name in bodies:
            body = bodies[region.name]
            _require_no_markers(body, region.name, where)
            pieces += [source[position : region.body_start], _fit_body(body, region)]
            position = region.body_end
    return "".join([*pieces, source[position:]])


def stub(source: str, where: str) -> str:
    """Replace each solved region of a source by the starter's form, with a stub in it."""
    pieces, position = [], 0
    for region in find(source, where):
        if region.solved:
            last = source[region.body_end : region.end]
            pieces += [
                source[position : region.start],
                f"{region.indent}### START OF YOUR CODE: {region.name}{region.newline}",
                f"{region.indent}{stub_line(region.name)}{region.newline}",
                last.replace("END SOLUTION", "END OF YOUR CODE"),
            ]
            position = region.end
    return "".join([*pieces, source[position:]])


def restore_stubs(source: str, where: str) -> str:
    """Replace the body of each region of a source by its stub; leave the markers unchanged."""
    stubs = {name: Body(stub_line(name), "", "\n") for name in extract(source, where)}
    return graft(source, stubs, where)


# --- notebooks -----------------------------------------------------------------------------------


def read_notebook(text: str, where: str) -> Notebook:
    """Parse the text of a notebook's file; raise RegionError for anything else or damaged."""
    nb = _parse_json(text, where)
    if problem := _notebook_problem(nb, text):
        raise RegionError(f"{where} {problem}. Open it in Jupyter and save it again.")
    for number, cell in enumerate(nb["cells"], start=1):
        if problem := _cell_problem(cell):
            raise RegionError(
                f"{where}, cell {number}: {problem}. Open the notebook in Jupyter, delete that "
                "cell or make it anew, and save."
            )
    return nb


def salvage_notebook(text: str, where: str) -> tuple[Notebook, list[str]]:
    """Parse the text of a notebook of any format, and read of each cell what can be read.

    Returns a notebook whose cells have a type, a text, a region and an execution count, and the
    problems of damaged cells. Raises RegionError for a text without cells.
    """
    nb = _parse_json(text, where)
    if _is_nested_deeply(nb):
        raise RegionError(f"{where} is not a notebook: it is nested more than {_MAX_NESTING} deep.")
    sheets = nb.get("worksheets") if isinstance(nb, dict) else None  # in formats 2 and 3
    cells, problems = list[dict[str, Any]](), list[str]()
    for sheet in (nb, *(sheets if isinstance(sheets, list) else ())):
        there = sheet.get("cells") if isinstance(sheet, dict) else None
        for cell in there if isinstance(there, list) else ():
            if isinstance(cell, dict) and "source" not in cell:
                cell = {**cell, "source": cell.get("input")}  # formats 2 and 3
            if problem := _cell_problem(cell):
                problems.append(f"cell {len(cells) + 1}: {problem}")
            cells.append(_salvage_cell(cell if isinstance(cell, dict) else {"source": cell}))
    if not cells:
        raise RegionError(f"{where} is not a notebook: it has no cells.")
    return {"cells": cells}, problems


def write_notebook(nb: Notebook) -> str:
    """Return the text of a notebook's file, formatted as by Jupyter."""
    cells = [{**cell, "source": source_of(cell).splitlines(keepends=True)} for cell in nb["cells"]]
    return json.dumps({**nb, "cells": cells}, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def source_of(cell: Mapping[str, Any]) -> str:
    """Return a cell's text, which files store as one string or as a list of lines."""
    return "".join(cell["source"])


def region_of(cell: Mapping[str, Any]) -> str | None:
    """Return the name of a cell's region, or None."""
    return purpose_of(cell).get("region")


def check_of(cell: Mapping[str, Any]) -> str | None:
    """Return the name of the check that a course's cell runs, or None.

    Its metadata name the check; if they give no other purpose, its only line, `check("name")`.
    """
    purpose = purpose_of(cell)
    if purpose or cell["cell_type"] != "code":
        return purpose.get("check")
    line = _CHECK_LINE.fullmatch(source_of(cell).strip())
    return line["name"] if line else None


def purpose_of(cell: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a cell's metadata of this kit: its region, its check or its role."""
    return cell.get("metadata", {}).get("gradkit", {})


def is_answered(answer: str) -> bool:
    """Return whether an answer is more than the starter's stub."""
    words = answer.replace(ANSWER_STUB, "").split()
    return bool(words) and words != ANSWER_STUB.split()[:2]


def unwritten(path: str, text: str) -> dict[str, str]:
    """Return the regions of a file that do nothing, and what to call each before students.

    Their lines are comments, `pass`, `...`, or set names to None. A file whose regions cannot be
    read has none.
    """
    try:
        idle = [name for name, body in extract(text, path).items() if _is_idle(body)]
    except RegionError:
        return {}
    titles = region_titles(path, text) if idle else {}
    return {name: titles[name] for name in idle}


def _is_idle(body: Body) -> bool:
    return all(_IDLE.fullmatch(line.text.strip()) for line in _lines(body.text))


def extract_cells(nb: Notebook, where: str) -> dict[str, str]:
    """Return the texts of a notebook's regions, by name; join cells of one region in order."""
    texts: dict[str, list[str]] = {}
    for cell in nb["cells"]:
        name = region_of(cell)
        if name is not None:
            texts.setdefault(name, []).append(source_of(cell))
    return {name: "\n".join(parts) for name, parts in texts.items()}


def graft_cells(nb: Notebook, bodies: Mapping[str, str], where: str) -> Notebook:
    """Return a copy of `nb` with texts put into its regions, by name.

    Several cells of such a region become one. A cell whose text changes loses its outputs.
    """
    _require_known(bodies, [name for cell in nb["cells"] if (name := region_of(cell))], where)
    cells, done = [], set()
    for cell in nb["cells"]:
        name = region_of(cell)
        if name is not None and name in bodies:
            if name in done:
                continue
            done.add(name)
            if source_of(cell) != bodies[name]:
                cell = without_outputs({**cell, "source": bodies[name]})
        cells.append(cell)
    return {**nb, "cells": cells}


def stub_cells(nb: Notebook, where: str) -> Notebook:
    """Return a copy of `nb` as in starters, without solutions, answers and outputs."""
    cells, seen = [], set()
    for number, cell in enumerate(nb["cells"], start=1):
        name, here = region_of(cell), f"{where}, cell {number}"
        if name in seen:
            raise RegionError(f"{here}: a second region {name!r}. Rename one of them.")
        cell = without_outputs({**cell, "metadata": _keep_metadata(cell, _KEPT_CELL_METADATA)})
        if cell["cell_type"] == "code":
            cell["source"] = _stub_code(source_of(cell), name, here)
        elif name is not None:
            cell["source"] = ANSWER_STUB
            cell.pop("attachments", None)
        if name is not None:
            seen.add(name)
        cells.append(cell)
    return {**nb, "metadata": _keep_metadata(nb, _KEPT_METADATA), "cells": cells}


def outline(nb: Notebook) -> tuple[str, ...]:
    """Return a line for each cell of a starter's notebook: its text's digest, then its region."""
    return tuple(
        f"{text_digest(source_of(cell))} {region_of(cell) or ''}".rstrip() for cell in nb["cells"]
    )


def text_digest(text: str) -> str:
    """Return 12 digits that name a text, whatever its white space."""
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:12]


# --- titles ---------------------------------------------------------------------------------------


_TITLE = re.compile(r"#+ (?P<heading>.+)|\*\*(?P<bold>.+?)(?: \(\d+ points?\))?[.:]?\*\*")
_DEFINITION = re.compile(r"[ \t]*def (\w+)")


def title_of(text: str) -> tuple[str, str]:
    """Split the title off the text of a cell: its first line's heading or bold words, or ""."""
    match = _TITLE.match(text)
    title = (match["heading"] or match["bold"]).strip()[:60] if match else ""
    return (title, text[match.end() :]) if match and title.isprintable() else ("", text)


class RegionTitles(dict[str, str]):
    """Titles that students see, by the regions' names; a region without a title has its name."""

    def __missing__(self, name: str) -> str:
        return name


def region_titles(path: str, text: str) -> RegionTitles:
    """Return what to call each region of a file before students, who do not see its name.

    That is the title above a cell, such as “Inline question 1”, or the function and the line.
    """
    if path.endswith(".ipynb"):
        return cell_titles(read_notebook(text, path))
    titles, above = RegionTitles(), ""
    regions = find(text, path) if path.endswith(".py") else ()
    begins = {region.start: region.name for region in regions}
    for line in _lines(text) if begins else ():
        if match := _DEFINITION.match(line.text):
            above = match[1]
        if line.start in begins:
            titles[begins[line.start]] = f"`{above}` (line {line.number})"
    return titles


def cell_titles(nb: Notebook) -> RegionTitles:
    """Return what to call each region of a notebook: the title above it."""
    titles, above = RegionTitles(), ""
    for cell in nb["cells"]:
        name = region_of(cell)
        if name is not None:
            titles.setdefault(name, f"“{above}”" if above else name)
        elif cell["cell_type"] == "markdown":
            above = title_of(source_of(cell).strip())[0] or above
    return titles


# --- skeletons -----------------------------------------------------------------------------------


def skeleton(path: str, text: str) -> str:
    """Return a file's text without the student's part.

    Two files have the same skeleton if they differ only in the student's regions and in what
    editors and Jupyter change by themselves: line endings, a byte order mark, outputs, cell ids,
    the kernel's name and version.

    Manifests of starters hold digests of skeletons, and older projects compute them again. So the
    result for a file must never change once a starter has been handed out.
    """
    if path.endswith(".ipynb"):
        nb, cells, seen = read_notebook(text, path), [], set()
        for cell in nb["cells"]:
            name, about = region_of(cell), {"cell_type": cell["cell_type"]}
            if name is None:
                about["metadata"] = _keep_metadata(cell, _KEPT_CELL_METADATA)
                about["source"] = normalise(source_of(cell))
                about["attachments"] = cell.get("attachments") or {}
            elif name in seen:
                continue
            else:
                seen.add(name)
                about["region"] = name
            cells.append(about)
        return json.dumps(cells, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    if path.endswith(".py"):
        pieces, position = [], 0
        for region in find(text, path):
            pieces += [text[position : region.start], f"{region.indent}### {region.name}\n"]
            position = region.end
        text = "".join([*pieces, text[position:]])
    return normalise(text)


# --- lines and markers ---------------------------------------------------------------------------


class _Line(NamedTuple):
    text: str
    newline: str
    number: int
    start: int
    end: int


def _lines(text: str, start: int = 0) -> Iterator[_Line]:
    for number, match in enumerate(_LINE.finditer(text, start), start=1):
        content = match["text"] if match["last"] is None else match["last"]
        yield _Line(content, match["newline"] or "", number, match.start(), match.end())


def _match_marker(line: _Line, where: str) -> re.Match[str] | None:
    """Match a line as a marker; raise RegionError for a line that is nearly one."""
    if "#" not in line.text:
        return None
    marker = _MARKER.fullmatch(line.text)
    phrase = None if marker else _nearest_phrase(line.text)
    if phrase:
        colon = ":" if phrase.startswith("START") else ""
        name = "" if phrase.startswith("END") else " name"
        rule = f" ({_NAME_RULE})" if name else ""
        raise RegionError(
            f"{where}, line {line.number}: {line.text.strip()[:60]!r} looks like a marker, but is "
            f"not one. Write `### {phrase}{colon}{name}`{rule}; or, if it is a comment, use other "
            "words."
        )
    return marker


def _nearest_phrase(line: str) -> str | None:
    """Return the phrase of the marker that a line was probably meant to be, or None.

    Words are compared one by one: `# end of my code` has nearly all letters of a marker, but is a
    comment that anyone may write.
    """
    if match := _PHRASE_LINE.match(line):
        return match[1]
    comment = line.strip()
    if not comment.startswith("#"):
        return None
    first, *others = comment.lstrip("# \t").replace(":", " ").upper().split() or [""]
    words = [*re.split("[_-]", first), *others]
    for phrase in _PHRASES:
        wanted = phrase.split()
        # A marker has at most a name after its phrase; a longer comment is a sentence.
        if len(wanted) <= len(words) <= len(wanted) + 1:
            alike = all(_similarity(*pair) >= 0.7 for pair in zip(wanted, words, strict=False))
            if alike and _similarity(phrase, " ".join(words[: len(wanted)])) >= 0.8:
                return phrase
    return None


def stub_line(name: str) -> str:
    """Return the line of Python that stands for a region's code until it is written."""
    return f'raise NotImplementedError("{name}")'


def _similarity(wanted: str, word: str) -> float:
    """Return the similarity of two words, from 0 to 1.

    Only the first letters of a long `word` are read: at twice the length, 2/3 is the most.
    """
    return SequenceMatcher(None, wanted, word[: 2 * len(wanted)], autojunk=False).ratio()


def _end_of(begin: re.Match[str]) -> str:
    return "END SOLUTION" if begin["begin"] == "BEGIN SOLUTION" else "END OF YOUR CODE"


def _nested_error(
    name: str, line: _Line, begin: re.Match[str], first: _Line, where: str
) -> RegionError:
    return RegionError(
        f"{where}, line {line.number}: region {name!r} begins inside region {begin['name']!r} of "
        f"line {first.number}. Put the line `### {_end_of(begin)}` back where that one ends."
    )


def _require_known(names: Mapping[str, object], known: list[str], where: str) -> None:
    there = dict.fromkeys(known)
    for name in names:
        if name not in there:
            listed = ", ".join(there) or "none"
            raise RegionError(f"{where}: has no region {name!r} to fill. Its regions: {listed}.")


def _require_no_markers(body: Body, name: str, where: str) -> None:
    """Raise RegionError for a body with a marker: the regions could not be found again."""
    inside = f"{where}, in the new body of region {name!r}"
    for line in _lines(body.text):
        if _match_marker(line, inside):
            raise RegionError(
                f"{inside}, line {line.number}: `{line.text.strip()[:60]}` is a marker. A region "
                "cannot contain another one: remove that line."
            )


def _fit_body(body: Body, region: Region) -> str:
    """Return the text of `body` with the indentation and line endings of `region`."""
    text = body.text
    if text and text[-1] not in "\r\n":
        text += region.newline
    # \n below a marker that ends in \r would be read as one line ending together with it.
    merges = region.newline == "\r" and text.startswith("\n")
    if (body.indent, body.newline) == (region.indent, region.newline) and not merges:
        return text
    fitted = []
    for line in _lines(text):
        moved = line.text
        if moved.strip() and moved.startswith(body.indent):
            moved = region.indent + moved.removeprefix(body.indent)
        fitted.append(moved + region.newline)
    return "".join(fitted)


def _parse_json(text: str, where: str) -> Any:
    try:
        return json.loads(text.removeprefix(_BOM))
    except (ValueError, RecursionError) as error:
        raise RegionError(
            f"{where} is not a notebook, or a damaged one ({error}). Open it in Jupyter and save "
            "it again, or take an older copy."
        ) from error


def _notebook_problem(nb: object, text: str) -> str | None:
    """Return why parsed JSON cannot be used as a notebook, or None."""
    if not isinstance(nb, dict):
        return "is not a notebook: it is JSON, but not an object"
    if _is_nested_deeply(nb):
        return f"is not a notebook: it is nested more than {_MAX_NESTING} deep"
    if nb.get("nbformat") != 4:
        return f"is not a notebook of format 4 (its nbformat is {str(nb.get('nbformat'))[:20]})"
    if not isinstance(nb.get("cells"), list):
        return "is not a notebook: it has no list of cells"
    if not isinstance(nb.get("metadata", {}), dict):
        return "is not a notebook: its metadata are not an object"
    try:
        text.encode("utf-8")
        if "\\ud" in text or "\\uD" in text:  # escapes that may be half a character
            json.dumps(nb, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return "contains half a character (a lone surrogate), which no file can store"
    return None


def _is_nested_deeply(value: object) -> bool:
    level: list[Any] = [value]
    for _ in range(_MAX_NESTING):
        inner = [item.values() if isinstance(item, dict) else item for item in level]
        level = [x for items in inner for x in items if isinstance(x, dict | list)]
    return bool(level)


def _cell_problem(cell: object) -> str | None:
    """Return why an entry of a notebook cannot be used as a cell, or None."""
    if not isinstance(cell, dict) or not isinstance(cell.get("cell_type"), str):
        return "is not a cell: it has no cell_type"
    source = cell.get("source")
    lines = source if isinstance(source, list) else [source]
    if not all(isinstance(line, str) for line in lines):
        return "its source is neither text nor a list of lines"
    if not isinstance(cell.get("metadata", {}), dict):
        return "its metadata are not an object"
    if not isinstance(cell.get("attachments") or {}, dict):
        return "its attachments are not an object"
    gradkit = cell.get("metadata", {}).get("gradkit", {})
    if not isinstance(gradkit, dict):
        return "its metadata `gradkit` are not an object"
    name = gradkit.get("region")
    if name is not None and not _is_name(name):
        return f"{str(name)[:60]!r} is not a region's name: {_NAME_RULE}"
    return None


def _salvage_cell(cell: Mapping[str, Any]) -> dict[str, Any]:
    source, metadata = cell.get("source"), cell.get("metadata")
    lines = source if isinstance(source, list) else [source]
    text = "".join(line for line in lines if isinstance(line, str))
    gradkit = metadata.get("gradkit") if isinstance(metadata, dict) else None
    name = gradkit.get("region") if isinstance(gradkit, dict) else None
    return {
        "cell_type": cell.get("cell_type", "code"),
        "source": text.encode("utf-8", "replace").decode(),  # half a character cannot be stored
        "metadata": {"gradkit": {"region": name}} if _is_name(name) else {},
        "execution_count": cell.get("execution_count", cell.get("prompt_number")),
    }


def _is_name(name: object) -> bool:
    return isinstance(name, str) and bool(re.fullmatch(_NAME, name))


def _stub_code(source: str, name: str | None, here: str) -> str:
    """Return the text of a code cell as in starters; `name` is its region, if any."""
    inside = [region.name for region in find(source, here)]
    if name is None and inside:
        raise RegionError(
            f"{here}: has the markers of {inside[0]!r}, but is not a region. Put "
            f'`"gradkit": {{"region": "{inside[0]}"}}` into its metadata.'
        )
    if name is not None and inside != [name]:
        raise RegionError(
            f"{here}: is the region {name!r}, but its solution is not marked. Put it between "
            f"`### BEGIN SOLUTION {name}` and `### END SOLUTION`, the only markers of the cell."
        )
    return stub(source, here)


def without_outputs(cell: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of a cell without outputs and execution count."""
    cleared: dict[str, Any] = {"outputs": [], "execution_count": None}
    return cell | {key: cleared[key] for key in cleared if key in cell}


def _keep_metadata(holder: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    metadata = holder.get("metadata", {})
    return {key: metadata[key] for key in keys if key in metadata}


def normalise(text: str) -> str:
    """Return a text without a byte order mark, each line ending as \\n."""
    return re.sub(r"\r\n?", "\n", text.removeprefix(_BOM))
