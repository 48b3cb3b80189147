"""Say what it takes to make a profile's tables: runs, hours, disk; or print the profile itself, or write its orders."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from emlc.records.artefacts import read_json
from emlc.records.errors import SuiteError
from pipelines.machine.cli import Parser, at_least, run
from pipelines.machine.devices import device_name, find_device, use_reproducible_kernels
from pipelines.planning.batches import as_line, batches
from pipelines.planning.clock import Clock
from pipelines.planning.hours import TABLE_TIME, recorded_times, seconds_here
from pipelines.planning.plan import Times, as_markdown, as_size, check_disk, plan, run_seconds
from pipelines.planning.rates import read_loops
from pipelines.profile.load import load_profile
from pipelines.profile.model import Profile
from pipelines.profile.places import DEFAULT_PROFILE, ROOT
from pipelines.workflow.jobs import Jobs

GROUPING = {"seeds_per_job": "seeds that one job trains", "cells_per_job": "cells of a method that one job trains"}


def main(argv: Sequence[str]) -> int:
    """Run the step; an error if the disk cannot hold what is still to be made."""
    parser = Parser("pipelines.plan", description=__doc__)
    parser.add_argument("--config", type=Path, nargs="+", default=[DEFAULT_PROFILE], help="profile files")
    parser.add_argument("--recorded", type=Path, default=ROOT / "results" / "recorded", help="folder of more records")
    parser.add_argument(
        "--loops", type=Path, nargs="+", default=[], metavar="JSON", help="speeds that pipelines.bench.loops measured"
    )
    parser.add_argument("--device", help="as records name it; default: what the profile's device is on this machine")
    for name, meaning in GROUPING.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=at_least(1), help=f"{meaning}; default: the profile's")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--resolved", action="store_true", help="print the profile with what it is based on, no plan")
    what.add_argument("--orders", action="store_true", help="write all steps' orders, for machines without Snakemake")
    args = parser.parse_args(argv)
    grouping = {name: vars(args)[name] for name in GROUPING if vars(args)[name]}
    profile = load_profile(args.config).model_copy(update=grouping)
    if args.resolved:
        print(yaml.safe_dump(profile.model_dump(mode="json", exclude_unset=True), sort_keys=False), end="")
    elif args.orders:
        Jobs(profile, configfiles=tuple(map(str, args.config))).write_orders()
    else:
        _print_plan(profile, args.device or _device_here(profile), [*args.loops, args.recorded])
    return 0


def _print_plan(profile: Profile, device: str, recorded: Sequence[Path]) -> None:
    jobs = Jobs(profile)
    folders = [ROOT / "results" / "runs", ROOT / "results" / "store" / "encoders", recorded[-1]]
    titles = ", ".join(table.title for table in profile.tables.values())
    free = as_size(shutil.disk_usage(ROOT).free)
    on_gpu, at_hand = not device.startswith("cpu"), device == _device_here(profile)
    clock = Clock(device, on_gpu, at_hand, read_loops(recorded), profile.seeds_per_job)
    times = Times(device, recorded_times(folders), clock)
    items = plan(jobs, times)
    print(f"{titles} of profile `{profile.profile}` on {device}; {free} of disk free.")
    print(f"{as_line(batches(jobs), lambda run: run_seconds(jobs, run, times)[0])}\n\n{as_markdown(items)}")
    if profile == load_profile() and (ROOT / TABLE_TIME).exists():
        runs = sum(item.to_do for item in items if item.step == "train")
        print(f"\n{_time_here(read_json(ROOT / TABLE_TIME), runs)}")
    check_disk(jobs)


def _time_here(known: Mapping[str, Any], runs: int) -> str:
    """Return in words how long runs of the default profile take on this machine."""
    use_reproducible_kernels()
    from pipelines.machine.speed import reference_seconds

    cores, here = os.cpu_count() or 1, reference_seconds()
    minutes = seconds_here(known, runs, here, cores) / 60
    return f"{runs} runs: about {minutes:.1f} minutes on {cores} cores; the reference loop takes {here:.2f} s here."


def _device_here(profile: Profile) -> str:
    """Return the name of the device that the profile means here, or what it asks for if that is not there."""
    try:
        return device_name(find_device(profile.device))
    except SuiteError:
        return f"{profile.device} (none on this machine)"


if __name__ == "__main__":
    run(main)
