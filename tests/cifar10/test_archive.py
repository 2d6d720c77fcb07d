"""Archives that are hostile, damaged or not CIFAR-10 are refused with a sentence."""

import gzip
import tarfile
from pathlib import Path
from typing import Any

import pytest

from assignment.cifar10 import archive
from assignment.cifar10.archive import REQUIRED, DataError, unpack
from tests.cifar10.archives import FILES, PACKED, pack


def member(name: str, **attributes: Any) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for attribute, value in attributes.items():
        setattr(made, attribute, value)
    return made


def unpacked(tmp_path: Path, data: bytes) -> dict[str, bytes]:
    """Return the files that are written when the archive is unpacked."""
    (tmp_path / "given.tar.gz").write_bytes(data)
    folder = tmp_path / "new"
    folder.mkdir()
    unpack(tmp_path / "given.tar.gz", folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_unpack_skips_harmless_other_members(tmp_path: Path) -> None:
    folder = member("cifar-10-batches-py", type=tarfile.DIRTYPE)
    note = member("cifar-10-batches-py/._data_batch_1", size=10)
    data = pack(FILES | {"readme.html": b"hello"}, folder, note)
    assert unpacked(tmp_path, data) == FILES | {"readme.html": b"hello"}


def lying(size: int) -> bytes:
    """Return an archive whose first batch has a wrong size, and no content."""
    header = member("cifar-10-batches-py/data_batch_1", size=size).tobuf(tarfile.GNU_FORMAT)
    others = {name: FILES[name] for name in REQUIRED[1:]}
    return gzip.compress(header + gzip.decompress(pack(others)))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (pack(FILES, member("/etc/cron.d/job")), "'/etc/cron.d/job' is a link, or leads outside"),
        (pack(FILES, member("cifar-10-batches-py/../../up")), "batches-py/../../up' is a link"),
        (pack(FILES, member("..\\up")), r"'..\\up' is a link, or leads outside"),
        (pack(FILES, member("C:\\up")), r"'C:\\up' is a link, or leads outside"),
        (pack(FILES, member("soft", type=tarfile.SYMTYPE, linkname="/etc")), "'soft' is a link"),
        (pack(FILES, member("hard", type=tarfile.LNKTYPE, linkname="/etc")), "'hard' is a link"),
        (pack(FILES, member("pipe", type=tarfile.FIFOTYPE)), "'pipe' is a link"),
        (pack(FILES, member("device", type=tarfile.CHRTYPE)), "'device' is a link"),
        (pack({}, member(REQUIRED[0], type=tarfile.SYMTYPE)), "'data_batch_1' is a link"),
        # bombs: many members, a large member, large headers, sizes that lie
        (pack(FILES, *[member(f"m{k}") for k in range(100)]), "far more than CIFAR-10"),
        (pack(FILES, member("bomb", size=3_000_000)), "far more than CIFAR-10"),
        (pack(FILES, member("x", pax_headers={"comment": "c" * 3_000_000})), "far more than"),
        (lying(1 << 60), "far more than CIFAR-10"),
        (lying(-1), "cannot be unpacked"),
        # not CIFAR-10
        (
            pack({name: FILES[name] for name in REQUIRED[:3]}),
            "not CIFAR-10, without data_batch_4, data_batch_5, test_batch, batches.meta",
        ),
        (pack(FILES | {"data_batch_2": b""}), "it is not CIFAR-10, without data_batch_2."),
        (pack({f"inner/{name}": FILES[name] for name in FILES}), "without data_batch_1, data_"),
        # damaged: the end, half, zeros, the checksum
        (PACKED[:-4], "Compressed file ended"),
        (PACKED[:30_000], "Compressed file ended"),
        (PACKED[:30_000] + bytes(5000), "cannot be unpacked"),
        (PACKED[:-8] + bytes(8), "CRC check failed"),
        (b"<!DOCTYPE html>", "Not a gzipped file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unpack_refuses_an_archive_that_is_hostile_or_damaged(
    data: bytes, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_BYTES", 2_000_000)
    with pytest.raises(DataError, match=r"cannot be unpacked: .* Nothing was installed") as caught:
        unpacked(tmp_path, data)
    assert sentence in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} == {"new", "given.tar.gz"}
    assert {path.name for path in (tmp_path / "new").iterdir()} <= {*REQUIRED}
