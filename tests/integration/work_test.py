"""What counts as work of a tenant on a card, and when it is over: what is no launch counts, too."""
import pathlib
import shutil
import sys
import tempfile
import unittest

from tenants import BUILD, MIB, TEST_CARD, WithDaemon, standing, until

BASE, NEW = 0, -1  # LM_ID_BASE, LM_ID_NEWLM
CALLS = [sys.executable, str(pathlib.Path(__file__).with_name("driver_calls.py"))]
FILLS = "cuMemsetD8Async", "cuMemsetD32_v2", "cuMemcpyDtoDAsync_v2", "cuMemcpyDtoD_v2"

OUT_OF_MEMORY = "error 2"


@unittest.skipUnless(TEST_CARD == "fake_cuda", "needs the fake card")
class Work(WithDaemon):
    def run_calls(self):
        program = self.run_program("--share", "30%", "--memory", "1Gi", command=CALLS)
        self.assertEqual(program.do("retain"), "ok")
        return program

    def until_idle(self, program, what):
        until(f"idle: {what}", lambda: program.slice()["state"] == "idle")

    def test_what_fills_memory_is_held_to_the_limit(self):
        program = self.run_calls()
        for function in FILLS:
            with self.subTest(function=function):
                program.tell(f"fill {function} 2000")
                until("it is stopped", lambda: standing([program.pid]), deadline_s=10)
                self.assertEqual(program.line(), "ok")
                self.until_idle(program, "all was waited for")

    def test_the_default_stream_is_asked_about(self):
        program = self.run_calls()
        self.assertEqual(program.do("streams 1"), "ok")
        self.assertEqual(program.do("begin cuMemsetD8Async"), "ok")
        self.until_idle_by_waits(program, "nobody waits for the default stream")

    def test_what_nobody_waits_for_comes_to_its_end(self):
        program = self.run_calls()
        self.assertEqual(program.do("streams 40"), "ok")
        for streams in range(1), range(1, 3), range(40):
            with self.subTest(streams=len(streams)):
                for number in streams:
                    self.assertEqual(program.do(f"launch {number}"), "ok")
                self.assertNotEqual(program.slice()["state"], "idle")
                self.until_idle(program, "it is done")
        self.assertEqual(program.do("begin cuMemsetD8Async"), "ok")
        self.until_idle(program, "the default stream's is done")
        self.assertEqual(program.leave(), 0)

    def test_more_streams_than_places(self):
        program = self.run_calls()
        self.assertEqual(program.do("streams 40"), "ok")
        for _ in range(2):
            for command in "launch", "wait":
                for number in range(40):
                    self.assertEqual(program.do(f"{command} {number}"), "ok")
            self.until_idle(program, "each was waited for")

    def test_more_streams_than_places_that_are_destroyed(self):
        program = self.run_calls()
        self.assertEqual(program.do("streams 40"), "ok")
        for command in "launch", "end":
            for number in range(1, 40):
                self.assertEqual(program.do(f"{command} {number}"), "ok")
        self.until_idle_by_waits(program, "all has come to its end")

    def test_a_driver_opened_in_a_namespace(self):
        with tempfile.TemporaryDirectory() as folder:
            driver = pathlib.Path(folder) / "libcuda.so.580.0.0"
            shutil.copy(BUILD / "lib/libfake_cuda.so", driver)
            program = self.run_program("--share", "30%", "--memory", "64Mi", command=CALLS)
            self.assertEqual(program.do(f"open {driver} {BASE}"), "ok")
            self.assertEqual((program.do("retain"), program.do(f"alloc {96 * MIB}")), ("ok", OUT_OF_MEMORY))
            self.assertEqual(program.do(f"alloc {32 * MIB}"), "ok 0")
            program = self.run_program("--share", "30%", "--memory", "64Mi", command=CALLS)
            self.assertEqual(program.do(f"open {driver} {NEW}"), "ok")
            warned = until("it is named", lambda: program.slice()["warnings"])
            self.assertRegex(warned[0], f"process {program.pid} uses {driver.name} without being attached")

    def until_idle_by_waits(self, program, what):
        def idle():
            self.assertEqual((program.do("launch 0"), program.do("wait 0")), ("ok", "ok"))
            return program.slice()["state"] == "idle"
        until(f"idle: {what}", idle)


if __name__ == "__main__":
    unittest.main(verbosity=2)
