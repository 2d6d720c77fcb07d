"""A starter is read from a zip file only if all of it is as the build wrote it."""

import contextlib
import io
import json
import os
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from assignment.workspace.starter import (
    STARTER_MANIFEST,
    StarterError,
    pack_zip,
    read_manifest,
    read_project_manifest,
    read_zip,
)
from tests.workspace.projects import NAME, NOTEBOOK, SCRIPT, SOFTMAX, VIS, make_starter, pack


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return make_starter()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, texts: dict[str, str]) -> Path:
    return pack(tmp_path_factory.mktemp("starter") / f"{NAME}.zip", texts)


def require_refused(archive: Path, words: str) -> None:
    with pytest.raises(StarterError) as caught:
        read_zip(archive)
    assert words in str(caught.value)
    assert "Nothing was changed." in str(caught.value)


def repack(
    archive: Path, place: Path, extra: Mapping[str, str], rename: Callable[[str], str] = str
) -> Path:
    """Pack the same files again, under other names and with more members."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.namelist():
            new.writestr(rename(member), old.read(member))
        for member, text in extra.items():
            new.writestr(member, text)
    return place


def test_same_files_give_the_same_zip_file_whose_scripts_are_executable(
    texts: dict[str, str],
) -> None:
    files = {path: text.encode() for path, text in texts.items()}
    packed = pack_zip(files)
    assert pack_zip(dict(reversed(files.items()))) == packed
    assert b"\x00\x00\x21\x00" in packed[:20]  # midnight of 1 January 1980, whatever the day
    with zipfile.ZipFile(io.BytesIO(packed)) as opened:
        modes = {info.filename: info.external_attr >> 16 for info in opened.infolist()}
    assert {path for path, mode in modes.items() if mode & 0o111} == {SCRIPT}


@pytest.mark.parametrize("separator", ["/", "\\"])
def test_starter_comes_out_of_its_zip_file_also_if_packed_again(
    separator: str, tmp_path: Path, archive: Path, texts: dict[str, str]
) -> None:
    litter = {
        "__MACOSX/softmax-starter/._README.md": "x",
        "softmax-starter (1)/.DS_Store": "x",
        "softmax-starter (1)/assignment/__pycache__/x.pyc": "x",
        "softmax-starter (1)/assignment/": "",
    }
    again = repack(
        archive,
        tmp_path / "x.zip",
        {name.replace("/", separator): text for name, text in litter.items()},
        lambda name: f"softmax-starter (1)/{name}".replace("/", separator),
    )
    manifest, read = read_zip(archive)
    assert read_zip(again) == (manifest, read)
    assert read == texts
    assert manifest == read_manifest(texts[STARTER_MANIFEST])
    assert (manifest.name, manifest.exercises) == (NAME, ("softmax",))


NOT_PLAIN, STRAY = "is not a plain name", "does not belong in a starter"
CHANGED = "was added, changed or removed after the build"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../evil.py", NOT_PLAIN),
        ("assignment/../../evil.py", NOT_PLAIN),
        ("/tmp/evil.py", NOT_PLAIN),
        ("C:/evil.py", NOT_PLAIN),
        ("C:evil.py", NOT_PLAIN),
        ("assignment\\..\\..\\evil.py", NOT_PLAIN),
        ("assignment/evil\x1b[2J.py", NOT_PLAIN),
        ("assignment/evil.py\x00.txt", NOT_PLAIN),
        ("assignment/./evil.py", NOT_PLAIN),
        ("assignment//evil.py", NOT_PLAIN),
        ("assignment/evil.py.", NOT_PLAIN),
        ("assignment/évil.py", NOT_PLAIN),
        ("assignment/aux.py", NOT_PLAIN),
        ("assignment/Com1/x.py", NOT_PLAIN),
        (".git/hooks/post-checkout", NOT_PLAIN),
        ("gradkit/evil.py", STRAY),
        ("evil.py", STRAY),
        ("ASSIGNMENT/vis_utils.py", STRAY),
        ("assignment/VIS_utils.py", CHANGED),
        ("assignment/vis_utils.py/evil.py", CHANGED),
        ("assignment/evil.py", CHANGED),
        ("datasets/cifar-10-batches-py/test_batch", CHANGED),
        ("README.md", CHANGED),
    ],
)
def test_hostile_name_is_refused(tmp_path: Path, archive: Path, name: str, words: str) -> None:
    plain = name.replace("\x00", "?").replace("\\", "|")  # zipfile would not write them
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a second member of one name
        hostile = repack(archive, tmp_path / "x.zip", {plain: "evil"})
    hostile.write_bytes(hostile.read_bytes().replace(plain.encode(), name.encode()))
    require_refused(hostile, words)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("external_attr", (stat.S_IFLNK | 0o777) << 16, "is a link or a device"),
        ("external_attr", (stat.S_IFIFO | 0o666) << 16, "is a link or a device"),
        ("external_attr", (stat.S_IFDIR | 0o777) << 16, "is a link or a device"),
        ("compress_type", zipfile.ZIP_LZMA, "is encrypted, or not deflated"),
        ("compress_type", zipfile.ZIP_BZIP2, "is encrypted, or not deflated"),
    ],
)
def test_special_member_is_refused(tmp_path: Path, field: str, value: int, words: str) -> None:
    member = zipfile.ZipInfo("README.md")
    setattr(member, field, value)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as new:
        new.writestr(member, "x", member.compress_type)
    require_refused(tmp_path / "x.zip", words)


def test_encrypted_zip_is_refused(tmp_path: Path, archive: Path) -> None:
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flags of the first member, in the directory
    (tmp_path / "x.zip").write_bytes(data)
    require_refused(tmp_path / "x.zip", "is encrypted, or not deflated")


@pytest.mark.parametrize("lie", [False, True])
def test_bomb_is_refused(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch, lie: bool
) -> None:
    monkeypatch.setattr("assignment.workspace.starter.MAX_BYTES", 1_000_000)
    bomb = repack(archive, tmp_path / "x.zip", {"datasets/big.md": "x" * 1_500_000})
    if lie:  # its directory gives the member 10 bytes
        data = bomb.read_bytes().replace(struct.pack("<L", 1_500_000), struct.pack("<L", 10))
        bomb.write_bytes(data)
    require_refused(bomb, "Bad CRC" if lie else "unpacks to more than 1,000,000 bytes")


def test_zip_with_far_more_than_a_starter_is_refused(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assignment.workspace.starter.MAX_FILES", 5)
    require_refused(archive, "members, far more than a starter")
    monkeypatch.setattr("assignment.workspace.starter.MAX_BYTES", 20)
    require_refused(archive, "it has more than 20 bytes")


Spoil = Callable[[dict[str, str]], object]


def write(path: str, text: str) -> Spoil:
    return lambda texts: texts.update({path: text})


def manifest(**fields: Any) -> Spoil:
    """Return a change of these fields of the manifest; dictionaries are merged."""

    def spoil(texts: dict[str, str]) -> None:
        stored = json.loads(texts[STARTER_MANIFEST])
        for key, value in fields.items():
            stored[key] = stored[key] | value if isinstance(value, dict) else value
        texts[STARTER_MANIFEST] = json.dumps(stored)

    return spoil


def move_into_folders(texts: dict[str, str]) -> None:
    for name in list(texts):
        texts[f"a/{name}"] = texts.pop(name)
    texts["b/x.md"] = ""


DAMAGED = "starter.json is damaged"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda texts: texts.clear(), f"it has no {STARTER_MANIFEST}"),
        (lambda texts: texts.pop(STARTER_MANIFEST), f"it has no {STARTER_MANIFEST}"),
        (write(STARTER_MANIFEST, "{"), DAMAGED),
        (write(STARTER_MANIFEST, "[" * 10**5), DAMAGED),
        (write(STARTER_MANIFEST, "[]"), DAMAGED),
        (manifest(skeletons=[[1, ""]]), DAMAGED),
        (manifest(starter=1), "is not a name"),
        (manifest(version="\x1b[2J"), "is not a name"),
        (manifest(skeletons={"../x.md": ""}), NOT_PLAIN),
        (manifest(skeletons={STARTER_MANIFEST: ""}), f"its {STARTER_MANIFEST} {CHANGED}"),
        (manifest(skeletons={VIS: ["x"]}), f"its {VIS} {CHANGED}"),
        (manifest(stubs={SOFTMAX: {"softmax_naive": []}}), f"its {SOFTMAX} {CHANGED}"),
        (lambda texts: texts.pop(VIS), f"its {VIS} {CHANGED}"),
        (write(VIS, "x = 1\n"), f"its {VIS} {CHANGED}"),
        (
            lambda texts: texts.update({SOFTMAX: texts[SOFTMAX].replace("raise NotImpl", "x = 1")}),
            f"its {SOFTMAX} {CHANGED}",
        ),
        (write("README.md", "\n\udcff"), "README.md, line 2: the byte 0xff"),
        (write(VIS, "### END SOLUTION\n"), f"{VIS}, line 1: "),
        (write(NOTEBOOK, "[]"), f"{NOTEBOOK} is not a notebook"),
        (move_into_folders, STRAY),
    ],
)
def test_zip_of_anything_else_is_refused(
    tmp_path: Path, texts: dict[str, str], spoil: Spoil, words: str
) -> None:
    spoiled = dict(texts)
    spoil(spoiled)
    files = {path: text.encode(errors="surrogateescape") for path, text in spoiled.items()}
    (tmp_path / "x.zip").write_bytes(pack_zip(files))
    require_refused(tmp_path / "x.zip", words)


def test_anything_but_a_zip_file_is_refused(tmp_path: Path, archive: Path) -> None:
    for content in (b"", b"<html>Please log in</html>", archive.read_bytes()[:-2000]):
        (tmp_path / "x.zip").write_bytes(content)
        require_refused(tmp_path / "x.zip", "is not a zip file, or a damaged one")
    os.mkfifo(tmp_path / "pipe.zip")
    for path, words in (
        (tmp_path / "none.zip", "none.zip is not there"),
        (tmp_path / "pipe.zip", "pipe.zip is not there"),
        (tmp_path, "is a folder; give the zip file"),
    ):
        with pytest.raises(StarterError, match=words):
            read_zip(path)


def test_damaged_byte_is_refused_or_does_no_harm(tmp_path: Path) -> None:
    texts = make_starter()
    kept = {path: texts[path] for path in ("datasets/README.md", "README.md")}
    stored = json.loads(texts[STARTER_MANIFEST])
    stored["skeletons"] = {path: stored["skeletons"][path] for path in kept}
    kept[STARTER_MANIFEST] = json.dumps(stored | {"stubs": {}})
    place = pack(tmp_path / "x.zip", kept)
    data = place.read_bytes()
    directory, last = data.index(b"PK\x01\x02"), len(data)
    for at in [*range(100), *range(directory, directory + 100), *range(last - 22, last)]:
        damaged = bytearray(data)
        damaged[at] ^= 0xFF
        place.write_bytes(damaged)
        with contextlib.suppress(StarterError):
            assert read_zip(place)[1] == kept


def test_missing_or_damaged_manifest_of_a_project_is_none(tmp_path: Path) -> None:
    assert read_project_manifest(tmp_path) is None
    (tmp_path / "assignment").mkdir()
    for content in (b"{}", b"\xff"):
        (tmp_path / STARTER_MANIFEST).write_bytes(content)
        assert read_project_manifest(tmp_path) is None
