"""The files of a generated network: names, comments, options, and what compilers say about them."""

from __future__ import annotations

import errno
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from compilers import built, has, needs_host
from torch import Tensor, nn

from networks import around, network, pruned
from steerage.data.tablefit import fit_table
from steerage.errors import BadArgument, ExportMismatch, SteerageError, UnsupportedLayer
from steerage.export.c import Options, export_c, generate, proof
from steerage.export.c.text import comment, identifier, number

HOSTILE = {
    "int": "int_net",
    "3d-net": "net_3d_net",
    "a b;system()": "a_b_system",
    "": "net",
    "网络": "net",
    "Ärger_Größe": "arger_groe",
    "_reserved": "reserved",
    "math": "math_net",
    'x"); exit(1); //': "x_exit_1",
    "../../etc/passwd": "etc_passwd",
    "a" * 200: "a" * 40,
    "$(rm -rf ~)\n": "rm_rf",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_any_text_becomes_a_name(name: str) -> None:
    assert identifier(name) == HOSTILE[name]


def test_names_stay_names() -> None:
    for name in HOSTILE.values():
        assert identifier(name) == name
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)


@pytest.mark.parametrize("text", ["a */ b", "a /* b", "??/", "a\\", "a\nb", "\u202e", "é*/", "// x", "\x00"])
def test_comments_cannot_be_left(text: str) -> None:
    safe = comment(text)
    assert safe.isascii() and safe.isprintable()
    assert not any(mark in safe for mark in ("*", "/", "\\", "?"))


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, 1e-40, 3.4e38, 0.1, -123456.789, 1e10, 2**-149])
def test_numbers_are_exact_in_single_precision(value: float) -> None:
    text = number(value)
    assert text.endswith("f") and any(mark in text for mark in ".e")
    assert np.float32(float(text[:-1])) == np.float32(value)


@pytest.mark.parametrize("value", [1e39, float("nan"), float("-inf")])
def test_numbers_that_c_cannot_hold_are_refused(value: float) -> None:
    with pytest.raises(UnsupportedLayer, match="cannot hold"):
        number(value)


def hostile_network() -> object:
    frame = pd.DataFrame(
        {
            "int": np.arange(12.0),
            "*/ int main(void) { return 0; } /*": np.arange(12.0) ** 2,
            'a"b\\': ["*/", "??/", "\\", "é\n"] * 3,
        }
    )
    preprocess = fit_table(frame)
    net = network()
    spec = replace(net.spec, input_shape=preprocess.output_shape)
    classes = ('"', "*/", "\\\n#error")
    model = nn.Linear(preprocess.output_shape[0], 3)
    return replace(
        net, model=model, spec=spec, preprocess=preprocess, classes=classes, target_name="*/ #error", masks={}
    )


@needs_host
@pytest.mark.parametrize("name", HOSTILE)
def test_the_self_test_compiles_and_passes_whatever_users_call_things(name: str, tmp_path: Path) -> None:
    generated = generate(hostile_network(), name=name)  # type: ignore[arg-type]
    test = built(generated.files, tmp_path, name=HOSTILE[name], flags=())
    done = subprocess.run([test], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "8 rows, 0 numbers are wrong\n")


