"""What profilers and checkers bring into a program (a library that the driver loads, and one that is preloaded) beside ours in a
slice: both work, in every order, and the limit holds. card_tool.cpp stands in for the tools."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

from tenants import ALLOC, BUILD, DEADLINE_S, FLEXAI, MIB, PROGRAM, REFUSED, TEST_CARD, WithDaemon

TOOL = BUILD / "test/libcard_tool.so"
OURS = str(BUILD / "lib/cuda/libcuda.so.1")
PRELOADED = str(BUILD / "lib/libflexai_cuda.so")
SLICE = ("--share", "50%", "--memory", "64Mi")


@unittest.skipUnless(TEST_CARD == "fake_cuda", "needs the fake card")
class Tools(WithDaemon):
    def setUp(self):
        super().setUp()
        if not TOOL.exists():
            self.skipTest(f"{TOOL} is not built")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = pathlib.Path(folder.name, "seen")

    def seen(self):
        return self.file.read_text().splitlines() if self.file.exists() else []

    def check_limit(self, *words, **env):
        """The limit holds in a program that is started with these words in front of it; what the tool saw of it."""
        self.file.unlink(missing_ok=True)
        program = self.run_program(*SLICE, command=[*words, PROGRAM, "-"], env={"TOOL_FILE": str(self.file), **env})
        self.assertEqual(program.do(f"alloc {ALLOC} {64 * MIB}"), "ok 0", program.told())
        self.assertEqual(program.do(f"alloc {ALLOC} {2 * MIB}"), REFUSED)
        self.assertEqual(program.used(), 64 * MIB)
        self.assertEqual(len(program.told().splitlines()), 1, program.told())
        self.assertRegex(program.do("spin 5"), "spun [1-9]")
        self.assertEqual(program.leave(), 0)
        return self.seen()

    def test_a_library_that_the_driver_loads(self):
        seen = self.check_limit(CUDA_INJECTION64_PATH=str(TOOL))
        self.assertEqual([line.split()[0] for line in seen], ["injected", "library", "table", "context", "look-up", "thread"])
        self.assertEqual(seen[:2], ["injected 1", f"library {OURS}"])
        # The table is the driver's own: tools check it, and what it points to.
        self.assertEqual(seen[2], f"table 0 1 {BUILD / 'lib/libfake_cuda.so'}")
        self.assertEqual(seen[3:], ["context 0", "look-up 0 1", "thread 0 13000"])

    def test_one_that_is_not_there(self):
        self.assertEqual(self.check_limit(CUDA_INJECTION64_PATH="/nonexistent/tool.so"), [])

    def test_two_preloaded_libraries_in_both_orders(self):
        for order in f"{TOOL}:{PRELOADED}", f"{PRELOADED}:{TOOL}":
            for behind in "", "libc":
                with self.subTest(order=order, behind=behind):
                    seen = self.check_limit("env", f"LD_PRELOAD={order}", TOOL_NEXT=behind)
                    self.assertEqual(len(seen), 1, seen)
                    self.assertRegex(seen[0], r"^dlopen (.*/)?libcuda\.so\.1$")

    def test_a_tool_outside_of_flexai_run(self):
        """The tool starts flexai run; what it preloads stays in front of the program."""
        program = self.run_program(*SLICE, command=["env"], env={"LD_PRELOAD": str(TOOL), "TOOL_FILE": str(self.file)})
        out = program.process.communicate(timeout=DEADLINE_S)[0].decode().splitlines()
        self.assertIn(f"LD_PRELOAD={PRELOADED}:{TOOL}", out)
        seen = self.check_limit(LD_PRELOAD=str(TOOL), CUDA_INJECTION64_PATH=str(TOOL))
        self.assertEqual([line.split()[0] for line in seen],
                         ["dlopen", "dlopen", "injected", "library", "table", "context", "look-up", "thread"])

    def test_a_tool_that_replaces_what_is_preloaded(self):
        """Its child has our library of the driver's name all the same, through LD_LIBRARY_PATH."""
        seen = self.check_limit("env", f"LD_PRELOAD={TOOL}", TOOL_NEXT="libc")
        self.assertEqual(seen, ["dlopen libcuda.so.1"])
        self.check_limit("env", "-u", "LD_PRELOAD")
        self.check_limit("env", "-u", "LD_LIBRARY_PATH")

    def test_a_child_of_a_tool_that_changes_the_list(self):
        """As launchers of these tools do: a child is started with their libraries in front of what is preloaded."""
        launcher = "import os,sys; os.environ['LD_PRELOAD'] = sys.argv[1] + ':' + os.environ['LD_PRELOAD']; os.execv(sys.argv[2], sys.argv[2:])"
        seen = self.check_limit(sys.executable, "-c", launcher, str(TOOL))
        self.assertEqual(len(seen), 1, seen)
        self.check_limit("sh", "-c", f'LD_PRELOAD="{TOOL}:$LD_PRELOAD" exec sh -c \'"$@"; exit\' sh "$@"', "sh")

    def test_the_daemon_that_is_started_has_none_of_it(self):
        """A tool waits for all that it was brought into; the daemon outlives the program."""
        with tempfile.TemporaryDirectory() as folder:
            env = {**self.daemon.env, "XDG_RUNTIME_DIR": folder}
            del env["FLEXAI_SOCKET"]

            def flexai(*words, **more):
                return subprocess.run([FLEXAI, *words], env={**env, **more}, capture_output=True, text=True, timeout=DEADLINE_S,
                                      stdin=subprocess.DEVNULL)

            if flexai("status").returncode == 0:
                self.skipTest("a daemon serves this user already")
            ran = flexai("run", "--quiet", *SLICE, "--", "true", LD_PRELOAD=str(TOOL))
            daemon = json.loads(flexai("status", "-o", "json").stdout)["daemon_pid"]
            self.addCleanup(os.kill, daemon, signal.SIGTERM)
            self.assertEqual(ran.returncode, 0, ran)
            self.assertNotIn(TOOL.name, pathlib.Path(f"/proc/{daemon}/maps").read_text())


if __name__ == "__main__":
    unittest.main(verbosity=2)
