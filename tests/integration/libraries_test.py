"""Vendors' own libraries on the fake card, in slices: they start, what their handles hold is charged, limits hold in their
own words, and all of it comes back."""
import pathlib
import re
import sys
import unittest

from tenants import ALLOC, MIB, TEST_CARD, WithDaemon

ROOT = pathlib.Path(__file__).resolve().parents[2]
CALLS = pathlib.Path(__file__).with_name("library_calls.py")
OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation
RUNTIMES = "cuda_runtime/lib/libcudart.so.12", "cu13/lib/libcudart.so.13"
BLAS = "cublas/lib/libcublasLt.so.12", "cublas/lib/libcublas.so.12"
DNN = *BLAS, "cudnn/lib/libcudnn.so.9"


@unittest.skipUnless(TEST_CARD == "fake_cuda", "these libraries need a card of their vendor")
class Libraries(WithDaemon):
    def start(self, *libraries, memory=1024 * MIB):
        """The program in a slice, with these libraries loaded."""
        files = []
        for name in libraries:
            found = sorted(ROOT.glob(f"build/venv/lib/python3*/site-packages/nvidia/{name}"))
            if not found:
                self.skipTest(f"no {name}: tools/bootstrap {'compat' if 'cudnn' in name else 'test'} brings it")
            files.append(found[0])
        program = self.run_program("--share", "50%", "--memory", str(memory), command=[sys.executable, CALLS])
        for file in files:
            self.assertEqual(program.do(f"load {file}"), "ok")
        self.assertEqual(program.do("count"), "count 1")
        return program

    def test_the_runtime(self):
        for runtime in RUNTIMES:
            with self.subTest(runtime=runtime):
                program = self.start(runtime, memory=64 * MIB)
                self.assertEqual(program.do(f"alloc {48 * MIB}"), "ok 0")
                self.assertEqual(program.used(), 48 * MIB)
                self.assertEqual(program.do(f"alloc {17 * MIB}"), f"error {OUT_OF_MEMORY}")
                told = program.told().splitlines()
                self.assertEqual(len(told), 1, told)
                self.assertRegex(told[0], rf"^flexai: slice \S+: {ALLOC} refused: asked .* limit .*flexai set \S+ --memory")
                self.assertEqual(program.do(f"alloc {16 * MIB}"), "ok 1")
                for number in range(2):
                    self.assertEqual(program.do(f"free {number}"), "ok")
                self.assertEqual(program.used(), 0)
                self.assertEqual(program.leave(), 0)

    def check_handle(self, program, kind, *between):
        """A handle's life; the most that was charged for it, in bytes."""
        before = program.used()
        self.assertEqual(program.do(f"create {kind}"), "ok", program.told())
        for command in between:
            self.assertEqual(program.do(command), "ok", program.told())
        held = program.used() - before
        self.assertEqual(program.do(f"destroy {kind}"), "ok")
        self.assertEqual(program.used(), before)
        return held

    def test_random_numbers(self):
        program = self.start(RUNTIMES[0], "curand/lib/libcurand.so.10")
        self.assertEqual(program.do(f"alloc {2 * MIB}"), "ok 0")  # a block of its own
        self.assertGreater(self.check_handle(program, "rand", "work rand"), 0)
        self.assertEqual(program.leave(), 0)

    def test_transforms(self):
        program = self.start(RUNTIMES[0], "cufft/lib/libcufft.so.11")
        self.check_handle(program, "fft")  # takes memory with its plan only
        self.assertEqual(program.leave(), 0)

    def test_linear_algebra(self):
        program = self.start(RUNTIMES[0], *BLAS)
        self.assertGreater(self.check_handle(program, "blas"), 0)
        self.assertEqual(program.leave(), 0)

    def test_networks(self):
        program = self.start(RUNTIMES[0], *DNN)
        self.assertGreater(self.check_handle(program, "dnn"), 0)
        self.assertEqual(program.leave(), 0)

    def test_a_handle_that_does_not_fit(self):
        program = self.start(RUNTIMES[0], *BLAS, memory=128 * MIB)
        self.assertEqual(program.do(f"alloc {128 * MIB}"), "ok 0")
        self.assertRegex(program.do("create blas"), r"^error \d+$")
        self.assertTrue(re.search(r"refused: asked", program.told()), program.told())
        self.assertEqual(program.used(), 128 * MIB)
        self.assertEqual(program.do("free 0"), "ok")
        self.assertGreater(self.check_handle(program, "blas"), 0)
        self.assertEqual(program.leave(), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
