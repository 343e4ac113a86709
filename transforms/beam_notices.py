"""What Beam logs when it is imported, about packages that it misses: it is of no use to whoever imports melbeam.

The first notice is about `gs://`: a job that names such a path says better what is missing. The second is about
crcmod, whose work google-crc32c does, which is installed with melbeam.
"""

from __future__ import annotations

import logging

_NOTICES = ("apitools not found", "crcmod package not found")


class _WithoutNotices(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(_NOTICES)


def silence_package_notices() -> None:
    """Keeps these notices out of the root logger, to which Beam sends them; everything else passes."""
    root = logging.getLogger()
    if not any(isinstance(one, _WithoutNotices) for one in root.filters):
        root.addFilter(_WithoutNotices())
