"""What the driver takes without being asked, as code at a kernel's first launch, streams, and graphs of many nodes, counts before the
last of a slice is given away."""
import pathlib
import sys
import tempfile
import unittest

from tenants import BUILD, FAKE_CARDS, FLEXAI, MIB, Daemon, Program, until

CALLS = [sys.executable, str(pathlib.Path(__file__).with_name("driver_calls.py"))]
CONTEXT = 300 * MIB
OUT_OF_MEMORY = "error 2"


class Unforeseen(unittest.TestCase):
    def start(self, memory_mib, **more):
        if not FLEXAI.exists() or not (BUILD / "lib/libfake_nvml.so").exists():
            self.skipTest("flexai or its fake card is not built")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        daemon = Daemon(env={**FAKE_CARDS["fake_cuda"], "FLEXAI_FAKE_SHARED": folder.name + "/card", "FLEXAI_FAKE_CONTEXT": str(CONTEXT),
                             "STATE_DIRECTORY": folder.name + "/state", **more})
        self.addCleanup(daemon.stop)
        daemon.start()
        program = Program(daemon, "--share", "30%", "--memory", f"{memory_mib}Mi", command=CALLS)
        self.addCleanup(program.end)
        self.assertEqual(program.do("retain"), "ok")
        return program

    def test_code_loaded_at_the_first_launch_counts_before_memory_is_given_away(self):
        program = self.start(600)
        self.assertEqual(program.do(f"load 8 lazily[{100 * MIB}]"), "ok 0")
        self.assertEqual(program.do("run 0"), "ok")
        self.assertEqual(program.do(f"alloc {202 * MIB}"), OUT_OF_MEMORY)
        self.assertEqual(program.do(f"alloc {200 * MIB}"), "ok 0")
        self.assertEqual(program.used(), 600 * MIB)
        self.assertEqual(program.leave(), 0)

    def test_what_another_process_took_counts_too(self):
        program = self.start(1000)
        self.assertEqual(program.do("other retain"), "ok")
        until("both contexts are booked", lambda: program.used() == 2 * CONTEXT)
        self.assertEqual(program.do(f"other load 8 lazily[{100 * MIB}]"), "ok 0")
        self.assertEqual(program.do("other run 0"), "ok")
        self.assertEqual(program.do(f"alloc {302 * MIB}"), OUT_OF_MEMORY)
        self.assertEqual(program.do(f"alloc {300 * MIB}"), "ok 0")
        self.assertEqual(program.used(), 1000 * MIB)
        self.assertEqual(program.leave(), 0)

    def test_far_from_the_limit_nobody_waits(self):
        program = self.start(3000, FLEXAI_FAKE_STREAMS_IN_BLOCK="4")
        self.assertEqual(program.do(f"load 8 lazily[{100 * MIB}]"), "ok 0")
        self.assertEqual(program.do("run 0"), "ok")
        self.assertEqual(program.do("streams 8"), "ok")
        self.assertEqual(program.do(f"alloc {1000 * MIB}"), "ok 0")
        until("the streams are booked", lambda: program.used() == CONTEXT + 1104 * MIB)
        self.assertEqual(program.do(f"alloc {1600 * MIB}"), OUT_OF_MEMORY)
        self.assertEqual(program.do(f"alloc {1596 * MIB}"), "ok 1")
        self.assertEqual(program.used(), 3000 * MIB)
        self.assertEqual(program.leave(), 0)

    def test_streams_count_and_are_refused(self):
        program = self.start(400, FLEXAI_FAKE_STREAMS_IN_BLOCK="4")
        self.assertEqual(program.do(f"alloc {94 * MIB}"), "ok 0")
        self.assertEqual(program.do("streams 8"), "ok")
        self.assertEqual(program.used(), CONTEXT + 98 * MIB)
        self.assertEqual(program.do("streams 1"), "ok")
        self.assertEqual(program.do("streams 1"), OUT_OF_MEMORY)
        self.assertIn("cuStreamCreate refused", program.told())
        self.assertEqual(program.used(), 400 * MIB)
        self.assertEqual(program.do("free 0"), "ok")
        self.assertEqual(program.do("streams 1"), "ok")
        self.assertEqual(program.leave(), 0)

    def test_graphs_of_many_nodes_count_and_are_refused(self):
        program = self.start(400)
        self.assertEqual(program.do(f"alloc {94 * MIB}"), "ok 0")
        self.assertEqual(program.do("nodes 100"), "ok")
        self.assertEqual(program.used(), 394 * MIB)
        self.assertEqual(program.do("nodes 1700"), "ok")  # 4 MiB
        self.assertEqual(program.used(), 398 * MIB)
        self.assertEqual(program.do("nodes 1700"), OUT_OF_MEMORY)
        self.assertIn("cuGraphInstantiateWithFlags refused: asked 4 MiB", program.told())
        self.assertEqual(program.used(), 398 * MIB)
        # A small one finds its place, with nothing left as well.
        self.assertEqual(program.do(f"alloc {2 * MIB}"), "ok 1")
        self.assertEqual(program.do("nodes 100"), "ok")
        self.assertEqual(program.do("replay"), "ok")
        self.assertEqual(program.leave(), 0)

    def test_a_graph_is_asked_about_when_its_room_was_given_back(self):
        # 4,096 threads at once: 40 MiB for 10 KiB that each needs more than the first.
        program = self.start(400)
        self.assertEqual(program.do(f"load {11 << 10}"), "ok 0")
        self.assertEqual(program.do("graph 0"), "ok")
        self.assertEqual(program.do("replay"), "ok")
        self.assertEqual(program.do("limit stack 1024"), "ok")
        until("the room is given back", lambda: program.used() == CONTEXT)
        self.assertEqual(program.do(f"alloc {70 * MIB}"), "ok 0")
        self.assertEqual(program.do("replay"), OUT_OF_MEMORY)
        self.assertIn("cuGraphLaunch refused: asked 42", program.told())
        self.assertEqual(program.do("free 0"), "ok")
        self.assertEqual(program.do("replay"), "ok")
        until("the room is in the books again", lambda: program.used() == CONTEXT + 40 * MIB)
        self.assertEqual(program.do("replay"), "ok")
        self.assertEqual(program.do(f"alloc {56 * MIB}"), "ok 1")
        self.assertEqual(program.do("replay"), "ok")
        self.assertEqual(program.leave(), 0)


if __name__ == "__main__":
    unittest.main()
