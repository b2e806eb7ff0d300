"""The files of a run: atomic writes, JSON, trees of tensors in one checked file, and the lock on a folder."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import secrets
import stat
import struct
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
from torch import Tensor

from steerage.errors import BadBundle, RunConflict, SteerageError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORMAT = "steerage-tree-1"
_UNSIGNED = "0" * 64


def write_atomic(path: str | Path, content: bytes | str) -> None:
    """Write ``content`` so that ``path`` holds either the old file or the whole new one, whatever happens meanwhile.

    Text is written as UTF-8; missing folders are created. Raises: SteerageError when the disk is full or the place
    cannot be written to; the old file is then still there.
    """
    write_together({Path(path): content})


def write_together(files: Mapping[Path, bytes | str]) -> None:
    """``write_atomic`` for files that belong together: where one cannot be written, all are what they were.

    A stop of the machine itself may come between two of them, each of which is whole. Raises: SteerageError.
    """
    written: dict[Path, Path] = {}
    path, data = Path(), b""
    try:
        for path, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            written[path] = _write_beside(path, data)
        for path in files:
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        for path, temporary in written.items():
            os.replace(temporary, path)
        for folder in {path.parent for path in files}:
            _sync_folder(folder)
    except BaseException as error:
        for temporary in written.values():
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        if error.errno in _FULL:
            raise SteerageError(
                f"{path}: no room for {len(data):,} bytes, the earlier file is untouched; "
                "free some space and give the same command again"
            ) from error
        raise SteerageError(
            f"{path} cannot be written ({error.strerror}); choose a folder that you may write to"
        ) from error


def _write_beside(path: Path, data: bytes) -> Path:
    """A new file in the folder of ``path``, with ``data`` in it; none where that fails."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    return temporary


def append_line(path: str | Path, line: str) -> None:
    """Append one line of text; a line that an earlier stop cut off is ended first. Raises: SteerageError."""
    path = Path(path)
    try:
        with open(path, "ab+") as file:
            if file.tell() > 0:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(line.encode() + b"\n")
    except OSError as error:
        remedy = _remedy(error, "check its permissions")
        raise SteerageError(
            f"{path} cannot be written ({error.strerror}); {remedy} and give the same command again"
        ) from error


def _remedy(error: OSError, otherwise: str) -> str:
    return "free some space" if error.errno in _FULL else otherwise


