"""Calls of a program in a slice led past us from outside, and to us again: what our part costs is seen in one process.

Two processes of one program differ by more than our part of it. Where no stage listens to a function, its entry makes two loads and jumps to the
driver; that is what is left of us then, and of a launch that its arguments are kept besides: 44 of its 121 instructions.
Needs nm, the symbols of the build's library, and the right to write to the program's memory.
"""
import os
import pathlib
import struct
import subprocess

LIBRARY = "lib/cuda/libcuda.so.1"
STARTED = 0x80  # intercept::Chassis::kStarted, alone: nobody listens


class Switch:
    """Of the program `pid`, which rests whenever it is switched: work that only began or only ended before our eyes would be counted wrongly."""

    def __init__(self, build, pid):
        self.pid = pid
        try:
            self.memory = os.open(f"/proc/{pid}/mem", os.O_RDWR)
            named = subprocess.run(["nm", build / LIBRARY], capture_output=True, text=True, check=True).stdout
            symbols = [line.split() for line in named.splitlines() if "g_chassis" in line and "Entries" not in line]
            offset = next(int(value, 16) for value, kind, _ in symbols if kind in "bBdD")
            # intercept::Chassis: library, start, what is heard of each function, where each goes, how many there are.
            _, _, self.at, _, count = struct.unpack("<QQQQH", os.pread(self.memory, 34, self.base() + offset))
            self.heard = os.pread(self.memory, count, self.at)
        except (OSError, subprocess.CalledProcessError, StopIteration) as failure:
            raise RuntimeError(f"calls of process {pid} cannot be led past us: {failure or 'no symbols in ' + LIBRARY}") from failure
        if not all(state & STARTED for state in self.heard) or not any(state & ~STARTED for state in self.heard):
            raise RuntimeError(f"{LIBRARY} of process {pid} is not as expected: {sorted(set(self.heard))}")

    def base(self):
        for line in pathlib.Path(f"/proc/{self.pid}/maps").read_text().splitlines():
            if line.endswith(LIBRARY) and line.split()[2] == "00000000":
                return int(line.split("-")[0], 16)
        raise RuntimeError(f"process {self.pid} has no {LIBRARY}")

    def to_us(self, yes):
        os.pwrite(self.memory, self.heard if yes else bytes([STARTED]) * len(self.heard), self.at)

    def close(self):
        self.to_us(True)
        os.close(self.memory)

    def own_seconds(self):
        """On cores, of our threads in the program."""
        tasks = pathlib.Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks if (task / "comm").read_text().startswith("flexai")) / 1e9
