"""What the demo shows while it runs: a live table on a terminal, a line now and then elsewhere."""
import os
import sys
import time

LINE_EVERY_S = 5


def mebibytes(number):
    return "none" if not number else f"{number / 2**20:.0f} Mi"


class View:
    def __init__(self):
        self.live = sys.stdout.isatty()
        self.colour = self.live and not os.environ.get("NO_COLOR")
        self.lines = 0
        self.said = 0.0

    def title(self, text):
        self.settle()
        print(f"\n\033[1m{text}\033[0m" if self.colour else f"\n{text}", flush=True)

    def say(self, text):
        self.settle()
        print(text, flush=True)

    def settle(self):
        """Leaves the live table where it is; what follows goes below."""
        self.lines = 0

    def table(self, what, rows):
        """Shows `rows` (dicts of slice, program, asked, received, memory, limit, speed), in place on a terminal."""
        now = time.monotonic()
        if not self.live:
            if now - self.said < LINE_EVERY_S:
                return
            self.said = now
            print(f"  {what}: " + "; ".join(f"{row['program']} asked {row['asked']}, receives {row['received']}, {row['speed']}"
                                            for row in rows), flush=True)
            return
        head = f"  {'SLICE':9}{'PROGRAM':16}{'ASKED':>7}{'RECEIVED':>10}  {'':20}{'MEMORY':>9}{'LIMIT':>9}{'SPEED':>14}"
        lines = [f"  {what}", head]
        for row in rows:
            part = row["ratio"] or 0.0
            bar = "#" * round(20 * min(1.0, part))
            lines.append(f"  {row['slice']:9}{row['program']:16}{row['asked']:>7}{row['received']:>10}  {bar:20}"
                         f"{row['memory']:>9}{row['limit']:>9}{row['speed']:>14}")
        if self.lines:
            sys.stdout.write(f"\033[{self.lines}A")
        sys.stdout.write("".join(f"\033[2K{line}\n" for line in lines))
        sys.stdout.flush()
        self.lines = len(lines)
