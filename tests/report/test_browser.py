"""The page in a real browser: nothing it complains of, everything drawn, a click that answers."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from runs import TRIALS, large_run
from test_analysis_sections import ANALYSIS, run_with

from steerage.report.page import write_report

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
pytestmark = pytest.mark.skipif(not BROWSER, reason="this machine has no Chromium")


def browse(page: Path, profile: Path) -> tuple[str, str]:
    """The page's document once its scripts have run, and what the browser's console has to say."""
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    command = [BROWSER, *options, "--enable-logging=stderr", "--virtual-time-budget=2000", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def test_the_browser_has_nothing_to_complain_of(tmp_path: Path) -> None:
    document, console = browse(write_report(run_with(tmp_path, ANALYSIS)), tmp_path / "profile")
    assert console == ""
    assert document.count("<svg") == 6  # trials, steps, confidence, the network, two hyperparameters


def test_the_browser_draws_a_run_of_500_trials(tmp_path: Path) -> None:
    document, console = browse(write_report(large_run(tmp_path / "run")), tmp_path / "profile")
    assert console == ""
    assert document.count("data-about") > TRIALS
    assert document.count("<svg") == 1 + 2 + 3 + 1  # trials; tau and coverage; three rounds; steps


def test_a_click_shows_a_candidates_hyperparameters(tmp_path: Path) -> None:
    page = write_report(run_with(tmp_path, ANALYSIS))
    html = page.read_text(encoding="utf-8")
    # A finger of ours on the mark, which the page's policy would not let in.
    html = re.sub(r"script-src '[^']*'", "script-src 'unsafe-inline'", html)
    click = "document.querySelectorAll('circle[data-about]')[3].dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    page.write_text(html.replace("</body>", f"<script>{click}</script></body>"), encoding="utf-8")
    document, console = browse(page, tmp_path / "profile")
    assert console == ""
    about = re.search(r'<pre class="about"[^>]*>(.*?)</pre>', document, re.S)
    assert about is not None
    assert about[1].splitlines() == [
        "trial 3: error 7.00 %, 1,200 parameters",
        "depth = 2",
        "lr = 0.004",
        "activation = relu",
    ]


def test_the_policy_keeps_other_scripts_out(tmp_path: Path) -> None:
    page = write_report(run_with(tmp_path, ANALYSIS))
    html = page.read_text(encoding="utf-8")
    page.write_text(html.replace("</body>", "<script>document.title = 'taken'</script></body>"), encoding="utf-8")
    document, console = browse(page, tmp_path / "profile")
    assert "taken</title>" not in document
    assert "Content Security Policy" in console
