"""C of other tools, written by the interpreter that has them: emlearn for weights, emx-onnx-cgen for an ONNX file.

    PYTHON rival_code.py versions
    PYTHON rival_code.py emlearn WEIGHTS.npz METHOD OUT.c
    PYTHON rival_code.py emx MODEL.onnx OUT.c

Not imported by the benchmarks: those run in another environment.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path


def emlearn_code(weights: str, method: str, out: str) -> None:
    """A feed-forward network: arrays ``weights0``, ``biases0``, ..., ReLU between them, nothing after the last."""
    import emlearn
    import numpy as np
    from sklearn.neural_network import MLPClassifier

    arrays = np.load(weights)
    layers = range(len(arrays.files) // 2)
    matrices, biases = ([arrays[f"{name}{at}"] for at in layers] for name in ("weights", "biases"))
    shell = MLPClassifier(hidden_layer_sizes=[len(one) for one in biases[:-1]], max_iter=1)
    rng, classes = np.random.default_rng(0), len(biases[-1])
    shell.partial_fit(rng.normal(size=(classes, len(matrices[0]))), np.arange(classes), classes=np.arange(classes))
    shell.coefs_, shell.intercepts_, shell.out_activation_ = matrices, biases, "identity"
    text = emlearn.convert(shell, method=method).save(name="rival", inference=[method])
    Path(out).write_text(text)
    Path(out).with_suffix(".include").write_text(str(Path(emlearn.__file__).parent))


def emx_code(model: str, out: str) -> None:
    """An ONNX file, one row at a time: nothing on the heap, all weights in the code."""
    words = [str(Path(sys.executable).with_name("emx-onnx-cgen")), "compile", model, out, "--model-name", "rival"]
    words += ["--input-dim", "x:0=1", "--large-temp-threshold", "0", "--large-weight-threshold", "0"]
    subprocess.run(words, check=True)


def main(words: list[str]) -> None:
    match words:
        case ["versions"]:
            print(json.dumps({name: metadata.version(name) for name in ("emlearn", "emx-onnx-cgen", "scikit-learn")}))
        case ["emlearn", weights, method, out]:
            emlearn_code(weights, method, out)
        case ["emx", model, out]:
            emx_code(model, out)
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
