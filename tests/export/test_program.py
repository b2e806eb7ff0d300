"""Networks from files of torch.export.save: they compute the same, can be trained and pruned, and run no code."""

from __future__ import annotations

import io
import json
import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steerage import Budget, GrowPrune
from steerage.bundle import FromProgram, Network, load_network, save_network
from steerage.bundle import files as bundles
from steerage.cost.count import count
from steerage.errors import BadArgument, BadBundle, SteerageError, UnsupportedLayer
from steerage.export.program import load_program
from steerage.growprune import masks as masking
from steerage.growprune.compact import compact
from steerage.growprune.graph import unit_graph
from steerage.growprune.schemes import gradual
from steerage.nn.program import Graph, Step, graph_from_json
from steerage.store import plain
from tasks import pictures

DYNAMIC: Any = ({0: torch.export.Dim("rows")},)


class Branched(nn.Module):
    """All that convolutional networks are made of: 3 x 8 x 8 -> 5."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.grouped = nn.Conv2d(8, 8, 1, groups=2)
        self.act, self.pool, self.dropout = nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Dropout(0.25)
        self.blocks = nn.ModuleList([nn.Conv2d(16, 6, 3, stride=2), nn.Conv2d(16, 6, 3, stride=2)])
        self.head = nn.Linear(12 + 6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.stem(x)))
        y = self.grouped(self.depthwise(x))
        y += x
        z = self.pool(torch.cat((x, y), dim=1))
        wide = F.hardswish(self.blocks[0](z)) * 2.0 + self.blocks[1](z)
        whole = F.adaptive_avg_pool2d(wide, (1, 2))
        rows = torch.cat((whole.view(whole.size(0), -1), wide.mean(dim=(2, 3))), 1)
        return self.head(self.dropout(rows))


class Unusual(nn.Module):
    """What cannot be followed unit by unit, but must compute the same: 6 x 4 -> 3."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Linear(4, 8), nn.LayerNorm(8)
        self.token, self.scale = nn.Parameter(torch.randn(1, 1, 8)), nn.Parameter(torch.randn(8, 8))
        self.register_buffer("where", torch.rand(8) > 0.5)
        self.qkv, self.head = nn.Linear(8, 24), nn.Linear(8, 3)
        self.tied = nn.Linear(8, 8, bias=False)
        self.prelu, self.groups = nn.PReLU(8), nn.GroupNorm(7, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat((self.token.expand(x.size(0), -1, -1), self.norm(self.embed(x))), dim=1)
        q, k, v = self.qkv(x).view(x.size(0), 7, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        x = x + F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.size(0), 7, 8)
        x = self.groups(x) @ self.scale.softmax(-1)
        one, two = self.tied(F.gelu(x)).chunk(2, dim=-1)
        x = F.pad(one.exp().clamp(max=3.0) - 1.0 / (2.0 + two.square()), (0, 4))[:, ::2]
        x = x.masked_fill(self.where, -0.5).mean(dim=1)
        return self.head(self.prelu(F.linear(x, self.tied.weight.t()))).squeeze()


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        *(nn.Linear(12, 24), nn.BatchNorm1d(24), nn.ReLU()),
        *(nn.Dropout(0.2), nn.Linear(24, 16, bias=False), nn.Tanh(), nn.Linear(16, 3)),
    )


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (mlp, (3, 4)),
    "cnn": (Branched, (3, 8, 8)),
    "unusual": (Unusual, (6, 4)),
    "one layer": (lambda: nn.Linear(4, 2), (4,)),
}


