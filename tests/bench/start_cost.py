#!/usr/bin/env python3
"""What `flexai run` adds to the start of a program: `flexai run -- true` beside `true`, in turns.

Prints the median of each, their difference and their ratio. The daemon is up, as it is for a second program.
"""
import argparse
import json
import statistics
import subprocess
import time

import tenants


def timed(command, env):
    begin = time.perf_counter()
    subprocess.run(command, env=env, check=True, stdin=subprocess.DEVNULL)
    return (time.perf_counter() - begin) * 1e3


def main():
    parser = tenants.parser_with_programs(argparse.ArgumentParser(description=__doc__,
                                                                 formatter_class=argparse.RawDescriptionHelpFormatter))
    parser.add_argument("--runs", type=int, default=50, help="of each (default: %(default)s)")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    folder = tenants.programs(options)
    ways = {"true": ["true"], "flexai run -- true": [folder / "flexai", "run", "--quiet", "--share", "1%", "--", "true"]}
    times = {way: [] for way in ways}
    with tenants.daemon(folder) as env:
        for command in ways.values():
            timed(command, env)  # into the file cache
        for _ in range(options.runs):
            for way, command in ways.items():
                times[way].append(timed(command, env))
    bare, sliced = (statistics.median(times[way]) for way in ways)
    found = {"runs": options.runs, "true_ms": bare, "flexai_run_ms": sliced, "difference_ms": sliced - bare, "ratio": sliced / bare}
    if options.output == "json":
        print(json.dumps(found, indent=2))
        return
    print(f"{'program':<20}{'median ms':>12}{'fastest':>10}{'slowest':>10}")
    for way, each in times.items():
        print(f"{way:<20}{statistics.median(each):>12.2f}{min(each):>10.2f}{max(each):>10.2f}")
    print(f"flexai run adds {sliced - bare:.2f} ms: {sliced / bare:.1f} times as long")


if __name__ == "__main__":
    main()
