"""A budget in bytes of a microcontroller, and the C code that keeps it."""

from pathlib import Path

import steerage
from steerage.export import export_c

budget = steerage.Budget(max_flash=8000, max_ram=1000)
result = steerage.synthesize("iris", budget=budget, device="cortex-m0", trials=1, epochs=3, out="runs/kilobytes")
print(result.summary["flash_bytes"], "bytes of flash,", result.summary["ram_bytes"], "of RAM")
assert result.summary["flash_bytes"] <= 8000 and result.summary["ram_bytes"] <= 1000

export_c(result.network, "firmware/iris")  # compiled and compared with PyTorch where there is a C compiler
print(Path("firmware/iris/iris.h").read_text())
