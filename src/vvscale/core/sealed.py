"""JSON records that carry a digest of their own content, so that a changed one is never taken for sound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vvscale.core.hashing import digest_of

SEAL = "content_sha256"


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON value with the digest of the rest of it under ``content_sha256``.

    Examples
    --------
    >>> record = sealed({"accuracy": 0.5})
    >>> seal_holds(record), seal_holds(record | {"accuracy": 0.9})
    (True, False)
    """
    rest = {key: value for key, value in content.items() if key != SEAL}
    return {**rest, SEAL: digest_of(rest)}


def seal_holds(record: Mapping[str, Any]) -> bool:
    """Whether a record is what it was when it was sealed; one without a seal is not."""
    try:
        return record.get(SEAL) == sealed(record)[SEAL]
    except ValueError:
        # NaN, infinity or half of a surrogate pair: Python reads them, but none was ever sealed.
        return False
