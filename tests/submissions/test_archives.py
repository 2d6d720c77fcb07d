"""Archives that anyone may have made are read within bounds, or refused with a sentence."""

import gzip
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradkit.submissions import archives
from gradkit.submissions.discover import find_submissions
from tests.submissions.fuzz import FUZZ
from tests.submissions.packing import (
    FILE,
    OTHER_FILE,
    SOFTMAX,
    Files,
    Pack,
    add_to_tar,
    content_of,
    inside,
    memory_below,
    rejection,
    tar_of,
    write_files,
    zip_of,
)


def tar_header(kind: bytes, size: int = 0, patches: Mapping[int, bytes] | None = None) -> bytes:
    """Return a member's header, with other bytes at some places."""
    info = tarfile.TarInfo("softmax.py")
    info.type, info.size = kind, size
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    for place, patch in (patches or {}).items():
        block[place : place + len(patch)] = patch
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + sum(block[156:]) + 8 * 32)
    return bytes(block)


NEGATIVE_SIZE = {124: b"\xff" * 11 + b"\0"}


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("jane.zip", b"", "jane.zip is damaged, or neither a .zip nor a .tar.gz archive."),
        ("jane.rar", b"Rar!\x1a\7\0", "jane.rar is damaged, or neither a .zip nor"),
        ("jane.zip", b"PK\3\4" + bytes(100), "jane.zip is a damaged zip file"),
        ("jane.tar.gz", gzip.compress(b"hello", mtime=0), "jane.tar.gz is damaged, or not a tar"),
        ("jane.tar.gz", b"\x1f\x8b\x08\0" + bytes(90), "jane.tar.gz is damaged, or not a tar"),
        (
            "jane.tar",
            tar_header(tarfile.REGTYPE, patches=NEGATIVE_SIZE) + bytes(1024),
            "jane.tar is damaged, or not a tar",
        ),
        ("jane.pdf", b"%PDF", "It holds none of softmax.py"),
    ],
)
def test_what_is_not_an_archive_is_rejected(
    name: str, content: bytes, problem: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert rejection(tmp_path / name).startswith(problem)
    [found] = find_submissions(tmp_path, SOFTMAX)
    assert found.student == "jane"


@pytest.mark.parametrize(
    ("name", "size"),
    # A tar file has 512 bytes of header and data of each member, then zeros.
    [("a.zip", -40), ("a.tar.gz", -40), ("a.tar", 2000), ("a.tar", 1536), ("a.tar", 1024)],
)
def test_a_truncated_archive_is_rejected(name: str, size: int, tmp_path: Path) -> None:
    files = {FILE: os.urandom(500), OTHER_FILE: os.urandom(500)}
    path = (zip_of if name.endswith("zip") else tar_of)(files, tmp_path / name)
    path.write_bytes(path.read_bytes()[:size])
    assert "damaged" in rejection(path)


def test_a_damaged_header_amid_a_tar_file_is_not_its_end(tmp_path: Path) -> None:
    path = tar_of({FILE: b"", "x": b"", OTHER_FILE: b""}, tmp_path / "a.tar")
    content = bytearray(path.read_bytes())
    content[512] ^= 1
    path.write_bytes(content)
    assert "its headers make no sense" in rejection(path)


def test_an_archive_in_an_archive_is_not_opened(wanted: Files, tmp_path: Path) -> None:
    outer = {"jane/inner.zip": zip_of(wanted, tmp_path / "inner.zip").read_bytes()}
    for path in (zip_of(outer, tmp_path / "a.zip"), tar_of(outer, tmp_path / "a.tar.gz")):
        assert rejection(path).endswith("softmax.ipynb; there is jane/inner.zip.")


# --- members that are not taken ------------------------------------------------------------------


def require_only_other_file(path: Path, problem: str) -> None:
    """Require that OTHER_FILE alone is taken, with a note on the problem of another member."""
    content = content_of(path)
    assert content.files == {OTHER_FILE: b"# mine"}
    assert problem in content.notes[0]
    assert content.notes[0].isprintable()


@pytest.mark.parametrize(
    "name",
    [
        "../assignment/classifiers/softmax.py",
        "/../assignment/classifiers/softmax.py",
        "a/../../softmax.py",
        "C:\\..\\softmax.py",
        "..\\softmax.py",
        "../../etc/cron.d/x",
        "a\x00/softmax.py",
        "a\n\x1b[2J/softmax.py",
        f"{'long/' * 1000}softmax.py",
        f"{'long' * 100}/softmax.py",
    ],
)
def test_members_with_hostile_paths_are_not_taken(name: str, tmp_path: Path) -> None:
    files = {"other.py": b"", name: b"# planted", OTHER_FILE: b"# mine"}
    require_only_other_file(zip_of(files, tmp_path / "jane.zip"), archives.HOSTILE)
    if "\0" not in name:
        require_only_other_file(tar_of(files, tmp_path / "jane.tar.gz"), archives.HOSTILE)


@pytest.mark.parametrize(
    "folder",
    [
        "content/drive/MyDrive/a/b/softmax/",
        "/home/kim/courses/ml/hw/1/",
        "C:\\Users\\Kim\\Desktop\\ml\\hw\\1\\",
        "d:/",
        "\\\\server\\share\\ml\\hw\\1\\",
    ],
)
@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_a_project_packed_with_its_whole_path_is_taken(
    pack: Pack, folder: str, wanted: Files, tmp_path: Path
) -> None:
    files = {**inside(wanted, folder), "content/sample_data/README.md": b""}
    content = content_of(pack(files, tmp_path / "jane.tar.gz"))
    assert content.digest == content_of(zip_of(wanted, tmp_path / "plain.zip")).digest
    assert [note for note in content.notes if "Ignored" not in note] == []


def test_utf8_names_are_read_without_the_flag_that_says_so(tmp_path: Path) -> None:
    path = zip_of({"プロジェクト/softmax.py": b"x = 1"}, tmp_path / "jane.zip")
    content = bytearray(path.read_bytes())
    for header, flags in ((b"PK\3\4", 7), (b"PK\1\2", 9)):
        content[content.index(header) + flags] &= ~8
    path.write_bytes(content)
    [member] = archives.open_source(path, "jane.zip").members()
    assert member.name == "プロジェクト/softmax.py"


def test_links_and_devices_in_archives_are_not_taken(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("softmax.py")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "jane.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr(OTHER_FILE, "# mine")
    kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)
    with tarfile.open(tmp_path / "jane.tar.gz", "w:gz") as tar:
        for number, kind in enumerate((*kinds, tarfile.GNUTYPE_SPARSE)):
            info = tarfile.TarInfo(f"{number}/softmax.py")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        add_to_tar(tar, OTHER_FILE, b"# mine")
    for name in ("jane.zip", "jane.tar.gz"):
        require_only_other_file(tmp_path / name, "is a link, a device or the like")


def test_links_are_not_followed(tmp_path: Path) -> None:
    write_files({"secret/softmax.py": b"# secret", "secret/linear_classifier.py": b""}, tmp_path)
    folder = write_files({"notes.txt": b""}, tmp_path / "jane")
    (folder / "assignment").symlink_to(tmp_path / "secret")
    (folder / "softmax.py").symlink_to(tmp_path / "secret/softmax.py")
    (folder / "loop").symlink_to(folder)
    reason = "Not taken from jane: softmax.py is a link, a device or the like."
    assert rejection(folder) == reason
    for name, target in {"joe": "secret", "jim.zip": "secret", "jack_softmax.py": "x"}.items():
        (tmp_path / name).symlink_to(tmp_path / target)
        assert "is a link" in rejection(tmp_path / name)


def test_pipes_are_not_opened(tmp_path: Path) -> None:
    folder = write_files({OTHER_FILE: b"# mine"}, tmp_path / "jane")
    os.mkfifo(folder / "softmax.py")
    require_only_other_file(folder, "softmax.py is a link, a device or the like")
    for name in ("joe.zip", "joe_softmax.py"):
        os.mkfifo(tmp_path / name)
        assert "not a regular file, but a pipe" in rejection(tmp_path / name)
    os.mkfifo(tmp_path / "jim")
    assert "holds none of" in rejection(tmp_path / "jim")
    assert len(find_submissions(tmp_path, SOFTMAX)) == 4


def test_encrypted_members_are_not_taken(tmp_path: Path) -> None:
    path = zip_of({"softmax.py": b"x" * 99, OTHER_FILE: b"# mine"}, tmp_path / "jane.zip")
    content = bytearray(path.read_bytes())
    for header, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(header) + flags] |= 1
    path.write_bytes(content)
    require_only_other_file(path, "softmax.py is encrypted")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_of_unbounded_compression_are_not_taken(method: int, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", method) as archive:
        archive.writestr("softmax.py", bytes(5_000_000))
    assert "softmax.py is compressed in a way that only some" in rejection(tmp_path / "bomb.zip")


# --- bombs ---------------------------------------------------------------------------------------


def test_wanted_files_are_unpacked_within_bounds(tmp_path: Path) -> None:
    zeros = bytes(70_000_000)
    path = zip_of({"softmax.py": zeros, "softmax.ipynb": zeros}, tmp_path / "jane.zip")
    del zeros
    with memory_below(60_000_000):
        reason = rejection(path)
    assert "softmax.py has more than 1 MB" in reason
    assert "softmax.ipynb has more than 20 MB" in reason


def test_data_sets_are_not_read(wanted: Files, tmp_path: Path) -> None:
    name = "datasets/cifar-10-batches-py/data_batch_1"
    folder = write_files({**wanted, name: b""}, tmp_path / "jane")
    os.truncate(folder / name, 100_000_000_000)
    packed = {name: bytes(20_000_000), **wanted}
    paths = zip_of(packed, tmp_path / "jane.zip"), tar_of(packed, tmp_path / "jane.tar.gz")
    del packed
    for path in (folder, *paths):
        with memory_below(10_000_000):
            content = content_of(path)
        assert (len(content.files), len(content.cells), content.notes) == (2, 1, [])


def test_a_zip_with_a_million_entries_is_not_read(tmp_path: Path) -> None:
    entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", *[0] * 16)
    size = 1_000_000 * len(entry)
    with (tmp_path / "jane.zip").open("wb") as file:
        file.write(b"PK\3\4" + bytes(26) + entry * 1_000_000)
        # The number of entries that it gives is false.
        file.write(struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, size, 30, 0))
    with memory_below(1_000_000):
        assert "it has far more than 200,000 entries" in rejection(tmp_path / "jane.zip")


