"""The demo: unmodified programs share one real card. Run by tools/demo, which installs and builds first.

Act 1  two programs side by side at 30 / 70, then, without stopping them, 10 / 90
Act 2  a neural network whose memory limit is too small, then large enough
Act 3  a program that borrows idle time and gives it back
Act 4  a recorded cluster of 6,212 cards, filled by seven policies in the simulator
What was asked and what was received is printed at the end and written to build/demo/report.json.
"""
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from programs import FLEXAI, FLEXAID, PLACE, ROOT, SOCKET, Hashcat, Train, environment, machine_seconds, process_seconds
from view import View, mebibytes

CLUSTER = ROOT / "examples/2_fill_a_cluster"
WINDOW_S = 20        # a figure is measured over this time
SETTLE_S = 3         # after a change, before measuring
START_LIMIT_S = 120  # kernels are compiled at the first start
FINE_POINTS = 2.0    # how far from what was asked a figure may be and still be called fine
QUIET_PERCENT = 5.0  # programs' own counters tell about us only while others leave the processors alone


class DemoError(Exception):
    pass


def flexai(*words):
    """The JSON answer of `flexai words`."""
    ran = subprocess.run([str(FLEXAI), *words], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL,
                         env=environment())
    if ran.returncode != 0:
        raise DemoError(f"flexai {' '.join(words)} ended with {ran.returncode}: {ran.stderr.strip()}")
    return json.loads(ran.stdout) if ran.stdout.strip() else {}


def slices():
    """Leader's process id -> the slice as the daemon sees it now."""
    return {one["leader_pid"]: one for one in flexai("status", "-o", "json")["slices"]}


