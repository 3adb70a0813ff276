#!/usr/bin/env python3
"""Does each tenant get the share that it was promised, and do they together get the whole card?

Programs that count their own work run side by side in slices. One line per tenant:
  asked      the share (or limit) it was given
  of sum     its part of what all tenants of the cell did, each counted against itself alone
  of alone   what it did, against the same program with the whole card to itself
  error      of alone - asked, in points
  sum        what all did together, of alone: what the slices deliver of the card
A program alone runs before and after each cell, and the mean of both is "alone": the speed of a machine drifts by more than
what is measured here. The last lines sum up both errors; they are ratios of one run, so they hold for any card.
"""
import argparse
import dataclasses
import itertools
import json
import re
import statistics
import subprocess
import sys
import time

import tenants

# A batch is long enough that waiting for it costs nothing that counts, and short enough for many in a window.
BATCH_MS = 5


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
    for limit in (10, 30, 50, 90):
        yield Cell(f"limit {limit} 5 ms", (limit,), ("5",))


def batch(length):
    return max(1, round(BATCH_MS / statistics.mean(map(float, length.split(",")))))


class Bench:
    def __init__(self, folder, spin, env, options):
        self.folder, self.spin, self.env, self.options = folder, spin, env, options
        calibrated = subprocess.run([spin, "--calibrate"], env=env, capture_output=True, text=True, check=True)
        self.per_ms = calibrated.stdout.strip()

    def together(self, tenants_of_cell, seconds):
        """Rates of programs that run at once: (prefix of the command, length) for each."""
        start = time.time() + self.options.lead
        children = [subprocess.Popen([*prefix, self.spin, length, str(batch(length)), f"{start:.6f}", str(seconds), self.per_ms],
                                     env=self.env, stdout=subprocess.PIPE, text=True) for prefix, length in tenants_of_cell]
        rates = []
        for child in children:
            text, _ = child.communicate()
            if child.returncode != 0:
                sys.exit(f"a program ended with {child.returncode}: {' '.join(map(str, child.args))}")
            rates.append(float(text))
        return rates

    def alone(self, lengths):
        return {length: self.together([([], length)], self.options.alone_seconds)[0] for length in sorted(set(lengths))}

    def in_slices(self, cell):
        # A slice is given back soon after its program has ended: the next one waits for room, as with people.
        prefixes = [[self.folder / "flexai", "run", "--quiet", "--share", f"{share}%", "--memory", "64Mi", "--"] for share in cell.shares]
        return self.together(list(zip(prefixes, cell.lengths)), self.options.seconds)

    def measure(self, cell, before):
        rates = self.in_slices(cell)
        after = self.alone(cell.lengths)
        parts = [rate / statistics.mean((before[length], after[length])) for rate, length in zip(rates, cell.lengths)]
        return after, [{"cell": cell.name, "length_ms": length, "asked_percent": share,
                        "of_sum_percent": 100 * part / sum(parts) if sum(parts) else 0.0, "of_alone_percent": 100 * part,
                        "error_points": 100 * part - share, "sum_percent": 100 * sum(parts), "tenants": len(rates)}
                       for share, length, part in zip(cell.shares, cell.lengths, parts)]


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
    parser.add_argument("--seconds", type=float, default=20, help="of each cell (default: %(default)s)")
    parser.add_argument("--alone-seconds", type=float, default=5, help="of each run alone (default: %(default)s)")
    parser.add_argument("--lead", type=float, default=3,
                        help="seconds from the start of the programs to the window that counts (default: %(default)s)")
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
        known = {}
        for cell in cells:
            known |= bench.alone(set(cell.lengths) - set(known))
            after, found = bench.measure(cell, known)
            # The run after one cell is the run before the next, if that is of the same lengths.
            known = after
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
