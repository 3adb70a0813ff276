#!/usr/bin/env python3
"""Does each tenant get the share that it was promised, and do they together get the whole card?

Programs that count their own work run side by side in slices. One line per tenant:
  asked      the share (or limit) it was given
  of sum     its part of what all tenants of the cell did, each counted against itself alone
  of alone   what it did, against the same program with the whole card to itself
  error      of alone - asked, in points
  sum        what all did together, of alone: what the slices deliver of the card
Programs alone and tenants together take turns of about a second, over and over, while the others are stopped: the speed of a
machine drifts by more than what is measured here. A turn that another guest of the host disturbs is worth nothing: "alone" and
"sum" are medians over the turns, "of sum" counts them all. The last lines sum up both errors; they are ratios of one run, so
they hold for any card.
"""
import argparse
import dataclasses
import itertools
import json
import re
import signal
import statistics
import subprocess
import sys
import time

import tenants

# A batch is long enough that waiting for it costs nothing that counts, and short enough for many in a window.
BATCH_MS = 5
WARM_MS = 20
TURN_S = 0.8
# A tenant alone runs and waits in turns of its own: many of them, so that a part of one at either end does not count.
ALONE_S = 4
# After a turn's begin the tenants find their pace; what they do meanwhile does not count.
SETTLE_S = 0.2


@dataclasses.dataclass(frozen=True)
class Cell:
    name: str
    shares: tuple  # percent, one for each tenant
    lengths: tuple  # kernel lengths in ms as spin reads them, one for each tenant


def matrix():
    for pair, length in itertools.product(((10, 90), (30, 70), (50, 50)), ("0.2", "5", "500")):
        yield Cell(f"pair {pair[0]}/{pair[1]} {length} ms", pair, (length, length))
    for pair in ((10, 90), (30, 70), (50, 50)):
        yield Cell(f"mixed {pair[0]}/{pair[1]} 0.2 against 500 ms", pair, ("0.2", "500"))
        yield Cell(f"mixed {pair[0]}/{pair[1]} 0.2, 5, 50 ms", pair, ("0.2,5,50", "50,5,0.2"))
    yield Cell("three 20/30/50 5 ms", (20, 30, 50), ("5", "5", "5"))
    yield Cell("three 20/30/50 0.2, 5, 500 ms", (20, 30, 50), ("0.2", "5", "500"))
    yield Cell("four 10/20/30/40 5 ms", (10, 20, 30, 40), ("5",) * 4)
    yield Cell("four 25/25/25/25 0.2, 5, 50, 500 ms", (25,) * 4, ("0.2", "5", "50", "500"))
    for limit, length in itertools.product((10, 30, 50, 90), ("0.2", "5", "500")):
        yield Cell(f"limit {limit} {length} ms", (limit,), (length,))


def batch(length):
    return max(1, round(BATCH_MS / statistics.mean(map(float, length.split(",")))))


