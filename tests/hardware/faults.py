#!/usr/bin/env python3
"""What must not break: on a real card, or with --fake on the fake one.

faults.py --build build/release [--fake] [--parts late,left,two,eight,starved,user,without,kills] [--kills N] [--seconds S] [--out FILE.json]

late     a program makes contexts all the time, so channels appear while it is held
left     work on streams that are destroyed at once, waited for by nobody: it counts all the same
two      two contexts of one program: a wait for all of one says nothing of the other
eight    eight tenants
starved  every core of the host is busy with other things; alone is measured before it is
user     as an ordinary user, with a daemon of its own (needs root to become one)
without  a limit while there is no daemon, and with its successor
kills    kill -9 of the daemon, of tenants that are held and of such that run, at random moments
Exit code 1 where somebody stood still, had no limit, or was not gone within a second.
"""
import argparse
import contextlib
import json
import multiprocessing
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

from machine import Machine
from tenant import FAILED, HERE, Tenant, calibrate, end_all, progress, rate_alone, rates

NOBODY = 65534


class Faults:
    def __init__(self, machine, seconds, kills):
        self.machine, self.seconds, self.kill_count = machine, seconds, kills
        self.rows = []

    def note(self, part, text, **figures):
        print(f"{part:8}{text}", flush=True)
        self.rows.append({"part": part, "what": text, **figures})

    def late(self):
        tenant = Tenant(self.machine, "contexts", "contexts", 30).ready()
        whole = rate_alone([tenant], tenant, self.seconds)
        tenant.set(30, 30)
        got = rates([tenant], 2 * self.seconds)[0]
        tenant.stop()
        self.note("late", f"contexts made and ended: {whole:.1f} a second alone, {got:.1f} under a limit of 30 %, with {tenant.card_percent:.1f} % "
                  "of the card", alone=round(whole, 2), got=round(got, 2), card=round(tenant.card_percent, 2))
        if got <= 0 or tenant.card_percent > 33:
            FAILED.append(f"contexts: {got:.1f} a second with {tenant.card_percent:.1f} % of the card")
        # One that works is held again and again, and a neighbour has the card meanwhile.
        tenants = [Tenant(self.machine, "contexts-busy", "contexts", 50, more=("busy",)), Tenant(self.machine, "k1-late", "k1", 50)]
        for tenant in tenants:
            tenant.ready()
        got = rates(tenants, 3 * self.seconds)[0]
        for tenant in tenants:
            tenant.stop()
        self.note("late", f"contexts of a program that works meanwhile, beside another: {got:.1f} a second", got=round(got, 2))
        if got <= 0:
            FAILED.append("a context made while its program was held is never ready")

    def left(self):
        tenant = Tenant(self.machine, "left", "left", 30, limit=30).ready()
        rates([tenant], 2 * self.seconds)
        tenant.stop()
        self.note("left", f"a program whose work nobody waits for wants half of the card, and has {tenant.card_percent:.1f} % under a limit of 30 %",
                  card=round(tenant.card_percent, 2))
        if not 20 < tenant.card_percent < 33:
            FAILED.append(f"work that nobody waits for: {tenant.card_percent:.1f} % under a limit of 30 %")

    def two(self):
        tenant = Tenant(self.machine, "two", "two", 30).ready()
        whole = rate_alone([tenant], tenant, self.seconds)
        tenant.set(30, 30)
        got = rates([tenant], 2 * self.seconds)[0] / whole * 100
        tenant.stop()
        self.note("two", f"two contexts of one program: {got:.1f} % of alone under a limit of 30 %, with {tenant.card_percent:.1f} % of the card",
                  got=round(got, 2), card=round(tenant.card_percent, 2))
        if not 20 < tenant.card_percent < 33:
            FAILED.append(f"two contexts: {tenant.card_percent:.1f} % under a limit of 30 %")

    def shared(self, part, shares, meanwhile=contextlib.nullcontext()):
        """Alone is measured first, and then what they get of that within `meanwhile`."""
        tenants = [Tenant(self.machine, f"k1-{i}", "k1", share) for i, share in enumerate(shares)]
        for tenant in tenants:
            tenant.ready()
        whole = rate_alone(tenants, tenants[-1], self.seconds)
        with meanwhile:
            got = [rate / whole * 100 for rate in rates(tenants, 2 * self.seconds)]
        for tenant in tenants:
            tenant.stop()
        total = sum(got)
        errors = [100 * g / max(total, 1e-9) - 100 * s / sum(shares) for g, s in zip(got, shares)]
        self.note(part, f"asked {'/'.join(map(str, shares))}, got {'/'.join(f'{g:.2f}' for g in got)}: worst {max(map(abs, errors)):.2f} points "
                  f"of the sum {total:.2f}", asked=list(shares), got=[round(g, 2) for g in got], sum=round(total, 2),
                  error=[round(e, 3) for e in errors])
        if min(got) <= 0:
            FAILED.append(f"{part}: one of them stands: {got}")

    def starved(self):
        self.shared("starved", (30, 70), meanwhile=busy_host())

    def user(self):
        """The whole measurement again as somebody who is not root: nobody's files and no trace of others."""
        if os.getuid() != 0:
            return self.note("user", "not tried: only root can become another user")
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            shutil.copytree(self.machine.build, f"{folder}/build", ignore=shutil.ignore_patterns("*.o", "*.a"))
            shutil.copytree(HERE, f"{folder}/hardware")
            subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
            os.mkdir(f"{folder}/own", 0o777)
            os.chmod(f"{folder}/own", 0o777)
            try:
                subprocess.run([sys.executable, "-c", ""], user=NOBODY, group=NOBODY, extra_groups=[], check=True)
            except (OSError, subprocess.CalledProcessError):
                return self.note("user", f"not tried: only root may run {sys.executable}")
            ran = subprocess.run(
                [sys.executable, f"{folder}/hardware/shares.py", "--build", f"{folder}/build", "--seconds", str(self.seconds), "--parts", "limit,pairs",
                 "--kinds", "k1", "--pairs", "k1+k1", "--out", f"{folder}/own/out.json", *(["--fake"] if self.machine.fake else [])],
                user=NOBODY, group=NOBODY, extra_groups=[], cwd=f"{folder}/own", capture_output=True, text=True, timeout=240,
                env={**os.environ, "HOME": f"{folder}/own", "XDG_RUNTIME_DIR": f"{folder}/own", "TMPDIR": f"{folder}/own"})
            if ran.returncode or not os.path.exists(f"{folder}/own/out.json"):
                FAILED.append(f"as an ordinary user: {ran.returncode} {ran.stdout[-800:]} {ran.stderr[-800:]}")
                return
            rows = json.loads(pathlib.Path(f"{folder}/own/out.json").read_text())["rows"]
        limits = [row["got"] for row in rows if row["part"] == "limit"]
        pairs = [row["got"] for row in rows if row["part"] == "pair"]
        self.note("user", f"limits 10/30/50/70/90: {'/'.join(f'{g:.2f}' for g in limits)}; pairs 30/70, 10/90: "
                  f"{', '.join('/'.join(f'{g:.2f}' for g in pair) for pair in pairs)}", limits=limits, pairs=pairs)

    def kills(self):
        random.seed(1)
        neighbour = Tenant(self.machine, "k10-neighbour", "k10" if not self.machine.fake else "k1", 40).ready()
        took = {"daemon": [], "held": [], "running": []}
        victims = []
        for i in range(self.kill_count):
            what = ("daemon", "held", "running")[i % 3]
            if not victims:
                victims = [Tenant(self.machine, f"k1-{i}-{v}", "k1", 10, limit=10) for v in range(min(4, self.kill_count - i))]
                for victim in victims:
                    victim.ready()
            if what != "daemon":
                victims[-1].pause(what == "held")
            time.sleep(random.uniform(0, 0.15))  # at any moment of a period
            took[what].append(self.kill_daemon(1 + len(victims)) if what == "daemon" else self.kill(victims.pop()))
        for victim in victims:
            victim.stop()
        moves = progress([neighbour], 1.0)[0]
        neighbour.stop()
        if moves <= 0:
            FAILED.append("after the kills the neighbour stands")
        left = len(self.machine.status()["slices"])
        for what, seconds in took.items():
            if not seconds:
                continue
            self.note("kills", f"{what}: {len(seconds)} times, gone or known again after {1e3 * sum(seconds) / len(seconds):.0f} ms, at most "
                      f"{1e3 * max(seconds):.0f} ms", count=len(seconds), mean=round(sum(seconds) / len(seconds), 4), worst=round(max(seconds), 4))
            if max(seconds) > (5.0 if self.machine.fake else 1.0):
                FAILED.append(f"after the kill of {what}: {max(seconds):.2f} s")
        self.note("kills", f"the neighbour goes on; {left} slices left of them")
        if left > 1:
            FAILED.append(f"{left} slices are left after the kills")

    def kill(self, victim):
        victim.child.kill()
        begin = time.monotonic()
        victim.child.wait()
        while any(s["slice"] == victim.slice for s in self.machine.status()["slices"]) and time.monotonic() - begin < 10:
            time.sleep(0.01)  # poll
        return time.monotonic() - begin

    def kill_daemon(self, slices):
        """Limits are kept by the tenants' own clocks, and its successor knows all slices again."""
        self.machine.daemon.kill()
        self.machine.daemon.wait()
        self.machine.start_daemon()
        begin = time.monotonic()
        while len(self.machine.status()["slices"]) < slices and time.monotonic() - begin < 10:
            time.sleep(0.01)  # poll
        return time.monotonic() - begin

    def without(self):
        """A limit of 30 % while no daemon is there."""
        held = Tenant(self.machine, "k1-held", "k1", 30).ready()
        whole = rate_alone([held], held, self.seconds)
        held.set(30, 30)
        self.machine.daemon.kill()
        self.machine.daemon.wait()
        without = progress([held], self.seconds, settle=0.5)[0] / whole * 100
        self.machine.start_daemon()
        self.machine.status()
        after = progress([held], self.seconds, settle=0.5)[0] / whole * 100
        held.stop()
        self.note("without", f"a limit of 30 %: {without:.1f} % of alone while no daemon is there, {after:.1f} with its successor",
                  got=[round(without, 2), round(after, 2)])
        # The fake card is the host's cores, which others use too.
        if not self.machine.fake and (not 10 < without < 33 or not 25 < after < 33):
            FAILED.append(f"limit of 30 without a daemon: {without:.1f}, with a new one: {after:.1f}")


