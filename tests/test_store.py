from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from steerage import store
from steerage.errors import BadBundle, RunConflict, SteerageError
from steerage.store import RunLock, load_tree, previous, read_json, save_tree, write_atomic, write_json

TREE = {
    "weights": {"a": torch.randn(3, 4), "mask": torch.tensor([True, False]), "scalar": torch.tensor(7)},
    "empty": {"tensor": torch.zeros(0, 3), "list": [], "dict": {}, "tuple": ()},
    "optimizer": {"state": {0: {"step": torch.tensor(3.0)}, 1: {}}, "betas": (0.9, 0.999)},
    "text": 'with "sha256":"' + "0" * 64 + '" inside, and é',
    "numbers": [1, -2.5, 1e-300, float("inf"), 2**130, True, None],
    "half": torch.randn(5).to(torch.bfloat16),
    "bytes": torch.arange(256, dtype=torch.uint8),
}


def same(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fail_with(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)


def test_written_file_has_the_content_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_atomic(tmp_path / "new" / "a.txt", "naïve")
    write_atomic(tmp_path / "new" / "a.txt", b"second")
    assert (tmp_path / "new" / "a.txt").read_bytes() == b"second"
    assert files(tmp_path / "new") == ["a.txt"]


def test_a_full_disk_leaves_the_old_file_and_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_atomic(path, "old")
    fail_with(errno.ENOSPC, monkeypatch)
    with pytest.raises(SteerageError, match=r"no room for 3 bytes.*free some space"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert files(tmp_path) == ["a.txt"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SteerageError, match=r"file/a\.txt cannot be written"):
        write_atomic(tmp_path / "file" / "a.txt", "new")


def test_an_interruption_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(source: object, target: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "a.txt", "new")
    assert files(tmp_path) == []


def test_json_comes_back_as_plain_values(tmp_path: Path) -> None:
    value = {"a": np.float32(0.5), "b": (np.int64(3), "é"), "c": float("nan"), "d": Path("x") / "y", 1: True}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == {"a": 0.5, "b": [3, "é"], "c": None, "d": str(Path("x/y")), "1": True}


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe", b"[" * 100_000])
def test_damaged_json_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(BadBundle, match=r"a\.json is damaged"):
        read_json(tmp_path / "a.json")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadBundle, match=r"a\.json does not exist"):
        read_json(tmp_path / "a.json")
    with pytest.raises(BadBundle, match="b does not exist"):
        load_tree(tmp_path / "b")


def test_a_tree_comes_back_equal_in_types_and_values(tmp_path: Path) -> None:
    save_tree(tmp_path / "tree", TREE)
    assert same(load_tree(tmp_path / "tree"), TREE)


def test_a_tree_is_an_ordinary_safetensors_file(tmp_path: Path) -> None:
    save_tree(tmp_path / "tree", TREE)
    assert "t0" in safetensors.torch.load_file(tmp_path / "tree")


def test_tensors_that_share_memory_are_stored_apart(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.randn(4, 4))
    save_tree(tmp_path / "tree", OrderedDict(a=weight, b=weight, c=weight.T, d=weight[1:3]))
    loaded = load_tree(tmp_path / "tree")
    assert torch.equal(loaded["c"], weight.T)
    assert torch.equal(loaded["d"], weight[1:3])
    assert not loaded["a"].requires_grad


def test_a_training_goes_on_from_a_stored_optimizer_and_generator(tmp_path: Path) -> None:
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
    layer(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    save_tree(tmp_path / "tree", {"optimizer": optimizer.state_dict(), "rng": torch.get_rng_state()})
    expected = torch.randn(3)
    loaded = load_tree(tmp_path / "tree")
    optimizer.load_state_dict(loaded["optimizer"])
    torch.set_rng_state(loaded["rng"])
    assert same(optimizer.state_dict(), loaded["optimizer"])
    assert torch.equal(torch.randn(3), expected)


@pytest.mark.parametrize(("tree", "where"), [({"a": [object()]}, r"tree\['a'\]\[0\]"), ({1.5: 1}, "key 1.5")])
def test_what_cannot_be_stored_is_named(tmp_path: Path, tree: dict[str, object], where: str) -> None:
    with pytest.raises(TypeError, match=where):
        save_tree(tmp_path / "tree", tree)
    assert files(tmp_path) == []


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "tree"
    save_tree(path, {"w": torch.arange(6.0), "step": 3})
    data = path.read_bytes()
    for position in range(len(data)):
        for bit in (0, 5, 7):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            path.write_bytes(damaged)
            with pytest.raises(BadBundle):
                load_tree(path)


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "tree"
    save_tree(path, {"w": torch.arange(6.0), "step": 3})
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(BadBundle):
            load_tree(path)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    safetensors.torch.save_file({"w": torch.zeros(2)}, tmp_path / "plain")
    with pytest.raises(BadBundle, match="damaged"):
        load_tree(tmp_path / "plain")
    safetensors.torch.save_file({"w": torch.zeros(2)}, tmp_path / "other", metadata={"format": "steerage-tree-9"})
    with pytest.raises(BadBundle, match="unknown format 'steerage-tree-9'"):
        load_tree(tmp_path / "other")


@pytest.mark.parametrize("damage", ["flip", "remove"])
def test_the_file_before_steps_in_with_a_warning(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "tree"
    save_tree(path, {"step": 1}, keep_previous=True)
    assert not previous(path).exists()
    save_tree(path, {"step": 2}, keep_previous=True)
    assert load_tree(path) == {"step": 2}
    if damage == "flip":
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    else:
        path.unlink()
    with pytest.warns(UserWarning, match=r"going on from the one before it, .*tree\.prev"):
        assert load_tree(path) == {"step": 1}
    previous(path).write_bytes(b"")
    with pytest.raises(BadBundle):
        load_tree(path)


def test_a_folder_has_one_holder_and_is_free_afterwards(tmp_path: Path) -> None:
    with RunLock(tmp_path / "run"):
        with pytest.raises(RunConflict, match=f"in use by process {os.getpid()}; wait"), RunLock(tmp_path / "run"):
            pass
        with RunLock(tmp_path / "other"):
            pass
    with RunLock(tmp_path / "run"):
        pass


HOLD = """
import sys, time
from steerage.store import RunLock
with RunLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_on_a_full_disk_a_folder_is_locked_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with RunLock(tmp_path), pytest.raises(RunConflict, match="in use by process"), RunLock(tmp_path):
        pass
    monkeypatch.undo()
    monkeypatch.setattr(os, "open", full)
    with pytest.raises(SteerageError, match=r"\.lock cannot be written .*; free some space"), RunLock(tmp_path):
        pass


def test_the_lock_of_a_killed_process_is_gone(tmp_path: Path) -> None:
    source = str(Path(store.__file__).parents[1])
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env={**os.environ, "PYTHONPATH": source}) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RunConflict, match=f"process {holder.pid};"), RunLock(tmp_path):
            pass
        holder.kill()
        holder.wait()
    with RunLock(tmp_path):
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_worker_does_not_keep_the_lock_of_a_dead_parent(tmp_path: Path) -> None:
    (stop, keep_going), (ready, tell) = os.pipe(), os.pipe()
    lock = RunLock(tmp_path)
    lock.__enter__()
    worker = os.fork()
    if worker == 0:
        os.close(keep_going)
        os.write(tell, b"!")
        os.read(stop, 1)  # until the other end is closed
        os._exit(0)
    try:
        os.read(ready, 1)
        assert lock._handle is not None
        os.close(lock._handle)  # what the system does when the parent dies
        with RunLock(tmp_path):
            pass
    finally:
        store._held.clear()
        os.close(keep_going)
        os.waitpid(worker, 0)
        for handle in (stop, ready, tell):
            os.close(handle)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SteerageError, match="cannot be written"), RunLock(tmp_path / "file" / "run"):
        pass


def test_json_on_disk_is_strict(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": [float("inf")]})

    def refuse(text: str) -> None:
        raise AssertionError(text)

    json.loads((tmp_path / "a.json").read_text(), parse_constant=refuse)


def test_lines_are_appended_after_a_line_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    store.append_line(path, "one")
    with open(path, "a") as file:
        file.write("tw")
    store.append_line(path, "three")
    assert path.read_text().splitlines()[0] == "one"
    assert path.read_text().splitlines()[-1] == "three"
