"""Memory that the driver holds in reserve and hands out by itself, on two fake cards: what counts, for how long, and of which card."""
import pathlib
import sys
import tempfile
import unittest

from tenants import BUILD, FAKE_CARDS, FLEXAI, MIB, Daemon, Program, until

CALLS = [sys.executable, str(pathlib.Path(__file__).with_name("pools_calls.py"))]
OUT_OF_MEMORY = "error 2"
LIMIT = 256 * MIB
PIECE = 64 * MIB


class Pools(unittest.TestCase):
    def setUp(self):
        if not FLEXAI.exists() or not (BUILD / "lib/libfake_nvml.so").exists():
            self.skipTest("flexai or its fake card is not built")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.daemon = Daemon(env={**FAKE_CARDS["fake_cuda"], "FLEXAI_FAKE_CARDS": "2", "FLEXAI_FAKE_SHARED": folder.name + "/card",
                                  "STATE_DIRECTORY": folder.name + "/state"})
        self.addCleanup(self.daemon.stop)
        self.daemon.start()

    def run_program(self, cards=1):
        program = Program(self.daemon, "--memory", f"{LIMIT // MIB}Mi", "--share", "50%", "--cards", str(cards), command=CALLS)
        self.addCleanup(program.end)
        return program

    def used(self, program):
        """On each of its cards."""
        until(f"process {program.pid} has a slice", program.slice)
        return [each["memory_used_bytes"] for each in self.daemon.status()["slices"] if each["leader_pid"] == program.pid]

    def test_a_destroyed_pool_counts_until_its_last_piece_is_freed(self):
        program = self.run_program()
        for number in range(LIMIT // PIECE):
            self.assertEqual(program.do("pool 0"), f"ok {number}")
            self.assertEqual(program.do(f"from {number} {PIECE}"), f"ok {number}")
            self.assertEqual(program.do(f"destroy {number}"), "ok")
        self.assertEqual(self.used(program), [LIMIT])
        last = LIMIT // PIECE
        self.assertEqual(program.do("pool 0"), f"ok {last}")
        self.assertEqual(program.do(f"from {last} {PIECE}"), OUT_OF_MEMORY)
        # Each piece is the last of its pool.
        self.assertEqual(program.do("free-now 0"), "ok")
        self.assertEqual(self.used(program), [LIMIT - PIECE])
        self.assertEqual(program.do("free 1"), "ok")
        for _ in range(2):
            self.assertRegex(program.do(f"from {last} {PIECE}"), "ok")
        self.assertEqual(program.do(f"from {last} {PIECE}"), OUT_OF_MEMORY)
        self.assertEqual(self.used(program), [LIMIT])
        self.assertEqual(program.leave(), 0)

    def test_a_destroyed_pool_of_two_pieces(self):
        program = self.run_program()
        program.do("pool 0")
        for number in range(2):
            self.assertEqual(program.do(f"from 0 {PIECE}"), f"ok {number}")
        self.assertEqual(program.do("destroy 0"), "ok")
        self.assertEqual(program.do("free-now 1"), "ok")
        self.assertEqual(self.used(program), [2 * PIECE])
        self.assertEqual(program.do("free-now 0"), "ok")
        self.assertEqual(self.used(program), [0])
        self.assertEqual(program.leave(), 0)

    def test_a_pool_without_pieces_is_given_back_at_once(self):
        program = self.run_program()
        program.do("pool 0")
        self.assertEqual(program.do(f"from 0 {PIECE}"), "ok 0")
        self.assertEqual(program.do("free-now 0"), "ok")
        self.assertEqual(program.do("destroy 0"), "ok")
        self.assertEqual(self.used(program), [0])
        self.assertNotEqual(program.do("destroy 0"), "ok")
        self.assertEqual(program.leave(), 0)

    def test_in_order_memory_is_that_of_the_streams_card(self):
        program = self.run_program(cards=2)
        self.assertEqual(program.do("use 1"), "ok")
        self.assertEqual(program.do("stream"), "ok 0")
        self.assertEqual(program.do("use 0"), "ok")
        self.assertEqual(program.do(f"in 0 {PIECE}"), "ok 0")
        self.assertEqual(self.used(program), [0, PIECE])
        self.assertEqual(program.do(f"in 0 {LIMIT}"), OUT_OF_MEMORY)
        self.assertEqual(program.do(f"in 0 {LIMIT - PIECE}"), "ok 1")
        self.assertEqual(self.used(program), [0, LIMIT])
        self.assertEqual(program.leave(), 0)

    def test_in_order_memory_without_a_current_context(self):
        for cards in 1, 2:
            program = self.run_program(cards)
            program.do(f"use {cards - 1}")
            self.assertEqual(program.do("stream"), "ok 0")
            self.assertEqual(program.do("leave"), "ok")
            self.assertEqual(program.do(f"in 0 {PIECE}"), "ok 0")
            self.assertEqual(self.used(program), [0] * (cards - 1) + [PIECE])
            self.assertEqual(program.do(f"in 0 {LIMIT}"), OUT_OF_MEMORY)
            self.assertEqual(program.leave(), 0)

    def test_a_graphs_memory_is_where_its_nodes_say(self):
        program = self.run_program(cards=2)
        self.assertEqual(program.do(f"graph 1 {PIECE}"), "ok 0")
        self.assertEqual(program.do("launch 0"), "ok")
        self.assertEqual(self.used(program), [0, PIECE])
        self.assertEqual(program.do(f"graph 1 {LIMIT}"), "ok 1")
        self.assertEqual(program.do("launch 1"), OUT_OF_MEMORY)
        self.assertEqual(program.do(f"graph 0 {LIMIT}"), "ok 2")
        self.assertEqual(program.do("launch 2"), "ok")
        self.assertEqual(self.used(program), [LIMIT, PIECE])
        self.assertEqual(program.leave(), 0)

    def test_what_is_captured_in_a_threads_stream_is_not_memory_yet(self):
        program = self.run_program()
        program.do("pool 0")
        self.assertEqual(program.do(f"from 0 {LIMIT}"), "ok 0")
        self.assertEqual(program.do(f"capture {PIECE}"), "ok")
        self.assertEqual(program.leave(), 0)

    def test_what_is_captured_in_a_stream_is_memory_once_it_is_launched(self):
        for cards in 1, 2:
            program = self.run_program(cards)
            program.do("stream")
            self.assertEqual(program.do(f"capture-in 0 {PIECE}"), "ok 0")
            self.assertEqual(self.used(program), [0] * cards)
            self.assertEqual(program.do("launch 0"), "ok")
            self.assertEqual(self.used(program), [PIECE] + [0] * (cards - 1))
            self.assertEqual(program.leave(), 0)

    def test_handles_that_threads_make_and_release_at_once(self):
        program = self.run_program()
        self.assertEqual(program.do(f"race 8 5000 {2 * MIB}"), "ok")
        self.assertEqual(self.used(program), [0])
        self.assertEqual(program.leave(), 0)

    def test_a_pool_of_the_hosts_memory_takes_none_of_the_card(self):
        program = self.run_program()
        self.assertEqual(program.do("pool host"), "ok 0")
        for number in range(2):
            self.assertEqual(program.do(f"from 0 {LIMIT}"), f"ok {number}")
        self.assertEqual(program.do("memory"), f"ok {LIMIT} {LIMIT}")
        self.assertEqual(self.used(program), [0])
        self.assertEqual([program.do("destroy 0"), program.do("free-now 0"), program.do("free-now 1")], ["ok"] * 3)
        # The handle may be the next pool's, and that is the card's.
        self.assertEqual(program.do("pool 0"), "ok 1")
        self.assertEqual(program.do(f"from 1 {PIECE}"), "ok 2")
        self.assertEqual(self.used(program), [PIECE])
        self.assertEqual(program.leave(), 0)

    def test_what_a_wait_gives_back_is_free_at_once(self):
        program = self.run_program()
        self.assertEqual(program.do("stream"), "ok 0")
        for number, wait in enumerate(("wait", "wait-for 0") * 20):
            self.assertEqual(program.do(f"in 0 {LIMIT}"), f"ok {number}")
            self.assertEqual(self.used(program), [LIMIT])
            self.assertEqual(program.do(f"free {number}"), "ok")
            self.assertRegex(program.do(wait), "ok")
            self.assertEqual(self.used(program), [0])
        self.assertEqual(program.do("memory"), f"ok {LIMIT} {LIMIT}")
        self.assertEqual(program.leave(), 0)

    def check_kept_alive(self, make, put):
        program = self.run_program()
        self.assertEqual(program.do(make), "ok 0")
        for number in range(LIMIT // PIECE):
            self.assertEqual(program.do(f"physical {PIECE}"), f"ok {number}")
            self.assertEqual(program.do(f"{put} 0 {number}"), "ok")
            self.assertEqual(program.do(f"release {number}"), "ok")
        self.assertEqual(self.used(program), [LIMIT])
        self.assertEqual(program.do(f"physical {PIECE}"), OUT_OF_MEMORY)
        self.assertEqual(program.leave(), 0)

    def test_what_a_sparse_array_keeps_alive_counts(self):
        self.check_kept_alive("sparse", "map")

    def test_what_a_multicast_object_keeps_alive_counts(self):
        self.check_kept_alive("multicast", "bind")


if __name__ == "__main__":
    unittest.main()