def make_folder(path: str | Path) -> None:
    """Make a folder, if it is missing. Raises: SteerageError."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remedy = _remedy(error, "choose a folder that you may write to")
        raise SteerageError(f"{path} cannot be made ({error.strerror}); {remedy}") from error


def remove_drafts(folder: str | Path) -> None:
    """Remove what killed processes left of files that they were writing; nobody else may be at work in ``folder``."""
    for draft in Path(folder).rglob(".*.tmp"):
        with contextlib.suppress(OSError):
            draft.unlink()


def bytes_of(folder: str | Path) -> int:
    """Bytes of all files in ``folder`` and below; files that vanish meanwhile do not count."""
    total = 0
    for path in Path(folder).rglob("*"):
        with contextlib.suppress(OSError):
            total += path.lstat().st_size if not path.is_dir() else 0
    return total


def _sync_folder(folder: Path) -> None:
    # Without this the rename itself may be lost in a power cut. Not every system can open a folder.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_json(path: str | Path, value: object) -> None:
    """Write ``value`` atomically as strict, indented JSON; NaN and infinities, which JSON lacks, become null.

    numpy scalars, tuples and paths are accepted. Raises: TypeError for values that JSON has no form for.
    """
    write_atomic(path, json_text(value))


def json_text(value: object) -> str:
    """``value`` as ``write_json`` writes it."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def plain(value: object) -> object:
    """``value`` as ``write_json`` writes it: dicts with string keys, lists, strings, finite numbers, bool, None."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def read_json(path: str | Path) -> Any:
    """Content of a JSON file. Raises: BadBundle when it is missing or not JSON."""
    return parse_json(read_bytes(path), name=str(path))


def parse_json(data: bytes, *, name: str) -> Any:
    """JSON in ``data``, which came from ``name``. Raises: BadBundle."""
    try:
        return json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        where = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise BadBundle(f"{name} is damaged: it is not JSON ({where}); restore it or make it again") from error


def read_bytes(path: str | Path, *, at_most: int | None = None) -> bytes:
    """Content of a file, of so many bytes ``at_most``. Raises: BadBundle when it is missing, larger, or no file."""
    try:
        if at_most is None:
            return Path(path).read_bytes()
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe is never read to its end, nor are some devices
            raise BadBundle(f"{path} is not a file; check the path")
        with open(path, "rb") as file:
            data = file.read(at_most + 1)
        if len(data) > at_most:
            raise BadBundle(f"{path} is longer than the {at_most:,} bytes that it can have; restore it from a copy")
        return data
    except FileNotFoundError as error:
        raise BadBundle(f"{path} does not exist; check the path") from error
    except OSError as error:
        raise BadBundle(f"{path} cannot be read ({error.strerror}); check the path and its permissions") from error


def previous(path: str | Path) -> Path:
    """Where ``save_tree(path, keep_previous=True)`` leaves the file that it replaces."""
    return Path(f"{path}.prev")


def save_tree(path: str | Path, tree: object, *, keep_previous: bool = False) -> None:
    """Write nested dicts, lists and tuples of tensors, numbers, strings, bools and None as one safetensors file.

    Dict keys are strings or ints. Tensors of any device are stored dense and come back on the CPU. With
    ``keep_previous`` the file that is replaced stays as ``path.prev``. Raises: TypeError naming what cannot be stored;
    SteerageError as ``write_atomic``.
    """
    tensors: dict[str, Tensor] = {}
    skeleton = json.dumps(_pack(tree, "tree", tensors))
    unsigned = safetensors.torch.save(tensors, metadata={"format": _FORMAT, "tree": skeleton, "sha256": _UNSIGNED})
    header, body = _split(unsigned)
    marker = f'"sha256":"{_UNSIGNED}"'.encode()
    assert header.count(marker) == 1  # inside the tree's own text quotes are escaped, so nothing else looks like it
    signed = header.replace(marker, f'"sha256":"{hashlib.sha256(unsigned).hexdigest()}"'.encode())
    if keep_previous and Path(path).exists():
        write_atomic(previous(path), read_bytes(path))
    write_atomic(path, unsigned[:8] + signed + body)


def load_tree(path: str | Path) -> Any:
    """What ``save_tree`` wrote, equal in types and values.

    A missing or damaged file is replaced by ``path.prev`` where that is whole, with a warning. Raises: BadBundle.
    """
    try:
        return _load_tree(path)
    except BadBundle as error:
        if not previous(path).exists():
            raise
        try:
            tree = _load_tree(previous(path))
        except BadBundle:
            raise error from None
        warnings.warn(f"{error}; going on from the one before it, {previous(path)}", stacklevel=2)
        return tree


def load_tree_if_whole(path: str | Path) -> Any:
    """What ``load_tree`` returns; None, with a warning, where neither the file nor the one before it is whole."""
    if not (Path(path).exists() or previous(path).exists()):
        return None
    try:
        return load_tree(path)
    except BadBundle as error:
        warnings.warn(f"{error}; what it held is trained anew", stacklevel=2)
        return None


def _load_tree(path: str | Path) -> Any:
    data = read_bytes(path)
    damaged = f"{path} is damaged"
    try:
        header, body = _split(data)
        metadata = json.loads(header.decode())["__metadata__"]
        if metadata["format"] != _FORMAT:
            raise BadBundle(f"{path} has the unknown format {metadata['format']!r}; this version reads {_FORMAT}")
        sha256 = metadata["sha256"]
        unsigned = data[:8] + header.replace(f'"sha256":"{sha256}"'.encode(), f'"sha256":"{_UNSIGNED}"'.encode()) + body
        if hashlib.sha256(unsigned).hexdigest() != sha256:
            raise BadBundle(f"{damaged} (its checksum differs)")
        return _unpack(json.loads(metadata["tree"]), safetensors.torch.load(data))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, safetensors.SafetensorError) as error:
        raise BadBundle(f"{damaged} ({type(error).__name__})") from error


def _split(data: bytes) -> tuple[bytes, bytes]:
    # A safetensors file: the header's length in 8 bytes, the header as JSON, the numbers.
    if len(data) < 8:
        raise ValueError("no header")
    end = 8 + struct.unpack("<Q", data[:8])[0]
    if end > len(data):
        raise ValueError("header cut off")
    return data[8:end], data[end:]


def _pack(node: object, where: str, tensors: dict[str, Tensor]) -> object:
    """JSON form of ``node``: containers and tensors become one-key dicts that say what they were."""
    if isinstance(node, np.generic):
        node = node.item()
    if node is None or isinstance(node, (bool, int, str)):
        return node
    if isinstance(node, float):
        return node if math.isfinite(node) else {"float": str(node)}
    if isinstance(node, Tensor):
        name = f"t{len(tensors)}"
        # A copy, since safetensors refuses tensors that share memory.
        tensors[name] = node.detach().to("cpu", copy=True).contiguous()
        return {"tensor": name}
    if isinstance(node, Mapping):
        for key in node:
            if isinstance(key, bool) or not isinstance(key, (str, int)):
                raise TypeError(f"{where} has the key {key!r}; keys must be str or int")
        return {"dict": [[key, _pack(item, f"{where}[{key!r}]", tensors)] for key, item in node.items()]}
    if isinstance(node, (list, tuple)):
        kind = "list" if isinstance(node, list) else "tuple"
        return {kind: [_pack(item, f"{where}[{index}]", tensors) for index, item in enumerate(node)]}
    raise TypeError(f"{where} is a {type(node).__name__}; store tensors, numbers, strings, bool, None, dicts and lists")


def _unpack(node: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(node, dict):
        return node
    ((kind, content),) = node.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "float":
        return float(content)
    if kind == "dict":
        return {key: _unpack(item, tensors) for key, item in content}
    items = [_unpack(item, tensors) for item in content]
    return tuple(items) if kind == "tuple" else items


class RunLock:
    """Context manager: this process alone works in ``folder``, which is created if missing.

    The operating system holds the lock and drops it when the process ends in whatever way; the small file ``.lock``
    stays. Raises: RunConflict naming the process that holds the lock; SteerageError when the folder cannot be written.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._handle: int | None = None

    def __enter__(self) -> RunLock:
        path = self.folder / ".lock"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            remedy = _remedy(error, "choose a folder that you may write to")
            raise SteerageError(f"{path} cannot be written ({error.strerror}); {remedy}") from error
        try:
            _lock(handle)
        except OSError as error:
            holder = os.read(handle, 32).decode(errors="replace").strip()
            os.close(handle)
            if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
                raise RunConflict(
                    f"{self.folder} is in use by process {holder or '(unknown)'}; "
                    "wait for it to end or choose another folder"
                ) from error
            raise SteerageError(
                f"{path} cannot be locked ({error.strerror}); choose a folder on a local disk"
            ) from error
        with contextlib.suppress(OSError):  # on a full disk nobody is told who holds the lock, and it is held
            os.ftruncate(handle, 0)
            os.write(handle, f"{os.getpid()}\n".encode())
        self._handle = handle
        _held.add(handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None and self._handle in _held:
            _held.discard(self._handle)
            with contextlib.suppress(OSError):
                os.ftruncate(self._handle, 0)
                _unlock(self._handle)  # not left to close: a worker forked just now may have the file open as well
            os.close(self._handle)
        self._handle = None


_held: set[int] = set()


def _forget_locks() -> None:
    # A forked worker inherits the open file, and would keep the folder locked after its parent's death.
    for handle in _held:
        with contextlib.suppress(OSError):
            os.close(handle)
    _held.clear()


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        # Locked bytes cannot be read by others on Windows, so the lock lies far behind the process number.
        os.lseek(handle, 1 << 20, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(handle, 0, os.SEEK_SET)

    def _unlock(handle: int) -> None:
        os.lseek(handle, 1 << 20, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)

    os.register_at_fork(after_in_child=_forget_locks)
