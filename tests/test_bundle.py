from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from networks import IMAGES, TABLE, network, pruned, rows
from steerage.bundle import FromFactory, FromTemplate, Network, load_network, packed, save_network, unpacked
from steerage.bundle.files import _checksum
from steerage.cost import count
from steerage.data.dataset import TaskSpec
from steerage.data.tablefit import fit_table
from steerage.errors import BadArgument, BadBundle, BadData
from steerage.growprune.compact import compact
from steerage.templates import Mlp


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the description, and make its checksum right again."""
    document = json.loads((folder / "network.json").read_text())
    change(document)
    document["sha256"] = _checksum(document)
    (folder / "network.json").write_text(json.dumps(document))


def rewrite_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = safetensors.torch.load_file(folder / "weights.safetensors")
    change(tensors)
    data = safetensors.torch.save(tensors)
    (folder / "weights.safetensors").write_bytes(data)
    rewrite(folder, lambda document: document.update(weights_sha256=hashlib.sha256(data).hexdigest()))


@pytest.mark.parametrize(
    ("template", "genes"),
    [
        ("mlp", {}),
        ("mlp", {"bins": 8, "skips": True, "activation": "gelu"}),
        ("mlp", {"regression": True}),
        ("cnn", {"separable": True, "residual": True, "head": "gap", "blocks": 2}),
        ("signal", {"separable": True, "residual": True, "blocks": 2, "growth": 1.0}),
        ("cnn", {"head": "hidden"}),
        ("resnet", {"blocks0": 1, "blocks1": 1, "blocks2": 1, "shortcut": "pad", "squeeze": True, "hidden_layers": 2}),
        ("mobile", {"stages": 2, "squeeze": True, "last": 40}),
    ],
)
def test_a_saved_network_predicts_the_same(tmp_path: Path, template: str, genes: dict[str, Any]) -> None:
    net = pruned(network(template, **genes))
    save_network(tmp_path / "network", net)
    loaded = load_network(tmp_path / "network")
    assert sorted(path.name for path in (tmp_path / "network").iterdir()) == ["network.json", "weights.safetensors"]
    assert np.array_equal(loaded.predict(rows(net)), net.predict(rows(net)))
    encoded = net.preprocess.encode(rows(net))
    assert torch.equal(loaded.scores(encoded), net.scores(encoded))
    for name in ("architecture", "spec", "cost", "classes", "target_name", "target_mean", "target_std", "error"):
        assert getattr(loaded, name) == getattr(net, name), name
    assert loaded.preprocess == net.preprocess
    assert loaded.masks.keys() == net.masks.keys()
    assert all(torch.equal(loaded.masks[name], mask) for name, mask in net.masks.items())
    assert count(loaded.model, loaded.spec.input_shape, masks=loaded.masks) == count(
        net.model, net.spec.input_shape, masks=net.masks
    )


def test_a_network_that_was_packed_comes_back_without_a_folder(tmp_path: Path) -> None:
    net = pruned(network("mlp"))
    files = packed(net)
    save_network(tmp_path / "network", net)
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "network").iterdir()}
    again = unpacked(files)
    assert np.array_equal(again.predict(rows(net)), net.predict(rows(net)))
    assert packed(again) == files


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"network.json": b"{}"}, "lacks weights.safetensors"),
        ({"network.json": b"{", "weights.safetensors": b""}, "network.json is damaged"),
        ({"network.json": b"[]", "weights.safetensors": b""}, "does not describe a steerage network"),
    ],
)
def test_a_damaged_pack_is_refused(files: dict[str, bytes], message: str) -> None:
    with pytest.raises(BadBundle, match=message):
        unpacked(files)
    with pytest.raises(BadBundle, match="checksum differs"):
        unpacked({**packed(network("mlp")), "weights.safetensors": b"others"})


@pytest.mark.parametrize("method", ["pca", "select"])
def test_a_fitted_reduction_is_part_of_the_network(tmp_path: Path, method: str) -> None:
    wide = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 12)), columns=list("abcdefghijkl"))
    base = network()
    spec = replace(base.spec, input_shape=(12,))
    values = {**Mlp().baseline(spec), "reduction": method, "ratio": 0.5}
    net = replace(
        base,
        model=Mlp().build(values, spec),
        architecture=FromTemplate("mlp", values),
        spec=spec,
        preprocess=fit_table(wide),
    )
    reduce: Any = net.model.get_submodule("reduce")
    reduce.fit_to(torch.randn(50, 12), torch.arange(50) % 3, seed=0)
    save_network(tmp_path, net)
    assert np.array_equal(load_network(tmp_path).predict_proba(wide), net.predict_proba(wide))


def test_a_network_whose_units_were_removed_is_rebuilt_smaller(tmp_path: Path) -> None:
    net = network("cnn", separable=True, head="hidden", blocks=2, channels=8, growth=1.0)
    kept = torch.tensor([0, 2, 5])
    first: Any = net.model.get_submodule("features.stage0_block0")
    second: Any = net.model.get_submodule("features.stage0_block1")
    with torch.no_grad():
        shrink(first.conv, "weight", first.conv.weight[kept])
        first.conv.out_channels = 3
        shrink_norm(first.norm, kept)
        shrink(second.depthwise, "weight", second.depthwise.weight[kept])
        second.depthwise.in_channels = second.depthwise.out_channels = second.depthwise.groups = 3
        shrink_norm(second.depthwise_norm, kept)
        shrink(second.conv, "weight", second.conv.weight[:, kept])
        second.conv.in_channels = 3
    save_network(tmp_path, net)
    loaded = load_network(tmp_path)
    assert np.array_equal(loaded.predict_proba(IMAGES), net.predict_proba(IMAGES))
    again: Any = loaded.model.get_submodule("features.stage0_block1.depthwise")
    assert (again.groups, again.in_channels, again.out_channels) == (3, 3, 3)
    assert count(loaded.model, loaded.spec.input_shape) == count(net.model, net.spec.input_shape)


@pytest.mark.parametrize(
    ("template", "genes"),
    [
        ("mlp", {"depth": 3, "norm": True, "skips": True}),
        ("mlp", {"depth": 2, "norm": False}),
        ("cnn", {"separable": True, "residual": True, "head": "gap", "blocks": 2, "growth": 1.0}),
        ("cnn", {"head": "hidden", "pooling": "stride"}),
        ("resnet", {"blocks0": 1, "blocks1": 1, "blocks2": 1, "shortcut": "pad", "squeeze": True}),
        ("resnet", {"stages": 2, "blocks0": 2, "block": "bottleneck", "shortcut": "projection", "width": 8}),
        ("mobile", {"stages": 3, "squeeze": True, "last": 40}),
    ],
)
def test_a_compacted_network_comes_back(tmp_path: Path, template: str, genes: dict[str, Any]) -> None:
    net = network(template, **genes)
    masks = {name: torch.rand_like(p) < 0.15 for name, p in net.model.named_parameters() if p.ndim > 1}
    for mask in masks.values():
        mask[torch.rand(len(mask)) < 0.5] = False
    model, masks = compact(net.model, net.spec.input_shape, masks=masks)
    small = replace(net, model=model, masks=masks)
    save_network(tmp_path, small)
    assert np.array_equal(load_network(tmp_path).predict_proba(rows(net)), small.predict_proba(rows(net)))
    kept, all_of_them = (sum(p.numel() for p in n.model.parameters()) for n in (small, net))
    assert kept < all_of_them


def shrink(module: nn.Module, name: str, tensor: torch.Tensor) -> None:
    setattr(module, name, nn.Parameter(tensor.clone()))


def shrink_norm(norm: nn.BatchNorm2d, kept: torch.Tensor) -> None:
    norm.num_features = len(kept)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    shrink(norm, "weight", norm.weight[kept])
    shrink(norm, "bias", norm.bias[kept])
    norm.running_mean, norm.running_var = norm.running_mean[kept], norm.running_var[kept]


def test_units_may_be_added_and_a_bias_may_appear(tmp_path: Path) -> None:
    net = network(norm=True, depth=1, width=16)
    layer: Any = net.model.get_submodule("net.hidden.0")
    output: Any = net.model.get_submodule("net.output")
    features = net.spec.input_shape[0]
    layer.linear = nn.Linear(features, 40)
    layer.norm = nn.BatchNorm1d(40)
    output.weight = nn.Parameter(torch.randn(3, 40))
    output.in_features = 40
    save_network(tmp_path, replace(net, model=net.model))
    assert np.array_equal(load_network(tmp_path).predict_proba(TABLE), net.predict_proba(TABLE))


def test_labels_are_numbers_where_all_classes_are_and_text_otherwise() -> None:
    net = network()
    assert set(net.predict(TABLE).tolist()) <= {2, 10, -7}
    assert net.labels.dtype.kind == "i"
    for classes in (("a", "b", "1"), ("01", "2", "3"), ("1.0", "2", "3")):
        assert replace(net, classes=classes).labels.tolist() == list(classes)
    probabilities = net.predict_proba(TABLE)
    assert probabilities.shape == (40, 3)
    assert np.allclose(probabilities.sum(1), 1)
    assert np.array_equal(net.labels[probabilities.argmax(1)], net.predict(TABLE))


def test_a_regression_answers_in_the_units_of_the_target() -> None:
    net = network(regression=True)
    outputs = net.scores(net.preprocess.encode(TABLE))
    assert np.allclose(net.predict(TABLE), 100 + 10 * outputs[:, 0].numpy())
    with pytest.raises(BadArgument, match="use predict"):
        net.predict_proba(TABLE)


def test_predictions_do_not_depend_on_the_batch_nor_change_the_model() -> None:
    net = network("cnn", dropout=0.3)
    many = np.concatenate([IMAGES] * 40)
    before = {name: tensor.clone() for name, tensor in net.model.state_dict().items()}
    assert len(net.predict(many)) == 1200
    assert np.allclose(net.predict_proba(many)[-30:], net.predict_proba(IMAGES), atol=1e-6)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.model.state_dict().items())
    assert net.predict(IMAGES[:0]).shape == (0,)
    assert net.predict_proba(IMAGES[:0]).shape == (0, 3)


def test_rows_of_another_table_are_refused() -> None:
    with pytest.raises(BadData, match="must have the columns"):
        network().predict(TABLE.drop(columns="a"))


def test_loading_leaves_the_random_state_alone(tmp_path: Path) -> None:
    save_network(tmp_path, network())
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_network(tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_masks_that_were_not_applied_or_fit_nothing_are_refused(tmp_path: Path) -> None:
    net = network()
    masks = {"net.output.weight": torch.zeros_like(net.model.get_parameter("net.output.weight"), dtype=torch.bool)}
    with pytest.raises(BadBundle, match=r"net\.output\.weight has dormant weights.*apply the masks"):
        save_network(tmp_path / "network", replace(net, masks=masks))
    with pytest.raises(BadBundle, match=r"mask 'nope' fits no parameter"):
        save_network(tmp_path / "network", replace(net, masks={"nope": torch.ones(2, dtype=torch.bool)}))
    assert not (tmp_path / "network").exists()


def test_memory_formats_do_not_matter(tmp_path: Path) -> None:
    net = network("cnn", channels=8)
    model = net.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    masks = {name: weight != 0 for name, weight in model.named_parameters() if weight.ndim == 4}
    assert not all(mask.is_contiguous() for mask in masks.values())
    save_network(tmp_path / "net", replace(net, model=model, masks=masks))
    loaded = load_network(tmp_path / "net")
    assert all(torch.equal(loaded.masks[name], mask) for name, mask in masks.items())


def test_a_network_that_its_template_cannot_rebuild_is_not_saved(tmp_path: Path) -> None:
    net = network()
    other = replace(net, model=nn.Sequential(nn.Linear(net.spec.input_shape[0], 3)))
    with pytest.raises(BadBundle, match="cannot be rebuilt"):
        save_network(tmp_path / "network", other)
    with pytest.raises(BadBundle, match="predicts something else"):
        save_network(tmp_path / "network", replace(net, architecture=replace_gene(net, activation="tanh")))
    assert not (tmp_path / "network").exists()


def replace_gene(net: Network, **genes: str) -> FromTemplate:
    assert isinstance(net.architecture, FromTemplate)
    return FromTemplate(net.architecture.template, {**net.architecture.values, **genes})


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(network().spec.input_shape[0], 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.layer(x)
        return scores


def test_a_users_own_module_comes_back_through_the_users_own_factory(tmp_path: Path) -> None:
    net = replace(network(), model=Own(), architecture=FromFactory("my_model.py:Own"))
    save_network(tmp_path, net)
    with pytest.raises(BadBundle, match=r"my_model\.py:Own.*never run.*factory=Net"):
        load_network(tmp_path)
    assert np.array_equal(load_network(tmp_path, factory=Own).predict(TABLE), net.predict(TABLE))
    with pytest.raises(BadBundle, match="cannot be rebuilt"):
        load_network(tmp_path, factory=lambda: nn.Conv1d(1, 1, 1))


class Mine:
    name = "mine"

    def build(self, values: Any, spec: TaskSpec) -> nn.Module:
        return nn.Sequential(nn.Linear(spec.input_shape[0], int(values["width"])), nn.Linear(int(values["width"]), 3))


def test_a_users_own_template_is_asked_for(tmp_path: Path) -> None:
    mine: Any = Mine()
    base = network()
    model = mine.build({"width": 4}, base.spec)
    net = replace(base, model=model, architecture=FromTemplate("mine", {"width": 4}))
    save_network(tmp_path, net, template=mine)
    with pytest.raises(BadBundle, match=r"template 'mine'.*template=MyTemplate"):
        load_network(tmp_path)
    assert np.array_equal(load_network(tmp_path, template=mine).predict(TABLE), net.predict(TABLE))


@pytest.mark.parametrize("file", ["network.json", "weights.safetensors"])
def test_damage_is_noticed(tmp_path: Path, file: str) -> None:
    save_network(tmp_path, network(depth=1, width=8))
    data = (tmp_path / file).read_bytes()
    step = max(1, len(data) // 150)
    for position in range(0, len(data), step):
        damaged = bytearray(data)
        damaged[position] ^= 1
        (tmp_path / file).write_bytes(damaged)
        if file == "network.json" and _same_json(data, bytes(damaged)):
            continue
        with pytest.raises(BadBundle):
            load_network(tmp_path)
    for length in (0, 7, len(data) // 2, len(data) - 2):
        (tmp_path / file).write_bytes(data[:length])
        with pytest.raises(BadBundle):
            load_network(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(BadBundle, match="does not exist"):
        load_network(tmp_path)


def _same_json(first: bytes, second: bytes) -> bool:
    try:
        return bool(json.loads(first) == json.loads(second))
    except ValueError:
        return False


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(version=5), "has version 5"),
        (lambda d: d.update(format="other"), "does not describe a steerage network"),
        (lambda d: d["architecture"]["shapes"].popitem(), "unknown tensor"),
        (lambda d: d["architecture"]["shapes"].update({"net.more": [1]}), r"lacks the tensor net\.more"),
        (lambda d: d["architecture"].update(template="nope"), "template 'nope'"),
        (lambda d: d["architecture"]["values"].update(activation="os.system"), "cannot be rebuilt"),
        (lambda d: d["architecture"]["values"].pop("depth"), "cannot be rebuilt"),
        (lambda d: d["spec"].pop("kind"), "cannot be rebuilt"),
        (lambda d: d["spec"].update(outputs=4), "cannot be rebuilt"),
        (lambda d: d["preprocess"].update(kind="pickle"), "preprocessing"),
        (lambda d: d["preprocess"]["columns"]["name"].pop(), "equally long"),
        (lambda d: d.update(classes=["a"]), "1 classes for 3 outputs"),
        (lambda d: d.update(cost={}), "cannot be rebuilt"),
        (lambda d: d.pop("target_mean"), "'target_mean' must be of type float"),
    ],
)
def test_descriptions_that_make_no_sense_are_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    save_network(tmp_path, network())
    rewrite(tmp_path, change)
    with pytest.raises(BadBundle, match=message):
        load_network(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("net.output.bias"), r"lacks the tensor net\.output\.bias"),
        (lambda t: t.update(extra=torch.zeros(1)), "unknown tensor extra"),
        (lambda t: t.update({"net.output.bias": torch.zeros(4)}), r"net\.output\.bias of shape \(4,\), not \(3,\)"),
        (lambda t: t.update({"net.output.bias": torch.zeros(3, dtype=torch.float64)}), "is torch.float64"),
        (lambda t: t.update({"mask:net.output.bias": torch.zeros(9, dtype=torch.uint8)}), "a mask for"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], object], message: str
) -> None:
    save_network(tmp_path, network())
    rewrite_weights(tmp_path, change)
    with pytest.raises(BadBundle, match=message):
        load_network(tmp_path)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadBundle, match="give the folder"):
        load_network(tmp_path / "nothing")


def claim(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["architecture"]["values"].update(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (claim(width=10**9), "at most 65,536"),
        (claim(width=2**16, depth=3), "numbers, and has"),
        (claim(depth=2**16), "more layers than"),
        (claim(depth=[10**9]), "must be a number"),
        (lambda document: document["spec"].update(input_shape=[10**12]), "whole numbers"),
        (lambda document: document["spec"].update(outputs="many"), "whole numbers"),
        (lambda document: document["spec"].update(kind="film"), "no task"),
        (lambda document: document["architecture"].update(shapes={"x": [-1]}), "no tensor of shape"),
        (lambda document: document["preprocess"]["columns"].update(one_hot=10**9), "not well formed"),
        (lambda document: document.update(classes=[[], [], []]), "must have names"),
    ],
)
def test_a_bundle_that_asks_for_too_much_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    save_network(tmp_path, network("mlp"))
    rewrite(tmp_path, change)
    with pytest.raises(BadBundle, match=message):
        load_network(tmp_path)


def test_files_longer_than_they_can_be_are_not_read(tmp_path: Path) -> None:
    save_network(tmp_path, network("mlp"))
    os.truncate(tmp_path / "weights.safetensors", 10_000_000_000)
    with pytest.raises(BadBundle, match=r"weights\.safetensors is longer than"):
        load_network(tmp_path)
    os.truncate(tmp_path / "network.json", 10_000_000_000)
    with pytest.raises(BadBundle, match=r"network\.json is longer than"):
        load_network(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no /dev on Windows")
def test_a_description_that_is_a_device_is_not_read(tmp_path: Path) -> None:
    save_network(tmp_path, network("mlp"))
    (tmp_path / "weights.safetensors").unlink()
    (tmp_path / "weights.safetensors").symlink_to("/dev/zero")
    with pytest.raises(BadBundle, match="is not a file"):
        load_network(tmp_path)


FILES = packed(network("mlp"))


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(sorted(FILES)), at=st.integers(0, 10**6), byte=st.integers(0, 255), cut=st.booleans())
def test_any_damage_to_a_bundle_is_noticed(name: str, at: int, byte: int, cut: bool) -> None:
    data = bytearray(FILES[name])
    at %= len(data)
    if cut:
        del data[at:]
    else:
        data[at] = byte
    try:
        unpacked({**FILES, name: bytes(data)})
        assert json.loads(data) == json.loads(FILES[name]) if name == "network.json" else data == FILES[name]
    except BadBundle as refusal:
        assert "packed network" in str(refusal)


@settings(max_examples=60, deadline=None)
@given(
    part=st.sampled_from(["architecture", "spec", "preprocess", "cost", "classes", "target_mean", "error"]),
    value=st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists, max_leaves=5),
)
def test_a_description_of_anything_is_refused_by_name(part: str, value: object) -> None:
    document = json.loads(FILES["network.json"])
    document[part] = value
    document["sha256"] = _checksum(document)
    try:
        unpacked({**FILES, "network.json": json.dumps(document).encode()})
    except BadBundle as refusal:
        assert "packed network" in str(refusal)
