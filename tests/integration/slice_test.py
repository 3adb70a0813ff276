"""A slice's limits as programs and people meet them: memory to the byte, processes, changes while it runs."""
import json
import os
import pathlib
import re
import subprocess
import tempfile
import tomllib
import unittest

from tenants import MIB, PROGRAM, WithDaemon, clean_environment, standing_still, until, workers

TABLE = os.environ.get("FLEXAI_TABLE")
LIMIT = 64 * MIB
REFUSED = r"flexai: slice (\S+): (\w+) refused: asked \S+ \S+ \((\d+) bytes\), used [^;]*\((\d+)\), limit [^;]*\((\d+)\); " \
          r".*flexai set (\S+) --memory \S+"


def allocating_rows():
    """Names of the table's functions that allocate."""
    with open(TABLE, "rb") as file:
        return {name for name, row in tomllib.load(file)["fn"].items() if row.get("event") == "memory.alloc"}


def ask_bare(*commands):
    """What the program answers without any slice."""
    result = subprocess.run([PROGRAM, *commands], env=clean_environment(), stdin=subprocess.DEVNULL, capture_output=True,
                            text=True, timeout=60)
    return result.stdout.splitlines()


@unittest.skipUnless(TABLE, "FLEXAI_TABLE does not name the table of functions")
class EveryAllocation(WithDaemon):
    def test_every_row_is_exercised(self):
        exercised = {row.split(":")[0] for row in ask_bare("rows")} - {"end"}
        self.assertEqual(allocating_rows() - exercised, set(), "rows that allocate, but nothing here calls them")
        self.assertEqual(exercised - allocating_rows(), set(), "calls that the table does not say to allocate")

    def test_no_row_passes_the_limit(self):
        offered = []
        for row in ask_bare("rows")[:-1]:
            with self.subTest(row=row):
                if not ask_bare(f"alloc {row} 4")[0].startswith("ok"):
                    continue  # the driver does not have it, as it says without us
                offered.append(row)
                self.holds_the_limit(row)
        self.assertGreaterEqual(set(offered), {"clCreateBuffer", "clCreateBufferWithProperties", "clCreateImage"})

    def holds_the_limit(self, row):
        program = self.run_program("--share", "30%", "--memory", "64Mi")
        name = row.split(":")[0]
        self.assertEqual(program.do("device"), f"device {LIMIT} {LIMIT}")
        # The whole slice fits, not one object more.
        self.assertEqual(program.do(f"alloc {row} {LIMIT}"), "ok 0")
        self.assertEqual(program.used(), LIMIT)
        refused = program.do(f"alloc {row} 4")
        returns_only = name.startswith("clSVM")
        self.assertEqual(refused, "error 0" if returns_only else "error -4")
        self.assertEqual(program.used(), LIMIT)
        self.check_refusal(program, name, asked=4, used=LIMIT)
        # All of it comes back.
        self.assertEqual(program.do("release 0"), "did 0")
        self.assertEqual(program.used(), 0)
        # In parts: the sum counts, and nothing is left over.
        for part in range(1, 5):
            self.assertEqual(program.do(f"alloc {row} {LIMIT // 4}"), f"ok {part}")
        self.assertTrue(program.do(f"alloc {row} {LIMIT // 4}").startswith("error"))
        self.assertEqual(program.used(), LIMIT)
        for part in range(1, 5):
            self.assertEqual(program.do(f"release {part}"), "did 0")
        found = program.slice()
        self.assertEqual((found["memory_used_bytes"], found["memory_peak_bytes"], found["refused_allocations"]), (0, LIMIT, 2))
        self.assertEqual(program.leave(), 0)

    def check_refusal(self, program, name, asked, used):
        lines = program.told().splitlines()
        self.assertEqual(len(lines), 1, lines)
        told = re.fullmatch(REFUSED, lines[0])
        self.assertTrue(told, lines[0])
        slice_id = program.slice()["slice"]
        self.assertEqual(told.groups(), (slice_id, name, str(asked), str(used), str(LIMIT), slice_id))


