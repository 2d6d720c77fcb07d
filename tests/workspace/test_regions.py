"""Regions are found, extracted and grafted; no byte outside them changes; errors name the line."""

import contextlib
import copy
import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assignment import PROJECT
from assignment.workspace.regions import (
    ANSWER_STUB,
    Body,
    RegionError,
    check_of,
    decode,
    extract,
    extract_cells,
    find,
    graft,
    graft_cells,
    read_notebook,
    read_source,
    region_of,
    restore_stubs,
    skeleton,
    source_of,
    stub,
    stub_cells,
    write_notebook,
)

NOTEBOOK = PROJECT / "notebooks" / "softmax.ipynb"

BEGIN, END = "### BEGIN SOLUTION a\n", "### END SOLUTION\n"
START, STOP = "### START OF YOUR CODE: a\n", "### END OF YOUR CODE\n"

few = settings(max_examples=50)

MARKERS = {
    "solved": ("### BEGIN SOLUTION {}", "### END SOLUTION"),
    "starter": ("### START OF YOUR CODE: {}", "### END OF YOUR CODE"),
}

# Characters that other tools read as the end of a line, or drop; here they end no line.
ODD = "ab =#\t\x0b\x0c\x1c\x85\u2028\u3000\ufeffé🙂\x00"
newlines = st.sampled_from(["\n", "\r\n", "\r"])
indents = st.sampled_from(["", "    ", "\t", "  \t "])
lines = st.builds(str.__add__, st.text(ODD, max_size=8), newlines)
blanks = st.text("b =", max_size=4)
texts = st.lists(lines, max_size=4).map("".join)


@st.composite
def regions(draw: st.DrawFn, name: str) -> str:
    begin, end = MARKERS[draw(st.sampled_from(sorted(MARKERS)))]
    blanks = st.sampled_from(["", " ", "\t "])
    first = draw(indents) + begin.format(name) + draw(blanks) + draw(newlines)
    return first + draw(texts) + draw(indents) + end + draw(blanks)


@st.composite
def sources(draw: st.DrawFn) -> str:
    names = draw(st.lists(st.sampled_from(["a", "naive_1", "b_c", "zz"]), unique=True))
    parts = [draw(st.sampled_from(["", "\ufeff"]))]
    for name in names:
        parts += [draw(texts), draw(regions(name)), draw(newlines)]
    return "".join([*parts, draw(texts), draw(st.text(ODD, max_size=4))])


def outside(source: str) -> list[str]:
    """Return the texts before, between and after the bodies of a source."""
    edges = [0, *(at for r in find(source, "f.py") for at in (r.body_start, r.body_end)), None]
    return [source[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]


bodies_of = st.builds(Body, texts | st.text(ODD, max_size=4), indents, newlines)


def dictionaries(source: str) -> st.SearchStrategy[dict[str, Body]]:
    names = [region.name for region in find(source, "f.py")]
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, bodies_of))


# --- Python sources ------------------------------------------------------------------------------


@few
@given(st.data(), sources())
def test_graft_changes_its_regions_only_in_any_order_and_once(
    data: st.DataObject, source: str
) -> None:
    bodies, before = data.draw(dictionaries(source)), extract(source, "f.py")
    grafted = graft(source, bodies, "f.py")
    after = extract(grafted, "f.py")
    assert outside(grafted) == outside(source)
    assert list(after) == list(before)
    assert all(after[name] == before[name] for name in before if name not in bodies)
    assert graft(source, before, "f.py") == source
    assert graft(grafted, bodies, "f.py") == grafted
    one_by_one = source
    for name in reversed(bodies):
        one_by_one = graft(one_by_one, {name: bodies[name]}, "f.py")
    assert one_by_one == grafted


@few
@given(sources(), texts, indents, newlines)
def test_body_stays_verbatim_between_markers_like_its_own(
    around: str, text: str, indent: str, newline: str
) -> None:
    if newline == "\r":
        text = text.lstrip("\n")  # right below a \r it would not be a line of its own
    source = f"{indent}### BEGIN SOLUTION here{newline}old\n{indent}### END SOLUTION\n"
    source += around.removeprefix("\ufeff")
    grafted = graft(source, {"here": Body(text, indent, newline)}, "f.py")
    assert extract(grafted, "f.py")["here"] == Body(text, indent, newline)


