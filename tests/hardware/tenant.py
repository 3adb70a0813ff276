"""A program in a slice that logs its progress, and what it did in a window of time."""
import bisect
import functools
import os
import pathlib
import select
import signal
import struct
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
SPIN = {"k01": 100, "k1": 1000, "k10": 10000, "k100": 100000}  # us of a kernel; a wait after each four
TORCH = "train", "gemm", "graph"  # of those that PyTorch does: what shares are measured with
MEMORY = {"train": "16Gi", "gemm": "2Gi", "graph": "4Gi", "serve": "4Gi", "infer": "4Gi", "compile": "4Gi", "jax": "6Gi", "two": "2Gi", "contexts": "2Gi"}
START_SECONDS = 90
PERIOD_NS = 100_000_000
LOGGED_SECONDS = 1.5  # a step of train under a share of 10 %, and the one before it
FAILED = []
STARTED = []  # every child


class Tenant:
    """A program in a slice that logs its progress."""

    def __init__(self, machine, name, kind, share, limit=100, more=(), priority="normal", native=False, env=()):
        self.machine, self.name = machine, name
        self.log = pathlib.Path(machine.folder.name) / f"{name}.log"
        if kind in SPIN:
            command = [machine.build / "test/card_spin", "run", self.log, machine.per_ms, SPIN[kind], 4, *more]
        elif kind in ("copy", "calls", "contexts", "leave", "left", "two", "wake"):
            command = [machine.build / "test/card_spin", kind, self.log, machine.per_ms, *more]
        elif kind == "opencl":
            command = [machine.build / "test/card_opencl", "run", self.log, machine.opencl_per_ms]
        elif kind == "jax":
            command = [sys.executable, HERE / "jax_work.py"]
        else:
            command = [sys.executable, HERE / "torch_work.py", self.log, kind, *more]
        run = [machine.build / "bin/flexai", "run", "--card", machine.card["card"], "--share", f"{share}%", "--limit", f"{limit}%",
               "--memory", "128Mi" if machine.fake else MEMORY.get(kind, "1Gi"), "--priority", priority, "--nowait", "--"]
        env = {**(machine.native() if native else machine.env), **dict(env)}
        self.child = subprocess.Popen([*([] if native else run), *map(str, command)], env=env, stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)
        STARTED.append(self.child)
        self.slice, self.card_percent = None, 0.0
        self.read, self.times, self.read_until = [], [], 0

    def ready(self):
        if not select.select([self.child.stdout], [], [], START_SECONDS)[0]:
            self.child.kill()
            raise RuntimeError(f"{self.name} has not begun within {START_SECONDS} s")
        if self.child.stdout.readline().strip() != "ready":
            raise RuntimeError(f"{self.name} ended before it began: {self.child.wait()}")
        for record in self.machine.status()["slices"]:
            if record["leader_pid"] == self.child.pid:
                self.slice = record["slice"]
        return self

    def flexai(self, *words):
        done = subprocess.run([self.machine.build / "bin/flexai", *words], env=self.machine.env, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"flexai {' '.join(words)}: {done.stderr}")

    def set(self, share, limit):
        self.flexai("set", self.slice, "--share", f"{share}%", "--limit", f"{limit}%")

    def pause(self, yes):
        self.flexai("pause" if yes else "resume", self.slice)

    def entries(self):
        data = self.log.read_bytes()
        return list(struct.iter_unpack("<qd", data[:len(data) // 16 * 16]))

    def logged_until(self, moment):
        """Waits until what it had done by `moment` is in its log; one that stands still, or logs nothing, is not waited for long."""
        deadline = time.monotonic() + LOGGED_SECONDS
        while time.monotonic() < deadline:
            with open(self.log, "rb") as log:
                whole = log.seek(0, os.SEEK_END) // 16 * 16
                if whole == 0:
                    return
                log.seek(whole - 16)
                if struct.unpack("<qd", log.read(16))[0] >= moment:
                    return
            time.sleep(0.005)  # poll

    def work(self, begin, end):
        """Work done between two moments, on straight lines between what was logged."""
        if end > self.read_until:
            self.read = self.entries()
            self.times = [t for t, _ in self.read]
            self.read_until = self.times[-1] if self.times else 0
        entries, times = self.read, self.times

        def at(moment):
            i = bisect.bisect_right(times, moment)
            if i == 0 or not entries:
                return 0.0
            if i == len(entries):
                return entries[-1][1]
            (t0, w0), (t1, w1) = entries[i - 1], entries[i]
            return w0 + (w1 - w0) * (moment - t0) / max(t1 - t0, 1)
        return at(end) - at(begin)

    def mean_clock(self, begin, end):
        told = pathlib.Path(f"{self.log}.clock")
        data = told.read_bytes() if told.exists() else b""
        inside = [ghz for at, ghz in struct.iter_unpack("<qd", data[:len(data) // 16 * 16]) if begin <= at <= end]
        return sum(inside) / len(inside) if inside else None

    def end(self):
        """At once, whatever it does; what it would say at its end is lost."""
        if self.child.poll() is not None:
            FAILED.append(f"{self.name} ended by itself with {self.child.returncode}")
            print("!!", FAILED[-1])
        self.child.kill()
        self.child.wait()

    def go(self):
        self.child.stdin.write("go\n")
        self.child.stdin.flush()

    def answer(self):
        return [float(word) for word in self.child.stdout.readline().split()]

    def ask(self):
        """The numbers that it answers a line with."""
        self.go()
        return self.answer()

    def stop(self):
        if self.child.poll() is not None:
            FAILED.append(f"{self.name} ended by itself with {self.child.returncode}")
            print("!!", FAILED[-1])
            return ""
        os.kill(self.child.pid, signal.SIGTERM)
        try:
            return self.child.communicate(timeout=30)[0]
        except subprocess.TimeoutExpired:
            FAILED.append(f"{self.name} did not end")
            print("!!", FAILED[-1])
            self.child.kill()
            return ""


def end_all():
    """Those that are left, where a measurement came to no good end."""
    for child in STARTED:
        if child.poll() is None:
            child.kill()
            child.wait()


def card_time(machine):
    """What each slice has received so far: the mean of several looks within about a period, and of their times."""
    looks = []
    for _ in range(6):
        now = time.monotonic()
        looks.append((now, {s["slice"]: s["compute_received_seconds"] for s in machine.status()["slices"]}))
        time.sleep(max(0, now + PERIOD_NS / 6e9 - time.monotonic()))
    mean = {name: sum(look[1].get(name, 0.0) for look in looks) / len(looks) for name in looks[0][1]}
    return sum(look[0] for look in looks) / len(looks), mean


class Window:
    """A time in which tenants worked. What they did in it is asked for later: a step is logged when it has ended, which under a small share
    takes long."""

    def __init__(self, tenants, seconds, settle=0.3):
        time.sleep(settle)
        self.tenants, machine = tenants, tenants[0].machine
        self.begin = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        at, had = card_time(machine)
        time.sleep(max(0.0, seconds - 2 * PERIOD_NS / 1e9))
        then, has = card_time(machine)
        self.end = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        # Each tenant's part of the card's time as the daemon tells it.
        self.card = [100 * (has[tenant.slice] - had[tenant.slice]) / (then - at) for tenant in tenants]

    @functools.cached_property
    def rates(self):
        """Progress of each, as work a second."""
        return progress_between(self.tenants, self.begin, self.end)

    def clocks(self):
        """In GHz, of the card while each worked; None where it does not tell."""
        return [tenant.mean_clock(self.begin, self.end) for tenant in self.tenants]


def rates(tenants, seconds, settle=0.3):
    """Progress of each at once, and in its `card_percent` its part of the card's time."""
    window = Window(tenants, seconds, settle)
    for tenant, percent in zip(tenants, window.card):
        tenant.card_percent = percent
    return window.rates


def window_alone(tenants, one, seconds):
    """Of one while the others are paused."""
    for tenant in tenants:
        tenant.pause(tenant is not one)
    window = Window([one], seconds)
    for tenant in tenants:
        tenant.pause(False)
    return window


def rate_alone(tenants, one, seconds):
    return rate_of(window_alone(tenants, one, seconds))


def rate_of(*windows):
    """Of one alone; the best of several windows: what else happens on the host only makes it slower."""
    rate = max(window.rates[0] for window in windows)
    if rate <= 0:
        FAILED.append(f"{windows[0].tenants[0].name} stood still alone")
    return max(rate, 1e-9)


def progress(tenants, seconds, settle=0.3):
    time.sleep(settle)
    begin = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    time.sleep(seconds)
    return progress_between(tenants, begin, time.clock_gettime_ns(time.CLOCK_MONOTONIC))


def progress_between(tenants, begin, end):
    """Work a second of each, once it is logged."""
    for tenant in tenants:
        tenant.logged_until(end)
    # A tenant's turns come once in a period: over windows that begin at every part of it, what lies at the ends evens out.
    steps = [PERIOD_NS * i // 20 for i in range(20)]
    return [sum(t.work(begin + s, end - PERIOD_NS + s) for s in steps) / len(steps) * 1e9 / (end - begin - PERIOD_NS) for t in tenants]


def calibrate_opencl(machine):
    """The same for a kernel of OpenCL's; None where NVIDIA's driver of it is not there, else whether it is known."""
    done = subprocess.run([machine.build / "test/card_opencl", "calibrate"], env=machine.native(), capture_output=True, text=True, timeout=60)
    if done.returncode == 77:
        print(f"opencl  not measured: {done.stdout.strip()}", flush=True)
        return None
    if done.returncode:
        FAILED.append(f"card_opencl calibrate: {done.stderr.strip()}")
        print("!!", FAILED[-1], flush=True)
        return False
    machine.opencl_per_ms = machine.per_ms if machine.fake else float(done.stdout)
    return True


def calibrate(machine):
    """How long a kernel is, on this card when it is free."""
    if machine.fake:
        machine.env.update(FLEXAI_FAKE_SPIN="1", FLEXAI_FAKE_UNITS=str(len(os.sched_getaffinity(0))),
                           FLEXAI_FAKE_LAUNCH_NS="1000000", FLEXAI_FAKE_ITEM_NS="0")
        machine.per_ms = 1000.0  # any: a launch costs what the environment says
        return
    done = subprocess.run([machine.build / "test/card_spin", "calibrate"], env=machine.native(), capture_output=True, text=True, timeout=60)
    if done.returncode:
        sys.exit(f"card_spin calibrate: {done.stderr}")
    machine.per_ms = float(done.stdout)