class Program:
    """A spin that stands still, but for its turns."""

    def __init__(self, bench, length, prefix=()):
        self.child = subprocess.Popen([*prefix, bench.spin, length, str(batch(length)), bench.per_ms], env=bench.env,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.rates = []  # of each turn
        while self.sample()[1] < WARM_MS:
            time.sleep(0.01)  # poll
        self.stop()

    def sample(self):
        """Time, and work done. Units: s, ms of the whole card."""
        self.child.stdin.write(b"\n")
        line = self.child.stdout.readline()
        if not line:
            sys.exit(f"a program ended with {self.child.wait()}: {' '.join(map(str, self.child.args))}")
        return tuple(map(float, line.split()))

    def stop(self):
        self.child.send_signal(signal.SIGSTOP)

    def end(self):
        self.child.send_signal(signal.SIGCONT)
        self.child.stdin.close()
        self.child.wait()
        self.child.stdout.close()


def turn(programs, seconds):
    for program in programs:
        program.child.send_signal(signal.SIGCONT)
    time.sleep(SETTLE_S)
    before = [program.sample() for program in programs]
    time.sleep(seconds)
    for program, (begin, done) in zip(programs, before):
        end, work = program.sample()
        program.rates.append((work - done) / (end - begin))
    for program in programs:
        program.stop()


class Bench:
    def __init__(self, folder, spin, env, options):
        self.folder, self.spin, self.env, self.options = folder, spin, env, options
        calibrated = subprocess.run([spin, "--calibrate"], env=env, capture_output=True, text=True, check=True)
        self.per_ms = calibrated.stdout.strip()

    def measure(self, cell):
        alone = {length: Program(self, length) for length in sorted(set(cell.lengths))}
        # A slice is given back soon after its program has ended: the next one waits for room, as with people.
        together = [Program(self, length, [self.folder / "flexai", "run", "--quiet", "--share", f"{share}%", "--memory", "64Mi", "--"])
                    for share, length in zip(cell.shares, cell.lengths)]
        length = TURN_S if len(together) > 1 else ALONE_S
        for _ in range(max(3, round(self.options.seconds / length))):
            for program in alone.values():
                turn([program], TURN_S)
            turn(together, length)
        for program in (*alone.values(), *together):
            program.end()
        full = [statistics.median(alone[length].rates) for length in cell.lengths]
        delivered = statistics.median(sum(rate / one for rate, one in zip(rates, full)) for rates in zip(*(p.rates for p in together)))
        parts = [sum(program.rates) / one for program, one in zip(together, full)]
        of_sum = [part / sum(parts) if sum(parts) else 0.0 for part in parts]
        return [{"cell": cell.name, "length_ms": length, "asked_percent": share, "of_sum_percent": 100 * part,
                 "of_alone_percent": 100 * part * delivered, "error_points": 100 * part * delivered - share,
                 "sum_percent": 100 * delivered, "tenants": len(together)}
                for share, length, part in zip(cell.shares, cell.lengths, of_sum)]


def show(rows):
    for at, row in enumerate(rows):
        print(f"{row['cell'] if at == 0 else '':<38}{row['length_ms']:>10}{row['asked_percent']:>7}"
              f"{row['of_sum_percent']:>9.2f}{row['of_alone_percent']:>10.2f}{row['error_points']:>+8.2f}"
              + (f"{row['sum_percent']:>8.1f}" if at == 0 else ""), flush=True)


def summary(rows):
    """Mean and worst of both errors; a tenant alone is always all of the sum, which says nothing."""
    alone = [abs(row["error_points"]) for row in rows]
    of_sum = [abs(row["of_sum_percent"] - row["asked_percent"]) for row in rows if row["tenants"] > 1]
    found = {"mean_error_points": statistics.mean(alone), "worst_error_points": max(alone)}
    if of_sum:
        found |= {"mean_error_of_sum_points": statistics.mean(of_sum), "worst_error_of_sum_points": max(of_sum),
                  "least_sum_percent": min(row["sum_percent"] for row in rows if row["tenants"] > 1)}
    return found


def main():
    parser = tenants.parser_with_programs(argparse.ArgumentParser(description=__doc__,
                                                                 formatter_class=argparse.RawDescriptionHelpFormatter))
    parser.add_argument("--seconds", type=float, default=20, help="of each cell, tenants together (default: %(default)s)")
    parser.add_argument("--only", default=".", metavar="REGEX", help="cells whose name holds this; --list shows the names")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    options = parser.parse_args()
    cells = [cell for cell in matrix() if re.search(options.only, cell.name)]
    if not cells:
        parser.error(f"no cell's name holds '{options.only}'; see --list")
    if options.list:
        print("\n".join(cell.name for cell in cells))
        return
    folder = tenants.programs(options)
    spin = folder.parent / "bench" / "spin"
    if not spin.exists():
        sys.exit(f"{spin} is missing: the build leaves it out where the card's headers are not installed")
    rows = []
    if options.output == "table":
        print(f"{'cell':<38}{'kernel ms':>10}{'asked':>7}{'of sum':>9}{'of alone':>10}{'error':>8}{'sum':>8}", flush=True)
    with tenants.daemon(folder) as env:
        bench = Bench(folder, spin, env, options)
        for cell in cells:
            found = bench.measure(cell)
            rows += found
            if options.output == "table":
                show(found)
    found = summary(rows)
    if options.output == "json":
        print(json.dumps({"seconds": options.seconds, "rows": rows, **found}, indent=2))
        return
    print(f"error against alone: mean {found['mean_error_points']:.2f}, worst {found['worst_error_points']:.2f} points")
    if "least_sum_percent" in found:
        print(f"error of the sum:    mean {found['mean_error_of_sum_points']:.2f}, "
              f"worst {found['worst_error_of_sum_points']:.2f} points; least sum {found['least_sum_percent']:.1f} %")


if __name__ == "__main__":
    main()