def test_body_takes_the_indentation_and_newlines_of_its_new_place() -> None:
    source = "\t### START OF YOUR CODE: a\r\n\told\r\n\t### END OF YOUR CODE\r\n"
    body = Body('    if x:\n        y = """\nz"""\n\n  \n    return\f y', "    ", "\n")
    grafted = graft(source, {"a": body}, "f.py")
    assert extract(grafted, "f.py")["a"].text == (
        '\tif x:\r\n\t    y = """\r\nz"""\r\n\r\n  \r\n\treturn\f y\r\n'
    )
    assert graft(BEGIN + "x\n" + END, {"a": Body("", "", "\n")}, "f.py") == BEGIN + END


@few
@given(st.lists(st.builds("{}a{}".format, blanks, blanks)), indents, newlines)
def test_body_comes_back_unchanged_from_another_place(
    code: list[str], indent: str, newline: str
) -> None:
    here = "    ### BEGIN SOLUTION a\n    ### END SOLUTION\n"
    there = f"{indent}### START OF YOUR CODE: a{newline}{indent}### END OF YOUR CODE"
    body = Body("".join(f"    {line}\n" for line in code), "    ", "\n")
    moved = extract(graft(there, {"a": body}, "f.py"), "f.py")
    assert extract(graft(here, moved, "f.py"), "f.py")["a"] == body


@few
@given(sources())
def test_stub_contains_nothing_of_the_solution(source: str) -> None:
    stubbed, empty = stub(source, "f.py"), restore_stubs(source, "f.py")
    before = {region.name: region for region in find(source, "f.py")}
    bodies, emptied = extract(stubbed, "f.py"), extract(empty, "f.py")
    assert list(bodies) == list(emptied) == list(before)
    for name, old in before.items():
        line = f'{old.indent}raise NotImplementedError("{name}"){old.newline}'
        own = source[old.body_start : old.body_end]
        assert bodies[name].text == (line if old.solved else own)
        assert emptied[name].text == line
    assert not any(region.solved for region in find(stubbed, "f.py"))
    assert skeleton("f.py", stubbed) == skeleton("f.py", source)
    assert stub(stubbed, "f.py") == stubbed
    assert outside(empty) == outside(source)
    assert restore_stubs(stubbed, "f.py") == stub(empty, "f.py")


def test_skeleton_changes_with_text_outside_regions_only() -> None:
    source = "x = 1\n  ### BEGIN SOLUTION a\n  y = 2\n  ### END SOLUTION\n"
    same = "\ufeffx = 1\r\n  ### START OF YOUR CODE: a  \r\n  no\r\n  ### END OF YOUR CODE\r\n"
    assert skeleton("f.py", same) == skeleton("f.py", source)
    for other in (source.replace("x", "z"), source.replace(" a", " b"), source.replace("  ", " ")):
        assert skeleton("f.py", other) != skeleton("f.py", source)
    assert skeleton("README.md", "a\r\nb\r") == skeleton("README.md", "a\nb\n")
    assert skeleton("README.md", source) != skeleton("README.md", same)


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        (f"x\n{BEGIN}y\n", 2, "region 'a' begins here and never ends"),
        (f"x\n{BEGIN}{START.replace('a', 'b')}{STOP}{END}", 3, "inside region 'a' of line 2"),
        (f"x\n{END}", 2, "without the first line of its region"),
        (f"x\r\n{STOP}", 2, "without the first line of its region"),
        (f"{BEGIN}x\n{STOP}", 3, "Its end is `### END SOLUTION`"),
        (f"{START}x\n{END}", 3, "Its end is `### END OF YOUR CODE`"),
        (f"{BEGIN}{END}{START}{STOP}", 3, "a second region 'a'; the first is in line 1"),
        ("### BEGIN SOLUTION\n" + END, 1, "`### BEGIN SOLUTION name`"),
        ("### BEGIN SOLUTION \n" + END, 1, "`### BEGIN SOLUTION name`"),
        ("### BEGIN SOLUTION Naive\n" + END, 1, "small letters"),
        ("### BEGIN SOLUTION the first of the two\n" + END, 1, "small letters"),
        ("### BEGIN SOLUTION é\n" + END, 1, "small letters"),
        ("### START OF YOUR CODE:\n" + STOP, 1, "`### START OF YOUR CODE: name`"),
        ("### START OF YOUR CODE a\n" + STOP, 1, "`### START OF YOUR CODE: name`"),
        ("### START OF YOUR CODE:a\n" + STOP, 1, "`### START OF YOUR CODE: name`"),
        (f"{BEGIN}### END SOLUTION a\n", 2, "`### END SOLUTION`"),
        (f"{START}### END OF YOUR CODE.\n", 2, "`### END OF YOUR CODE`"),
        *(
            (f"x\n{almost}\ny\n", 2, "looks like a marker")
            for almost in (
                "### BEGIN SOLUTOIN x",
                "## BEGIN SOLUTION x",
                "#### BEGIN SOLUTION x",
                "###BEGIN SOLUTION x",
                "###  BEGIN SOLUTION x",
                "### BEGIN  SOLUTION x",
                "### BEGIN_SOLUTION x",
                "# ### BEGIN SOLUTION x",
                "### begin solution x",
                "  # Begin Solution",
                "\f### BEGIN SOLUTION x",
                "#END SOLUTION",
                "### STRAT OF YOUR CODE: x",
                "### start of your code: x",
                "### END OF YOUR COED",
                "# end of your code",
            )
        ),
    ],
)
def test_wrong_marker_is_refused_with_file_and_line(source: str, line: int, words: str) -> None:
    with pytest.raises(RegionError) as caught:
        find(source, "assignment/f.py")
    assert str(caught.value).startswith(f"assignment/f.py, line {line}: ")
    assert words in str(caught.value)


