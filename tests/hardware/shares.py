#!/usr/bin/env python3
"""Shares and limits of compute, by the progress of programs: on a real card, or with --fake on the fake one.

shares.py --build build/release [--fake] [--parts limit,pairs,many,borrow,copy,live,faults,serve,overhead] [--seconds S] [--out FILE.json]

Progress is work done in a window against work done in such a window with the whole card, both in this run. Exit code 1 where a
program ended by itself or stood still.
"""
import argparse
import bisect
import json
import os
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import time

from machine import Machine

HERE = pathlib.Path(__file__).resolve().parent
SPIN = {"k01": 100, "k1": 1000, "k10": 10000, "k100": 100000}  # us of a kernel; a wait after each four
TORCH = "train", "gemm", "graph"
LIMITS = 10, 30, 50, 70, 90
PAIRS = ("k1", "k1"), ("k10", "k01"), ("k100", "k01"), ("train", "train"), ("train", "gemm"), ("train", "graph")
PERIOD_NS = 100_000_000
FAILED = []


class Tenant:
    """A program in a slice that logs its progress."""

    def __init__(self, machine, name, kind, share, limit=100, more=(), priority="normal", native=False):
        self.machine, self.name = machine, name
        self.log = pathlib.Path(machine.folder.name) / f"{name}.log"
        if kind in SPIN:
            command = [machine.build / "test/card_spin", "run", self.log, machine.per_ms, SPIN[kind], 4, *more]
        elif kind == "copy":
            command = [machine.build / "test/card_spin", "copy", self.log]
        else:
            command = [sys.executable, HERE / "torch_work.py", self.log, kind, *more]
        run = [machine.build / "bin/flexai", "run", "--card", machine.card["card"], "--share", f"{share}%", "--limit", f"{limit}%",
               "--memory", machine.memory, "--priority", priority, "--"]
        self.child = subprocess.Popen([*([] if native else run), *map(str, command)], env=machine.env, stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)
        self.slice, self.card_percent = None, 0.0
        self.read, self.times, self.read_until = [], [], 0

    def ready(self):
        if self.child.stdout.readline().strip() != "ready":
            sys.exit(f"{self.name} ended before it began: {self.child.wait()}")
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


def card_time(machine):
    """What each slice has received so far: the mean of several looks within about a period, and of their times."""
    looks = []
    for _ in range(6):
        now = time.monotonic()
        looks.append((now, {s["slice"]: s["compute_received_seconds"] for s in machine.status()["slices"]}))
        time.sleep(max(0, now + PERIOD_NS / 6e9 - time.monotonic()))
    mean = {name: sum(look[1].get(name, 0.0) for look in looks) / len(looks) for name in looks[0][1]}
    return sum(look[0] for look in looks) / len(looks), mean


def rates(tenants, seconds, settle=0.4):
    """Progress, and in `card_percent` of each tenant its part of the card's time as the daemon tells it."""
    time.sleep(settle)
    begin = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    at, had = card_time(tenants[0].machine)
    time.sleep(max(0.0, seconds - 2 * PERIOD_NS / 1e9))
    then, has = card_time(tenants[0].machine)
    end = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    for tenant in tenants:
        tenant.card_percent = 100 * (has[tenant.slice] - had[tenant.slice]) / (then - at)
    return progress_between(tenants, begin, end)


def progress(tenants, seconds, settle=0.4):
    time.sleep(settle)
    begin = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    time.sleep(seconds)
    return progress_between(tenants, begin, time.clock_gettime_ns(time.CLOCK_MONOTONIC))


