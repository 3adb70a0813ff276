"""Slices of several cards, on two fake ones: each card's memory, turns and views are its own, and whatever happens to the slice
happens to it on all its cards."""
import pathlib
import signal
import sys
import tempfile
import unittest

from tenants import BUILD, FAKE_CARDS, FLEXAI, MIB, Daemon, Program, until

CALLS = [sys.executable, str(pathlib.Path(__file__).with_name("cards_calls.py"))]
OUT_OF_MEMORY = "error 2"
LIMIT = 256 * MIB


class Cards(unittest.TestCase):
    def setUp(self):
        if not FLEXAI.exists() or not (BUILD / "lib/libfake_nvml.so").exists():
            self.skipTest("flexai or its fake card is not built")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.daemon = Daemon(env={**FAKE_CARDS["fake_cuda"], "FLEXAI_FAKE_CARDS": "2", "FLEXAI_FAKE_SHARED": folder.name + "/card",
                                  "STATE_DIRECTORY": folder.name + "/state"})
        self.addCleanup(self.daemon.stop)
        self.daemon.start()

    def run_program(self, *options, command=None, **more):
        program = Program(self.daemon, "--memory", f"{LIMIT // MIB}Mi", *options, command=command or CALLS, **more)
        self.addCleanup(program.end)
        return program

    def parts(self, program):
        """The program's slice on each of its cards."""
        until(f"process {program.pid} has a slice", program.slice)
        return [each for each in self.daemon.status()["slices"] if each["leader_pid"] == program.pid]

    def used(self, program):
        return [part["memory_used_bytes"] for part in self.parts(program)]

    def test_memory_is_each_cards_own(self):
        program = self.run_program("--cards", "2", "--share", "50%")
        self.assertEqual(program.do("devices"), "ok 2")
        for card in range(2):
            self.assertEqual(program.do(f"use {card}"), "ok")
            self.assertEqual(program.do("memory"), f"ok {LIMIT} {LIMIT}")
            self.assertEqual(program.do(f"alloc {LIMIT}"), f"ok {card}")
            self.assertEqual(program.do(f"alloc {2 * MIB}"), OUT_OF_MEMORY)
            self.assertEqual(program.do("memory"), f"ok 0 {LIMIT}")
            self.assertEqual(program.do(f"shown {card}"), f"ok {LIMIT} {LIMIT}")
        self.assertEqual(self.used(program), [LIMIT, LIMIT])
        # Given back while the other card is in use, it is the first one's.
        self.assertEqual(program.do("free 0"), "ok")
        self.assertEqual(self.used(program), [0, LIMIT])
        self.assertEqual(program.do(f"alloc {2 * MIB}"), OUT_OF_MEMORY)
        self.assertEqual([part["refused_allocations"] for part in self.parts(program)], [1, 2])
        self.assertEqual(program.leave(), 0)

    def test_memory_goes_where_the_call_says(self):
        program = self.run_program("--cards", "2", "--share", "50%")
        program.do("use 0")
        self.assertEqual(program.do(f"physical 1 {LIMIT}"), "ok 0")
        self.assertEqual(self.used(program), [0, LIMIT])
        self.assertEqual(program.do(f"physical 1 {2 * MIB}"), OUT_OF_MEMORY)
        self.assertEqual(program.do(f"physical 0 {LIMIT}"), "ok 1")
        self.assertEqual(self.used(program), [LIMIT, LIMIT])
        self.assertEqual([program.do("free 0"), program.do("free 1")], ["ok", "ok"])
        self.assertEqual(self.used(program), [0, 0])
        self.assertEqual(program.do(f"pooled 1 {32 * MIB}"), "ok 2")
        self.assertEqual(self.used(program), [0, 32 * MIB])
        self.assertEqual(program.do(f"pooled 1 {LIMIT}"), OUT_OF_MEMORY)
        self.assertEqual(program.leave(), 0)

    def test_a_program_may_choose_among_them(self):
        program = self.run_program("--cards", "2", "--share", "50%", env={"CUDA_VISIBLE_DEVICES": "1"})
        self.assertEqual(program.do("devices"), "ok 1")
        self.assertEqual(program.do("use 0"), "ok")
        self.assertEqual(program.do(f"alloc {16 * MIB}"), "ok 0")
        self.assertEqual(self.used(program), [0, 16 * MIB])
        self.assertEqual(program.leave(), 0)

    def test_turns_beside_a_neighbour_on_each_card(self):
        both = self.run_program("--cards", "2", "--share", "50%")
        self.assertEqual(both.do("work"), "ok")
        beside = [self.run_program("--share", "50%", "--card", str(card)) for card in range(2)]
        for one in beside:
            self.assertEqual([one.do("devices"), one.do("work")], ["ok 1", "ok"])

        def all_had_turns():
            parts = [part for program in (both, *beside) for part in self.parts(program)]
            return len(parts) == 4 and all(part["throttled_seconds"] > 0.3 and part["compute_received_seconds"] > 0.3 for part in parts)
        until("each had the card and waited for it", all_had_turns)
        # As many channels as a context has are stopped on each card.
        self.assertEqual([(part["lever"], part["processes"][0]["workers"]) for part in self.parts(both)],
                         [(part["lever"], part["processes"][0]["workers"]) for one in beside for part in self.parts(one)])
        self.assertEqual({part["lever"] for part in self.parts(both)}, {"freeze"})
        self.assertEqual(len(both.do("done").split()), 3)
        self.assertNotIn(" 0", both.do("done"))

    def test_changed_and_paused_on_both(self):
        program = self.run_program("--cards", "2", "--share", "50%")
        name = program.slice()["slice"]
        self.assertEqual(program.do("work"), "ok")
        until("both cards work", lambda: " 0" not in program.do("done"))
        self.assertEqual(self.daemon.flexai("set", name, "--share", "70%", "--memory", "64Mi").returncode, 0)
        self.assertEqual([(part["share_permille"], part["memory_limit_bytes"]) for part in self.parts(program)], [(700, 64 * MIB)] * 2)
        self.assertEqual(self.daemon.flexai("pause", name).returncode, 0)
        self.assertEqual([part["state"] for part in self.parts(program)], ["paused"] * 2)
        # What was launched comes to its end, or waits: from then on nothing more does.
        stands = until("it stands", lambda: (before := program.do("done")) == program.do("done") and before)
        self.assertEqual(self.daemon.flexai("resume", name).returncode, 0)
        until("both cards go on", lambda: all(now > then for now, then in zip(
            map(int, program.do("done").split()[1:]), map(int, stands.split()[1:]))))

    def test_killed_it_is_gone_from_both(self):
        program = self.run_program("--cards", "2", "--share", "100%")
        self.assertEqual(program.do("work"), "ok")
        refused = self.daemon.flexai("run", "--nowait", "--card", "1", "--share", "10%", "--", "true")
        self.assertEqual(refused.returncode, 75, refused.stderr)
        program.process.send_signal(signal.SIGKILL)
        until("no slice is left", lambda: not self.daemon.slices())
        self.assertEqual(self.daemon.flexai("run", "--cards", "2", "--share", "100%", "--", "true").returncode, 0)

    def test_a_daemon_that_dies_is_replaced(self):
        program = self.run_program("--cards", "2", "--share", "50%")
        program.do("use 1")
        self.assertEqual(program.do(f"alloc {16 * MIB}"), "ok 0")
        before = {part["part"]: (part["card"], part["memory_used_bytes"]) for part in self.parts(program)}
        self.daemon.kill()
        self.daemon.start()
        until("it has both cards again", lambda: len(self.daemon.status()["slices"]) == 2)
        self.assertEqual({part["part"]: (part["card"], part["memory_used_bytes"]) for part in self.parts(program)}, before)
        self.assertEqual(self.daemon.flexai("set", program.slice()["slice"], "--share", "60%").returncode, 0)
        self.assertEqual([card["share_granted_permille"] for card in self.daemon.status()["cards"]], [600, 600])
        self.assertEqual(program.do(f"alloc {LIMIT}"), OUT_OF_MEMORY)
        self.assertEqual(program.leave(), 0)

    def test_what_cannot_be_had_is_told(self):
        for words, sentence in ((["--cards", "3"], "a slice of 3 cards needs as many of one model"), (["--cards", "no"], "cards 'no' is not a number"),
                                (["--cards", "0"], "a slice of 0 cards is outside 1 to 16"), (["--card", "0", "--cards", "2"], "--card names 1 of 2 cards"),
                                (["--card", "0,5"], "card '5' is unknown")):
            with self.subTest(words=words):
                refused = self.daemon.flexai("run", *words, "--", "true")
                self.assertEqual(refused.returncode, 125, refused.stderr)
                self.assertIn(sentence, refused.stderr)


if __name__ == "__main__":
    unittest.main()