COMMENTS = """
# end of the solution loop
# end of my code
# start of code
# END OF FOR LOOP
# begin
# my solution
# and solution vector
# end solution of the normal equations
# begin the solution with a shift of the scores
# solution: end of the chain rule
#
################
# *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****
x = "### BEGIN SOLUTION x"  # in a text
x = 1  ### END SOLUTION
"""


def test_comment_is_not_mistaken_for_a_marker() -> None:
    assert find(COMMENTS + COMMENTS.replace("\n", "\n    "), "f.py") == []


@few
@given(st.data(), regions("naive"), texts)
def test_damaged_marker_is_refused(data: st.DataObject, region: str, text: str) -> None:
    source = f"{text}{region}\n"
    words = list(re.finditer("BEGIN|START|END|SOLUTION|YOUR|CODE", source))
    word = data.draw(st.sampled_from(words))
    # One letter is left out, doubled, or made small.
    at = data.draw(st.integers(word.start(), word.end() - 1))
    damage = data.draw(st.sampled_from(["", 2 * source[at], source[at].lower(), "?"]))
    with pytest.raises(RegionError, match=r"^f\.py, line \d+: "):
        find(source[:at] + damage + source[at + 1 :], "f.py")


# In quadratic time each took 5 to 40 s. No clock measures it: whoever runs the tests would notice.
@pytest.mark.parametrize(
    "source",
    [
        "# BEGIN SOLUTION" + "SOLUTION" * 10**6,
        "# " + "BEGIN" * 10**6 + " SOLUTION",
        " " * 10**6 + "### BEGIN SOLUTION",
        "### END SOLUTION" + " \t" * 500_000 + "x",
        "#" * 10**6,
        "# " + "begin " * 160_000,
        "# " + "BEGIN_" * 160_000,
        f"### BEGIN SOLUTION {'a' * 10**6}\n{END}",
        "".join(f"### BEGIN SOLUTION a{i}\n{END}" for i in range(20_000)),
        "\n" * 200_000,
        "# begin your code x\n" * 2_000,
    ],
    ids=lambda source: repr(source[:30]),
)
def test_hostile_text_is_read_or_refused(source: str) -> None:
    with contextlib.suppress(RegionError):
        assert graft(source, extract(source, "f.py"), "f.py") == source


def test_body_for_a_missing_region_is_refused() -> None:
    with pytest.raises(RegionError, match=r"f\.py: has no region 'b' to fill.*: a\.$"):
        graft(BEGIN + END, {"b": Body("", "", "\n")}, "f.py")
    with pytest.raises(RegionError, match=r"f\.py: has no region 'b' to fill.*: none\.$"):
        graft("x\n", {"b": Body("", "", "\n")}, "f.py")


