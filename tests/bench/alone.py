#!/usr/bin/env python3
"""What does a real program alone on the card make under a hard limit, beside the same program stopped and continued by the clock?

Three copies of hashcat take turns, while the others are stopped: one with the whole card, one in a slice, one that this
script stops and continues by signals, without flexai, in the rhythm of the slice. One line per limit:
  slice      what the slice made, against the copy with the whole card, in percent
  by hand    the same of the copy that is stopped by hand: what the machine itself gives for that part of the time
A machine works slower when it works in bursts (clocks, sleeping cores, the host of a virtual machine); the second column says
how much, the first should be no less than the second.
"""
import argparse
import json
import os
import signal
import statistics
import subprocess
import time

import real_programs
from real_programs import FLEXAID, PLACE, ROOT, SOCKET, Hashcat, counting

LIMITS = 10, 30, 50, 90
PERIOD_S = 0.1  # of a slice's turns
SETTLE_S = 1.5


def in_rhythm(pid, limit, end):
    """Stops and continues a process by the clock. Returns the part of the time in which it ran."""
    begin = at = time.monotonic()
    ran = 0.0
    while at < end:
        time.sleep(PERIOD_S * limit / 100)
        os.killpg(pid, signal.SIGSTOP)
        stopped = time.monotonic()
        ran += stopped - at
        # What the stop came late makes the next start later.
        time.sleep(max(0.0, ran * 100 / limit - (stopped - begin)))
        os.killpg(pid, signal.SIGCONT)
        at = time.monotonic()
    return ran / (at - begin)


def rate(program, seconds, limit=None):
    """Work per second while all others are stopped."""
    os.killpg(program.pid, signal.SIGCONT)
    begin = time.monotonic() + SETTLE_S
    end = begin + seconds
    if limit:
        in_rhythm(program.pid, limit, end)
    while time.monotonic() < end or program.counts[-1][0] < end:
        if limit:
            in_rhythm(program.pid, limit, time.monotonic() + PERIOD_S)
        time.sleep(0 if limit else 0.02)  # poll: the counters are printed once in a second
    made = program.count_at(end) - program.count_at(begin)
    os.killpg(program.pid, signal.SIGSTOP)
    return made / seconds


def start(name, options):
    program = Hashcat(name, options)
    counting([program], 3)
    os.killpg(program.pid, signal.SIGSTOP)
    return program


def measure(limit, options):
    whole = start("hashcat whole", None)
    by_hand = start("hashcat by hand", None)
    in_slice = start("hashcat slice", ["--quiet", "--share", f"{limit}%", "--memory", "1Gi"])
    try:
        rounds = [(rate(whole, options.seconds), rate(in_slice, options.seconds), rate(by_hand, options.seconds, limit))
                  for _ in range(options.rounds)]
    finally:
        for program in (whole, by_hand, in_slice):
            os.killpg(program.pid, signal.SIGCONT)
            program.stop()
    alone, sliced, stopped = (statistics.median(rates) for rates in zip(*rounds))
    return {"limit_percent": limit, "alone_mhs": alone * Hashcat.scale, "slice_percent": 100 * sliced / alone,
            "by_hand_percent": 100 * stopped / alone}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5, help="of each turn (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of turns for each limit (default: %(default)s)")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    options = parser.parse_args()
    PLACE.mkdir(parents=True, exist_ok=True)
    daemon = subprocess.Popen([FLEXAID, "--socket", SOCKET])
    rows = []
    try:
        real_programs.warm("hashcat")
        if options.output == "table":
            print(f"{'limit':>5}{'alone':>14}{'slice':>9}{'by hand':>9}", flush=True)
        for limit in LIMITS:
            row = measure(limit, options)
            rows.append(row)
            if options.output == "table":
                print(f"{limit:>5}{row['alone_mhs']:>9.1f} MH/s{row['slice_percent']:>9.2f}{row['by_hand_percent']:>9.2f}", flush=True)
    finally:
        daemon.terminate()
        daemon.wait()
    if options.output == "json":
        print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