class Demo:
    def __init__(self):
        self.view = View()
        self.running = []
        self.daemon = None
        self.report = {"acts": []}

    def start(self, kind, name, options, more=()):
        program = kind(name, options, more)
        self.running.append(program)
        return program

    def stop(self, *programs):
        for program in programs:
            program.stop()
            self.running.remove(program)

    def watch(self, what, programs, seconds, until=None):
        """Shows the programs for `seconds`, or until `until()`; returns whether that came."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            now = slices()
            self.view.table(what, [self.row(program, now.get(program.pid)) for program in programs])
            if self.daemon.poll() is not None:
                raise DemoError(f"flexaid ended by itself with status {self.daemon.returncode}; see {PLACE}/flexaid.log")
            for program in programs:
                if not program.running():
                    raise DemoError(f"{program.name} ended by itself; its output:\n{program.output()[-2000:]}")
            if until and until():
                return True
            time.sleep(0.5)
        return until is None

    def row(self, program, seen):
        speed = "starting"
        counts = program.counts[-2:]
        if len(counts) == 2 and counts[1][0] > counts[0][0]:
            rate = (counts[1][1] - counts[0][1]) / (counts[1][0] - counts[0][0])
            speed = f"{rate * program.scale:.0f} {program.unit}"
        if seen is None:
            return {"slice": "-", "program": program.name, "asked": "-", "received": "-", "ratio": 0, "memory": "-", "limit": "-", "speed": speed}
        ratio = seen["compute_received_ratio"]
        return {"slice": seen["slice"], "program": program.name, "asked": f"{seen['share_permille'] / 10:.0f} %",
                "received": f"{100 * ratio:.1f} %", "ratio": ratio, "memory": mebibytes(seen["memory_used_bytes"]),
                "limit": mebibytes(seen["memory_limit_bytes"]), "speed": speed}

    def wait_for_counters(self, programs):
        """Until each has printed its counter a few times: then its kernels are compiled and it works."""
        if not self.watch("starting", programs, START_LIMIT_S, lambda: all(len(program.counts) >= 3 for program in programs)):
            raise DemoError(f"no counters within {START_LIMIT_S} s; see {PLACE}")

    def foreign_seconds(self, programs):
        """Processor time of everybody else on this machine: on a card that is the processor, they take part of it."""
        ours = [os.getpid(), self.daemon.pid, *(program.pid for program in programs)]
        return machine_seconds() - sum(map(process_seconds, ours))

    def measure(self, what, programs, asked, seconds=WINDOW_S, expected=None):
        """One line of the summary per program: asked, card time received, and the part by its own counter."""
        self.watch(what, programs, SETTLE_S)
        before, begin, others = slices(), time.monotonic(), self.foreign_seconds(programs)
        self.watch(what, programs, seconds)
        after, end, others = slices(), time.monotonic(), self.foreign_seconds(programs) - others
        # The counters are printed once a second; wait for the value after the window's end.
        self.watch(what, programs, 10, lambda: all(program.counts[-1][0] > end for program in programs))
        work = {program: program.count_at(end) - program.count_at(begin) for program in programs}
        figures = []
        for program, share, want in zip(programs, asked, expected or asked):
            seconds_received = after[program.pid]["compute_received_seconds"] - before[program.pid]["compute_received_seconds"]
            figures.append({
                "program": program.name, "slice": after[program.pid]["slice"], "asked_percent": share,
                "expected_percent": want,
                "received_percent": round(100 * seconds_received / (end - begin), 2),
                "own_counter_percent": round(100 * work[program] / sum(work.values()), 2) if len(programs) > 1 else None,
                "own_speed": round(work[program] * program.scale / (end - begin), 2), "own_unit": program.unit})
        self.report["acts"].append({
            "what": what, "seconds": round(end - begin, 1), "programs": figures,
            "others_percent": round(max(0.0, 100 * others / (end - begin) / os.cpu_count()), 1)})

    def side_by_side(self):
        self.view.title("1  Two unmodified programs share the card: 30 % and 70 %, then 10 % and 90 %")
        first = self.start(Hashcat, "hashcat A", ["--share", "30%"])
        second = self.start(Hashcat, "hashcat B", ["--share", "70%"])
        pair = [first, second]
        self.wait_for_counters(pair)
        self.measure("30 / 70", pair, [30, 70])
        now = slices()
        for program, share in ((first, "10%"), (second, "90%")):
            flexai("set", now[program.pid]["slice"], "--share", share, "--limit", share, "-o", "json")
        self.measure("10 / 90", pair, [10, 90])
        self.stop(*pair)

    def memory(self):
        self.view.title("2  A neural network with too little memory, then with enough")
        small = self.start(Train, "network 128Mi", ["--memory", "128Mi"], ["--samples", "65536", "--seconds", "5"])
        status = small.wait(START_LIMIT_S)
        said = [line for line in small.output().splitlines() if line.startswith(("flexai", "train.py"))]
        for line in said:
            self.view.say("  | " + line)
        refused = status == 1 and any("out of memory" in line for line in said) and any(
            line.startswith("flexai") and all(word in line for word in ("asked", "used", "limit")) for line in said)
        self.running.remove(small)
        enough = self.start(Train, "network 1Gi", ["--memory", "1Gi"], ["--samples", "65536", "--seconds", "5"])
        status = enough.wait(START_LIMIT_S)
        for line in enough.output().splitlines():
            if line.startswith(("first", "last")):
                self.view.say("  | " + line)
        self.running.remove(enough)
        learned = re.findall(r"(?:first|last) loss ([\d.]+)", enough.output())
        fits = status == 0 and len(learned) == 2 and float(learned[1]) < float(learned[0])
        self.report["acts"].append({"what": "memory", "refused_at_128Mi": refused, "fits_in_1Gi": fits, "said": said})

    def borrowing(self):
        self.view.title("3  A program borrows what is idle, and gives it back")
        borrower = self.start(Hashcat, "borrower", ["--share", "20%", "--limit", "100%"])
        self.wait_for_counters([borrower])
        self.measure("alone, may borrow", [borrower], [20], 8, [100])
        owner = self.start(Hashcat, "owner", ["--share", "80%"])
        self.wait_for_counters([borrower, owner])
        self.measure("the owner is back", [borrower, owner], [20, 80], 12)
        self.stop(owner)
        self.measure("alone again", [borrower], [20], 8, [100])
        self.stop(borrower)

    def placing(self):
        self.view.title("4  Many cards: the same pods, placed by seven policies on a recorded cluster of 6,212 cards")
        lists = {name: str(CLUSTER / f"openb_{name}.csv.gz") for name in ("node_list_gpu_node", "pod_list_default", "pod_list_gpuspec33")}
        for name, what in (("default", "pods as recorded"), ("gpuspec33", "a third of them bound to card models")):
            found = flexai("sim", "openb", "--nodes", lists["node_list_gpu_node"], "--pods", lists[f"pod_list_{name}"],
                           "--policy", "all", "--seeds", "42-44", "-o", "json")["policies"]
            full = {one["policy"]: 100 * one["at_arrival"]["1.00"]["allocated_ratio"]["mean"] for one in found}
            self.view.say(f"  {what}, cards in use when all have been asked for (bars begin at 60 %):")
            for policy, percent in sorted(full.items(), key=lambda item: -item[1]):
                self.view.say(f"    {policy:12}{percent:6.2f} %  {'#' * round(percent - 60)}")
            self.report["acts"].append({"what": f"placing {name}", "allocated_percent": {key: round(value, 2) for key, value in full.items()}})

    def warm_up(self):
        """Compiles the programs' kernels once, without flexai; later runs find them in build/demo/cache."""
        done = PLACE / "cache/warm"
        if done.exists():
            return
        self.view.say("Compiling the programs' kernels for this card, once; about a minute.")
        environment()
        for kind, more in ((Hashcat, ["--runtime", "2"]), (Train, ["--samples", "65536", "--seconds", "0.2"])):
            program = self.start(kind, "warm up", None, more)
            program.wait(600)
            self.running.remove(program)
        done.touch()

    def start_daemon(self):
        with open(PLACE / "flexaid.log", "w") as log:
            self.daemon = subprocess.Popen([str(FLEXAID), "--socket", SOCKET], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + 30
        while subprocess.run([str(FLEXAI), "status"], env=environment(), capture_output=True, stdin=subprocess.DEVNULL).returncode != 0:
            if time.monotonic() > end or self.daemon.poll() is not None:
                raise DemoError(f"flexaid does not answer; see {PLACE}/flexaid.log")
            time.sleep(0.1)

    def stop_all(self):
        for program in self.running:
            program.stop()
        if self.daemon:
            self.daemon.terminate()
            self.daemon.wait()

    def run(self):
        begin = time.monotonic()
        self.warm_up()
        self.start_daemon()
        self.side_by_side()
        self.memory()
        self.borrowing()
        self.placing()
        self.report["card"] = flexai("cards", "-o", "json")
        self.report["machine"] = {"processor_count": len(os.sched_getaffinity(0)), "system": platform.platform()}
        self.report["seconds"] = round(time.monotonic() - begin, 1)

    @staticmethod
    def verdict(one, others_percent):
        if abs(one["received_percent"] - one["expected_percent"]) > FINE_POINTS:
            return f"OFF by more than {FINE_POINTS:.0f} points"
        counter = one["own_counter_percent"]
        if counter is None or abs(counter - one["expected_percent"]) <= FINE_POINTS:
            return "fine"
        if others_percent > QUIET_PERCENT:
            return "fine, counter disturbed by others"
        return f"OFF by its own counter by more than {FINE_POINTS:.0f} points"

    def summary(self):
        """Prints the report; returns whether everything is as asked."""
        self.view.title("What was asked, and what was received")
        fine = True
        print(f"  {'':20}{'PROGRAM':12}{'ASKED':>7}{'EXPECTED':>10}{'CARD TIME':>11}{'OWN COUNTER':>13}{'OTHERS':>8}")
        for act in self.report["acts"]:
            for one in act.get("programs", []):
                verdict = self.verdict(one, act["others_percent"])
                fine = fine and not verdict.startswith("OFF")
                own = f"{one['own_counter_percent']:.1f} %" if one["own_counter_percent"] is not None else f"{one['own_speed']:.0f} {one['own_unit']}"
                print(f"  {act['what']:20}{one['program']:12}{one['asked_percent']:>5} %{one['expected_percent']:>8} %"
                      f"{one['received_percent']:>9.1f} %{own:>13}{act['others_percent']:>6.0f} %  {verdict}")
            if act["what"] == "memory":
                for name, good in (("refused at 128 Mi", act["refused_at_128Mi"]), ("fits in 1 Gi", act["fits_in_1Gi"])):
                    fine = fine and good
                    print(f"  {'memory':20}{name:61}  {'fine' if good else 'NO'}")
        self.report["fine"] = fine
        (PLACE / "report.json").write_text(json.dumps(self.report, indent=2) + "\n")
        print("  OTHERS: what programs outside the demo took of the processors meanwhile, on which this card runs.")
        print("\n  The same as data: build/demo/report.json. Outputs of the programs: build/demo/*.log")
        return fine


def main():
    PLACE.mkdir(parents=True, exist_ok=True)
    demo = Demo()
    try:
        demo.run()
        return 0 if demo.summary() else 1
    except (DemoError, subprocess.TimeoutExpired) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: stopped", file=sys.stderr)
        return 130
    finally:
        demo.stop_all()


if __name__ == "__main__":
    sys.exit(main())