class Counting(WithDaemon):
    """One count for whatever the slice's processes and threads hold."""

    def test_the_last_release_counts(self):
        program = self.run_program("--memory", "64Mi", "--share", "30%")
        self.assertEqual(program.do(f"alloc clCreateBuffer {MIB}"), "ok 0")
        for command, used in ("retain 0", MIB), ("release 0", MIB), ("release 0", 0):
            self.assertEqual(program.do(command), "did 0")
            self.assertEqual(program.used(), used, command)

    def test_parts_and_views_are_not_charged_and_keep_the_whole(self):
        program = self.run_program("--memory", "64Mi", "--share", "30%")
        self.assertEqual(program.do(f"alloc clCreateBuffer {LIMIT}"), "ok 0")
        self.assertEqual(program.do("part 0"), "ok 1")
        self.assertEqual(program.do("view 0"), "ok 2")
        self.assertEqual(program.used(), LIMIT)
        for number, used in enumerate((LIMIT, LIMIT, 0)):
            self.assertEqual(program.do(f"release {number}"), "did 0")
            self.assertEqual(program.used(), used)

    def test_shared_memory_freed_in_a_queue(self):
        if not ask_bare("alloc clSVMAlloc 4")[0].startswith("ok"):
            self.skipTest("the driver has no shared memory")
        program = self.run_program("--memory", "64Mi", "--share", "30%")
        self.assertEqual(program.do(f"alloc clSVMAlloc {LIMIT}"), "ok 0")
        self.assertEqual(program.do("free-in-queue 0"), "did 0")
        self.until_used(program, 0)

    def test_what_the_driver_refuses_is_not_charged(self):
        program = self.run_program("--memory", "64Mi", "--share", "30%")
        self.assertEqual(program.do("alloc clCreateBuffer 0"), "error -61")
        self.assertEqual(program.do(f"alloc clCreateBuffer {1 << 63}"), "error -4")
        self.assertEqual(program.used(), 0)

    def test_threads(self):
        program = self.run_program("--memory", "64Mi", "--share", "30%")
        told = dict(word.split("=") for word in program.do(f"contend 8 500 {24 * MIB}").split()[1:])
        self.assertEqual(int(told["granted"]) + int(told["refused"]), 8 * 500)
        self.assertGreater(int(told["granted"]), 0)
        self.assertLessEqual(int(told["most"]), 48 * MIB)
        found = program.slice()
        self.assertLessEqual(found["memory_peak_bytes"], 48 * MIB)
        self.assertEqual((found["memory_used_bytes"], found["refused_allocations"]), (0, int(told["refused"])))

    def test_processes_that_take_and_give_at_once(self):
        program = self.run_program("--memory", "64Mi", "--share", "30%")
        self.assertEqual(program.do(f"spawn 8 contend 2 200 {24 * MIB};-"), "spawned 8")
        told = [dict(word.split("=") for word in program.line().split()[1:]) for _ in range(8)]
        self.assertGreater(sum(int(each["granted"]) for each in told), 0)
        found = program.slice()
        self.assertLessEqual(found["memory_peak_bytes"], 48 * MIB)
        self.assertEqual(found["memory_used_bytes"], 0)
        self.assertEqual(found["refused_allocations"], sum(int(each["refused"]) for each in told))

    def test_200_processes(self):
        program = self.run_program("--memory", "150Mi", "--share", "30%")
        self.assertEqual(program.do(f"spawn 200 alloc clCreateBuffer {MIB};-"), "spawned 200")
        told = [program.line() for _ in range(200)]
        self.assertEqual((told.count("ok 0"), told.count("error -4")), (150, 50))
        found = program.slice()
        self.assertEqual((found["memory_used_bytes"], found["memory_peak_bytes"]), (150 * MIB, 150 * MIB))
        self.assertEqual(len(found["processes"]), 200)
        self.assertEqual(sum(each["memory_used_bytes"] for each in found["processes"]), 150 * MIB)

    def test_slices_do_not_see_each_other(self):
        one = self.run_program("--memory", "64Mi", "--share", "30%")
        two = self.run_program("--memory", "32Mi", "--share", "30%")
        self.assertEqual(one.do(f"alloc clCreateBuffer {64 * MIB}"), "ok 0")
        self.assertEqual(two.do(f"alloc clCreateBuffer {32 * MIB}"), "ok 0")
        self.assertEqual((one.used(), two.used()), (64 * MIB, 32 * MIB))
        self.assertEqual(self.daemon.status()["cards"][0]["memory_used_bytes"], 96 * MIB)


