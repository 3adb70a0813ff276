"""What using a card takes of a slice before anything is allocated: too small a slice is told so, by the first program on the card
as well, and contexts that ended are in nobody's way."""
import json
import pathlib
import re
import sys
import tempfile
import unittest

from tenants import BUILD, FAKE_CARDS, FLEXAI, MIB, Daemon, Program, until

CALLS = [sys.executable, str(pathlib.Path(__file__).with_name("driver_calls.py"))]
CONTEXT = 300 * MIB
OUT_OF_MEMORY = "error 2"


def pending(launches):
    """Bytes, in whole blocks, that so many launches by kernels may wait."""
    return -(-(launches - 2048) * 9384 // (2 * MIB)) * 2 * MIB


class Contexts(unittest.TestCase):
    def setUp(self):
        if not FLEXAI.exists() or not (BUILD / "lib/libfake_nvml.so").exists():
            self.skipTest("flexai or its fake card is not built")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.file = self.folder / "state/contexts.json"
        self.env = {**FAKE_CARDS["fake_cuda"], "FLEXAI_FAKE_SHARED": folder.name + "/card", "FLEXAI_FAKE_CONTEXT": str(CONTEXT),
                    "STATE_DIRECTORY": folder.name + "/state"}

    def start_daemon(self, **more):
        daemon = Daemon(env={**self.env, **more})
        self.addCleanup(daemon.stop)
        return daemon.start()

    def run_program(self, daemon, memory_mib):
        program = Program(daemon, "--share", "30%", "--memory", f"{memory_mib}Mi", command=CALLS)
        self.addCleanup(program.end)
        return program

    def check_told(self, program, least_mib):
        """One line, which names the need and what to ask for."""
        told = program.told()
        self.assertEqual(len(told.splitlines()), 1, told)
        found = re.search(r"^flexai: slice (\S+): (cu\w+) refused: using the card at all takes 300 MiB \((\d+) bytes\), used .*, limit .*"
                          r"; give the slice more than (\d+)Mi: flexai run --memory, or flexai set (\S+) --memory$", told, re.M)
        self.assertTrue(found, told)
        self.assertEqual((int(found[3]), int(found[4]), found[5]), (CONTEXT, least_mib, found[1]))

    def test_the_first_program_is_told(self):
        for make in "retain", "create":
            with self.subTest(make=make):
                self.file.unlink(missing_ok=True)
                daemon = self.start_daemon()
                program = self.run_program(daemon, 200)
                self.assertEqual(program.do(make), OUT_OF_MEMORY)
                self.check_told(program, 300)
                until("nothing is held", lambda: program.used() == 0)
                self.assertNotRegex(program.do(f"alloc {MIB}"), "ok")
                self.assertEqual(program.slice()["refused_allocations"], 1)
                # Enough is enough, without a new start.
                self.assertEqual(daemon.flexai("set", program.slice()["slice"], "--memory", "320Mi").returncode, 0)
                self.assertEqual(program.do(make)[:2], "ok", program.told())
                self.assertEqual(program.do(f"alloc {20 * MIB}"), "ok 0")
                self.assertEqual(program.used(), 320 * MIB)
                self.assertEqual(program.do(f"alloc {2 * MIB}"), OUT_OF_MEMORY)
                self.assertEqual(program.leave(), 0)
                daemon.stop()

    def test_the_first_context_counts_at_once(self):
        program = self.run_program(self.start_daemon(), 400)
        self.assertEqual(program.do("retain"), "ok")
        self.assertEqual(program.do(f"alloc {120 * MIB}"), OUT_OF_MEMORY)
        self.assertEqual(program.do(f"alloc {100 * MIB}"), "ok 0")
        self.assertEqual(program.used(), 400 * MIB)

    def test_what_a_limit_of_the_context_takes_counts_before_it_is_taken(self):
        program = self.run_program(self.start_daemon(), 400)
        self.assertEqual(program.do("retain"), "ok")
        self.assertEqual(program.do("limit_is pending"), "ok 2048")
        self.assertEqual(program.do("limit pending 9000"), "ok")
        self.assertEqual(program.used(), CONTEXT + pending(9000) + 4 * MIB)
        until("it is in the books", lambda: program.used() == CONTEXT + pending(9000))
        # What does not fit is not tried.
        for number in 30000, 1 << 62:
            self.assertEqual(program.do(f"limit pending {number}"), OUT_OF_MEMORY)
            self.assertEqual(program.used(), CONTEXT + pending(9000))
            self.assertEqual(program.do("limit_is pending"), "ok 9000")
        # More free after than before, as where a neighbour gave memory back, is a reason to compare the books, too.
        self.assertEqual(program.do("limit pending 4000"), "ok")
        self.assertEqual(program.used(), CONTEXT + pending(4000))
        self.assertEqual(program.do("limit pending 9000"), "ok")
        until("it is in the books", lambda: program.used() == CONTEXT + pending(9000))
        self.assertEqual(program.do(f"alloc {38 * MIB}"), OUT_OF_MEMORY)
        self.assertEqual(program.do(f"alloc {36 * MIB}"), "ok 0")
        self.assertEqual(program.leave(), 0)

    def test_room_for_threads_counts_before_it_is_taken(self):
        # 4,096 threads at once: 4 MiB for each KiB that a thread needs more than the first.
        program = self.run_program(self.start_daemon(), 400)
        self.assertEqual(program.do("retain"), "ok")
        for load in "load {}", "find {}", "find {} function":
            self.assertEqual(program.do(load.format(1 << 20))[:2], "ok")
        for number in range(3):
            for launch in "run", "run_ex", "graph":
                self.assertEqual(program.do(f"{launch} {number}"), OUT_OF_MEMORY, launch)
        self.assertEqual(program.do(f"limit stack {1 << 20}"), OUT_OF_MEMORY)
        self.assertEqual(program.do(f"limit stack {1 << 60}"), OUT_OF_MEMORY)
        self.assertEqual(program.do("limit_is stack"), "ok 1024")
        self.assertIn("cuLaunchKernel refused: asked 4.0 GiB", program.told())
        self.assertEqual(program.used(), CONTEXT)
        for number in range(3):
            self.assertEqual(program.do(f"unload {number}"), "ok")
        # Once there is room, all that needs less finds it, and launches take nothing more.
        self.assertEqual(program.do(f"load {11 << 10}"), "ok 3")
        self.assertEqual(program.do("run 3"), "ok")
        until("the room is in the books", lambda: program.used() == CONTEXT + 40 * MIB)
        self.assertEqual(program.do("graph 3"), "ok")
        self.assertEqual(program.do(f"limit stack {11 << 10}"), "ok")
        self.assertEqual(program.do(f"alloc {60 * MIB}"), "ok 0")
        self.assertEqual(program.do("run 3"), "ok")
        self.assertEqual(program.do(f"load {12 << 10}"), "ok 4")
        self.assertEqual(program.do("graph 4"), OUT_OF_MEMORY)
        self.assertEqual(program.do("run 4"), OUT_OF_MEMORY)
        self.assertEqual(program.do("run 3"), "ok")
        self.assertEqual(program.do("limit stack 1024"), "ok")
        until("the room is given back", lambda: program.used() == CONTEXT + 60 * MIB)
        self.assertEqual(program.do(f"alloc {40 * MIB}"), "ok 1")
        self.assertEqual(program.do("run 3"), OUT_OF_MEMORY)
        self.assertEqual(program.do("free 1"), "ok")
        self.assertEqual(program.do(f"limit stack {6 << 10}"), "ok")
        until("what was set is in the books", lambda: program.used() == CONTEXT + 80 * MIB)
        self.assertEqual(program.leave(), 0)

    def test_another_context_needs_room_of_its_own(self):
        program = self.run_program(self.start_daemon(FLEXAI_FAKE_CONTEXT=str(20 * MIB)), 200)
        self.assertEqual(program.do("retain"), "ok")
        self.assertEqual(program.do(f"load {21 << 10}"), "ok 0")
        self.assertEqual(program.do("run 0"), "ok")
        until("the room is in the books", lambda: program.used() == 100 * MIB)
        self.assertEqual(program.do("create"), "ok 0")
        self.assertEqual(program.do(f"load {21 << 10}"), "ok 1")
        self.assertEqual(program.do("run 1"), OUT_OF_MEMORY)
        self.assertEqual(program.do(f"load {11 << 10}"), "ok 2")
        self.assertEqual(program.do("run 2"), "ok")
        until("its room is in the books", lambda: program.used() == 160 * MIB)
        self.assertEqual(program.leave(), 0)

    def test_a_heap_for_kernels_counts_from_the_moment_it_is_asked_for(self):
        program = self.run_program(self.start_daemon(), 400)
        self.assertEqual(program.do("retain"), "ok")
        self.assertEqual(program.do(f"limit heap {100 * MIB}"), OUT_OF_MEMORY)
        self.assertEqual(program.do(f"limit heap {1 << 63}"), OUT_OF_MEMORY)
        self.assertEqual(program.do(f"limit heap {64 * MIB}"), "ok")
        self.assertEqual(program.used(), CONTEXT + 66 * MIB)
        self.assertEqual(program.do(f"limit heap {30 * MIB}"), "ok")
        self.assertEqual(program.used(), CONTEXT + 32 * MIB)
        self.assertEqual(program.do(f"limit heap {64 * MIB}"), "ok")
        # Comparing the books changes nothing while no kernel has allocated, and when one has.
        self.assertEqual(program.do(f"alloc {36 * MIB}"), OUT_OF_MEMORY)
        self.assertEqual(program.do(f"alloc {34 * MIB}"), "ok 0")
        self.assertEqual(program.do("load 8 malloc"), "ok 0")
        self.assertEqual(program.do("run 0"), "ok")
        self.assertEqual(program.do(f"alloc {2 * MIB}"), OUT_OF_MEMORY)
        self.assertEqual(program.used(), CONTEXT + 100 * MIB)
        self.assertEqual(program.do(f"limit heap {64 * MIB}"), "error 1")
        self.assertEqual(program.do("free 0"), "ok")
        self.assertEqual(program.used(), CONTEXT + 66 * MIB)
        self.assertEqual(program.leave(), 0)

    def test_a_heap_in_use_counts_once(self):
        # Made in one context and used there, told while another one is current.
        program = self.run_program(self.start_daemon(FLEXAI_FAKE_CONTEXT=str(20 * MIB)), 200)
        self.assertEqual(program.do("retain"), "ok")
        self.assertEqual(program.do(f"limit heap {64 * MIB}"), "ok")
        self.assertEqual(program.do("load 8 malloc"), "ok 0")
        self.assertEqual(program.do("streams 1"), "ok")
        self.assertEqual(program.do("run 0"), "ok")
        # Nobody is refused, and the program waits now and then: a second later others can have what is free.
        until("the heap counts once", lambda: program.do("wait 0") == "ok" and program.used() == 86 * MIB)
        self.assertEqual(program.do("create"), "ok 0")
        self.assertEqual(program.do(f"limit heap {8 * MIB}"), "ok")
        self.assertEqual(program.do("load 8 malloc"), "ok 1")
        self.assertEqual(program.do("run 1"), "ok")
        self.assertEqual(program.do("create"), "ok 1")
        self.assertEqual(program.do(f"alloc {66 * MIB}"), OUT_OF_MEMORY)
        self.assertEqual(program.do(f"alloc {64 * MIB}"), "ok 0")
        self.assertEqual(program.leave(), 0)

    def test_a_heap_stays_in_the_books_while_nobody_compares_them(self):
        daemon = self.start_daemon()
        program = self.run_program(daemon, 400)
        self.assertEqual(program.do("retain"), "ok")
        self.assertEqual(program.do(f"limit heap {64 * MIB}"), "ok")
        daemon.stop()
        self.assertEqual(program.do("load 8 malloc"), "ok 0")
        self.assertEqual(program.do("run 0"), "ok")
        self.assertEqual(program.do(f"alloc {34 * MIB}"), "ok 0")
        self.assertEqual(program.do(f"alloc {2 * MIB}"), OUT_OF_MEMORY)

    def test_no_room_at_all_is_a_number(self):
        program = self.run_program(self.start_daemon(), 400)
        self.assertEqual(program.do("retain"), "ok")
        self.assertEqual(program.do("limit stack 0"), "ok")
        self.assertEqual(program.do(f"load {1 << 20}"), "ok 0")
        self.assertEqual(program.do("run 0"), OUT_OF_MEMORY)
        self.assertEqual(program.do(f"load {11 << 10}"), "ok 1")
        self.assertEqual(program.do("run 1"), "ok")
        self.assertEqual(program.do("run 0"), OUT_OF_MEMORY)

    def test_the_next_daemon_knows(self):
        daemon = self.start_daemon()
        program = self.run_program(daemon, 400)
        self.assertEqual(program.do("retain"), "ok")
        self.assertEqual(json.loads(self.file.read_text()), {"version": 1, "contexts": [["flexai fake card", "580.0.0", CONTEXT]]})
        program.leave()
        daemon.stop()
        daemon = self.start_daemon()
        ran = daemon.flexai("run", "--quiet", "--share", "30%", "--memory", "200Mi", "--", "echo", "ran")
        self.assertEqual((ran.returncode, ran.stdout), (125, ""), ran)
        self.assertRegex(ran.stderr, r"\Aflexai: memory 200 MiB is less than what a program holds on card 0 by using it at all, "
                                     r"300 MiB; ask for more than 300Mi: [^\n]*\n\Z")
        self.assertEqual((daemon.slices(), daemon.status()["cards"][0]["memory_granted_bytes"]), ({}, 0))
        # A second process in a slice that has room for one.
        program = self.run_program(daemon, 500)
        self.assertEqual(program.do("retain"), "ok")
        self.assertEqual(program.do("create"), OUT_OF_MEMORY)
        self.check_told(program, 600)
        daemon.stop()
        # Another driver takes what it takes.
        daemon = self.start_daemon(FLEXAI_FAKE_DRIVER="580.1")
        self.assertEqual(daemon.flexai("run", "--quiet", "--share", "30%", "--memory", "200Mi", "--", "true").returncode, 0)

    def test_a_file_that_is_none_of_ours_is_harmless(self):
        for text in "", "{]", '{"version": 1, "contexts": [["flexai fake card", "580.0.0", 99999999999999]]}', "\0" * 100000:
            with self.subTest(text=text[:40]):
                self.file.parent.mkdir(exist_ok=True)
                self.file.write_text(text)
                daemon = self.start_daemon()
                program = self.run_program(daemon, 200)
                self.assertEqual(program.do("retain"), OUT_OF_MEMORY)
                self.check_told(program, 300)
                self.assertEqual(json.loads(self.file.read_text())["contexts"], [["flexai fake card", "580.0.0", CONTEXT]])
                program.leave()
                daemon.stop()

    def test_no_place_for_the_file(self):
        daemon = self.start_daemon(STATE_DIRECTORY="/proc/nothing")
        program = self.run_program(daemon, 200)
        self.assertEqual(program.do("retain"), OUT_OF_MEMORY)
        self.check_told(program, 300)

    def test_contexts_that_ended_are_in_nobodys_way(self):
        program = self.run_program(self.start_daemon(), 700)
        for number in range(0, 6, 2):
            self.assertEqual(program.do("create"), f"ok {number}", program.told())
            self.assertEqual(program.do("create"), f"ok {number + 1}", program.told())
            until("both are booked", lambda: program.slice()["processes"][0]["memory_booked_bytes"] == 2 * CONTEXT)
            self.assertEqual(program.do(f"destroy {number}"), "ok")
            self.assertEqual(program.do(f"destroy {number + 1}"), "ok")
        self.assertEqual(program.told(), "")

    def test_books_of_a_process_without_contexts_are_compared(self):
        """Also when it is the only one on the card, which is then named by nobody."""
        program = self.run_program(self.start_daemon(), 700)
        self.assertEqual(program.do("retain"), "ok")
        self.assertEqual(program.used(), CONTEXT)
        self.assertEqual(program.do("release"), "ok")
        until("nothing is booked", lambda: program.used() == 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