def test_too_many_entries_are_rejected(
    wanted: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_ENTRIES", 30)
    files = {**wanted, **{f"data/{number}": b"" for number in range(40)}}
    for path in (tar_of(files, tmp_path / "a.tgz"), write_files(files, tmp_path / "a")):
        message = f"{path.name} has more than 30 entries. Ask for it without data sets and"
        assert rejection(path).startswith(message)


def test_a_tar_file_is_unpacked_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_UNPACKED", 10_000_000)
    pack = zlib.compressobj(1, wbits=31)
    header = tar_header(tarfile.REGTYPE, 10**11)
    packed = pack.compress(header) + pack.compress(bytes(20_000_000)) + pack.flush()
    (tmp_path / "jane.tar.gz").write_bytes(packed)
    with memory_below(5_000_000):
        assert rejection(tmp_path / "jane.tar.gz").startswith("jane.tar.gz unpacks to more than")


HEADERS = (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE)
MORE_FOLLOWS = {482: b"\1"}  # of the map of a sparse file


@pytest.mark.parametrize(
    ("start", "repeated", "count"),
    [
        *((tar_header(kind, 10**7), b"20 path=softmax.py1\n", 500_000) for kind in HEADERS),
        *((b"", tar_header(kind), 20_000) for kind in HEADERS),
        (
            tar_header(tarfile.GNUTYPE_SPARSE, patches=MORE_FOLLOWS),
            (b"%011o\0" % 1 * 42).ljust(512, b"\1"),
            20_000,
        ),
    ],
)
def test_headers_of_a_tar_file_are_read_within_bounds(
    start: bytes, repeated: bytes, count: int, tmp_path: Path
) -> None:
    (tmp_path / "jane.tar.gz").write_bytes(gzip.compress(start + repeated * count, 1))
    with memory_below(5_000_000):
        assert "its headers make no sense" in rejection(tmp_path / "jane.tar.gz")


# --- any tar file --------------------------------------------------------------------------------

PATHS = st.text(
    st.characters(exclude_characters="/\\\0", exclude_categories=["Cc", "Cs"]),
    min_size=1,
    max_size=60,
).filter(lambda name: name not in (".", "..") and name[1:2] != ":")


@FUZZ
@given(
    files=st.dictionaries(
        st.lists(PATHS, min_size=1, max_size=6).map("/".join), st.binary(max_size=1500), max_size=4
    ),
    form=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_tar_files_are_read_as_they_were_written(
    files: dict[str, bytes], form: int, tmp_path: Path
) -> None:
    source = archives.open_source(tar_of(files, tmp_path / "jane.tar.gz", form), "jane.tar.gz")
    members = list(source.members())
    assert [(member.name, member.problem) for member in members] == [(name, "") for name in files]
    contents = source.read(dict.fromkeys(members, 2000))
    assert [contents[member] for member in members] == list(files.values())
