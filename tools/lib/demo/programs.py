"""The programs of the demo, unmodified, with the counters that they print themselves."""
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
PLACE = ROOT / "build/demo"
FLEXAI = ROOT / "build/release/bin/flexai"
FLEXAID = ROOT / "build/release/bin/flexaid"
SOCKET = f"@flexai-demo-{os.getpid()}"  # a daemon of the demo's own, so that it meets nobody else's slices
PYTHON = ROOT / "build/venv/bin/python"
TRAIN = ROOT / "examples/1_share_one_card/train.py"

# An MD5 of something that eight printable characters do not give: the search goes on until it is stopped. With one tuning
# for every copy (-n, -u): left to itself hashcat tunes itself anew at each start, alone as well, and two copies then differ
# in what they make of the same card time.
HASHCAT = ["hashcat", "-m", "0", "-a", "3", "-w", "1", "-D", "1", "-n", "256", "-u", "256", "--force",
           "--status", "--status-json", "--status-timer", "1",
           "--potfile-disable", "--self-test-disable", "--logfile-disable", "--restore-disable", "8743b52063cd84097a65d1633f5c74f5", "?a" * 8]


def environment():
    """The demo's daemon; kernel caches that stay in build/demo; tinygrad is told to use OpenCL."""
    caches = PLACE / "cache"
    (caches / "pocl").mkdir(parents=True, exist_ok=True)
    return {**os.environ, "FLEXAI_SOCKET": SOCKET, "DEV": "CL", "POCL_CACHE_DIR": str(caches / "pocl"), "XDG_CACHE_HOME": str(caches),
            "PYTHONUNBUFFERED": "1"}


class Program:
    """A program, plain or under `flexai run`; its output goes to a log and through the counter's pattern."""

    def __init__(self, name, command, slice_options=None):
        self.name = name
        self.counts = []  # (time, value) as the program prints them
        run = [] if slice_options is None else [str(FLEXAI), "run", *slice_options, "--"]
        self.log = PLACE / f"{name.replace(' ', '-')}.log"
        self.child = subprocess.Popen([*run, *map(str, command)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, env=environment(), cwd=PLACE, text=True, errors="replace",
                                      start_new_session=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    @property
    def pid(self):
        return self.child.pid  # `flexai run` becomes the program: the same process

    def _read(self):
        with open(self.log, "w") as log:
            for line in self.child.stdout:
                log.write(line)
                log.flush()
                value = self.parse(line)
                if value is not None:
                    self.counts.append((time.monotonic(), value))

    def parse(self, line):
        return None

    def count_at(self, moment):
        """The counter at `moment`, on the straight line between the values printed around it."""
        counts = list(self.counts)
        for (t0, v0), (t1, v1) in zip(counts, counts[1:]):
            if t0 <= moment <= t1:
                return v0 + (v1 - v0) * (moment - t0) / (t1 - t0)
        return None

    def running(self):
        return self.child.poll() is None

    def output(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait(self, limit_s):
        status = self.child.wait(timeout=limit_s)
        self.reader.join(timeout=5)
        return status

    def stop(self):
        if self.running():
            os.killpg(self.child.pid, signal.SIGTERM)
            try:
                self.child.wait(timeout=5)
            except subprocess.TimeoutExpired:
                os.killpg(self.child.pid, signal.SIGKILL)
                self.child.wait()


class Hashcat(Program):
    unit = "MH/s"
    scale = 1e-6

    def __init__(self, name, slice_options=None, more=()):
        super().__init__(name, [*HASHCAT, "--session", f"flexai-{os.getpid()}-{name.replace(' ', '-')}", *more], slice_options)

    def parse(self, line):
        found = re.search(r'"progress": \[(\d+),', line)
        return int(found.group(1)) if found else None


class Train(Program):
    unit = "steps/s"
    scale = 1

    def __init__(self, name, slice_options=None, more=()):
        super().__init__(name, [PYTHON, TRAIN, *more], slice_options)


def machine_seconds():
    """Processor seconds that all programs of this machine have used since it started."""
    fields = pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def process_seconds(pid):
    """Processor seconds that one process has used, all its threads together."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
