"""A slice's limits as programs and people meet them: memory to the byte, processes, changes while it runs."""
import os
import re
import subprocess
import tomllib
import unittest

from tenants import MIB, WithDaemon, clean_environment, PROGRAM

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


if __name__ == "__main__":
    unittest.main(verbosity=2)
