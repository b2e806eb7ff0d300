"""An ONNX file that takes rows as they are: what was learnt of columns and scales is inside."""

import onnxruntime
from sklearn.datasets import load_iris

import steerage
from steerage.export import export_onnx

result = steerage.synthesize("iris", trials=2, epochs=10, out="runs/iris")
path = export_onnx(result.network, "iris.onnx")  # compared with PyTorch before it is there

session = onnxruntime.InferenceSession(path)
rows = load_iris().data.astype("float32")
(scores, *_) = session.run(None, {session.get_inputs()[0].name: rows})
print(scores[:3])
