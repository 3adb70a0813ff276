"""What the demo shows while it runs: a live table on a terminal, a line now and then elsewhere."""
import os
import shutil
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
        head = f"  {'SLICE':7}{'PROGRAM':13}{'ASKED':>6}{'RECEIVED':>9}  {'':10}{'MEMORY':>8}{'LIMIT':>9}{'SPEED':>13}"
        lines = [f"  {what}", head]
        for row in rows:
            part = row["ratio"] or 0.0
            bar = "#" * round(10 * min(1.0, part))
            lines.append(f"  {row['slice']:7}{row['program']:13}{row['asked']:>6}{row['received']:>9}  {bar:10}"
                         f"{row['memory']:>8}{row['limit']:>9}{row['speed']:>13}")
        if self.lines:
            sys.stdout.write(f"\033[{self.lines}A")
        width = shutil.get_terminal_size().columns  # a line that wraps would not be overwritten
        sys.stdout.write("".join(f"\033[2K{line[:width]}\n" for line in lines))
        sys.stdout.flush()
        self.lines = len(lines)
