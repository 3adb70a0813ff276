"""What counts as work of a tenant on a card, and when it is over: what is no launch counts, too."""
import pathlib
import sys
import unittest

from tenants import TEST_CARD, WithDaemon, standing, until

CALLS = [sys.executable, str(pathlib.Path(__file__).with_name("driver_calls.py"))]
FILLS = "cuMemsetD8Async", "cuMemsetD32_v2", "cuMemcpyDtoDAsync_v2", "cuMemcpyDtoD_v2"


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

    def until_idle_by_waits(self, program, what):
        def idle():
            self.assertEqual((program.do("launch 0"), program.do("wait 0")), ("ok", "ok"))
            return program.slice()["state"] == "idle"
        until(f"idle: {what}", idle)


if __name__ == "__main__":
    unittest.main(verbosity=2)
