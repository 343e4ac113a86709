"""The file of our own, `melbeam_front_end.json`, which keeps what keras-hub's cannot express."""

from __future__ import annotations

from typing import Any

from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.presets.preset import FAMILIES, Fields, Preset, PresetError


def from_own(content: dict[str, Any], where: str) -> Preset:
    """The front end of a parsed `melbeam_front_end.json`.

    Raises:
        PresetError: it is not as melbeam writes it, or was edited.
    """
    fields = Fields(content, where)
    front_end_fields, fingerprint, family = (
        fields.need(key, "melbeam wrote it otherwise") for key in ("front_end", "fingerprint", "family")
    )
    fields.finish()
    if family not in (None, *FAMILIES):
        raise PresetError(f"{where}: family must be {', '.join(FAMILIES)} or null, got {family!r}")
    front_end = FrontEnd.from_dict(front_end_fields)
    if front_end.fingerprint != fingerprint:
        raise PresetError(
            f"{where}: its fingerprint {fingerprint!r} is not that of its front end, {front_end.fingerprint!r}: "
            "the file was edited, or another version of melbeam computes otherwise"
        )
    return Preset(front_end, family)


def to_own(front_end: FrontEnd, family: str | None) -> dict[str, Any]:
    """The JSON value of the file, from which `from_own` gives the same back."""
    return {"front_end": front_end.to_dict(), "fingerprint": front_end.fingerprint, "family": family}