@pytest.mark.parametrize("line", [BEGIN, f"  {STOP}", "### END SOLUTOIN\n", "### END SOLUTION"])
def test_body_with_a_marker_is_refused(line: str) -> None:
    with pytest.raises(RegionError, match=r"f\.py, in the new body of region 'a', line 2: "):
        graft(BEGIN + END, {"a": Body(f"x\n{line}", "", "\n")}, "f.py")


def test_file_is_read_with_its_own_line_endings(tmp_path: Path) -> None:
    text = "\ufeff### BEGIN SOLUTION a\r\n### END SOLUTION\rx\f\u2028"
    (tmp_path / "f.py").write_bytes(text.encode())
    assert read_source(tmp_path / "f.py") == text
    assert [(region.start, region.newline) for region in find(text, "f.py")] == [(1, "\r\n")]
    (tmp_path / "f.py").write_bytes(b"x\r\ny\r# caf\xe9\n")
    with pytest.raises(RegionError, match=r"f\.py, line 3: the byte 0xe9 is not UTF-8"):
        read_source(tmp_path / "f.py")


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        ("gbk", ""),
        ("Latin-1", ""),
        ("shift_jis", ""),
        ("utf-8-sig", ""),
        ("nope", "f.py: unknown encoding: nope. Remove the line that"),
        *((name, f"f.py: {name} is not an enc") for name in ("unicode_escape", "idna", "utf-7")),
        *((name, "f.py: .*. Remove the line that") for name in ("rot13", "punycode", "utf-16")),
    ],
)
def test_a_file_is_read_in_the_encoding_of_texts_that_it_declares(
    declared: str, problem: str
) -> None:
    with contextlib.nullcontext() if not problem else pytest.raises(RegionError, match=problem):
        for line in (f"# coding: {declared}", f"#!python\r# -*- coding={declared} -*-\r"):
            text = f"{line}\nx = 'loss'"
            assert decode(text.encode(), "f.py") == text
    with pytest.raises(RegionError, match="line 2: the byte 0x81 is not GBK"):
        decode(b"# coding: gbk\n# \x81", "f.py")


# --- notebooks -----------------------------------------------------------------------------------


def cell(kind: str, source: str | list[str], region: str | None = None) -> dict[str, Any]:
    metadata = {"gradkit": {"region": region}} if region else {}
    code = {"outputs": [{"output_type": "stream"}], "execution_count": 3} if kind == "code" else {}
    return {"cell_type": kind, "id": "x", "metadata": metadata, "source": source, **code}


def notebook(*cells: dict[str, Any]) -> dict[str, Any]:
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


prose = st.text(ODD + '\n\r"\\', max_size=12)
kinds = st.sampled_from(["code", "markdown", "raw"])
names = st.none() | st.sampled_from(["a", "b", "c"])
notebooks = st.lists(st.builds(cell, kinds, prose, names), max_size=6).map(lambda x: notebook(*x))


def test_notebook_is_written_byte_for_byte_as_it_was_read() -> None:
    text = NOTEBOOK.read_bytes().decode()
    for mark in ("", "\ufeff"):
        nb = read_notebook(mark + text, "nb")
        assert write_notebook(graft_cells(nb, extract_cells(nb, "nb"), "nb")) == text
        assert skeleton("x.ipynb", mark + text) == skeleton("x.ipynb", text)


@few
@given(st.lists(st.tuples(kinds, prose), max_size=4))
def test_notebook_is_written_as_jupyter_writes_it(cells: list[tuple[str, str]]) -> None:
    v4 = nbformat.v4
    new = {"code": v4.new_code_cell, "markdown": v4.new_markdown_cell, "raw": v4.new_raw_cell}
    nb = v4.new_notebook(cells=[new[kind](text) for kind, text in cells])
    assert write_notebook(read_notebook(json.dumps(nb), "nb")) == nbformat.writes(nb) + "\n"


