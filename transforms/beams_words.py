"""Beam's words, at its import, on packages that it could do with: they say nothing to whoever imports melbeam.

A path of gs:// says better than the first what is missing, and google-crc32c, which melbeam brings, does the work
of the package that the second names.
"""

from __future__ import annotations

import logging

_ON_PACKAGES = ("apitools not found", "crcmod package not found")


class _NotOnPackages(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(_ON_PACKAGES)


def leave_out_words_on_packages() -> None:
    """Keeps them from the root logger, on which Beam says them; all else that it logs is said."""
    root = logging.getLogger()
    if not any(isinstance(one, _NotOnPackages) for one in root.filters):
        root.addFilter(_NotOnPackages())
