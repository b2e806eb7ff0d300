"""A folder of everything that can be wrong with what is given to the command line."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from steerage.bundle.zoo import ZOO

MODELS = """
from torch import nn
def Net():
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
def Narrow():
    return nn.Linear(7, 3)
def Needy(width):
    return nn.Linear(4, width)
def Number():
    return 3
class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)
    def forward(self, x):
        return self.layer(x) if x.sum() > 0 else self.layer(-x)
"""
TEMPLATE = """
from optuna.distributions import IntDistribution
from torch import nn
from steerage import Space, Template
class Tiny(Template):
    name = "tiny"
    def space(self, spec):
        return Space({"width": IntDistribution(4, 6)})
    def build(self, values, spec):
        return nn.Sequential(nn.Linear(4, values["width"]), nn.ReLU(), nn.Linear(values["width"], spec.outputs))
    def baseline(self, spec):
        return {"width": 6}
"""
DEVICES = """
[mine]
core = "z80"
"""
FEATURES, CLASSES = ["length", "width"], ["round", "flat"]


def build(folder: Path) -> None:
    """Write all of it into ``folder``, which exists and is empty."""
    _tables(folder)
    _archives(folder)
    _images(folder / "photos")
    _signals(folder / "windows")
    _networks(folder)
    (folder / "my_model.py").write_text(MODELS, encoding="utf-8")
    (folder / "tiny.py").write_text(TEMPLATE, encoding="utf-8")
    (folder / "broken.py").write_text("import nonsense_that_is_not_there\n", encoding="utf-8")
    (folder / "boards.toml").write_text(DEVICES, encoding="utf-8")
    (folder / "notes.txt").write_text("a;b\n", encoding="utf-8")
    (folder / "foreign").mkdir()
    (folder / "foreign" / "notes.txt").write_text("mine\n", encoding="utf-8")


def table(rows: int = 40) -> pd.DataFrame:
    """A table that is as it should be."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.normal(size=rows).round(3) for name in FEATURES})
    return frame.assign(kind=[CLASSES[row % 2] for row in range(rows)])


def _tables(folder: Path) -> None:
    good = table()
    good.to_csv(folder / "good.csv", index=False)
    text = (folder / "good.csv").read_text(encoding="utf-8")
    (folder / "empty.csv").touch()
    (folder / "header.csv").write_text("length,width,kind\n", encoding="utf-8")
    good[:1].to_csv(folder / "row.csv", index=False)
    good.assign(kind="round").to_csv(folder / "one.csv", index=False)
    good.assign(kind=[0.5 * row if row != 7 else "inf" for row in range(40)]).to_csv(folder / "inf.csv", index=False)
    good.assign(kind=np.nan).to_csv(folder / "unlabelled.csv", index=False)
    good.assign(kind=[0.5 * row if row != 7 else "abc" for row in range(40)]).to_csv(folder / "text.csv", index=False)
    good.assign(kind=3.0).to_csv(folder / "constant.csv", index=False)
    pd.DataFrame({"id": [f"a{row}" for row in range(80)], "kind": CLASSES * 40}).to_csv(folder / "id.csv", index=False)
    good.assign(kind=[f"name {row}" for row in range(40)]).to_csv(folder / "names.csv", index=False)
    good[["kind"]].to_csv(folder / "alone.csv", index=False)
    (folder / "twice.csv").write_text(text.replace("length,width", "length,length", 1), encoding="utf-8")
    (folder / "ragged.csv").write_text(f"{text}1,2,round,4,5\n", encoding="utf-8")
    (folder / "headless.csv").write_text("1.5,2.5,3.5\n" * 20, encoding="utf-8")
    (folder / "latin.csv").write_bytes(text.replace("round", "ründ").encode("latin-1"))
    (folder / "utf16.csv").write_bytes(text.encode("utf-16"))
    (folder / "binary.csv").write_bytes(bytes(range(256)) * 8)
    (folder / "cut.csv.gz").write_bytes(b"\x1f\x8b\x08\x00")
    (folder / "data.xlsx").write_bytes(b"PK")
    (folder / "bad.parquet").write_bytes(b"PAR1" + bytes(64))
    good.drop(columns="width").to_csv(folder / "narrow.csv", index=False)
    good.assign(kind=["round", "square"] * 20).to_csv(folder / "square.csv", index=False)
    good.drop(columns="kind").to_csv(folder / "nolabel.csv", index=False)
    good.assign(width="wide").to_csv(folder / "words.csv", index=False)
    long = {f"a column with the rather long name number {at} of them": range(40) for at in range(30)}
    pd.DataFrame({**long, "kind": good["kind"]}).to_csv(folder / "wide.csv", index=False)