@few
@given(st.data(), notebooks)
def test_graft_into_a_notebook_changes_its_regions_only(
    data: st.DataObject, nb: dict[str, Any]
) -> None:
    before = copy.deepcopy(nb)
    texts = extract_cells(nb, "nb")
    chosen = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(texts, prose)))
    grafted = graft_cells(nb, chosen, "nb")
    assert nb == before
    assert extract_cells(grafted, "nb") == {**texts, **chosen}
    assert graft_cells(grafted, chosen, "nb") == grafted
    assert graft_cells(nb, dict(reversed(chosen.items())), "nb") == grafted
    assert skeleton("x.ipynb", write_notebook(grafted)) == skeleton("x.ipynb", write_notebook(nb))
    others = [c for c in nb["cells"] if region_of(c) not in chosen]
    assert [c for c in grafted["cells"] if region_of(c) not in chosen] == others
    whole = graft_cells(nb, texts, "nb")
    assert extract_cells(whole, "nb") == texts
    if len(list(filter(region_of, nb["cells"]))) == len(texts):  # no region of several cells
        assert whole == nb


def test_split_and_copied_cells_are_one_region() -> None:
    nb = notebook(
        cell("code", ["x = 1\n", "y = 2"], "a"), cell("code", "z"), cell("code", "w = 3", "a")
    )
    assert extract_cells(nb, "nb") == {"a": "x = 1\ny = 2\nw = 3"}
    first, second = graft_cells(nb, {"a": "new"}, "nb")["cells"]
    assert first["source"] == "new"
    assert (first["outputs"], first["execution_count"]) == ([], None)
    assert second == cell("code", "z")


def test_unchanged_cell_keeps_its_outputs_and_another_region_is_refused() -> None:
    nb = notebook(cell("code", ["x = 1\n", "y = 2"], "a"))
    assert graft_cells(nb, {"a": "x = 1\ny = 2"}, "nb") == nb
    with pytest.raises(RegionError, match=r"nb: has no region 'b' to fill.*: a\.$"):
        graft_cells(nb, {"b": ""}, "nb")
    many = notebook(*(cell("code", "x", f"a{i}") for i in range(20_000)))
    assert graft_cells(many, extract_cells(many, "nb"), "nb") == many


def test_starter_notebook_contains_no_solution_and_no_output() -> None:
    nb = read_notebook(NOTEBOOK.read_bytes().decode(), "softmax.ipynb")
    before = copy.deepcopy(nb)
    starter = stub_cells(nb, "softmax.ipynb")
    assert nb == before
    assert [c["id"] for c in starter["cells"]] == [c["id"] for c in nb["cells"]]
    for old, new in zip(nb["cells"], starter["cells"], strict=True):
        name = region_of(old)
        assert new.get("outputs", []) == []
        assert new.get("execution_count") is None
        assert new["metadata"] == old["metadata"]
        if name is None:
            assert source_of(new) == source_of(old)
        elif old["cell_type"] == "markdown":
            assert new["source"] == ANSWER_STUB
        else:
            assert f'raise NotImplementedError("{name}")' in new["source"]
            assert [region.solved for region in find(new["source"], "cell")] == [False]
    text = write_notebook(starter)
    nbformat.validate(nbformat.reads(text, as_version=4))
    assert write_notebook(stub_cells(read_notebook(text, "nb"), "nb")) == text
    assert skeleton("x.ipynb", text) == skeleton("x.ipynb", write_notebook(nb))


@pytest.mark.parametrize(
    ("source", "purpose", "name"),
    [
        ('check("loss")', {}, "loss"),
        ("check('loss')\n", {}, "loss"),
        ('check("loss")', {"check": "gradient"}, "gradient"),
        ('check("loss")', {"role": "display"}, None),
        ('check("loss")', {"region": "tuning"}, None),
        ('check("loss")\ncheck("gradient")', {}, None),
        ('check("loss")  # of the softmax', {}, None),
        ("check()", {}, None),
        ('print(check("loss"))', {}, None),
    ],
)
def test_cell_is_that_of_a_check_by_its_metadata_or_its_only_line(
    source: str, purpose: dict[str, str], name: str | None
) -> None:
    assert check_of({**cell("code", source), "metadata": {"gradkit": purpose}}) == name
    assert check_of({**cell("markdown", 'check("loss")'), "metadata": {}}) is None


