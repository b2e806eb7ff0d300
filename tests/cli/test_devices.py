"""export --to c and verify, as they are typed."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sklearn.datasets import load_iris

from steerage.cli.devices import in_words
from steerage.cli.guard import run
from steerage.export.c.proof import Verified
from steerage.export.c.toolchain import TARGETS, compiler

pytestmark = pytest.mark.filterwarnings("default")

Type = Callable[..., tuple[int, str, str]]
needs_host = pytest.mark.skipif(compiler(TARGETS["host"]) is None, reason="this machine has no C compiler")
needs_board = pytest.mark.skipif(
    compiler(TARGETS["cortex-m4"]) is None, reason="this machine has no arm-none-eabi-gcc and qemu-system-arm"
)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Type:
    """Type a command line; (exit code, stdout, stderr)."""

    def typed(*argv: object) -> tuple[int, str, str]:
        code = run([str(word) for word in argv], started=time.monotonic())
        return (code, *capsys.readouterr())

    return typed


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a short finished run of ``synth``."""
    folder = tmp_path_factory.mktemp("runs") / "iris 3"
    words = ["synth", "iris", "--trials", "3", "--epochs", "4", "--max-params", "300", "--out", str(folder), "--quiet"]
    assert run(words, started=time.monotonic()) == 0
    return folder


def test_c_is_written_beside_the_network_and_named_like_its_run(command: Type, iris: Path) -> None:
    code, out, err = command("export", iris, "--to", "c")
    assert (code, err) == (0, "")
    assert sorted(path.name for path in (iris / "network-c").iterdir()) == [
        "Makefile",
        "iris_3.c",
        "iris_3.h",
        "iris_3_test.c",
    ]
    first, second, third = out.splitlines()
    assert first.startswith(f"{iris}/network-c: iris_3.h, iris_3.c, iris_3_test.c, Makefile; ")
    assert "bytes on a Cortex-M4F" in second
    assert third.endswith(" instructions for a row, estimated")


def test_costs_of_c_can_be_told_for_a_board(command: Type, iris: Path, tmp_path: Path) -> None:
    _, out, _ = command("export", iris, "--to", "c", "--device", "blue-pill", "--out", tmp_path / "c")
    _, second, third = out.splitlines()
    assert "bytes on a Cortex-M3" in second
    assert third.endswith(" ms on blue-pill at 72 MHz")
    code, _, err = command("export", iris, "--to", "onnx", "--device", "blue-pill")
    assert code == 2 and "--device are for --to c" in err


def test_folder_name_scratch_and_probabilities_can_be_chosen(command: Type, iris: Path, tmp_path: Path) -> None:
    words = ["--out", tmp_path / "firmware", "--name", "int", "--scratch", "static", "--softmax", "--prefer", "speed"]
    assert command("export", iris / "network", "--to", "c", *words)[0] == 0
    header = (tmp_path / "firmware" / "int_net.h").read_text()
    assert "int int_net_class(const float x[INT_NET_INPUTS]);" in header
    assert "Probability of each class" in header
    assert command("export", iris, "--to", "c", "--out", tmp_path / "other")[0] == 0
    assert (tmp_path / "other" / "other.c").is_file()


@needs_host
def test_verify_runs_the_test_rows_on_this_machine(command: Type, iris: Path) -> None:
    code, out, err = command("verify", iris, "iris", "--target", "host")
    assert (code, err) == (0, "")
    assert out.startswith("host: 30 of 30 predictions are PyTorch's")
    code, out, _ = command("verify", iris, load_iris_file(iris), "--part", "all", "--target", "host", "--json")
    found = json.loads(out)
    assert (found["rows"], found["agreement"], found["tables"]) == (150, 1.0, found["predicted_tables"])


def load_iris_file(folder: Path) -> Path:
    frame = load_iris(as_frame=True).frame
    frame["target"] = load_iris().target_names[frame["target"]]
    frame.to_csv(folder / "iris.csv", index=False)
    return folder / "iris.csv"


@needs_board
def test_verify_measures_on_a_microcontroller_in_an_emulator(command: Type, iris: Path) -> None:
    code, out, _ = command("verify", iris)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("cortex-m4: 256 of 256 predictions are PyTorch's")
    tables = next(line.split() for line in lines if line.startswith("tables"))
    assert tables[1] == tables[2]
    name, measured, predicted = lines[-1].split()[:3]
    assert name == "instructions" and len(lines[-1]) <= 80
    assert float(predicted.replace(",", "")) == pytest.approx(float(measured.replace(",", "")), rel=0.1)


def test_large_figures_stand_apart_within_80_columns() -> None:
    n = 167_143_506
    told = Verified(
        *("cortex-m4", "float32", "cortex-m4", 1, 0.0, 1.0, None, None),
        *(n, n, n, n, n, n, n, n, n, n, n, n),
    )
    lines = in_words(told, "classification").splitlines()[1:]
    assert [line.split()[1:3] for line in lines[1:] if not line.startswith("static")] == [[f"{n:,}"] * 2] * 6
    assert max(map(len, lines)) <= 80


