"""The few lines of JavaScript of the page: a mark that is clicked, or entered by key, says below what it is."""

from __future__ import annotations

import base64
import hashlib

SCRIPT = """
function tell(mark) {
  const about = mark.closest('section').querySelector('.about');
  if (!about) return;
  document.querySelectorAll('.chosen').forEach(one => one.classList.remove('chosen'));
  mark.classList.add('chosen');
  about.textContent = mark.dataset.about;
}
document.addEventListener('click', event => {
  const mark = event.target.closest('[data-about]');
  if (mark) tell(mark);
});
document.addEventListener('keydown', event => {
  if ((event.key === 'Enter' || event.key === ' ') && event.target.dataset && event.target.dataset.about) {
    event.preventDefault();
    tell(event.target);
  }
});
"""
# By which a browser knows these lines, and runs no others.
SCRIPT_HASH = f"sha256-{base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()}"
