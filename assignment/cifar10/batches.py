"""Read and write CIFAR-10's files, which are pickles of Python 2.

    read_pickle     a file -> byte strings, numbers, lists, dictionaries, arrays of bytes
    write_pickle    the same into a file, for the stand-in

A pickle can run any code while it is read. `read_pickle` therefore refuses, by name, everything
that a batch does not need.
"""

import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np
import numpy.typing as npt

from assignment.cifar10.archive import DataError

REPAIR = "Repair it with `python -m assignment data`."

# A published batch has 31 MB, and up to twice as many where Python 3 wrote its bytes as text.
MAX_BATCH_BYTES = 64 * 2**20

# A published batch has some 80,000 opcodes. Each can cost many times its size in memory, and for
# one large index of the memo alone the unpickler allocates everything up to it.
MAX_OPCODES = 500_000


class _CodeRefused(pickle.UnpicklingError):
    """A pickle's request for something that a batch does not need."""


class ByteArray:
    """Stand-in for numpy.ndarray while a batch is unpickled: checks the state of an array.

    numpy's own __setstate__ is C code that trusts its pickle. This one admits unsigned bytes in C
    order whose number fits their shape, which is all that CIFAR-10 has.
    """

    array: npt.NDArray[np.uint8] = np.empty(0, np.uint8)  # if __setstate__ is never called

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        _version, shape, _dtype, fortran, raw = state
        if not isinstance(raw, bytes) or fortran:
            raise pickle.UnpicklingError("an array that is not of unsigned bytes")
        self.array = np.frombuffer(raw, np.uint8).reshape(shape)


class _ByteType:
    """Stand-in for numpy.dtype that admits unsigned bytes only."""

    def __init__(self, code: Any, *_: Any) -> None:
        if code not in (b"u1", "u1"):
            raise pickle.UnpicklingError(f"an array of {code!r}, not of unsigned bytes")

    def __setstate__(self, state: Any) -> None:
        pass  # byte order and alignment, which mean nothing for single bytes


def _latin1_bytes(text: Any, encoding: Any) -> bytes:
    """Stand-in for _codecs.encode, by which Python 3 writes bytes in protocols 0 to 2."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise _CodeRefused("_codecs.encode")
    return text.encode("latin-1")


class _BatchUnpickler(pickle.Unpickler):
    """Unpickler that refuses every name except those that a CIFAR-10 batch needs."""

    _ADMITTED: ClassVar[dict[tuple[str, str], Callable[..., Any]]] = {
        # numpy's function that makes an empty array to be filled, and its name since numpy 2
        ("numpy.core.multiarray", "_reconstruct"): ByteArray,
        ("numpy._core.multiarray", "_reconstruct"): ByteArray,
        ("numpy", "ndarray"): ByteArray,
        ("numpy", "dtype"): _ByteType,
        ("_codecs", "encode"): _latin1_bytes,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._ADMITTED[module, name]
        except KeyError:
            requested = f"{module}.{name}"[:100]
            raise _CodeRefused(requested if requested.isprintable() else ascii(requested)) from None


def read_pickle(path: Path) -> Any:
    """Read one of CIFAR-10's files, its strings as bytes and its arrays as `ByteArray`.

    Raises DataError if the file is missing, damaged or too large, or asks to run code.
    """
    try:
        if path.stat().st_size > MAX_BATCH_BYTES:
            raise pickle.UnpicklingError("it is larger than any CIFAR-10 batch")
        with path.open("rb") as file:
            _require_few_objects(file)
            file.seek(0)
            return _BatchUnpickler(file, encoding="bytes").load()
    except _CodeRefused as refused:
        raise DataError(
            f"{path} is refused: it wants to run {refused} while it is read, and a CIFAR-10 batch "
            "holds only arrays. Do not trust the place that this file came from. " + REPAIR
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}). {REPAIR}") from error
    except Exception as error:  # an unpickler raises nearly anything for garbage
        raise DataError(f"{path} is damaged ({str(error)!a}). {REPAIR}") from error


def _require_few_objects(file: IO[bytes]) -> None:
    """Raise UnpicklingError for a pickle that would cost far more memory than a batch."""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        index = int(argument or 0) if opcode.name.endswith("PUT") else 0
        if max(count, index) > MAX_OPCODES:
            raise pickle.UnpicklingError("it holds far more objects than a batch")


# --- writing -------------------------------------------------------------------------------------

# numpy.core.multiarray._reconstruct(numpy.ndarray, (0,), "b"), an array to be filled.
EMPTY_ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
# numpy.dtype("u1", 0, 1) and its state: version 3, without byte order and fields, flags 0.
BYTE_TYPE = (
    b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
)
Picklable = int | bytes | list["Picklable"] | dict[bytes, "Picklable"] | npt.NDArray[np.uint8]


def pickled(value: Picklable) -> bytes:
    """Return the opcodes that put the value on the stack, as Python 2 wrote them.

    Python 3's pickle module has no opcode for the byte strings of Python 2, and what it writes
    for an array depends on the version of numpy. Without a memo, since nothing occurs twice.
    """
    if isinstance(value, int):
        return pickle.dumps(value, protocol=2)[2:-1]  # without the protocol and the stop
    if isinstance(value, bytes):
        if len(value) < 256:
            return b"U" + len(value).to_bytes(1, "little") + value
        return b"T" + len(value).to_bytes(4, "little") + value
    if isinstance(value, list):
        return b"](" + b"".join(pickled(item) for item in value) + b"e"
    if isinstance(value, dict):
        items = (pickled(key) + pickled(item) for key, item in value.items())
        return b"}(" + b"".join(items) + b"u"
    # An array's state: version 1, two lengths, type, not in Fortran's order, bytes.
    shape = b"".join(pickled(length) for length in value.shape)
    header = b"(K\x01" + shape + b"\x86" + BYTE_TYPE + b"\x89"
    return EMPTY_ARRAY + header + pickled(value.tobytes()) + b"tb"


def write_pickle(path: Path, value: Picklable) -> None:
    path.write_bytes(b"\x80\x02" + pickled(value) + b".")  # protocol 2, ..., stop
