"""Archives that are hostile, damaged or not CIFAR-10 are refused with a sentence."""

import tarfile
from pathlib import Path
from typing import Any

import pytest

from assignment.cifar10 import archive
from assignment.cifar10.archive import (
    CIFAR10_FOLDER,
    PUBLISHED,
    REQUIRED,
    DataError,
    check_local_archive,
    unpack,
)
from tests.cifar10.archives import ARCHIVE, FILES, PACKED, pack, save


def make_member(name: str, **attributes: Any) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    for attribute, value in attributes.items():
        setattr(member, attribute, value)
    return member


def unpacked(tmp_path: Path, data: bytes) -> dict[str, bytes]:
    """Return the files that are written when the archive is unpacked."""
    folder = tmp_path / "new"
    folder.mkdir()
    unpack(save(tmp_path, data), folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refusal(tmp_path: Path, data: bytes) -> str:
    with pytest.raises(DataError) as caught:
        unpacked(tmp_path, data)
    assert {path.name for path in tmp_path.iterdir()} == {"new", "given.tar.gz"}
    assert {path.name for path in (tmp_path / "new").iterdir()} <= {*REQUIRED}
    return str(caught.value)


def test_unpack_skips_harmless_other_members(tmp_path: Path) -> None:
    folder = make_member(CIFAR10_FOLDER, type=tarfile.DIRTYPE)
    note = make_member("cifar-10-batches-py/._data_batch_1", size=10)
    data = pack(FILES | {"readme.html": b"hello"}, folder, note)
    assert unpacked(tmp_path, data) == FILES | {"readme.html": b"hello"}


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (make_member("/etc/cron.d/job"), "a path that leads out"),
        (make_member("cifar-10-batches-py/../../escaped"), "a path that leads out"),
        (make_member("..\\escaped"), "a path that leads out"),
        (make_member("C:\\escaped"), "a path that leads out"),
        (make_member("soft", type=tarfile.SYMTYPE, linkname="/etc"), "is a link"),
        (make_member("hard", type=tarfile.LNKTYPE, linkname="/etc/passwd"), "is a link"),
        (make_member("fifo", type=tarfile.FIFOTYPE), "is a link, a device or the like"),
        (make_member("device", type=tarfile.CHRTYPE), "is a link, a device or the like"),
        (make_member("cifar-10-batches-py/data_batch_1", type=tarfile.SYMTYPE), "is a link"),
    ],
    ids=lambda value: value.name if isinstance(value, tarfile.TarInfo) else "",
)
def test_unpack_refuses_a_dangerous_member_by_name(
    bad: tarfile.TarInfo, sentence: str, tmp_path: Path
) -> None:
    message = refusal(tmp_path, pack(FILES, bad))
    assert f"its member {bad.name!r}" in message
    assert sentence in message


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        ([make_member(f"m{k}") for k in range(100)], "'m93' is number 101"),
        ([make_member("bomb", size=3_000_000)], "'bomb' brings it to 3 MB unpacked"),
        (  # of which the headers are the bomb
            [make_member("x", pax_headers={"comment": "c" * 3_000_000})],
            "unpacks to far more than CIFAR-10",
        ),
    ],
    ids=["members", "size", "headers"],
)
def test_unpack_refuses_a_bomb(
    extra: list[tarfile.TarInfo], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 2_000_000)
    assert sentence in refusal(tmp_path, pack(FILES, *extra))


@pytest.mark.parametrize(
    ("files", "missing"),
    [
        (
            {name: FILES[name] for name in REQUIRED[:3]},
            "data_batch_4, data_batch_5, test_batch, batches.meta",
        ),
        (FILES | {"data_batch_2": b""}, "data_batch_2"),
        ({f"inner/{name}": data for name, data in FILES.items()}, "data_batch_1, data_batch_2"),
    ],
    ids=["missing", "empty", "elsewhere"],
)
def test_unpack_names_batches_that_are_missing_or_empty(
    files: dict[str, bytes], missing: str, tmp_path: Path
) -> None:
    assert f"is not CIFAR-10: it does not hold {missing}" in refusal(tmp_path, pack(files))


@pytest.mark.parametrize(
    "data",
    [PACKED[:-4], PACKED[:30_000], PACKED[:30_000] + bytes(5000), PACKED[:-8] + bytes(8)],
    ids=["end", "half", "zeros", "crc"],
)
def test_unpack_refuses_a_damaged_archive(data: bytes, tmp_path: Path) -> None:
    assert "truncated or corrupt" in refusal(tmp_path, data)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (PACKED, f"is a gzip file, but .* SHA-256 is {ARCHIVE.sha256}, not {PUBLISHED.sha256}"),
        (PACKED, "publisher names with --accept-checksum"),
        (b"\n<!DOCTYPE html><title>404</title>", "is a web page, but not the expected archive"),
        (b"\x7fELF", "is another kind of file, but not the expected archive"),
    ],
)
def test_a_local_file_is_refused_for_its_checksum(
    data: bytes, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=sentence):
        check_local_archive(save(tmp_path, data), PUBLISHED)


@pytest.mark.parametrize("name", ["missing.tar.gz", "."])
def test_a_local_file_that_is_missing_or_a_folder_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read \(.*\)\. Give --from the path"):
        check_local_archive(tmp_path / name, PUBLISHED)
