"""Regions: the named blocks of a project that belong to the student.

In a `.py` file a region stands between two marker lines. There are two forms of them, the solved
one of the course's own files and the one that students are given:

    ....### BEGIN SOLUTION name            ....### START OF YOUR CODE: name
    ....its body                           ....its body
    ....### END SOLUTION                   ....### END OF YOUR CODE

In a notebook a region is a cell whose metadata say `gradkit: {"region": "name"}`; cells of the same
name, as a split or a copied cell leaves them, are one region. Such a cell is extracted and grafted
whole. One of code has the markers of its region in it, which say what of it is the course's.

All work on regions goes the same way: `find` them, `extract` their bodies from one text, `graft`
them into another; `stub` takes the solutions out, and `skeleton` is a text without anything of the
student's. Their counterparts for notebooks end in `_cells`. Texts are handled as they are: what
is outside a region comes out byte for byte as it went in. Whatever is wrong with a text is a
`RegionError`, which says where, and what to do. Texts may come from anyone: none takes more time
than its length accounts for.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, NamedTuple

Notebook = dict[str, Any]

ANSWER_STUB = "**Your answer:** *write it here*"

_BOM = "\ufeff"
_NAME = "[a-z][a-z0-9_]*"
_NAME_RULE = "a name has small letters, digits and _, and begins with a letter"
# Python also ends lines at \f, \x0b or \u2028 where str.splitlines is asked, but not where it
# reads source code: only these three end a line there.
_LINE = re.compile(r"(?P<text>[^\r\n]*)(?P<newline>\r\n|\r|\n)|(?P<last>[^\r\n]+)")
_MARKER = re.compile(
    r"(?P<indent>[ \t]*)### (?:"
    rf"(?P<begin>BEGIN SOLUTION|START OF YOUR CODE:) (?P<name>{_NAME})"
    r"|(?P<end>END SOLUTION|END OF YOUR CODE))[ \t]*"
)
_PHRASES = ("BEGIN SOLUTION", "END SOLUTION", "START OF YOUR CODE", "END OF YOUR CODE")
_SAYS_PHRASE = re.compile(rf"\s*### ({'|'.join(_PHRASES)})\b")

# What Jupyter and its users' mouse write into a cell's metadata says nothing about the exercise.
_KEPT_CELL_METADATA = ("gradkit", "tags")
_KEPT_METADATA = ("kernelspec", "language_info")
# Far more than any notebook has, and few enough that no recursion over it comes to its limit.
_MAX_NESTING = 100


class RegionError(ValueError):
    """A text's regions cannot be made out; the message says where, and what to do."""


@dataclass(frozen=True)
class Region:
    """Where a region is in its source: from `start`, its first marker, to `end`, after its last.

    `indent` and `newline` are those of its first marker line; `solved` tells which form it has.
    All positions are in characters.
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
    """The text of a file as it is, with its own line endings; RegionError if it is not UTF-8."""
    return decode(path.read_bytes(), str(path))


def decode(content: bytes, where: str) -> str:
    """`content` as text, with its own line endings; RegionError if it is not UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        number = len(re.findall(rb"\r\n|\r|\n", content[: error.start])) + 1
        raise RegionError(
            f"{where}, line {number}: the byte {content[error.start]:#04x} is not UTF-8. Save the "
            "file with the encoding UTF-8."
        ) from error


