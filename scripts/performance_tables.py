"""Writes the benchmarks' tables and figures, in README and in docs/, from their JSON.

    python scripts/performance_tables.py

Each stands between two comments that name its file: `<!-- shard.json -->` and `<!-- /shard.json -->`, on lines of
their own or within one. The tests compare what stands there with what is made of the JSON; they measure nothing.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = ("README.md", "docs/performance.md", "docs/report.md", "docs/scale.md")
_BLOCK = re.compile(
    r"(<!-- (?P<name>[a-z_ ]+\.json)(?P<what>: [a-z ]+)? -->(?P<break>\n?)).*?(<!-- /(?P=name) -->)", re.DOTALL
)

LONG_JOB = "12 h of WAV, start included, of the clock"
HOUR_OF_LONG_JOB = "12 h of WAV, start included: an hour of audio"
FOR_THE_REPORT = "the same, an hour of audio"  # in shard.json: levels, constant bins, spread, distributions, index
MOST_FOR_THE_REPORT = 3  # percent of a job's time
# What docs/scale.md computes with.
VCPUS_A_CORE = 2
GB_OF_AUDIO, GB_OF_FEATURES = 0.1152, 0.1843  # an hour of 16-bit audio at 16 kHz; of float32 features
PRICE_OF_VCPU_HOUR, PRICE_OF_GB_MONTH = 0.072, 0.02  # US$
WORKERS = {1000: 2, 100_000: 20, 10_000_000: 500}
VCPUS_A_WORKER = 2
BOOT_MINUTES = 5


def made_page(text: str) -> str:
    """A page with its tables made anew."""

    def table(found: re.Match[str]) -> str:
        path = RESULTS / found["name"]
        if not path.exists():  # it was not run yet
            return found[0]
        results = json.loads(path.read_text())
        made = TABLES[found["what"]](results)
        return f"{found[1]}{made}{found['break']}{found[5]}"

    return _BLOCK.sub(table, text)


def claims_table(results: dict[str, Any]) -> str:
    """The claims of a benchmark as Markdown, and what they were measured on."""
    lines = ["| measured | median | least to most | target |", "|---|---|---|---|"]
    for claim in results["claims"]:
        unit = f" {claim['unit']}" if claim["unit"] else ""
        bound = "" if claim["target"] is None else f"{'≥' if claim['at_least'] else '≤'} {claim['target']:g}{unit}"
        met = {None: "", True: ", met", False: ", not met"}[claim["is_met"]]
        spread = f"{claim['least']:g} to {claim['most']:g}" if claim["rounds"] > 1 else "one round"
        lines.append(f"| {claim['what']} | {claim['median']:g}{unit} | {spread} | {bound}{met} |")
    return "\n".join([*lines, "", _measured_on(results)])


def speeds_table(results: dict[str, Any]) -> str:
    """The kernel beside others, and the bound, as Markdown."""
    lines = [
        "| audio seconds per processor second | median | least to most | largest error |",
        "|---|---|---|---|",
    ]
    for name, speed in results["speeds"].items():
        if name.startswith(("bound float32,", "bound float64,", "baseline")):
            continue
        error = results["largest_errors"].get(name)
        lines.append(
            f"| {name} | {speed['median']:,.0f} | {speed['least']:,.0f} to {speed['most']:,.0f} | "
            f"{'' if error is None else f'{error:.1e}'} |"
        )
    return "\n".join([*lines, "", _measured_on(results)])


def ratios_table(results: dict[str, Any]) -> str:
    """The kernel's ratios within a round, the median of the rounds, as Markdown."""
    lines = ["| ratio, in one run | median |", "|---|---|"]
    lines += [f"| {name} | {ratio:.3g} |" for name, ratio in results["ratios"].items()]
    return "\n".join(lines)


def sources_table(results: dict[str, Any]) -> str:
    """Each kind of source beside TFRecords of the same clips, as Markdown."""
    lines = [
        "| source | audio seconds per processor second | of TFRecords | reading's part | MB that reading adds |",
        "|---|---|---|---|---|",
    ]
    for kind, speed in results["speeds"].items():
        megabytes = " and ".join(f"{size:g}" for size in results["MB that reading adds"][kind].values())
        lines.append(
            f"| {kind} | {speed['audio seconds a processor second']:,.0f} | {speed['of TFRecords']:.2f} | "
            f"{speed['reading']:.0%} | {megabytes} |"
        )
    return "\n".join([*lines, "", _measured_on(results)])