def _archives(folder: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 4)).astype(np.float32), np.arange(40) % 2
    np.savez(folder / "good.npz", x=x, y=y)
    np.savez(folder / "names.npz", features=x, labels=y)
    np.savez(folder / "short.npz", x=x, y=y[:30])
    np.savez(folder / "objects.npz", x=np.array([{}] * 40, dtype=object), y=y)
    np.savez(folder / "nan.npz", x=np.full((40, 1, 8, 8), np.nan, dtype=np.float32), y=y)
    np.savez(folder / "axes.npz", x=np.zeros((40, 2, 2, 2, 2), dtype=np.float32), y=y)
    np.savez(folder / "shorter.npz", x_train=np.zeros((40, 1, 64), np.float32), y_train=y,
             x_test=np.zeros((9, 1, 32), np.float32), y_test=y[:9], kind=np.array("signal"))  # fmt: skip
    np.savez(folder / "kind.npz", x=x, y=y, kind=np.array("sound"))
    data = (folder / "good.npz").read_bytes()
    (folder / "damaged.npz").write_bytes(data[: len(data) // 2])
    np.save(folder / "array.npy", x)
    (folder / "array.npy").rename(folder / "array.npz")


def picture(size: int, value: int = 0) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (size, size), value).save(stream, format="png")
    return stream.getvalue()


def _images(photos: Path) -> None:
    for name, classes in (("onlyone", ("a",)), ("none", ()), ("damaged", ("a", "b"))):
        for label in classes:
            (photos / name / label).mkdir(parents=True)
            for number in range(12):
                (photos / name / label / f"{number:02}.png").write_bytes(picture(8, number))
    (photos / "none").mkdir()
    (photos / "none" / "loose.png").write_bytes(picture(8))
    (photos / "damaged" / "b" / "07.png").write_bytes(picture(8)[:40])
    (photos / "empty").mkdir()


def _signals(windows: Path) -> None:
    for label in ("a", "b"):
        (windows / label).mkdir(parents=True)
        for number in range(12):
            rows = 16 if (label, number) != ("b", 5) else 15
            pd.DataFrame({"x": np.arange(rows), "y": np.arange(rows)}).to_csv(
                windows / label / f"{number:02}.csv", index=False
            )


def _networks(folder: Path) -> None:
    """Bundles with one fault each, from the smallest network of the zoo."""
    source = ZOO / "digits-1500" / "network"
    for name in ("cut", "altered", "later", "lacking"):
        shutil.copytree(source, folder / "networks" / name)
    weights = folder / "networks" / "cut" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    document = folder / "networks" / "altered" / "network.json"
    document.write_text(document.read_text(encoding="utf-8").replace('"outputs": 10', '"outputs": 9'), encoding="utf-8")
    document = folder / "networks" / "later" / "network.json"
    fields = json.loads(document.read_text(encoding="utf-8"))
    document.write_text(json.dumps({**fields, "version": 99}), encoding="utf-8")
    (folder / "networks" / "lacking" / "weights.safetensors").unlink()
    (folder / "networks" / "text").mkdir()
    (folder / "networks" / "text" / "network.json").write_text("no JSON", encoding="utf-8")
    with zipfile.ZipFile(folder / "other.pt2", "w") as archive:
        archive.writestr("readme.txt", "no program")
    (folder / "unfinished").mkdir()
    (folder / "unfinished" / "run.json").write_text('{"kind": "synth"}', encoding="utf-8")
    (folder / "badrun").mkdir()
    (folder / "badrun" / "run.json").write_text("{", encoding="utf-8")
