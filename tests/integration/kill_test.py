"""kill -9 of tenants and of the daemon at random points: what is held stays exact, limits stay, nobody is stuck, and
nothing is left. FLEXAI_KILLS and FLEXAI_SEED choose how many points, and which."""
import os
import pathlib
import random
import signal
import tempfile
import time
import unittest

from tenants import ALLOC, DEADLINE_S, REFUSED, UNIT, Daemon, Peer, Program, WithDaemon, cores_used, standing, until, worker_time

KILLS = int(os.environ.get("FLEXAI_KILLS", 100))
SEED = int(os.environ.get("FLEXAI_SEED") or time.time_ns() % 1_000_000)
RECOVERED_S = 1.0
SMALL = ("--share", "10%", "--limit", "100%", "--memory", str(64 * UNIT))


def reach(moment):
    """Lets time pass until `moment`, a point that has no event of its own."""
    until("a moment", lambda: time.monotonic() >= moment)


class WithRandom(WithDaemon):
    def setUp(self):
        if self.daemon.process.poll() is not None:
            self.daemon.start()  # the test before failed without one
        super().setUp()
        self.random = random.Random(f"{SEED} {self.id()}")
        self.enterContext(self.subTest(seed=SEED))  # so that a failure says it

    def recovered(self, what, answer):
        until(what, answer, RECOVERED_S)

    def check_nobody_stands(self, *programs):
        """None of them is left stopped: each is seen to run."""
        for program in programs:
            self.recovered(f"{program.pid} goes on", lambda: not standing({program.pid}))