def lively(model: nn.Module) -> nn.Module:
    """``model`` with norms that have seen data."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_(generator=generator)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2.0, generator=generator)  # type: ignore[union-attr]
    return model


def exported(
    model: nn.Module, shape: tuple[int, ...], path: Path, *, rows: int = 2, decomposed: bool = False, **options: Any
) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(model, (torch.randn(rows, *shape),), **options)
        torch.export.save(program.run_decompositions() if decomposed else program, path)
    return path


def edited(path: Path, changes: Mapping[str, Callable[[bytes], bytes]], *, extra: Mapping[str, bytes] = {}) -> Path:
    """The file with some of its records changed; names as inside the folder that PyTorch adds."""
    target = path.with_name("edited.pt2")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as made:
        for info in source.infolist():
            name = info.filename.partition("/")[2]
            change = changes.get(name, lambda data: data)
            made.writestr(info.filename, change(source.read(info)))
        for name, data in extra.items():
            made.writestr(f"{source.namelist()[0].partition('/')[0]}/{name}", data)
    return target


def json_edit(change: Callable[[Any], None]) -> Callable[[bytes], bytes]:
    def changed(data: bytes) -> bytes:
        document = json.loads(data)
        change(document)
        return json.dumps(document).encode()

    return changed


@pytest.mark.parametrize("form", ["fixed batch", "open batch", "decomposed", "training"])
@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_are_those_of_the_network_for_any_number_of_rows(name: str, form: str, tmp_path: Path) -> None:
    build, shape = NETWORKS[name]
    torch.manual_seed(0)
    model = lively(build()).train(form == "training")
    options = {} if form == "fixed batch" else {"dynamic_shapes": DYNAMIC}
    path = exported(model, shape, tmp_path / "net.pt2", decomposed=form == "decomposed", **options)
    program = load_program(path).eval()
    for rows in (2, 3, 11):
        x = torch.randn(rows, *shape)
        assert torch.allclose(program(x), model.eval()(x), atol=1e-5)
    assert all(parameter.requires_grad for parameter in program.parameters())


class Many(nn.Module):
    """Operators side by side: 4 x 4 x 4 -> many."""

    def forward(self, x: Tensor) -> Tensor:
        plain = [F.relu6, F.elu, F.celu, F.selu, F.silu, F.mish, F.softplus, F.hardtanh, F.hardsigmoid, F.softshrink]
        parts = [function(x) for function in plain]
        parts += [F.leaky_relu(x, 0.3), F.gelu(x, approximate="tanh"), F.threshold(x, 0.1, 20.0), 1.0 - x, 2.0**x]
        parts += [F.max_pool2d(x, 3, 1, 1), F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), x.amax((2, 3))]
        parts += [F.adaptive_max_pool2d(x, (2, 1)), F.max_pool1d(x.flatten(2), 2), F.pixel_shuffle(x, 2), x.sum(1)]
        parts += [torch.cat(x.split([1, 3], 1)[::-1], 1), torch.stack([x, x * 2.0], 1), x.flip(1), x.transpose(1, 2)]
        parts += [x[:, 1:3, ::2], x[:, 1] + x[..., 0, :1], x.unflatten(1, (2, 2)).sum(2), F.normalize(x, dim=1)]
        parts += [torch.where(x > 0.0, x, 0.5), torch.einsum("bchw,bdhw->bcd", x, x), x.std(-1), x.log_softmax(1)]
        parts += [x.reshape(len(x), 2, 2, 16).transpose(1, 2).reshape(len(x), 4, 16), (x * 1.0).add_(1.0).relu_()]
        return torch.cat([part.flatten(1) for part in parts], dim=1)


@pytest.mark.parametrize("decomposed", [False, True])
def test_operators_compute_what_they_did(decomposed: bool, tmp_path: Path) -> None:
    path = exported(Many(), (4, 4, 4), tmp_path / "net.pt2", decomposed=decomposed)
    x = torch.randn(5, 4, 4, 4)
    assert torch.allclose(load_program(path)(x), Many()(x), atol=1e-5)


def test_a_batch_of_one_row_is_no_fixed_size(tmp_path: Path) -> None:
    model = Branched().eval()
    x = torch.randn(4, 3, 8, 8)
    program = load_program(exported(model, (3, 8, 8), tmp_path / "net.pt2", rows=1)).eval()
    assert torch.allclose(program(x), model(x), atol=1e-5)


def test_modules_and_their_names_are_those_of_the_network(tmp_path: Path) -> None:
    model = Branched()
    program = load_program(exported(model.eval(), (3, 8, 8), tmp_path / "net.pt2"))
    assert {**program.state_dict()}.keys() == {**model.state_dict()}.keys()
    assert isinstance(program.get_submodule("blocks.1"), nn.Conv2d)
    assert program.get_submodule("depthwise").groups == 8
    assert program.get_submodule("dropout").p == 0.25
    program.train()(torch.randn(16, 3, 8, 8) + 3.0)
    assert program.get_buffer("norm.num_batches_tracked") == 1
    assert not torch.equal(program.get_buffer("norm.running_mean"), torch.zeros(8))


def test_the_random_state_stays_as_it_is(tmp_path: Path) -> None:
    path = exported(mlp(), (3, 4), tmp_path / "net.pt2")
    state = torch.get_rng_state()
    load_program(path)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("form", ["fixed batch", "decomposed"])
def test_units_are_found_as_in_the_network_itself(form: str, tmp_path: Path) -> None:
    model = Branched().eval()
    path = exported(model, (3, 8, 8), tmp_path / "net.pt2", decomposed=form == "decomposed")
    graph, wanted = unit_graph(load_program(path).eval(), (3, 8, 8)), unit_graph(model, (3, 8, 8))
    assert sorted(part.name for part in graph.parts.values()) == sorted(part.name for part in wanted.parts.values())
    assert int((~graph.frozen).sum()) == int((~wanted.frozen).sum()) > 0
    assert count(load_program(path), (3, 8, 8)) == count(model, (3, 8, 8))


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_it_is_grown_and_pruned_to_a_budget_and_compacted(name: str, tmp_path: Path) -> None:
    build, shape = NETWORKS[name]
    torch.manual_seed(0)
    model = load_program(exported(lively(build()).eval(), shape, tmp_path / "net.pt2"))
    budget = Budget(max_params=count(model, shape).params // 4)
    editor = GrowPrune(model, budget, shape, gradual(start=0.1, end=0.7, steps=6, exchange=0.2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    x, y = torch.randn(48, *shape), torch.arange(48) % 3
    for step in range(30):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        editor.step(optimizer, (step + 1) / 30)
    editor.finish(optimizer)
    small, masks = compact(model.eval(), shape, masks=editor.masks)
    assert sum(edit.grown for edit in editor.edits) > 0
    assert budget.max_params is not None
    assert 0.9 * budget.max_params <= count(small, shape, masks=masks).params <= budget.max_params
    assert torch.allclose(small(x), model(x), atol=1e-5)
    assert masking.active(masks) < masking.active(masking.full(model))


def test_steps_go_through_json(tmp_path: Path) -> None:
    build, shape = NETWORKS["unusual"]
    graph = load_program(exported(build().eval(), shape, tmp_path / "net.pt2")).graph
    again = graph_from_json(json.loads(json.dumps(plain(asdict(graph)))))
    assert again == graph_from_json(json.loads(json.dumps(plain(asdict(again)))))
    assert [step.op for step in again.steps] == [step.op for step in graph.steps]


# Files that are not what they should be.


class Evil:
    """Writes the file ``mark`` when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("place", ["weight", "constant", "opaque constant", "old weights", "oldest", "samples", "size"])