@needs_host
def test_without_the_cross_compiler_this_machine_does_it_and_that_is_said(
    command: Type, iris: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = compiler(TARGETS["host"])
    assert found is not None
    for name in ("cc", "as", "ld"):
        real = subprocess.run(["which", name], capture_output=True, text=True, check=True).stdout.strip()
        (tmp_path / name).symlink_to(real)
    monkeypatch.setenv("PATH", str(tmp_path))
    code, out, err = command("verify", iris)
    assert code == 0
    assert out.startswith("host: ")
    assert "cortex-m4 needs arm-none-eabi-gcc and qemu-system-arm" in err
    assert "verified on this machine instead" in err


def test_integers_are_written_beside_the_float_file_and_compared_on_test_rows(
    command: Type, iris: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steerage.export.int8.MAX_DROP", -1.0)
    code, out, err = command("export", iris, "--to", "onnx", "--int8", "--data", "iris")
    assert code == 0
    first, second = out.splitlines()
    assert first.startswith(f"{iris}/network.int8.onnx: ")
    assert second.startswith("error ")
    assert "on 30 test rows of iris; " in second
    assert "8-bit integers cost" in err


def test_verify_times_onnx_runtime_beside_pytorch(command: Type, iris: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steerage.export.measured.ROUNDS", 2)
    code, out, _ = command("verify", iris, "iris", "--device", "onnxruntime", "--int8", "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["rows"], found["agreement"]) == (30, 1.0)
    assert found["int8_agreement"] > 0.8
    assert found["latency"].keys() == {"onnxruntime", "int8", "pytorch"}
    assert all(0 < one["low_ms"] <= one["median_ms"] <= one["high_ms"] for one in found["latency"].values())


def test_without_any_compiler_verify_ends_with_one_line(
    command: Type, iris: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for target in ("host", "cortex-m4"):
        code, out, err = command("verify", iris, "--target", target)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "there is no C compiler" in err
    code, out, _ = command("export", iris, "--to", "c", "--out", tmp_path / "c")
    assert (code, "not compared with PyTorch" in out) == (0, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["verify", "RUN", "--target", "pdp-11"], "there is no device 'pdp-11'; give a core"),
        (["export", "RUN", "--to", "onnx", "--softmax"], "are for --to c"),
        (["export", "RUN", "--to", "c", "--prefer", "beauty"], "beauty"),
        (["verify", "nowhere"], "nowhere does not exist"),
        (["export", "RUN", "--to", "onnx", "--data", "iris"], "add --int8, or leave it out"),
        (["verify", "RUN", "digits"], "rows must have shape (n, 4)"),
        (["export", "RUN", "--to", "c", "--out", "RUN/summary.json"], "is a file; give --out"),
    ],
)
def test_what_cannot_be_is_one_line(command: Type, iris: Path, words: list[str], message: str) -> None:
    code, out, err = command(*(word.replace("RUN", str(iris)) for word in words))
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert message in err


@needs_host
def test_integers_are_calibrated_on_the_data_of_the_run(command: Type, iris: Path, tmp_path: Path) -> None:
    code, out, err = command("export", iris, "--to", "c", "--int8", "--out", tmp_path / "whole")
    assert (code, err) == (0, "")
    assert out.splitlines()[3].startswith("8-bit integers: error ")
    assert "const int32_t *whole_scores(" in (tmp_path / "whole" / "whole.h").read_text()
    assert "#define WHOLE_SCALE " in (tmp_path / "whole" / "whole.h").read_text()
    built = subprocess.run(["make", "-C", tmp_path / "whole"], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    assert "8 rows, 0 numbers are wrong" in built.stdout


@needs_host
def test_verify_tells_both_errors_of_integers(command: Type, iris: Path) -> None:
    code, out, err = command("verify", iris, "iris", "--int8", "--target", "host")
    assert (code, err) == (0, "")
    assert out.splitlines()[1] == "each integer is the one that it should be"
    assert out.splitlines()[2].startswith("error ") and "in floating point" in out.splitlines()[2]
    code, out, _ = command("verify", iris, "--int8", "--target", "host", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["numbers"] == "int8" and found["rows"] == 30  # the test rows of the run's own data
    assert abs(found["error"] - found["float_error"]) < 0.2


def test_integers_need_data(command: Type, iris: Path, tmp_path: Path) -> None:
    code, _, err = command("export", iris, "--to", "c", "--data", "iris")
    assert code == 2 and "add --int8" in err
    bare = tmp_path / "bare"
    shutil.copytree(iris / "network", bare)
    for words in (
        ["export", bare, "--to", "c", "--int8"],
        ["export", bare, "--to", "onnx", "--int8"],
        ["verify", bare, "--device", "onnxruntime", "--int8"],
        ["verify", bare, "--target", "host", "--int8"],
    ):
        code, _, err = command(*words)
        assert code == 2 and "--int8 needs rows to find the ranges of numbers by" in err