class Tenants(WithRandom):
    def test_killed_tenants_leave_nothing(self):
        watcher = self.run_program("--share", "10%", "--memory", str(64 * UNIT))
        self.assertEqual(watcher.do(f"alloc {ALLOC} {16 * UNIT}"), "ok 0")
        running = []
        for _ in range(KILLS):
            # Anywhere from the program's start to its work.
            running.append((time.monotonic() + self.random.uniform(0, 0.15),
                            Program(self.daemon, *SMALL, commands=[f"churn {8 * UNIT}"])))
            if len(running) == 4:
                self.kill_one(running)
        while running:
            self.kill_one(running)
        self.assertEqual(watcher.used(), 16 * UNIT)
        self.assertEqual(watcher.do(f"alloc {ALLOC} {48 * UNIT}"), "ok 1")
        self.assertEqual(watcher.do(f"alloc {ALLOC} 4"), REFUSED)
        card = self.daemon.status()["cards"][0]
        self.assertEqual((card["slices"], card["share_granted_permille"], card["memory_used_bytes"]), (1, 100, 64 * UNIT))
        self.check_nobody_stands(watcher)

    def kill_one(self, running):
        running.sort(key=lambda each: each[0])
        moment, program = running.pop(0)
        reach(moment)
        self.assertIsNone(program.process.poll(), program.told())
        program.end()
        self.recovered("the slice of the killed is gone",
                       lambda: program.pid not in [each["leader_pid"] for each in self.daemon.slices().values()])

    def test_killed_processes_of_a_tenant_give_all_back(self):
        program = self.run_program(*SMALL)
        self.assertEqual(program.do(f"alloc {ALLOC} {8 * UNIT}"), "ok 0")
        for _ in range(max(KILLS // 10, 3)):
            self.assertEqual(program.do(f"spawn 2 alloc {ALLOC} {4 * UNIT};me;churn {2 * UNIT}"), "spawned 2")
            told = sorted(program.line() for _ in range(4))
            self.assertEqual(told[2:], ["ok 0", "ok 0"], (told, program.told()))
            children = [int(each.split()[1]) for each in told[:2]]
            reach(time.monotonic() + self.random.uniform(0, 0.05))
            os.kill(children[0], signal.SIGKILL)
            self.recovered("the killed child's memory is back", lambda: program.used() in (12 * UNIT, 14 * UNIT))
            os.kill(children[1], signal.SIGKILL)
            self.recovered("all children's memory is back", lambda: program.used() == 8 * UNIT)
        self.assertEqual(len(program.slice()["processes"]), 1)
        self.assertEqual(program.do(f"alloc {ALLOC} {56 * UNIT}"), "ok 1")


class Daemons(WithRandom):
    def replace_daemon(self):
        self.daemon.kill()
        self.daemon.start()

    def kill_daemon_at_random(self):
        reach(time.monotonic() + self.random.uniform(0, 0.3))
        self.daemon.kill()

    def test_a_successor_takes_over(self):
        holder = self.run_program("--share", "30%", "--memory", str(64 * UNIT), "--priority", "low")
        self.assertEqual(holder.do(f"alloc {ALLOC} {16 * UNIT}"), "ok 0")
        worker = self.run_program("--share", "20%", "--limit", "50%", "--memory", str(32 * UNIT))
        self.assertEqual(worker.do(f"spawn 2 alloc {ALLOC} {4 * UNIT};churn {4 * UNIT}"), "spawned 2")
        for _ in range(2):
            self.assertEqual(worker.line(), "ok 0")
        held = 16 * UNIT
        promised = self.promises()
        for round_ in range(max(KILLS // 10, 3)):
            self.kill_daemon_at_random()
            # Limits hold while nobody serves, and memory comes and goes.
            self.assertEqual(holder.do(f"alloc {ALLOC} {48 * UNIT + 1}"), REFUSED)
            self.assertEqual(holder.do(f"alloc {ALLOC} {UNIT // 16}"), f"ok {round_ + 1}")
            held += UNIT // 16
            self.daemon.start()
            self.recovered("both slices are back, with all their processes", lambda: self.processes() == [1, 2])
            self.assertEqual(self.promises(), promised)
            self.assertEqual(holder.used(), held)
            self.assertIn(worker.used(), (8 * UNIT, 12 * UNIT, 16 * UNIT))
            self.check_nobody_stands(holder, worker)

    def promises(self):
        return {each["slice"]: [each[name] for name in ("share_permille", "limit_permille", "memory_limit_bytes", "priority",
                                                        "leader_pid", "command", "owner_uid")]
                for each in self.daemon.slices().values()}

    def processes(self):
        return sorted(len(each["processes"]) for each in self.daemon.slices().values())

    def test_nobody_is_unlimited_without_a_daemon(self):
        program = self.run_program("--share", "30%", "--memory", str(64 * UNIT))
        program.tell("spin 20000")
        until("it computes", lambda: worker_time(program.pid) > 5_000_000)
        self.daemon.kill()
        self.check_rate(program, 0.3)
        self.daemon.start()
        self.check_rate(program, 0.3)
        self.recovered("it is adopted", lambda: len(program.slice()["processes"]) == 1)

    def test_nobody_waits_for_a_successor_that_is_slow(self):
        program = self.run_program("--share", "30%", "--memory", str(64 * UNIT))
        program.tell("spin 20000")
        until("it computes", lambda: worker_time(program.pid) > 5_000_000)
        self.daemon.kill()
        silent = Peer(lambda peer: peer.recv(1), address=self.daemon.address)
        self.addCleanup(silent.close)
        self.check_rate(program, 0.3)
        self.check_rate(program, 0.3)
        silent.close()
        self.daemon.start()
        self.recovered("it is adopted", lambda: len(program.slice()["processes"]) == 1)

    def check_rate(self, program, share):
        """What it receives in the next second is about its share of the driver's threads, and not nothing."""
        rate = cores_used(program.pid) / len(os.sched_getaffinity(0))
        self.assertLess(rate, share + 0.1)
        self.assertGreater(rate, share / 30)  # other work of the machine takes what it takes

    def test_the_paused_stay_paused(self):
        program = self.run_program("--share", "50%")
        program.tell("spin 2500")
        until("it computes", lambda: worker_time(program.pid) > 5_000_000)
        name = program.slice()["slice"]
        self.daemon.flexai("pause", name)
        self.daemon.kill()
        until("it stands still", lambda: self.still(program))
        self.daemon.start()
        self.recovered("it is adopted", lambda: program.slice()["state"] == "paused")
        self.assertTrue(self.still(program))
        self.daemon.flexai("resume", name)
        self.assertRegex(program.line(), r"spun [1-9]")

    @staticmethod
    def still(program):
        before, end = worker_time(program.pid), time.monotonic() + 0.3
        reach(end)
        return worker_time(program.pid) - before < 1_000_000  # one that is held looks each second whether it still is

    def test_who_ends_between_two_daemons_is_forgotten(self):
        one = self.run_program("--share", "30%", "--memory", str(64 * UNIT))
        self.assertEqual(one.do(f"alloc {ALLOC} {16 * UNIT}"), "ok 0")
        self.assertEqual(one.do(f"spawn 1 alloc {ALLOC} {4 * UNIT};me;-"), "spawned 1")
        self.assertEqual(one.line(), "ok 0")
        child = int(one.line().split()[1])
        two = self.run_program("--share", "30%", "--memory", str(64 * UNIT))
        self.assertEqual(two.do(f"alloc {ALLOC} {16 * UNIT}"), "ok 0")
        self.daemon.kill()
        os.kill(child, signal.SIGKILL)
        two.end()
        self.daemon.start()
        self.recovered("the living are counted, and only they", lambda: self.processes() == [1] and one.used() == 16 * UNIT)
        self.assertEqual(one.do(f"alloc {ALLOC} {48 * UNIT}"), "ok 1")

    def test_a_stopped_process_is_not_forgotten(self):
        program = self.run_program("--share", "30%", "--memory", str(64 * UNIT))
        self.assertEqual(program.do(f"alloc {ALLOC} {16 * UNIT}"), "ok 0")
        self.assertEqual(program.do(f"spawn 1 alloc {ALLOC} {32 * UNIT};me;-"), "spawned 1")
        self.assertEqual(program.line(), "ok 0")
        child = int(program.line().split()[1])
        os.kill(child, signal.SIGSTOP)
        self.addCleanup(os.kill, child, signal.SIGKILL)
        self.replace_daemon()
        self.recovered("the one that runs is adopted", lambda: self.processes() == [1])
        # Long enough for a daemon to give a silent process up.
        reach(time.monotonic() + 3)
        self.assertEqual(program.used(), 48 * UNIT)
        self.assertEqual(program.do(f"alloc {ALLOC} {16 * UNIT + 1}"), REFUSED)
        os.kill(child, signal.SIGCONT)
        self.recovered("the other one is adopted", lambda: self.processes() == [2])
        self.assertEqual(program.used(), 48 * UNIT)

    def test_a_stalled_daemon(self):
        program = self.run_program("--share", "30%", "--memory", str(64 * UNIT))
        self.assertEqual(program.do(f"alloc {ALLOC} {16 * UNIT}"), "ok 0")
        program.tell("spin 2500")
        stalled = self.daemon.process
        self.addCleanup(stalled.send_signal, signal.SIGCONT)
        stalled.send_signal(signal.SIGSTOP)
        reach(time.monotonic() + 0.3)
        self.check_rate(program, 0.3)
        stalled.send_signal(signal.SIGCONT)
        self.assertRegex(program.line(), r"spun [1-9]")
        self.assertEqual(program.used(), 16 * UNIT)
        self.assertEqual(self.processes(), [1])

    def test_starts_while_daemons_come_and_go(self):
        for _ in range(max(KILLS // 20, 3)):
            moment = time.monotonic() + self.random.uniform(0, 0.1)
            programs = [Program(self.daemon, *SMALL, commands=[f"alloc {ALLOC} {UNIT}", f"alloc {ALLOC} {64 * UNIT}"])
                        for _ in range(4)]
            reach(moment)
            self.replace_daemon()
            for program in programs:
                with self.subTest(seed=SEED):
                    out, _ = program.process.communicate(timeout=DEADLINE_S)
                    if program.process.returncode == 125:
                        self.assertRegex(program.told(), r"\Aflexai: [^\n]+\n\Z")
                    else:
                        # Never unlimited: at worst everything is refused, with a sentence.
                        self.assertEqual(program.process.returncode, 0)
                        self.assertIn(out.decode(), (f"ok 0\n{REFUSED}\n", f"{REFUSED}\n{REFUSED}\n"), program.told())
                program.end()
            self.recovered("no slice is left", lambda: not self.daemon.slices())


class Held(WithRandom):
    """Kills at the moment that a tenant's work is stopped on the card, where the card tells it."""

    def setUp(self):
        if standing({}) is None:
            self.skipTest("this card does not tell whose work is stopped")
        super().setUp()

    def run_pair(self):
        """Two that always compute: one of them is always out of turn."""
        pair = [self.run_program("--share", "50%", "--memory", str(64 * UNIT), commands=[f"churn {8 * UNIT}"]) for _ in range(2)]
        until("both compute", lambda: all(worker_time(each.pid) > 1_000_000 for each in pair))
        return pair

    def check_progress(self, program):
        before = worker_time(program.pid)
        self.recovered(f"{program.pid} computes", lambda: worker_time(program.pid) > before)

    def test_a_held_tenant_is_killed(self):
        survivor, victim = self.run_pair()
        for _ in range(max(KILLS // 20, 3)):
            until("it is stopped", lambda: standing({victim.pid}))
            victim.end()
            self.recovered("its slice is gone", lambda: len(self.daemon.slices()) == 1)
            self.check_progress(survivor)
            self.check_nobody_stands(survivor)
            victim = self.run_program("--share", "50%", "--memory", str(64 * UNIT), commands=[f"churn {8 * UNIT}"])
            until("both compute", lambda: worker_time(victim.pid) > 1_000_000)

    def test_the_daemon_is_killed_while_one_is_held(self):
        pair = self.run_pair()
        for round_ in range(max(KILLS // 20, 3)):
            held = pair[round_ % 2]
            until("it is stopped", lambda: standing({held.pid}))
            self.daemon.kill()
            # By its own clock, without anybody who lets it go.
            for program in pair:
                self.check_progress(program)
            self.daemon.start()
            self.recovered("both are adopted", lambda: [len(each["processes"]) for each in self.daemon.slices().values()] == [1, 1])
            for program in pair:
                self.check_progress(program)
                self.check_nobody_stands(program)


class Leftovers(WithRandom):
    def test_no_file_is_left(self):
        with tempfile.TemporaryDirectory() as folder:
            shared = set(pathlib.Path("/dev/shm").iterdir())
            daemon = Daemon(folder + "/run/flexaid.sock").start()
            self.addCleanup(daemon.stop)
            program = Program(daemon, *SMALL)
            self.addCleanup(program.end)
            program.do(f"alloc {ALLOC} {UNIT}")
            daemon.kill()
            daemon.start()
            self.recovered("it is adopted", lambda: len(program.slice()["processes"]) == 1)
            program.end()
            self.recovered("no slice is left", lambda: not daemon.slices())
            daemon.stop()
            self.assertEqual([str(each) for each in pathlib.Path(folder).rglob("*") if not each.is_dir()], [])
            self.assertEqual(set(pathlib.Path("/dev/shm").iterdir()) - shared, set())

    def test_one_daemon_at_an_address(self):
        with tempfile.TemporaryDirectory() as folder:
            for address in folder + "/socket", self.daemon.address:
                first = self.daemon if address == self.daemon.address else Daemon(address).start()
                second = first.try_second()
                self.assertEqual(second.returncode, 1, second)
                self.assertRegex(second.stderr, r"\Aflexai: [^\n]+\n\Z")
                self.assertTrue(first.answers())
                if first is not self.daemon:
                    first.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