def test_no_code_in_a_file_is_run(place: str, tmp_path: Path) -> None:
    path, mark = exported(mlp().eval(), (3, 4), tmp_path / "net.pt2", dynamic_shapes=DYNAMIC), tmp_path / "mark"
    buffer = io.BytesIO()
    torch.save({"1.weight": Evil(mark)}, buffer)
    evil = buffer.getvalue() if place != "opaque constant" else pickle.dumps(Evil(mark))
    payload = {"is_param": False, "use_pickle": True, "tensor_meta": None}

    def with_weight(document: Any) -> None:
        document["config"]["1.weight"] |= {"use_pickle": True, "path_name": "weight_0"}

    def with_constant(document: Any) -> None:
        kind = "opaque_obj_0" if place == "opaque constant" else "tensor_0"
        document["config"]["evil"] = {**payload, "path_name": kind}

    def with_size(data: bytes) -> bytes:
        formula = next(
            size["as_expr"]["expr_str"]
            for meta in json.loads(data)["graph_module"]["graph"]["tensor_values"].values()
            for size in meta["sizes"]
            if "as_expr" in size
        )
        code = f"__import__('pathlib').Path('{mark}').touch()"
        return data.replace(json.dumps(formula).encode(), json.dumps(code).encode())

    config = "data/{0}s/model_{0}s_config.json"
    if place == "weight":
        wrong = edited(path, {config.format("weight"): json_edit(with_weight), "data/weights/weight_0": lambda _: evil})
    elif "constant" in place:
        extra = {"data/constants/opaque_obj_0": evil, "data/constants/tensor_0": evil}
        wrong = edited(path, {config.format("constant"): json_edit(with_constant)}, extra=extra)
    elif place == "old weights":
        wrong = edited(path, {}, extra={"data/weights/model.pt": evil})
    elif place == "oldest":
        wrong = tmp_path / "old.pt2"
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(wrong, "w") as made:
            made.writestr("serialized_exported_program.json", source.read("net/models/model.json"))
            made.writestr("serialized_state_dict.pt", evil)
            made.writestr("serialized_constants.pt", b"")
    elif place == "samples":
        wrong = edited(path, {"data/sample_inputs/model.pt": lambda _: evil})
    else:
        wrong = edited(path, {"models/model.json": with_size})
    if place in ("samples", "size"):  # never looked at
        load_program(wrong)
    else:
        with pytest.raises(BadBundle, match="never unpickled"):
            load_program(wrong)
    assert not mark.exists()