def progress_between(tenants, begin, end):
    """Work a second of each."""
    # What is in work at the end is logged when it has ended; a step under a small limit takes long.
    time.sleep(1.0 if any("train" in t.name or "k100" in t.name for t in tenants) else 0.2)
    # A tenant's turns come once in a period: over windows that begin at every part of it, what lies at the ends evens out.
    steps = [PERIOD_NS * i // 20 for i in range(20)]
    return [sum(t.work(begin + s, end - PERIOD_NS + s) for s in steps) / len(steps) * 1e9 / (end - begin - PERIOD_NS) for t in tenants]


class Shares:
    def __init__(self, machine, seconds):
        self.machine, self.seconds = machine, seconds
        self.rows = []

    def note(self, part, what, **figures):
        self.rows.append({"part": part, "what": what, **figures})

    def alone(self, tenants, one):
        for tenant in tenants:
            tenant.pause(tenant is not one)
        rate = rates([one], self.seconds)[0]
        if rate <= 0:
            FAILED.append(f"{one.name} stood still alone")
        return max(rate, 1e-9)

    def limit(self, kinds):
        print("alone under a hard limit, progress in percent of alone")
        print(f"{'shape':8}" + "".join(f"{limit:>9}" for limit in LIMITS) + "   alone again")
        for kind in kinds:
            tenant = Tenant(self.machine, kind, kind, 10).ready()
            alone = self.alone([tenant], tenant)
            got, card = [], []
            for limit in LIMITS:
                tenant.set(10, limit)
                got.append(rates([tenant], self.seconds)[0] / alone * 100)
                card.append(tenant.card_percent)
            tenant.set(10, 100)
            again = rates([tenant], self.seconds)[0] / alone * 100
            tenant.stop()
            print(f"{kind:8}" + "".join(f"{value:9.2f}" for value in got) + f"   {again:.2f}")
            print(f"{'  card':8}" + "".join(f"{value:9.2f}" for value in card), flush=True)
            for limit, value, had in zip(LIMITS, got, card):
                self.note("limit", kind, asked=limit, got=round(value, 3), error=round(value - limit, 3), card=round(had, 3),
                          card_error=round(had - limit, 3))
            self.note("again", kind, got=round(again, 3))

    def together(self, part, kinds, splits):
        tenants = [Tenant(self.machine, f"{kind}-{i}", kind, 100 // len(kinds)) for i, kind in enumerate(kinds)]
        for tenant in tenants:
            tenant.ready()
        alone = [self.alone(tenants, tenant) for tenant in tenants]
        for tenant in tenants:
            tenant.pause(False)
        for split in splits:
            for tenant in tenants:
                tenant.set(1, 100)
            for tenant, share in zip(tenants, split):
                tenant.set(share, 100)
            got = [rate / one * 100 for rate, one in zip(rates(tenants, 2 * self.seconds), alone)]
            total = sum(got)
            line = "  ".join(f"{kind} {share}: {value:6.2f} ({100 * value / max(total, 1e-9) - share:+.2f} of the sum, card {tenant.card_percent:.2f})"
                             for kind, share, value, tenant in zip(kinds, split, got, tenants))
            print(f"{part:7} {line}   sum {total:.2f}", flush=True)
            self.note(part, "+".join(kinds), asked=list(split), got=[round(v, 3) for v in got], sum=round(total, 3),
                      card=[round(t.card_percent, 3) for t in tenants], error=[round(100 * v / max(total, 1e-9) - s, 3) for v, s in zip(got, split)])
        for tenant in tenants:
            tenant.stop()

    def borrow(self):
        """One works 4 ms and pauses 8 ms, at 50 %; the other is always busy, at 50 %, and may borrow."""
        now_and_then = Tenant(self.machine, "now-and-then", "k1", 50, more=(4, 8)).ready()
        busy = Tenant(self.machine, "busy", "k1", 50).ready()
        tenants = [now_and_then, busy]
        alone = [self.alone(tenants, tenant) for tenant in tenants]
        for tenant in tenants:
            tenant.pause(False)
        got = [rate / one for rate, one in zip(rates(tenants, 2 * self.seconds), alone)]
        print(f"borrow  4 ms work, 8 ms pause: {got[0]:.3f} of alone; always busy: {got[1]:.3f}", flush=True)
        self.note("borrow", "4 ms of 12, always busy", got=[round(v, 4) for v in got])
        for tenant in tenants:
            tenant.stop()

    def copy(self):
        """Copies both ways beside a busy tenant: nothing lost."""
        tenants = [Tenant(self.machine, "copy", "copy", 50).ready(), Tenant(self.machine, "k1-copy", "k1", 50).ready()]
        alone = [self.alone(tenants, tenant) for tenant in tenants]
        for tenant in tenants:
            tenant.pause(False)
        got = [rate / one for rate, one in zip(rates(tenants, self.seconds), alone)]
        said = [tenant.stop().strip() for tenant in tenants][0]
        print(f"copy    {said}; {got[0]:.3f} of alone beside kernels at {got[1]:.3f}", flush=True)
        self.note("copy", said, got=[round(v, 4) for v in got])
        if "bad 0" not in said:
            FAILED.append(f"copies: {said}")

    def serve(self):
        """Requests at 100 a second with high priority, alone and beside training."""
        critical = Tenant(self.machine, "serve", "serve", 50, more=("8", "100"), priority="high").ready()
        training = Tenant(self.machine, "train-low", "train", 50, priority="low").ready()
        keeps = self.alone([critical, training], training)
        training.pause(True)
        critical.pause(False)
        said = []
        for beside in (False, True):
            training.pause(not beside)
            time.sleep(0.5)
            critical.child.stdin.write("go\n")
            critical.child.stdin.flush()
            if beside:
                kept = progress([training], 6.0)[0] / keeps
            said.append([float(word) for word in critical.child.stdout.readline().split()])
        (_, _, _, alone), (count, p50, p95, p99) = said
        print(f"serve   {count:.0f} requests: alone p50/p95/p99 {said[0][1:]} ms, beside training {p50} {p95} {p99} ms: p99 {p99 / alone:.2f} "
              f"of alone, training keeps {kept:.3f}", flush=True)
        self.note("serve", "ResNet-50 beside training", alone=said[0], beside=said[1], training=round(kept, 4))
        for tenant in (critical, training):
            tenant.stop()

    def overhead(self, kinds):
        """Without a limit beside the same program without us, in turns; the other is stopped."""
        for kind in kinds:
            pair = [Tenant(self.machine, f"{kind}-native", kind, 100, native=True), Tenant(self.machine, f"{kind}-slice", kind, 100)]
            for tenant in pair:
                tenant.ready()
            got = [[], []]
            for _ in range(4):
                for i in (0, 1):
                    os.kill(pair[1 - i].child.pid, signal.SIGSTOP)
                    os.kill(pair[i].child.pid, signal.SIGCONT)
                    got[i].append(progress([pair[i]], 1.0, settle=0.3)[0])
            for tenant in pair:
                os.kill(tenant.child.pid, signal.SIGCONT)
                tenant.stop()
            ratio = sum(got[1]) / sum(got[0])
            print(f"without limit, {kind}: {ratio:.4f} of native", flush=True)
            self.note("overhead", kind, got=round(ratio, 4))

    def idle(self):
        """Between its work a tenant is seen to be idle, though nobody waits for one of its streams."""
        tenant = Tenant(self.machine, "idle", "k1", 10, more=(4, 3000)).ready()
        begin = time.monotonic()
        state = ""
        while state != "idle" and time.monotonic() - begin < 8:
            time.sleep(0.05)
            state = next(s["state"] for s in self.machine.status()["slices"] if s["slice"] == tenant.slice)
        print(f"idle    between its work a tenant is {state}", flush=True)
        if state != "idle":
            FAILED.append(f"a tenant without work is {state}")
        tenant.stop()

    def live(self):
        """How soon a new limit acts, and pause and resume."""
        tenant = Tenant(self.machine, "live", "k1", 10).ready()
        took = []
        for yes in (True, False) * 3:
            time.sleep(0.3)
            begin = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
            tenant.pause(yes)
            time.sleep(0.5)
            entries = [e for e in tenant.entries() if e[0] > begin - 100_000_000]
            if yes:
                # The last moment at which work advanced.
                moved = [b[0] for a, b in zip(entries, entries[1:]) if b[1] > a[1]]
                took.append(("pause", (moved[-1] - begin) / 1e6 if moved else 0.0))
            else:
                moved = [b[0] for a, b in zip(entries, entries[1:]) if b[1] > a[1] and b[0] > begin]
                took.append(("resume", (moved[0] - begin) / 1e6 if moved else -1.0))
        tenant.stop()
        print("live    " + ", ".join(f"{what} acts after {ms:.1f} ms" for what, ms in took), flush=True)
        self.note("live", "pause, resume", got=[round(ms, 2) for _, ms in took])


class Faults:
    """Processes that are killed, and what becomes of the others."""

    def __init__(self, shares):
        self.shares, self.machine = shares, shares.machine

    def run(self):
        held = Tenant(self.machine, "k1-held", "k1", 30).ready()
        free = Tenant(self.machine, "k10-free", "k10" if not self.machine.fake else "k1", 70).ready()
        alone = self.shares.alone([held, free], held)
        held.set(30, 30)
        self.kill_daemon(held, free, alone)
        self.kill_held(held, free)

    def kill_daemon(self, held, free, alone):
        """kill -9 of the daemon: the limit stays, by the tenant's own clock; a new daemon takes over."""
        free.pause(True)
        os.kill(self.machine.daemon.pid, signal.SIGKILL)
        self.machine.daemon.wait()
        without = progress([held], self.shares.seconds, settle=0.5)[0] / alone * 100
        self.machine.start_daemon()
        begin = time.monotonic()
        while len(self.machine.status()["slices"]) < 2 and time.monotonic() - begin < 10:
            time.sleep(0.05)
        back = time.monotonic() - begin
        with_new = progress([held], self.shares.seconds, settle=0.5)[0] / alone * 100
        print(f"faults  daemon killed: {without:.1f} % of alone under a limit of 30 without one, {with_new:.1f} with its successor, "
              f"which knew both slices after {back:.2f} s", flush=True)
        self.shares.note("faults", "daemon killed", got=[round(without, 2), round(with_new, 2)], seconds=round(back, 3))
        if not 10 < without < 33 or not 25 < with_new < 33:
            FAILED.append(f"limit of 30 without a daemon: {without:.1f}, with a new one: {with_new:.1f}")

    def kill_held(self, held, free):
        """kill -9 of a tenant that is held: what it had is given back, and the other goes on."""
        free.pause(False)
        held.pause(True)
        os.kill(held.child.pid, signal.SIGKILL)
        begin = time.monotonic()
        held.child.wait()
        while len(self.machine.status()["slices"]) > 1 and time.monotonic() - begin < 10:
            time.sleep(0.01)
        gone = time.monotonic() - begin
        moves = progress([free], 1.0)[0]
        print(f"faults  a held tenant killed: gone after {gone:.2f} s, its neighbour {'goes on' if moves > 0 else 'STANDS'}", flush=True)
        self.shares.note("faults", "held tenant killed", seconds=round(gone, 3))
        if moves <= 0 or gone > 1.0:
            FAILED.append(f"after the kill of a held tenant: gone after {gone:.2f} s, neighbour at {moves:.2f}")
        free.stop()


def calibrate(machine):
    if machine.fake:
        return 1000.0  # any: a launch costs what the environment says
    done = subprocess.run([machine.build / "test/card_spin", "calibrate"], env=machine.env, capture_output=True, text=True, timeout=60)
    if done.returncode:
        sys.exit(f"card_spin calibrate: {done.stderr}")
    return float(done.stdout)


def summary(rows):
    limits = [abs(r["error"]) for r in rows if r["part"] == "limit"]
    shared = [abs(e) for r in rows if r["part"] in ("pair", "many") for e in r["error"]]
    sums = [r["sum"] for r in rows if r["part"] in ("pair", "many")]
    timed = [abs(r["card_error"]) for r in rows if r["part"] == "limit"]
    if limits:
        print(f"limits, by card time: mean error {sum(timed) / len(timed):.2f} points, worst {max(timed):.2f}")
        print(f"limits: mean error {sum(limits) / len(limits):.2f} points, worst {max(limits):.2f}")
    if shared:
        print(f"shares of the sum: mean error {sum(shared) / len(shared):.2f} points, worst {max(shared):.2f}; least sum {min(sums):.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--fake", action="store_true")
    parser.add_argument("--parts", default="limit,pairs,many,borrow,copy,live,faults,serve,overhead")
    parser.add_argument("--kinds", default="", help="shapes, with commas between")
    parser.add_argument("--pairs", default="", help="pairs of shapes, as k1+k01,train+gemm; all without it")
    parser.add_argument("--seconds", type=float, default=2.5)
    parser.add_argument("--out")
    options = parser.parse_args()
    machine = Machine(options.build, options.fake)
    machine.memory = "128Mi" if options.fake else "16Gi"
    with_torch = not options.fake and subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True).returncode == 0
    kinds = options.kinds.split(",") if options.kinds else (["k1"] if options.fake else ["k01", "k1", "k10", *(TORCH if with_torch else ())])
    parts = options.parts.split(",")
    try:
        if options.fake:
            machine.env.update(FLEXAI_FAKE_SPIN="1", FLEXAI_FAKE_UNITS=str(len(os.sched_getaffinity(0))),
                               FLEXAI_FAKE_LAUNCH_NS="1000000", FLEXAI_FAKE_ITEM_NS="0")
        machine.per_ms = calibrate(machine)
        shares = Shares(machine, options.seconds)
        if "limit" in parts:
            shares.limit(kinds)
        if "pairs" in parts:
            for pair in [tuple(pair.split("+")) for pair in options.pairs.split(",") if pair] or PAIRS:
                if options.pairs or set(pair) <= set(kinds) | ({"k100"} if not options.fake else set()):
                    shares.together("pair", pair, ((30, 70), (10, 90)))
        if "many" in parts and not options.fake:
            shares.together("many", ("k01", "k1", "k10"), ((20, 30, 50),))
            shares.together("many", ("k1", "k10", "k01", "train" if with_torch else "k1"), ((10, 20, 30, 40),))
        if "borrow" in parts:
            shares.borrow()
        if "copy" in parts:
            shares.copy()
        if "live" in parts:
            shares.live()
            shares.idle()
        if "faults" in parts:
            Faults(shares).run()
        if "serve" in parts and with_torch:
            shares.serve()
        if "overhead" in parts and not options.fake:
            shares.overhead(kinds)
    finally:
        machine.close()
    summary(shares.rows)
    if options.out:
        pathlib.Path(options.out).write_text(json.dumps({"card": machine.card, "rows": shares.rows, "failed": FAILED}, indent=1))
    sys.exit(1 if FAILED else 0)


if __name__ == "__main__":
    main()