class Changing(WithDaemon):
    """What people change while the program runs."""

    def change(self, program, *words):
        return self.daemon.flexai("set", program.slice()["slice"], *words)

    def test_more_memory(self):
        program = self.run_program("--memory", "64Mi", "--share", "30%")
        self.assertEqual(program.do(f"alloc clCreateBuffer {65 * MIB}"), "error -4")
        self.assertEqual(self.change(program, "--memory", "65Mi").returncode, 0)
        self.assertEqual(program.do(f"alloc clCreateBuffer {65 * MIB}"), "ok 0")
        self.assertEqual(program.do("device").split()[1], str(65 * MIB))

    def test_less_memory_than_is_used(self):
        program = self.run_program("--memory", "64Mi", "--share", "30%")
        for part in range(2):
            self.assertEqual(program.do(f"alloc clCreateBuffer {20 * MIB}"), f"ok {part}")
        refused = self.change(program, "--memory", "32Mi")
        self.assertEqual(refused.returncode, 1, refused)
        self.assertRegex(refused.stderr, rf"\Aflexai: [^\n]*\({40 * MIB} bytes\)[^\n]*--no-growth[^\n]*\n\Z")
        self.assertEqual(program.slice()["memory_limit_bytes"], LIMIT)
        self.assertEqual(self.change(program, "--memory", "32Mi", "--no-growth").returncode, 0)
        self.assertEqual(program.do("alloc clCreateBuffer 4"), "error -4")
        self.assertEqual(program.do("release 0"), "did 0")
        self.assertEqual(program.do(f"alloc clCreateBuffer {12 * MIB}"), "ok 2")
        self.assertEqual(program.do("alloc clCreateBuffer 4"), "error -4")
        self.assertEqual(program.used(), 32 * MIB)

    def test_pause_and_resume(self):
        program = self.run_program("--share", "50%")
        program.tell("spin 300")
        until("the program computes", lambda: program.slice()["state"] in ("running", "held"))
        name = program.slice()["slice"]
        self.assertEqual(self.daemon.flexai("pause", name).returncode, 0)
        self.assertEqual(program.slice()["state"], "paused")
        until("the workers stand still", lambda: standing_still([program.pid]))
        cores = [os.sched_getaffinity(tid) for tid in workers(program.pid)]
        self.assertTrue(all(len(each) == 1 for each in cores), f"each worker has a core of its own: {cores}")
        self.assertEqual(len(set.union(*cores)), min(len(cores), len(os.sched_getaffinity(program.pid))))
        self.assertEqual(self.daemon.flexai("resume", name).returncode, 0)
        self.assertRegex(program.line(), r"spun [1-9]")

    def test_less_share(self):
        program = self.run_program("--share", "90%")
        program.tell("spin 6000")
        for share in (0.9, 0.2):
            self.assertEqual(self.change(program, "--share", f"{share:.0%}").returncode, 0)
            until(f"it receives {share:.0%}", lambda: abs(program.slice()["compute_received_ratio"] - share) < 0.03)

    def test_no_room(self):
        self.run_program("--share", "60%").do("me")
        full = self.daemon.flexai("run", "--share", "50%", "--nowait", "--", "true")
        self.assertEqual(full.returncode, 75, full)

    def test_whoever_waits_starts_when_memory_is_free(self):
        total = self.daemon.status()["cards"][0]["memory_total_bytes"]
        first = self.run_program("--share", "30%", "--memory", f"{total // 2}")
        first.do("me")
        second = self.run_program("--share", "30%", "--memory", f"{total // 2 + 1}")
        until("the second waits", lambda: self.daemon.status()["waiting"])
        first.leave()
        self.assertTrue(second.do("me").startswith("me"))

    def test_report(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "report.json")
            program = self.run_program("--share", "50%", "--memory", "64Mi", "--report", str(path))
            program.do(f"alloc clCreateBuffer {16 * MIB}")
            program.do(f"alloc clCreateBuffer {LIMIT}")
            program.do("spin 300")
            self.assertEqual(program.leave(), 0)
            self.no_slice_is_left()
            report = json.loads(path.read_text())
        self.assertEqual((report["state"], report["leader_pid"], report["memory_limit_bytes"], report["memory_used_bytes"],
                          report["memory_peak_bytes"], report["refused_allocations"], report["processes"]),
                         ("ended", program.pid, LIMIT, 0, 16 * MIB + 4096, 1, []))
        self.assertGreater(report["compute_received_seconds"], 0.1)
        self.assertGreaterEqual(report["duration_seconds"], report["compute_received_seconds"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
