from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from steerage.cost import dense_cost
from steerage.data import TaskSpec
from steerage.errors import BadArgument
from steerage.templates import TEMPLATES, Cnn, architecture, batch_size, load_template, template_for

IMAGE = TaskSpec("classification", "image", (1, 8, 8), 10, 1000)
TABLE = TaskSpec("regression", "table", (8,), 1, 1000)


def example() -> str:
    """The template that docs/templates.md shows."""
    page = (Path(__file__).resolve().parents[2] / "docs/templates.md").read_text()
    return page.split("```python\n")[1].split("```")[0]


def test_images_get_cnn_and_tables_get_mlp() -> None:
    assert template_for(IMAGE).name == "cnn"
    assert template_for(TABLE).name == "mlp"


def test_names_are_the_templates_own() -> None:
    assert all(name == template.name for name, template in TEMPLATES.items())
    assert isinstance(load_template("cnn"), Cnn)


def test_a_template_loads_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(example())
    template = load_template(f"{tmp_path / 'mine.py'}:TwoLayers")
    baseline = template.baseline(TABLE)
    assert template.name == "two-layers"
    assert template.space(TABLE).validate(baseline) == baseline
    assert dense_cost(template, baseline, TABLE).params == 8 * 64 + 64 + 64 * 64 + 64 + 64 + 1


def test_templates_of_two_files_with_one_stem_do_not_collide(tmp_path: Path) -> None:
    templates = []
    for folder, name in (("a", "first"), ("b", "second")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(example().replace("two-layers", name))
        templates.append(load_template(f"{tmp_path / folder / 'mine.py'}:TwoLayers"))
    assert [template.name for template in templates] == ["first", "second"]
    assert [type(pickle.loads(pickle.dumps(template))) for template in templates] == [type(t) for t in templates]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (None, "resnext", "'resnext'; choose one of signal, cnn, mlp, resnet, mobile, or file.py:Class"),
        (None, "{file}:Net", "does not exist"),
        ("raise ValueError('no')", "{file}:Net", "fails with ValueError: no"),
        ("x = 1", "{file}:Net", "must define a class Net"),
        ("class Net: ...", "{file}:Net", "extends steerage.templates.Template"),
        ("from steerage.templates import Template\nclass Net(Template): ...", "{file}:Net", "must define name, space"),
    ],
)
def test_what_is_no_template_is_refused(tmp_path: Path, content: str | None, name: str, message: str) -> None:
    file = tmp_path / "broken.py"
    if content is not None:
        file.write_text(content)
    with pytest.raises(BadArgument, match=message):
        load_template(name.format(file=file))


@pytest.mark.parametrize(("rows", "size"), [(0, 32), (150, 32), (1437, 64), (5000, 128), (60_000, 256), (10**7, 256)])
def test_the_batch_grows_with_the_root_of_the_rows(rows: int, size: int) -> None:
    assert batch_size(rows) == size


def test_recipe_genes_are_no_part_of_the_architecture() -> None:
    assert architecture({"depth": 2, "lr": 0.1, "label_smoothing": 0.0, "input_noise": 0.1}) == {"depth": 2}
