#!/usr/bin/env python3
"""Shares and limits of compute, by the progress of programs: on a real card, or with --fake on the fake one.

shares.py --build build/release [--fake] [--parts limit,pairs,many,borrow,wake,calls,copy,live,serve,opencl,overhead] [--seconds S] [--out FILE.json]

Progress is work done in a window against work done in such a window with the whole card, both in this run. Exit code 1 where a
program ended by itself or stood still.
"""
import argparse
import concurrent.futures
import importlib.util
import json
import os
import pathlib
import signal
import statistics
import sys
import time

from machine import Machine
from switched import Switch
from tenant import (FAILED, PERIOD_NS, SPIN, TORCH, Tenant, Window, calibrate, calibrate_opencl, end_all, rate_alone, rate_of, rates, window_alone)

LIMITS = 10, 30, 50, 70, 90
# What one thread launches all the time: such processes differ by a fifth from each other, natively too, so that our part of it is seen in one.
COST_ROUNDS, CALLS_ROUNDS = 4, 24
ASKED = {"infer": 16, "compile": 7, "jax": 10}  # seconds of turns: until the error is well below half a percent
PAIRS = ("k1", "k1"), ("k10", "k01"), ("k100", "k01"), ("train", "train"), ("train", "gemm"), ("train", "graph")