@pytest.mark.parametrize("layout", ["2.8", "2.6"])
def test_files_of_older_versions_are_read(layout: str, tmp_path: Path) -> None:
    model = mlp().eval()
    path = exported(model, (3, 4), tmp_path / "net.pt2")
    buffer = io.BytesIO()
    torch.save(dict(model.state_dict()), buffer)
    if layout == "2.8":
        old = edited(path, {}, extra={"data/weights/model.pt": buffer.getvalue(), "data/constants/model.pt": b""})
    else:
        old = tmp_path / "old.pt2"
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(old, "w") as made:
            made.writestr("serialized_exported_program.json", source.read("net/models/model.json"))
            made.writestr("serialized_state_dict.pt", buffer.getvalue())
            made.writestr("serialized_constants.pt", b"")
    x = torch.randn(5, 3, 4)
    assert torch.allclose(load_program(old).eval()(x), model(x), atol=1e-6)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = exported(mlp().eval(), (3, 4), tmp_path / "net.pt2")
    whole = path.read_bytes()
    wrong = tmp_path / "wrong.pt2"
    for part in (b"", whole[:300], whole[: len(whole) // 2], whole[:-40], b"\0" * 4000):
        wrong.write_bytes(part)
        with pytest.raises(BadBundle):
            load_program(wrong)
    for at in range(100, len(whole), len(whole) // 23):
        wrong.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:  # what is not read, such as padding, may be anything
            load_program(wrong)
        except SteerageError as error:
            assert "\n" not in str(error)


def test_any_damage_of_the_graph_is_a_named_error(tmp_path: Path) -> None:
    path = exported(mlp().eval(), (3, 4), tmp_path / "net.pt2")
    with zipfile.ZipFile(path) as file:
        document = json.loads(file.read("net/models/model.json"))

    def places(node: Any) -> Any:
        for key in [*node] if isinstance(node, dict) else range(len(node)):
            yield node, key
            if isinstance(node[key], (dict, list)):
                yield from places(node[key])

    graph = document["graph_module"]
    for wrong in (None, -1, "x", [], {}):
        for number, (node, key) in enumerate(places(graph)):
            if number % 17:
                continue
            kept, node[key] = node[key], wrong
            damaged = edited(path, {"models/model.json": lambda _: json.dumps(document).encode()})
            node[key] = kept
            try:
                load_program(damaged)
            except SteerageError as error:
                assert str(damaged) in str(error)


def test_numbers_that_are_not_there_are_not_made_up(tmp_path: Path) -> None:
    path = exported(mlp().eval(), (3, 4), tmp_path / "net.pt2")

    def huge(document: Any) -> None:
        meta = document["config"]["1.weight"]["tensor_meta"]
        meta["sizes"], meta["strides"] = [{"as_int": 10**7}, {"as_int": 10**6}], [{"as_int": 0}, {"as_int": 0}]

    with pytest.raises(BadBundle, match="fewer numbers than its shape"):
        load_program(edited(path, {"data/weights/model_weights_config.json": json_edit(huge)}))


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x + 1.0, x * 2.0


class Shared(nn.Module):
    """Compares the rows of a batch."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(dim=0)


class Mixed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(3, -1).sum(dim=1, keepdim=True).repeat(2, 1)[: x.size(0)]


class Spectrum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.rfft(x).abs()


class Overwritten(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = x * 2.0
        y[:, 0] = 0.0
        return y


class Map(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.unsqueeze(1) + 1.0


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (Pair(), BadArgument, "2 outputs"),
        (Shared(), UnsupportedLayer, "rows of a batch depend on each other"),
        (Mixed(), UnsupportedLayer, "reshape"),
        (Spectrum(), UnsupportedLayer, "fft"),
        (Overwritten(), UnsupportedLayer, "overwrites what is read elsewhere"),
        (Map(), BadArgument, r"\(rows, outputs\)"),
    ],
)
def test_what_is_no_network_of_rows_is_refused(
    model: nn.Module, error: type[Exception], message: str, tmp_path: Path
) -> None:
    path = exported(model.eval(), (6,), tmp_path / "net.pt2")
    with pytest.raises(error, match=message) as caught:
        load_program(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_several_inputs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(nn.Bilinear(3, 4, 2), (torch.randn(2, 3), torch.randn(2, 4)))
        torch.export.save(program, path)
    with pytest.raises(BadArgument, match="2 inputs"):
        load_program(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    torch.save(mlp().state_dict(), tmp_path / "state.pt2")
    (tmp_path / "text.pt2").write_text("hello")
    for name, message in (("state", "not written by torch.export"), ("text", "torch.export"), ("none", "not exist")):
        with pytest.raises(BadBundle, match=message):
            load_program(tmp_path / f"{name}.pt2")
    with pytest.raises(BadBundle, match="cannot be read"):
        load_program(tmp_path)


def test_a_graph_names_known_operators_and_what_is_there() -> None:
    def graph(*steps: Step) -> Graph:
        return Graph("x", (3,), "y", {}, steps)

    with pytest.raises(UnsupportedLayer, match="'system'"):
        graph(Step(("y",), "system", {"value": "x"}))
    with pytest.raises(ValueError, match="not there"):
        graph(Step(("y",), "relu", {"value": "z"}))
    with pytest.raises(ValueError, match="nothing returns"):
        graph(Step(("z",), "relu", {"value": "x"}))


def test_a_bundle_of_such_a_network_is_data_alone(tmp_path: Path) -> None:
    data = pictures(24)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).eval()
    program = load_program(exported(model, (1, 8, 8), tmp_path / "net.pt2"))
    small, masks = compact(program.eval(), (1, 8, 8), masks={"0.weight": torch.arange(36).view(4, 1, 3, 3) > 8})
    network = Network(
        small,
        FromProgram(program.graph),
        data.spec,
        data.preprocess,
        count(small, (1, 8, 8)),
        masks=masks,
        classes=data.classes,
    )
    save_network(tmp_path / "bundle", network)
    again = load_network(tmp_path / "bundle")
    x = torch.randn(5, 1, 8, 8)
    assert again.model.get_parameter("0.weight").shape == (3, 1, 3, 3)
    assert torch.equal(again.model(x), small(x))
    assert isinstance(again.architecture, FromProgram)

    description = tmp_path / "bundle" / "network.json"
    document = json.loads(description.read_text())
    document["architecture"]["program"]["steps"][0]["op"] = "system"
    document["sha256"] = bundles._checksum(document)
    description.write_text(json.dumps(document))
    with pytest.raises(BadBundle, match="'system'"):
        load_network(tmp_path / "bundle")
