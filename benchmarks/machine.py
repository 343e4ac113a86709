"""What a benchmark's figures were measured on, for the JSON beside them."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from melbeam.pipelines.this_machine import num_cores


def describe(packages: list[str]) -> dict[str, Any]:
    """The processor, the system, the versions of the packages that are installed, and how busy the machine was."""
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": num_cores(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}, {platform.machine()}",
        "python": platform.python_version(),
        "packages": versions,
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def _processor() -> dict[str, Any]:
    """Name, vector instructions and caches, where Linux tells them."""
    found: dict[str, Any] = {"name": platform.processor() or platform.machine()}
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        pairs = [line.split(":", 1) for line in cpuinfo.read_text().splitlines() if ":" in line]
        fields = {key.strip(): value.strip() for key, value in reversed(pairs)}
        found["name"] = fields.get("model name", found["name"])
        found["vectors"] = [flag for flag in ("avx", "avx2", "avx512f") if flag in fields.get("flags", "").split()]
    for cache in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind = ((cache / name).read_text().strip() for name in ("level", "type"))
        if kind != "Instruction":
            found[f"L{level}"] = (cache / "size").read_text().strip()
    return found