def test_starter_cells_keep_tags_and_drop_the_metadata_of_jupyter() -> None:
    full = cell("code", "x")
    full["metadata"] = {"tags": ["t"], "gradkit": {"role": "setup"}, "collapsed": True}
    full["metadata"] |= {"execution": {"iopub.execute_input": "2026"}, "scrolled": False}
    nb = notebook(full)
    nb["metadata"] = {"kernelspec": {"name": "python3"}, "widgets": {"state": "a result"}}
    starter = stub_cells(nb, "nb")
    assert starter["cells"][0]["metadata"] == {"tags": ["t"], "gradkit": {"role": "setup"}}
    assert starter["metadata"] == {"kernelspec": {"name": "python3"}}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (cell("code", "x = 1", "a"), "Put it between `### BEGIN SOLUTION a`"),
        (cell("code", BEGIN.replace(" a", " b") + END, "a"), "`### BEGIN SOLUTION a`"),
        (cell("code", BEGIN + END), 'Put `"gradkit": {"region": "a"}` into its metadata'),
        (cell("code", BEGIN, "a"), "line 1: region 'a' begins here and never ends"),
        (cell("markdown", "y", "first"), "a second region 'first'"),
    ],
)
def test_notebook_with_an_unmarked_solution_is_refused_with_its_cell(
    wrong: dict[str, Any], words: str
) -> None:
    nb = notebook(cell("markdown", "y", "first"), wrong)
    with pytest.raises(RegionError, match=r"^nb\.ipynb, cell 2") as caught:
        stub_cells(nb, "nb.ipynb")
    assert words in str(caught.value)


def test_skeleton_of_a_notebook_ignores_what_jupyter_changes() -> None:
    nb = notebook(cell("code", "x\n", "a"), cell("code", "y\nz"), cell("markdown", "text"))
    plain = skeleton("x.ipynb", write_notebook(nb))
    run = copy.deepcopy(nb)
    run["metadata"] = {"kernelspec": {"name": "other"}, "language_info": {"version": "3.13.1"}}
    run["nbformat_minor"] = 4
    run["cells"][0]["source"] = "solved"
    run["cells"].insert(2, cell("code", "more of it", "a"))
    for number, one in enumerate(run["cells"]):
        one["metadata"] |= {"execution": {"x": number}, "collapsed": True}
        one["id"] = str(number)
        one["outputs"] = ["anything"]
    assert skeleton("x.ipynb", write_notebook(run)) == plain
    for change in ({"source": "other"}, {"cell_type": "raw"}, {"metadata": {"tags": ["t"]}}):
        other = copy.deepcopy(nb)
        other["cells"][1] |= change
        assert skeleton("x.ipynb", write_notebook(other)) != plain


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not a notebook, or a damaged one"),
        ("{", "is not a notebook, or a damaged one"),
        ("\ufeff", "is not a notebook, or a damaged one"),
        ("\ufeff\ufeff{}", "is not a notebook, or a damaged one"),
        ("9" * 5000, "is not a notebook, or a damaged one"),
        ("[" * 100_000, "is not a notebook, or a damaged one"),
        ("[]", "not an object"),
        ("{}", "format 4"),
        ('{"nbformat": 3, "worksheets": []}', "format 4"),
        ('{"nbformat": 4}', "no list of cells"),
        ('{"nbformat": %s}' % ("[" * 900 + "]" * 900), "nested"),
        ('{"nbformat": 4, "cells": [], "metadata": []}', "its metadata are not an object"),
        ('{"nbformat": 4, "cells": %s}' % ("[" * 150 + "]" * 150), "nested"),
        ('{"nbformat": 4, "cells": [], "x": "\\ud800"}', "lone surrogate"),
        ('{"nbformat": 4, "cells": [1]}', "cell 1: is not a cell"),
        ('{"nbformat": 4, "cells": [{"cell_type": "code"}]}', "cell 1: its source"),
        ('{"nbformat": 4, "cells": [{"cell_type": "code", "source": [1]}]}', "its source"),
        ('{"nbformat": 4, "cells": [{"cell_type": 1, "source": ""}]}', "is not a cell"),
        (json.dumps(notebook({**cell("code", ""), "metadata": 1})), "its metadata"),
        (json.dumps(notebook({**cell("code", ""), "metadata": {"gradkit": 1}})), "`gradkit`"),
        (json.dumps(notebook({**cell("code", ""), "attachments": [1]})), "its attachments"),
        (json.dumps(notebook(cell("code", "", "No Name"))), "'No Name' is not a region's name"),
    ],
)
def test_anything_but_a_notebook_is_refused(text: str, words: str) -> None:
    with pytest.raises(RegionError, match=r"^nb\.ipynb") as caught:
        read_notebook(text, "nb.ipynb")
    assert words in str(caught.value)