def find(source: str, where: str) -> list[Region]:
    """The regions of a source, in order. `where` is what errors call the file."""
    regions: list[Region] = []
    lines: dict[str, int] = {}  # a region's name -> the line where it begins
    opened: tuple[re.Match[str], _Line] | None = None
    # A byte order mark belongs to the file, not to its first line.
    for line in _lines(source, start=len(_BOM) if source.startswith(_BOM) else 0):
        marker = _marker(line, where)
        if marker is None:
            continue
        if marker["begin"]:
            if opened:
                raise _nested(marker["name"], line, *opened, where)
            if marker["name"] in lines:
                raise RegionError(
                    f"{where}, line {line.number}: there already is a region {marker['name']!r}, "
                    f"in line {lines[marker['name']]}. Remove the copy, or rename it."
                )
            opened = marker, line
            lines[marker["name"]] = line.number
        else:
            if opened is None:
                raise RegionError(
                    f"{where}, line {line.number}: `### {marker['end']}` ends a region, but none "
                    "has begun. Put its first line back, or remove this one."
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
    """The bodies of a source's regions, by name."""
    return {
        region.name: Body(
            source[region.body_start : region.body_end], region.indent, region.newline
        )
        for region in find(source, where)
    }


def graft(source: str, bodies: Mapping[str, Body], where: str) -> str:
    """`source` with these bodies in its regions of the same names; the others stay as they are.

    A body that comes from markers of another indentation is moved to the new one, and gets the
    line endings of the place where it goes.
    """
    regions = find(source, where)
    _require_known(bodies, [region.name for region in regions], where)
    pieces, position = [], 0
    for region in regions:
        if region.name in bodies:
            body = bodies[region.name]
            _require_no_markers(body, region.name, where)
            pieces += [source[position : region.body_start], _fitted(body, region)]
            position = region.body_end
    return "".join([*pieces, source[position:]])


def stub(source: str, where: str) -> str:
    """`source` as students get it: each solved region takes their form, without its solution."""
    pieces, position = [], 0
    for region in find(source, where):
        if region.solved:
            last = source[region.body_end : region.end]
            pieces += [
                source[position : region.start],
                f"{region.indent}### START OF YOUR CODE: {region.name}{region.newline}",
                f"{region.indent}{_stub_line(region.name)}{region.newline}",
                last.replace("END SOLUTION", "END OF YOUR CODE"),
            ]
            position = region.end
    return "".join([*pieces, source[position:]])


def emptied(source: str, where: str) -> str:
    """`source` with the stubs in its regions again; their markers stay as they are."""
    stubs = {name: Body(_stub_line(name), "", "\n") for name in extract(source, where)}
    return graft(source, stubs, where)


# --- notebooks -----------------------------------------------------------------------------------


def read_notebook(text: str, where: str) -> Notebook:
    """A notebook from the text of its file; RegionError if it is none.

    The other functions take what this one has checked.
    """
    try:
        nb = json.loads(text.removeprefix(_BOM))  # with which Jupyter would not open it
    except (ValueError, RecursionError) as error:
        raise RegionError(
            f"{where} is not a notebook, or a damaged one ({error}). Open it in Jupyter and save "
            "it again, or go back to an older copy of it."
        ) from error
    fault = _notebook_fault(nb, text)
    if fault:
        raise RegionError(f"{where} {fault}. Open it in Jupyter and save it again.")
    for number, cell in enumerate(nb["cells"], start=1):
        if fault := _cell_fault(cell):
            raise RegionError(
                f"{where}, cell {number}: {fault}. Open the notebook in Jupyter, delete that cell "
                "or make it anew, and save."
            )
    return nb


def write_notebook(nb: Notebook) -> str:
    """The text of a notebook's file, as Jupyter writes it."""
    cells = [{**cell, "source": source_of(cell).splitlines(keepends=True)} for cell in nb["cells"]]
    return json.dumps({**nb, "cells": cells}, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def source_of(cell: Mapping[str, Any]) -> str:
    """A cell's text, which files hold as one string or as a list of lines."""
    return "".join(cell["source"])


def region_of(cell: Mapping[str, Any]) -> str | None:
    """The name of the region that a cell belongs to, if it belongs to one."""
    return cell.get("metadata", {}).get("gradkit", {}).get("region")


def extract_cells(nb: Notebook, where: str) -> dict[str, str]:
    """The texts of a notebook's regions, by name; cells of the same region are joined in order."""
    texts: dict[str, list[str]] = {}
    for cell in nb["cells"]:
        name = region_of(cell)
        if name is not None:
            texts.setdefault(name, []).append(source_of(cell))
    return {name: "\n".join(parts) for name, parts in texts.items()}


def graft_cells(nb: Notebook, bodies: Mapping[str, str], where: str) -> Notebook:
    """A copy of `nb` with these texts in its regions; the others stay as they are.

    A region is one cell afterwards. A cell whose text changes loses its outputs.
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
    """A copy of `nb` as students get it: no solutions, no answers, no outputs."""
    cells, seen = [], set()
    for number, cell in enumerate(nb["cells"], start=1):
        name, here = region_of(cell), f"{where}, cell {number}"
        if name in seen:
            raise RegionError(f"{here}: there already is a region {name!r}. Rename one of them.")
        cell = without_outputs({**cell, "metadata": _kept(cell, _KEPT_CELL_METADATA)})
        if cell["cell_type"] == "code":
            cell["source"] = _stub_code(source_of(cell), name, here)
        elif name is not None:
            cell["source"] = ANSWER_STUB
            cell.pop("attachments", None)
        if name is not None:
            seen.add(name)
        cells.append(cell)
    return {**nb, "metadata": _kept(nb, _KEPT_METADATA), "cells": cells}


# --- what is not the student's -------------------------------------------------------------------


def skeleton(path: str, text: str) -> str:
    """What remains of a file without what is the student's in it.

    Two files with the same skeleton differ in the student's regions only, and in what editors and
    Jupyter change by themselves: line endings, a byte order mark,
    outputs, cell ids, the name and version of the kernel.

    Starters carry the digests of skeletons, and older projects recompute them. So what this
    function returns for a file must not change any more once a starter has been handed out.
    """
    if path.endswith(".ipynb"):
        nb, cells, seen = read_notebook(text, path), [], set()
        for cell in nb["cells"]:
            name, about = region_of(cell), {"cell_type": cell["cell_type"]}
            if name is None:
                about["metadata"] = _kept(cell, _KEPT_CELL_METADATA)
                about["source"] = _normalised(source_of(cell))
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
    return _normalised(text)


# --- the parts -----------------------------------------------------------------------------------


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


def _marker(line: _Line, where: str) -> re.Match[str] | None:
    """The marker that a line is, if it is one; RegionError if it only seems meant to be one."""
    if "#" not in line.text:
        return None
    marker = _MARKER.fullmatch(line.text)
    meant = None if marker else _meant(line.text)
    if meant:
        colon, name = (":" * meant.startswith("START"), " name") if "END" not in meant else ("", "")
        rule = f" ({_NAME_RULE})" if name else ""
        raise RegionError(
            f"{where}, line {line.number}: {line.text.strip()[:60]!r} looks like a marker, but is "
            f"not one. Write `### {meant}{colon}{name}`{rule}; or, if it is only a comment, word "
            "it differently."
        )
    return marker


def _meant(line: str) -> str | None:
    """The marker's phrase that a line seems to be meant for, None for any other line.

    Words are compared one by one: `# end of my code` has nearly all letters of a marker, but it is
    a comment that anyone may write, and a student should not be stopped by it.
    """
    if said := _SAYS_PHRASE.match(line):
        return said[1]
    comment = line.strip()
    if not comment.startswith("#"):
        return None
    first, *others = comment.lstrip("# \t").replace(":", " ").upper().split() or [""]
    words = [*re.split("[_-]", first), *others]
    for phrase in _PHRASES:
        wanted = phrase.split()
        # A longer comment is a sentence; a marker has at most a name behind its phrase.
        if len(wanted) <= len(words) <= len(wanted) + 1:
            alike = all(_likeness(*pair) >= 0.7 for pair in zip(wanted, words, strict=False))
            if alike and _likeness(phrase, " ".join(words[: len(wanted)])) >= 0.8:
                return phrase
    return None


def _stub_line(name: str) -> str:
    return f'raise NotImplementedError("{name}")'


def _likeness(wanted: str, word: str) -> float:
    """How much alike they are, from 0 to 1; no more than 2/3 if `word` is twice as long or longer.

    That is too little for a marker anyway, so nobody needs to look at all of a long word.
    """
    return SequenceMatcher(None, wanted, word[: 2 * len(wanted)], autojunk=False).ratio()


def _end_of(begin: re.Match[str]) -> str:
    return "END SOLUTION" if begin["begin"] == "BEGIN SOLUTION" else "END OF YOUR CODE"


def _nested(name: str, line: _Line, begin: re.Match[str], first: _Line, where: str) -> RegionError:
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
    """Raise RegionError for a body after which the regions could not be found again."""
    inside = f"{where}, in what is to go into region {name!r}"
    for line in _lines(body.text):
        if _marker(line, inside):
            raise RegionError(
                f"{inside}, line {line.number}: `{line.text.strip()[:60]}` is a marker. A region "
                "holds no other one: remove that line."
            )


def _fitted(body: Body, region: Region) -> str:
    """The text of `body` as it goes between the markers of `region`."""
    text = body.text
    if text and text[-1] not in "\r\n":
        text += region.newline
    # \n right below a marker that ends in \r would be taken for one line ending together with it.
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


def _notebook_fault(nb: object, text: str) -> str | None:
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
        if "\\ud" in text or "\\uD" in text:  # the escapes that can be half a character
            json.dumps(nb, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return "holds half a character (a lone surrogate), which no file can hold"
    return None


def _is_nested_deeply(value: object) -> bool:
    level: list[Any] = [value]
    for _ in range(_MAX_NESTING):
        inner = [item.values() if isinstance(item, dict) else item for item in level]
        level = [x for items in inner for x in items if isinstance(x, dict | list)]
    return bool(level)


def _cell_fault(cell: object) -> str | None:
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
    if name is not None and not (isinstance(name, str) and re.fullmatch(_NAME, name)):
        return f"{str(name)[:60]!r} is not a region's name: {_NAME_RULE}"
    return None


def _stub_code(source: str, name: str | None, here: str) -> str:
    """The text of a code cell as students get it; `name` is that of its region, if it is one."""
    inside = [region.name for region in find(source, here)]
    if name is None and inside:
        raise RegionError(
            f"{here}: holds the markers of {inside[0]!r}, but is not a region. Say "
            f'`"gradkit": {{"region": "{inside[0]}"}}` in its metadata.'
        )
    if name is not None and inside != [name]:
        raise RegionError(
            f"{here}: is the region {name!r}, and its markers must say what in it is the solution. "
            f"Put that, and nothing else, between `### BEGIN SOLUTION {name}` and "
            "`### END SOLUTION`."
        )
    return stub(source, here)


def without_outputs(cell: dict[str, Any]) -> dict[str, Any]:
    emptied: dict[str, Any] = {"outputs": [], "execution_count": None}
    return {**cell, **{key: empty for key, empty in emptied.items() if key in cell}}


def _kept(holder: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    metadata = holder.get("metadata", {})
    return {key: metadata[key] for key in keys if key in metadata}


def _normalised(text: str) -> str:
    return re.sub(r"\r\n?", "\n", text.removeprefix(_BOM))