def kernel_in_words(results: dict[str, Any]) -> str:
    """Says what one thread does at the default precision, beside others."""
    speed, ratios = results["speeds"]["melbeam float64"]["median"], results["ratios"]
    return (
        f"One thread does {speed:.0f} seconds of audio per processor second at the default precision, one call a "
        f"clip: {ratios['melbeam float64 / keras-hub']:.1f} times keras-hub's converter and "
        f"{ratios['melbeam float64 / transformers']:.1f} times transformers' extractor in the same run; packed, "
        f"as in a job, {ratios['packed float64 / keras-hub']:.1f} times keras-hub's (`benchmarks/kernel.py`)."
    )


def job_in_words(results: dict[str, Any]) -> str:
    """Says what the longest job took."""
    seconds = _median(results, LONG_JOB)
    return (
        f"A job took 12 hours of WAV in {seconds:.1f} seconds on {results['machine']['cores']} cores, its start "
        "included (`benchmarks/pipeline.py`)."
    )


def for_the_report_in_words(results: dict[str, Any]) -> str:
    """Says how much of the longest job goes into what a report page needs, beside the sums of each bin."""
    milliseconds = _median(json.loads((RESULTS / "shard.json").read_text()), FOR_THE_REPORT)
    seconds = _median(results, HOUR_OF_LONG_JOB)
    percent = milliseconds / seconds / 10
    met = "met" if percent <= MOST_FOR_THE_REPORT else "not met"
    return (
        f"Of a job of 12 hours of WAV, its start included, they take **{percent:.1f} %**: {milliseconds:.0f} ms "
        f"of {seconds:.2f} s an hour of audio (`{results['command']}`; ≤ {MOST_FOR_THE_REPORT} %, {met})."
    )


def _median(results: dict[str, Any], what: str) -> float:
    return next(claim["median"] for claim in results["claims"] if claim["what"] == what)


def _measured_on(results: dict[str, Any]) -> str:
    """What command measured it, where."""
    machine = results["machine"]
    packages = {
        title: machine["packages"].get(name)
        for title, name in (("TensorFlow", "tensorflow"), ("Beam", "apache-beam"), ("keras-hub", "keras-hub"))
    }
    versions = "".join(f", {title} {version}" for title, version in packages.items() if version)
    load = "" if machine["load"] is None else f"; load {machine['load']:.1f} at the end"
    return (
        f"`{results['command']}`: {machine['processor']['name']}, {machine['cores']} cores, Python "
        f"{machine['python']}{versions}{load}."
    )


def corpora_table(results: dict[str, Any]) -> str:
    """What corpora of three sizes take, by the slope of 16-bit WAV."""
    slope = next(claim["median"] for claim in results["claims"] if claim["what"].startswith("16-bit WAV"))
    vcpu_seconds = slope * VCPUS_A_CORE
    lines = [
        f"An hour of 16-bit audio takes **{slope:.2f} processor seconds** (`{results['command']}`, the slope). A "
        f"cloud's vCPU is half a core, and object stores want work too, so count twice as many: "
        f"**{vcpu_seconds:.1f} vCPU seconds an hour of audio**, in each row below.",
        "",
        "| hours of audio | 16-bit input | features, float32 | vCPU hours | Dataflow workers of 2 vCPU | time | "
        "a worker reads and writes | Dataflow, US$ | features stored, US$ a month |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for hours, workers in WORKERS.items():
        vcpu_hours = hours * vcpu_seconds / 3600
        minutes = 60 * vcpu_hours / (workers * VCPUS_A_WORKER)
        mb_a_second = VCPUS_A_WORKER * (GB_OF_AUDIO + GB_OF_FEATURES) * 1000 / vcpu_seconds
        lines.append(
            f"| {hours:,} | {_bytes(hours * GB_OF_AUDIO)} | {_bytes(hours * GB_OF_FEATURES)} | "
            f"{vcpu_hours:,.1f} | {workers} | {_time(minutes + BOOT_MINUTES)} | {mb_a_second:.0f} MB/s | "
            f"{vcpu_hours * PRICE_OF_VCPU_HOUR:,.2f} | {hours * GB_OF_FEATURES * PRICE_OF_GB_MONTH:,.2f} |"
        )
    return "\n".join(lines)


TABLES = {
    None: claims_table,
    ": corpora": corpora_table,
    ": speeds": speeds_table,
    ": ratios": ratios_table,
    ": sources": sources_table,
    ": in words": kernel_in_words,
    ": the job in words": job_in_words,
    ": for the report": for_the_report_in_words,
}


def _bytes(gigabytes: float) -> str:
    for unit in ("GB", "TB"):
        if gigabytes < 1000:
            return f"{gigabytes:.3g} {unit}"
        gigabytes /= 1000
    return f"{gigabytes:.3g} PB"


def _time(minutes: float) -> str:
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def main() -> None:
    for page in PAGES:
        path = ROOT / page
        path.write_text(made_page(path.read_text()))


if __name__ == "__main__":
    main()