@needs_host
def test_the_self_test_fails_where_a_number_differs(tmp_path: Path) -> None:
    files = dict(generate(network(), name="net").files)
    files["net.c"] = files["net.c"].replace("return s + ", "s[0] = 9.0f; return s + 0 * ", 1)
    done = subprocess.run([built(files, tmp_path, name="net", flags=())], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "PyTorch has" in done.stdout


@needs_host
@pytest.mark.parametrize("template", ["mlp", "cnn"])
def test_no_sanitizer_finds_anything(template: str, tmp_path: Path) -> None:
    genes = {"bins": 4, "skips": True} if template == "mlp" else {"separable": True, "residual": True, "blocks": 2}
    for density, prefer in ((0.1, "flash"), (0.5, "speed")):
        options = Options(prefer=prefer)  # type: ignore[arg-type]
        files = generate(pruned(network(template, **genes), density), name="net", options=options).files
        flags = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
        done = subprocess.run(
            [built(files, tmp_path, name="net", flags=flags)], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not has("clang"), reason="clang is not installed")
def test_clang_has_no_warnings_either(tmp_path: Path) -> None:
    generated = generate(pruned(network("cnn", channels=8, activation="silu")), name="net")
    for file, text in generated.files.items():
        (tmp_path / file).write_text(text)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror", "-c"]
    assert subprocess.run(["clang", *flags, "net.c"], cwd=tmp_path, check=False).returncode == 0


@needs_host
def test_the_header_serves_cpp_too(tmp_path: Path) -> None:
    if not has("g++"):
        pytest.skip("there is no C++ compiler")
    (tmp_path / "net.h").write_text(generate(network(), name="net").files["net.h"])
    (tmp_path / "a.cpp").write_text('#include "net.h"\n')
    assert subprocess.run(["g++", "-Wall", "-Werror", "-c", "a.cpp"], cwd=tmp_path, check=False).returncode == 0


@needs_host
def test_tables_have_the_predicted_size_in_the_object_file(tmp_path: Path) -> None:
    if not has("nm"):
        pytest.skip("nm is not installed")
    for net in (
        pruned(network(bins=4, skips=True), 0.2),
        pruned(network("cnn", channels=8), 0.1),
        network("resnet", width=8),
    ):
        generated = generate(net, name="net")
        for file, text in generated.files.items():
            (tmp_path / file).write_text(text)
        subprocess.run(["cc", "-std=c99", "-O2", "-c", "net.c"], cwd=tmp_path, check=True)
        listed = subprocess.run(["nm", "-S", "net.o"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        symbols = {
            words[3]: (int(words[1], 16), words[2]) for words in map(str.split, listed.splitlines()) if len(words) == 4
        }
        constants = {name: size for name, (size, kind) in symbols.items() if kind == "r"}
        assert sum(constants.values()) == generated.layout.table_bytes
        assert not [name for name, (_, kind) in symbols.items() if kind in "bBdDcC"]  # nothing that can be written to


def test_scratch_is_the_callers_or_the_codes_own() -> None:
    net = network()
    given, own = generate(net, name="net"), generate(net, name="net", options=Options(static=True))
    assert "net_memory" not in given.files["net.c"]
    assert "net_scratch *scratch" in given.files["net.h"]
    assert f"float words[{own.layout.plan.bytes // 4}];\n}} net_memory;" in own.files["net.c"]
    assert "scratch *" not in own.files["net.h"]


@needs_host
def test_code_with_a_scratch_of_its_own_computes_the_same(tmp_path: Path) -> None:
    files = generate(network("cnn"), name="net", options=Options(static=True, softmax=True)).files
    assert subprocess.run([built(files, tmp_path, name="net", flags=())], check=False).returncode == 0


@needs_host
def test_the_folder_builds_and_tests_itself(tmp_path: Path) -> None:
    if not has("make"):
        pytest.skip("make is not installed")
    export_c(network("cnn"), tmp_path / "My net")
    assert sorted(path.name for path in (tmp_path / "My net").iterdir()) == [
        "Makefile",
        "my_net.c",
        "my_net.h",
        "my_net_test.c",
    ]
    done = subprocess.run(["make"], cwd=tmp_path / "My net", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "0 numbers are wrong" in done.stdout


def test_math_is_included_only_where_it_is_needed() -> None:
    assert "math.h" not in generate(network(activation="relu"), name="net").files["net.c"]
    assert "math.h" in generate(network(activation="gelu"), name="net").files["net.c"]
    assert "math.h" in generate(network(), name="net", options=Options(softmax=True)).files["net.c"]


def test_files_are_the_same_each_time() -> None:
    net = pruned(network("cnn"))
    assert generate(net, name="net").files == generate(net, name="net").files


def test_rows_for_the_self_test_can_be_given() -> None:
    net = network()
    assert "#define ROWS 3\n" in generate(net, name="net", rows=torch.zeros(3, 4)).files["net_test.c"]
    with pytest.raises(BadArgument, match=r"shape \(n, 4\)"):
        generate(net, name="net", rows=torch.zeros(3, 5))


class Spectral(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.rfft(x.flatten(1)).abs()[:, :4]


class Moody(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) if x.sum() > 0 else -x.flatten(1)


class Overwriting(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = x.flatten(1) * 2.0
        z = y + 1.0
        y += z
        return y * z


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.GroupNorm(2, 2), nn.Flatten()), r"^1 \(GroupNorm\) cannot become C code"),
        (nn.Sequential(nn.Conv2d(1, 2, 3, dilation=2), nn.Flatten()), r"^0 \(Conv2d\) .* dilation"),
        (nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular"), nn.Flatten()), "circular"),
        (nn.Sequential(nn.MaxPool2d(2, ceil_mode=True), nn.Flatten()), "rounds sizes up"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(3), nn.Flatten()), "not of one size"),
        (nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False), nn.Flatten()), "looks at the batch"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.Softplus()), r"2 \(Softplus\)"),
        (nn.Sequential(nn.Flatten(), nn.LayerNorm(64)), r"1 \(LayerNorm\)"),
        (Spectral(), "fft_rfft"),
        (Moody(), "cannot be traced"),
        (Overwriting(), "overwrites what is read elsewhere"),
    ],
)
def test_what_has_no_c_form_is_refused_by_name_and_nothing_is_written(
    model: nn.Module, message: str, tmp_path: Path
) -> None:
    net = replace(network("cnn"), model=model, masks={})
    with pytest.raises(UnsupportedLayer, match=message) as caught:
        export_c(net, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@needs_host
def test_code_that_returns_something_else_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = proof.generate

    def wrong(*arguments: object, **options: object) -> object:
        generated = real(*arguments, **options)  # type: ignore[arg-type]
        # A ReLU from 0.5 on, whose bits these are.
        broken = {
            name: text.replace("both.bits < 0 ?", "both.bits < 0x3f000000 ?") for name, text in generated.files.items()
        }
        return replace(generated, files=broken)

    monkeypatch.setattr(proof, "generate", wrong)
    with pytest.raises(ExportMismatch, match="on host row"):
        export_c(network(activation="relu"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(SteerageError, match="cannot be written"):
        export_c(network(), tmp_path / "out")


def test_files_that_belong_together_are_written_all_or_not(tmp_path: Path) -> None:
    export_c(network(), tmp_path, name="net")
    (tmp_path / "net_test.c").unlink()
    (tmp_path / "net_test.c").mkdir()  # in the way of the third of four files
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(SteerageError, match=r"net_test\.c cannot be written \(Is a directory\)"):
        export_c(network(width=8), tmp_path, name="net")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_a_place_without_permission_is_a_named_error_and_nothing_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(self: Path, *arguments: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))  # a superuser may write anywhere

    monkeypatch.setattr(Path, "mkdir", forbidden)
    with pytest.raises(SteerageError, match="cannot be written \\(Permission denied\\); choose a folder"):
        export_c(network(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_weights_that_are_not_finite_are_refused() -> None:
    net = network()
    net.model.get_parameter("net.output.weight").data[0, 0] = torch.inf
    with pytest.raises(UnsupportedLayer, match="cannot hold"):
        generate(net, name="net")


def test_a_single_pixel_and_a_single_class_of_shapes_are_no_special_case() -> None:
    net = around(nn.Sequential(nn.Flatten(), nn.Linear(1, 4)), (1, 1, 1))
    assert generate(net, name="net").layout.scratch_bytes == 16
