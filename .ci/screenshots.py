"""Screenshots of a page at two widths, in both colour schemes, by a headless Chromium.

    python .ci/screenshots.py runs/x/report.html docs/img/report 2300

Writes NAME.png (1,600 pixels wide), NAME-dark.png, NAME-400.png and NAME-400-dark.png, as high as the page or as the
last argument says.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

COLUMN = 1000  # pixels that the page is wide at most; the empty margins beside it are cut
WIDTHS = {"": 1600, "-400": 400}
SCHEMES = {"": 1, "-dark": 0}  # as Chromium's settings have them
# A window is never narrower than 500 pixels, so the page is shown in a frame.
FRAME = '<body style="margin:0"><iframe src="{page}" style="border:0;width:{width}px;height:{height}px"></iframe>'


def take(page: Path, name: Path, height: int) -> None:
    """Write the four pictures of ``page``, ``height`` pixels high."""
    with tempfile.TemporaryDirectory() as folder:
        for width_name, width in WIDTHS.items():
            frame = Path(folder, "frame.html")
            frame.write_text(FRAME.format(page=page.resolve().as_uri(), width=width, height=height))
            for scheme_name, scheme in SCHEMES.items():
                picture = name.with_name(f"{name.name}{width_name}{scheme_name}.png")
                options = [
                    "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile",
                    "--hide-scrollbars", f"--blink-settings=preferredColorScheme={scheme}",
                    f"--window-size={max(width, 500)},{height}", "--virtual-time-budget=3000",
                ]  # fmt: skip
                command = ["chromium", *options, f"--screenshot={picture}", frame.as_uri()]
                subprocess.run(command, check=True, capture_output=True, timeout=300)
                with Image.open(picture) as taken:
                    margin = max(0, (width - COLUMN) // 2)
                    page_alone = taken.crop((margin, 0, width - margin, height))
                    page_alone.convert("P", palette=Image.Palette.ADAPTIVE).save(picture, optimize=True)


if __name__ == "__main__":
    take(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