class Shares:
    def __init__(self, machine, seconds, repeat):
        self.machine, self.seconds, self.repeat = machine, seconds, repeat
        self.rows = []
        self.known = {}  # by kind: a window alone
        self.kept = {}  # by kind: one that has started and rests

    def note(self, part, what, **figures):
        self.rows.append({"part": part, "what": what, **figures})

    def limit(self, kinds, costs):
        """Each alone under hard limits. Of `costs` is seen what a slice without a limit costs: of ASKED in one process, of the others beside the same
        program without us."""
        tenants = {kind: Tenant(self.machine, kind, kind, 1) for kind in dict.fromkeys([*kinds, *costs])}
        natives = {kind: Tenant(self.machine, f"{kind}-native", kind, 0, native=True) for kind in costs if kind not in ASKED}
        every = [*tenants.values(), *natives.values()]
        begin = time.monotonic()
        at_once(every, lambda tenant: rest(tenant.ready(), True))
        print(f"-- {len(every)} programs are ready after {time.monotonic() - begin:.0f} s", flush=True)
        if kinds:
            print("alone under a hard limit, progress in percent of alone")
            print(f"{'shape':8}" + "".join(f"{limit:>9}" for limit in LIMITS))
        for kind in kinds:
            self.limit_of(kind, tenants[kind])
        for kind in costs:
            if kind in ASKED:
                self.cost_in_one(kind, tenants[kind])
            else:
                self.cost(kind, natives[kind], tenants[kind])
        for tenant in every:
            tenant.end()

    def limit_of(self, kind, tenant, part="limit"):
        rest(tenant, False)
        seconds = self.seconds * (1.5 if kind == "train" else 0.7 if kind in SPIN or kind == "opencl" else 1)
        alone = [window_alone([tenant], tenant, seconds)]
        limited = []
        for limit in LIMITS:
            tenant.set(1, limit)
            limited.append(Window([tenant], seconds))
        tenant.set(1, 100)
        if kind in TORCH:
            alone.append(window_alone([tenant], tenant, seconds))
        whole = rate_of(*alone)
        got = [window.rates[0] / whole * 100 for window in limited]
        card = [window.card[0] for window in limited]
        clock = alone[0].clocks()[0]
        clocks = [its / clock if clock and its else None for its in (window.clocks()[0] for window in limited)]
        rest(tenant, True)
        print(f"{kind:8}" + "".join(f"{value:9.2f}" for value in got))
        print(f"{'  card':8}" + "".join(f"{value:9.2f}" for value in card), flush=True)
        if any(clocks):
            print(f"{'  clock':8}" + "".join(f"{value:9.4f}" if value else f"{'-':>9}" for value in clocks), flush=True)
        for limit, value, had, speed in zip(LIMITS, got, card, clocks):
            self.note(part, kind, asked=limit, got=round(value, 3), error=round(value - limit, 3), card=round(had, 3),
                      card_error=round(had - limit, 3), **({"clock": round(speed, 4)} if speed else {}))

    def cost(self, kind, native, sliced):
        """Without a limit beside the same program without us, in turns; the others are stopped."""
        on_one_core(native, sliced)
        windows = [[], []]
        settle, seconds = (0.05, 0.15) if kind in SPIN else (0.1, 0.3)
        drained = 0.15 if kind == "train" else 0.05
        for i in (0, 1, 1, 0) * (self.repeat * COST_ROUNDS * (2 if kind in SPIN else 1)):
            one = (native, sliced)[i]
            rest(one, False)
            time.sleep(settle)
            begin = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
            time.sleep(seconds)
            windows[i].append((begin, time.clock_gettime_ns(time.CLOCK_MONOTONIC)))
            one.logged_until(windows[i][-1][1])
            rest(one, True)
            time.sleep(drained)  # what it had launched goes on, if nobody holds it
        rates_of = [[one.work(*window) * 1e9 / (window[1] - window[0]) for window in mine] for one, mine in zip((native, sliced), windows)]
        clocks = [[one.mean_clock(*window) for window in mine] for one, mine in zip((native, sliced), windows)]
        at_one_clock = all(sum(clocks, []))  # it changes with what the card did before
        if at_one_clock:
            rates_of = [[rate / ghz for rate, ghz in zip(*each)] for each in zip(rates_of, clocks)]
        self.note_cost(kind, *rates_of, how="beside native" + ", at one clock" * at_one_clock)

    def cost_in_one(self, kind, tenant):
        """Without a limit, in one process whose calls lead to us and past us in turns."""
        on_one_core(tenant)
        rest(tenant, False)
        switch = Switch(self.machine.build, tenant.child.pid)
        said = [[], []]
        begin, before = time.monotonic(), switch.own_seconds()
        while time.monotonic() - begin < self.repeat * ASKED[kind]:
            for i in (0, 1, 1, 0):
                switch.to_us(i == 1)
                said[i] += tenant.ask()
        spent = (switch.own_seconds() - before) / (time.monotonic() - begin)
        switch.close()
        rest(tenant, True)
        self.note_cost(kind, *said, how="in one process", threads=round(spent, 5))

    def note_cost(self, kind, native, ours, how, **more):
        """Of rounds of four turns, each ours between native ones or the other way round: what changes slowly falls out."""
        rounds = [sum(ours[i:i + 2]) / max(sum(native[i:i + 2]), 1e-9) for i in range(0, len(native), 2)]
        ratio, noise = middle(rounds)
        print(f"without limit, {kind}: {ratio:.4f} of native, unsure by {noise:.4f} ({len(rounds)} rounds, {how}) {more or ''}", flush=True)
        self.note("overhead", kind, got=round(ratio, 4), noise=round(noise, 4), rounds=len(rounds), how=how, **more)

    def together(self, part, kinds, splits):
        # PyTorch takes ten seconds to start, and all of the card is shared out: nobody can start meanwhile.
        if not set(self.kept) <= set(kinds):
            self.let_go()
        goes_on = {tenant for kind in kinds if (tenant := self.kept.get(kind))}
        tenants = [self.kept.pop(kind, None) or Tenant(self.machine, f"{kind}-{part}-{i}", kind, 100 // len(kinds)) for i, kind in enumerate(kinds)]
        for tenant in tenants:
            if tenant in goes_on:
                rest(tenant, False)
            else:
                tenant.ready()
        # Kernels of a given length say how far they are, and steps of PyTorch's do not.
        seconds = self.seconds * (1.5 if set(kinds) <= set(SPIN) else 2)
        alone = [self.alone(tenants, tenant, kind) for tenant, kind in zip(tenants, kinds)]
        windows = []
        for split in splits:
            for tenant in tenants:
                tenant.set(1, 100)
            for tenant, share in zip(tenants, split):
                tenant.set(share, 100)
            windows.append(Window(tenants, seconds))
        after = [self.alone(tenants, tenant, kind) for tenant, kind in zip(tenants, kinds)]
        whole = [rate_of(*{one, other}) for one, other in zip(alone, after)]
        clocks = [window.clocks()[0] for window in alone]
        for split, window in zip(splits, windows):
            got = [rate / one * 100 for rate, one in zip(window.rates, whole)]
            total = sum(got)
            errors = [100 * value / max(total, 1e-9) - share for value, share in zip(got, split)]
            line = "  ".join(f"{kind} {share}: {value:6.2f} ({error:+.2f} of the sum, card {card:.2f})"
                             for kind, share, value, error, card in zip(kinds, split, got, errors, window.card))
            print(f"{part:7} {line}   sum {total:.2f}", flush=True)
            self.note(part, "+".join(kinds), asked=list(split), got=[round(v, 3) for v in got], sum=round(total, 3),
                      card=[round(card, 3) for card in window.card], error=[round(error, 3) for error in errors],
                      clock=[round(its / was, 4) if was and its else 1.0 for its, was in zip(window.clocks(), clocks)])
        self.kept = {kind: tenant for kind, tenant in zip(kinds, tenants) if kind == "train"}
        at_once([tenant for tenant in tenants if tenant not in self.kept.values()], Tenant.stop)
        for tenant in self.kept.values():
            tenant.set(1, 100)
            rest(tenant, True)

    def let_go(self):
        for tenant in self.kept.values():
            tenant.end()
        self.kept = {}

    def alone(self, tenants, tenant, kind):
        """A program of PyTorch's changes its speed with the card's temperature and with what else the host does; kernels of a given length do not."""
        if kind not in SPIN or kind not in self.known:
            self.known[kind] = window_alone(tenants, tenant, self.seconds * (1.5 if kind == "train" else 1))
        return self.known[kind]

    def borrow(self):
        """One works 4 ms and pauses 8 ms, at 50 %; the other is always busy, at 50 %, and may borrow."""
        now_and_then = Tenant(self.machine, "now-and-then", "k1", 50, more=(4, 8)).ready()
        busy = Tenant(self.machine, "busy", "k1", 50).ready()
        tenants = [now_and_then, busy]
        alone = [rate_alone(tenants, tenant, self.seconds) for tenant in tenants]
        got = [rate / one for rate, one in zip(rates(tenants, 2 * self.seconds), alone)]
        print(f"borrow  4 ms work, 8 ms pause: {got[0]:.3f} of alone; always busy: {got[1]:.3f}", flush=True)
        self.note("borrow", "4 ms of 12, always busy", got=[round(v, 4) for v in got])
        now_and_then.stop()
        # Its work is soon done, though it never asks: a notebook between two cells.
        leaves = Tenant(self.machine, "leaves", "leave", 50).ready()
        got = rates([busy], self.seconds, settle=1.0)[0] / alone[1]
        print(f"borrow  beside one that launched and waits for nothing: {got:.4f} of alone", flush=True)
        self.note("idle", "launched and waits for nothing", got=round(got, 4))
        for tenant in (leaves, busy):
            tenant.stop()

    def wake(self):
        """One that rests launches a kernel of 0.1 ms now and then, beside one that is always busy and borrows."""
        tenants = [Tenant(self.machine, "wake", "wake", 50).ready(), Tenant(self.machine, "k10-busy", "k10", 50).ready()]
        said = []
        for beside in (False, True):
            tenants[1].pause(not beside)
            said.append(tenants[0].ask())
        print(f"wake    first kernel of 0.1 ms, from launch to end, p50/p99/max: alone {said[0]} ms, beside a busy one {said[1]} ms", flush=True)
        self.note("wake", "first kernel", alone=said[0], beside=said[1])
        for tenant in tenants:
            tenant.stop()

    def calls(self):
        """What a call costs more in a slice: in one process, whose calls lead to us and past us in turns."""
        # Many launches: on the fake card the shapes' millisecond of each would take minutes.
        tenant = Tenant(self.machine, "calls", "calls", 50, env={"FLEXAI_FAKE_LAUNCH_NS": "1000"}).ready()
        on_one_core(tenant)
        switch = Switch(self.machine.build, tenant.child.pid)
        said = [[], []]
        for i in (0, 1, 1, 0) * (self.repeat * CALLS_ROUNDS):
            switch.to_us(i == 1)
            said[i].append(tenant.ask())
        switch.close()
        names = "a launch", "a launch, other things in the caches", "cuMemAlloc", "cuMemFree"
        for what, native, ours in zip(names, *(zip(*each) for each in said)):
            more, noise = middle([(sum(ours[i:i + 2]) - sum(native[i:i + 2])) / 2 for i in range(0, len(native), 2)])
            past = statistics.median(native)
            print(f"calls   {what}: {past:.0f} ns past us; to us {more:+.0f}, unsure by {noise:.0f}", flush=True)
            self.note("calls", what, native=round(past, 1), more=round(more, 1), noise=round(noise, 1), rounds=len(native) // 2)
        tenant.stop()

    def copy(self):
        """Copies both ways beside a busy tenant: nothing lost."""
        tenants = [Tenant(self.machine, "copy", "copy", 50).ready(), Tenant(self.machine, "k1-copy", "k1", 50).ready()]
        alone = [rate_alone(tenants, tenant, self.seconds) for tenant in tenants]
        got = [rate / one for rate, one in zip(rates(tenants, self.seconds), alone)]
        said = [tenant.stop().strip() for tenant in tenants][0]
        print(f"copy    {said}; {got[0]:.3f} of alone beside kernels at {got[1]:.3f}", flush=True)
        self.note("copy", said, got=[round(v, 4) for v in got])
        if "bad 0" not in said:
            FAILED.append(f"copies: {said}")

    def opencl(self):
        """A program of OpenCL's alone under hard limits, then beside one of the other driver's."""
        if not calibrate_opencl(self.machine):
            return
        tenant = Tenant(self.machine, "opencl", "opencl", 1).ready()
        self.limit_of("opencl", tenant, part="opencl")
        tenant.end()
        self.together("opencl", ("opencl", "k1"), ((30, 70),))

    def serve(self):
        """Requests at 100 a second with high priority, alone and beside training."""
        critical = Tenant(self.machine, "serve", "serve", 50, more=("7", "100"), priority="high")
        training = Tenant(self.machine, "train-low", "train", 50, priority="low")
        at_once((critical, training), Tenant.ready)
        # A step of training is long: short windows would differ by more than what is to be seen. Before and after: the card gets warmer, and slower.
        alone = [window_alone([critical, training], training, 3 * self.seconds)]
        said = []
        for beside in (False, True):
            training.pause(not beside)
            time.sleep(0.5)
            critical.go()
            if beside:
                begin, before = time.monotonic(), self.machine.daemon_seconds()
                window = Window([training, critical], 5.5)
                spent = (self.machine.daemon_seconds() - before) / (time.monotonic() - begin)
            said.append(critical.answer())
        alone.append(window_alone([critical, training], training, 3 * self.seconds))
        kept = window.rates[0] / statistics.mean(rate_of(each) for each in alone)
        clock, clocks = window.clocks()[0], [each.clocks()[0] for each in alone]
        clock = clock / statistics.mean(clocks) if clock and all(clocks) else None
        count, p50, p95, p99 = said[1]
        print(f"serve   {count:.0f} requests: alone p50/p95/p99 {said[0][1:]} ms, beside training {p50} {p95} {p99} ms: p99 {p99 / said[0][3]:.2f} of alone; "
              f"training keeps {kept:.3f}, at a clock of {clock or 1:.3f}; card {window.card[1]:.2f} and {window.card[0]:.2f}; "
              f"the daemon takes {100 * spent:.1f} % of a core", flush=True)
        self.note("serve", "ResNet-50 beside training", alone=said[0], beside=said[1], training=round(kept, 4), daemon=round(spent, 4),
                  card=[round(card, 2) for card in reversed(window.card)], **({"clock": round(clock, 4)} if clock else {}))
        for tenant in (critical, training):
            tenant.stop()

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
        """How soon pause, resume and a new limit act: when it stands for the first time, and goes on without standing."""
        tenant = Tenant(self.machine, "live", "k1", 10).ready()
        acts = {"pause": lambda: tenant.pause(True), "resume": lambda: tenant.pause(False),
                "set --limit 10%": lambda: tenant.set(10, 10), "set --limit 100%": lambda: tenant.set(10, 100)}
        took = {what: [] for what in acts}
        for what in [*("pause", "resume") * 3, *("set --limit 10%", "set --limit 100%") * 3]:
            time.sleep(0.35)
            begin = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
            acts[what]()
            time.sleep(0.5)
            entries = [e for e in tenant.entries() if e[0] > begin - 2 * PERIOD_NS]
            moved = [b[0] for a, b in zip(entries, entries[1:]) if b[1] > a[1]]
            moved = [begin - 2 * PERIOD_NS, *moved, time.clock_gettime_ns(time.CLOCK_MONOTONIC)]
            stands = [(a, b) for a, b in zip(moved, moved[1:]) if b - a > PERIOD_NS // 5 and b > begin]
            if what == "pause":  # when it moved last
                took[what].append((moved[-2] - begin) / 1e6)
            elif what == "set --limit 10%":
                took[what].append((stands[0][0] - begin) / 1e6 if stands else float("inf"))
            else:
                # The log of the last moments is not written yet.
                ended = [b for _, b in stands if b < moved[-1] - PERIOD_NS]
                took[what].append((ended[-1] - begin) / 1e6 if ended else 0.0)
        tenant.stop()
        for what, ms in took.items():
            print(f"live    {what} acts after {', '.join(f'{max(each, 0):.1f}' for each in ms)} ms", flush=True)
            self.note("live", what, got=[round(max(each, 0), 2) for each in ms])


def rest(tenant, yes):
    """Paused if it is in a slice, and stopped besides: who waits for the card may do so on a core."""
    if yes and tenant.slice:
        tenant.pause(True)
    os.kill(tenant.child.pid, signal.SIGSTOP if yes else signal.SIGCONT)
    if not yes and tenant.slice:
        tenant.pause(False)


def on_one_core(*tenants):
    """Cores of a virtual machine differ by up to half."""
    for tenant in tenants:
        os.sched_setaffinity(tenant.child.pid, [sorted(os.sched_getaffinity(0))[-1]])


def middle(values):
    """The mean of the middle half of many, and of few of all, and its standard error (Tukey and McLaughlin's): what else happens on the host
    disturbs single ones."""
    values = sorted(values)
    quarter = len(values) // 4 if len(values) >= 16 else 0
    kept = values[quarter:len(values) - quarter]
    pulled = [min(max(value, kept[0]), kept[-1]) for value in values]
    return statistics.mean(kept), statistics.stdev(pulled) * len(values) ** 0.5 / len(kept)


def at_once(tenants, what):
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        list(pool.map(what, tenants))


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
    parser.add_argument("--parts", default="limit,pairs,many,borrow,wake,calls,copy,live,serve,opencl,overhead")
    parser.add_argument("--kinds", default="", help="shapes, with commas between")
    parser.add_argument("--pairs", default="", help="pairs of shapes, as k1+k01,train+gemm; all without it")
    parser.add_argument("--seconds", type=float, default=2.5)
    parser.add_argument("--repeat", type=int, default=1, help="so many times the rounds that tell what a slice and a call cost")
    parser.add_argument("--out")
    options = parser.parse_args()
    machine = Machine(options.build, options.fake)
    with_torch, with_jax = (not options.fake and importlib.util.find_spec(package) is not None for package in ("torchvision", "jax"))
    kinds = options.kinds.split(",") if options.kinds else (["k1"] if options.fake else ["k01", "k1", "k10", *(TORCH if with_torch else ())])
    parts = options.parts.split(",")
    shares = Shares(machine, options.seconds, options.repeat)

    def limits():
        more = [*(("infer", "compile") if with_torch else ()), *(["jax"] if with_jax else [])]
        costs = [] if "overhead" not in parts else kinds if options.kinds else [*kinds, *more]
        shares.limit(kinds if "limit" in parts else [], costs)

    def pairs():
        for pair in [tuple(pair.split("+")) for pair in options.pairs.split(",") if pair] or PAIRS:
            if options.pairs or set(pair) <= set(kinds) | ({"k100"} if not options.fake else set()):
                shares.together("pair", pair, ((30, 70), (10, 90)))

    def many():
        shares.together("many", ("k1", "k10", "k01", "train" if with_torch else "k1"), ((10, 20, 30, 40),))
        shares.together("many", ("k01", "k1", "k10"), ((20, 30, 50),))

    steps = {"limit": limits, "pairs": pairs, "many": many, "borrow": shares.borrow, "wake": shares.wake, "calls": shares.calls, "copy": shares.copy,
             "live": lambda: (shares.live(), shares.idle()), "serve": shares.serve, "opencl": shares.opencl}
    if "overhead" in parts and "limit" not in parts:
        steps["overhead"] = limits
    needs_card, needs_torch = ("many",), ("serve",)
    try:
        calibrate(machine)
        for part, step in steps.items():
            if part not in parts or (options.fake and part in needs_card) or (not with_torch and part in needs_torch):
                continue
            begin = time.monotonic()
            if part != "many":
                shares.let_go()
            try:
                step()
            except (RuntimeError, OSError) as failure:
                FAILED.append(f"{part}: {failure}")
                print("!!", FAILED[-1], flush=True)
            print(f"-- {part}: {time.monotonic() - begin:.0f} s", flush=True)
            if options.out:  # after each part: what comes later may be cut off
                pathlib.Path(options.out).write_text(json.dumps({"card": machine.card, "rows": shares.rows, "failed": FAILED}, indent=1))
    finally:
        end_all()
        machine.close()
    summary(shares.rows)
    sys.exit(1 if FAILED else 0)


if __name__ == "__main__":
    main()
