"""Addresses as they may be shown and written down: without passwords."""

from __future__ import annotations

import re

_BEFORE_HOST = re.compile(r"(?P<user>\w[\w+.-]*://[^\s/?#:]*):[^\s/?#]*@")
_IN_QUERY = re.compile(r"(?P<name>[?&;]\w*(?:pass|password|passwd|secret|token))=[^\s&;#]*", re.IGNORECASE)


def without_password(text: str) -> str:
    """``text`` with the password of each URL in it left out, wherever it stands there.

    ``postgresql://ann:xyz@host/db`` becomes ``postgresql://ann@host/db``.
    """
    return _IN_QUERY.sub(r"\g<name>=...", _BEFORE_HOST.sub(r"\g<user>@", text))