@contextlib.contextmanager
def busy_host():
    """Twice as many busy processes as cores."""
    spinning = [multiprocessing.Process(target=spin_for_ever, daemon=True) for _ in range(2 * len(os.sched_getaffinity(0)))]
    for process in spinning:
        process.start()
    try:
        yield
    finally:
        for process in spinning:
            process.kill()


def spin_for_ever():
    while True:
        pass


def save(path, machine, faults):
    """After each part: what comes later may be cut off."""
    if path:
        pathlib.Path(path).write_text(json.dumps({"card": machine.card, "rows": faults.rows, "failed": FAILED}, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--fake", action="store_true")
    parser.add_argument("--parts", default="late,left,two,eight,starved,user,without,kills")
    parser.add_argument("--kills", type=int, default=51)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--out")
    options = parser.parse_args()
    machine = Machine(options.build, options.fake)
    faults = Faults(machine, options.seconds, options.kills)
    try:
        calibrate(machine)
        for part in options.parts.split(","):
            begin = time.monotonic()
            try:
                if part == "eight":
                    faults.shared("eight", (5, 7, 9, 11, 13, 15, 17, 19))
                else:
                    getattr(faults, part)()
            except RuntimeError as failure:
                FAILED.append(f"{part}: {failure}")
            print(f"-- {part}: {time.monotonic() - begin:.0f} s", flush=True)
            save(options.out, machine, faults)
    finally:
        end_all()
        machine.close()
    for failure in FAILED:
        print("!!", failure)
    sys.exit(1 if FAILED else 0)


if __name__ == "__main__":
    main()
