"""The smallest network that costs at most two points of error, and the networks of all sizes on the way."""

import steerage

result = steerage.synthesize("wine", max_loss=0.02, front=True, trials=2, epochs=10, out="runs/smallest")
for member in result.summary["front"]:
    print(member["path"], member["params"], "parameters, validation error", member["error"]["validation"])
print("delivered:", result.summary["params"], "parameters")
