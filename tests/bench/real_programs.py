#!/usr/bin/env python3
"""Do real programs get their shares, by the counters that they print themselves?

Two copies of one program run side by side in slices. One line per pair of shares: asked, and the part that each did of what
both did. A program that leaves the card idle between its kernels cannot be given more than it takes: the last column says
how much of the card both received. hashcat tunes itself when it starts, differently each time, alone as well: both copies
are given one and the same tuning.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/lib/demo"))
from programs import FLEXAI, FLEXAID, PLACE, PYTHON, SOCKET, Hashcat, Program, environment

SHARES = (30, 70), (10, 90)
LIMIT_S = 180


class Net(Program):
    unit, scale, net = "steps/s", 1, ""

    def __init__(self, name, slice_options=None):
        super().__init__(name, [PYTHON, ROOT / "tests/bench/train.py", self.net], slice_options)

    def parse(self, line):
        found = re.match(r"steps (\d+)", line)
        return int(found.group(1)) if found else None


class Mlp(Net):
    net = "mlp"


class Convnet(Net):
    net = "convnet"


PROGRAMS = {"hashcat": Hashcat, "tinygrad mlp": Mlp, "tinygrad convnet": Convnet}


def counting(programs, counts=4):
    end = time.monotonic() + LIMIT_S
    while any(len(program.counts) < counts for program in programs):
        for program in programs:
            if not program.running():
                sys.exit(f"{program.name} ended by itself; its output:\n{program.output()[-2000:]}")
        if time.monotonic() > end:
            sys.exit(f"no counters within {LIMIT_S} s; see {PLACE}")
        time.sleep(0.05)  # poll


def received(programs):
    asked = subprocess.run([FLEXAI, "status", "-o", "json"], env=environment(), capture_output=True, text=True, check=True)
    slices = {each["leader_pid"]: each for each in json.loads(asked.stdout)["slices"]}
    return sum(slices[program.pid]["compute_received_seconds"] for program in programs)


def warm(name):
    """The driver keeps what it compiles for the next one; two that compile the same at once can fail in it."""
    program = PROGRAMS[name](f"{name} warm", ["--quiet", "--share", "100%", "--memory", "1Gi"])
    try:
        counting([program], 1)
    finally:
        program.stop()


def measure(name, shares, seconds):
    programs = [PROGRAMS[name](f"{name} {share}", ["--quiet", "--share", f"{share}%", "--memory", "1Gi"]) for share in shares]
    try:
        counting(programs)
        begin, before = time.monotonic(), received(programs)
        time.sleep(seconds)
        end, after = time.monotonic(), received(programs)
        while any(program.counts[-1][0] < end for program in programs):
            time.sleep(0.05)  # poll: the counters are printed once in a while
        work = [program.count_at(end) - program.count_at(begin) for program in programs]
    finally:
        for program in programs:
            program.stop()
    return {"program": name, "unit": programs[0].unit, "asked_percent": shares,
            "of_sum_percent": [100 * each / sum(work) for each in work],
            "speed": [each * programs[0].scale / (end - begin) for each in work],
            "card_received_percent": 100 * (after - before) / (end - begin)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30, help="of each pair (default: %(default)s)")
    parser.add_argument("--only", choices=PROGRAMS, action="append")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    options = parser.parse_args()
    PLACE.mkdir(parents=True, exist_ok=True)
    daemon = subprocess.Popen([FLEXAID, "--socket", SOCKET])
    rows = []
    try:
        if options.output == "table":
            print(f"{'program':<18}{'asked':>10}{'of sum':>16}{'speed':>18} {'':<8}{'card':>6}", flush=True)
        for name in options.only or PROGRAMS:
            warm(name)
            for shares in SHARES:
                row = measure(name, shares, options.seconds)
                rows.append(row)
                if options.output == "table":
                    print(f"{name:<18}{'/'.join(map(str, shares)):>10}{'/'.join(f'{each:.2f}' for each in row['of_sum_percent']):>16}"
                          f"{'/'.join(f'{each:.1f}' for each in row['speed']):>18} {row['unit']:<8}"
                          f"{row['card_received_percent']:>6.1f}", flush=True)
    finally:
        daemon.terminate()
        daemon.wait()
    if options.output == "json":
        print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
