"""flexai and flexaid together, on whatever card this machine has: sharing out, waiting, changing, ending."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

FLEXAI = pathlib.Path(os.environ.get("FLEXAI_PROGRAM") or "build/release/bin/flexai").resolve()
FLEXAID = FLEXAI.parent / "flexaid"
DEADLINE_S = 60


def until(what, answer):
    """Polls until `answer()` is true."""
    end = time.monotonic() + DEADLINE_S
    while not (value := answer()):
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen within {DEADLINE_S} s")
        time.sleep(0.01)  # poll
    return value


class WithDaemon(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not FLEXAID.exists():
            raise unittest.SkipTest(f"{FLEXAID} is not built")
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        clean = {key: value for key, value in os.environ.items() if not key.startswith("FLEXAI_") and not key.endswith("_LAYERS")}
        cls.env = {**clean, "FLEXAI_SOCKET": folder.name + "/socket"}
        daemon = subprocess.Popen([FLEXAID, "--socket", cls.env["FLEXAI_SOCKET"]], env=cls.env)

        def end():
            daemon.terminate()
            daemon.wait(DEADLINE_S)

        cls.addClassCleanup(end)
        until("an answer of the daemon", lambda: cls.flexai("status").returncode == 0)
        if not cls.status()["cards"]:
            raise unittest.SkipTest("this machine has no card")

    @classmethod
    def flexai(cls, *words):
        return subprocess.run([FLEXAI, *words], env=cls.env, capture_output=True, text=True, timeout=DEADLINE_S,
                              stdin=subprocess.DEVNULL)

    @classmethod
    def status(cls):
        return json.loads(cls.flexai("status", "-o", "json").stdout)

    def setUp(self):
        until("the end of all slices", lambda: not self.status()["slices"])

    def hold(self, *options):
        """A program that lives until its stdin closes; its slice."""
        before = {each["slice"] for each in self.status()["slices"]}
        child = subprocess.Popen([FLEXAI, "run", "--quiet", *options, "cat"], env=self.env, stdin=subprocess.PIPE,
                                 stdout=subprocess.DEVNULL)

        def end():
            child.stdin.close()
            child.wait(DEADLINE_S)

        self.addCleanup(end)

        def mine():
            return next((each for each in self.status()["slices"] if each["slice"] not in before), None)

        return child, until("a slice", mine)


class Sharing(WithDaemon):
    def test_a_slice_is_what_was_asked_for(self):
        child, found = self.hold("--share", "30%", "--limit", "50%", "--memory", "64Mi", "--priority", "low")
        self.assertEqual((found["share_permille"], found["limit_permille"], found["memory_limit_bytes"], found["priority"],
                          found["leader_pid"], found["command"], found["owner_uid"]),
                         (300, 500, 64 << 20, "low", child.pid, "cat", os.getuid()))

    def test_memory_follows_the_share(self):
        _, found = self.hold("--share", "50%")
        half = self.status()["cards"][0]["memory_total_bytes"] / 2
        self.assertAlmostEqual(found["memory_limit_bytes"] / half, 1, delta=0.01)

    def test_shares_past_the_whole_card(self):
        self.hold("--share", "60%")
        full = self.flexai("run", "--share", "50%", "--nowait", "true")
        self.assertEqual(full.returncode, 75, full)
        self.assertRegex(full.stderr, r"\Aflexai: .*50 %.*40 %.*; .*\n\Z")
        self.assertEqual(self.flexai("run", "--quiet", "--share", "40%", "--nowait", "true").returncode, 0)

    def wait_in_line(self):
        child = subprocess.Popen([FLEXAI, "run", "--quiet", "--share", "60%", "true"], env=self.env)

        def end():
            child.kill()
            child.wait(DEADLINE_S)

        self.addCleanup(end)
        return child

    def test_waiting_ends_when_room_comes(self):
        first, _ = self.hold("--share", "60%")
        second = self.wait_in_line()
        waiting = until("a wait", lambda: self.status()["waiting"])
        self.assertEqual([(each["position"], each["command"], each["share_permille"]) for each in waiting], [(1, "true", 600)])
        self.assertIn("waiting: true: card 0 has no room: asked for 60 %", self.flexai("status").stdout)
        first.stdin.close()
        self.assertEqual(second.wait(DEADLINE_S), 0)

    def test_whoever_stops_waiting_leaves_the_line(self):
        self.hold("--share", "60%")
        second = self.wait_in_line()
        until("a wait", lambda: self.status()["waiting"])
        second.send_signal(signal.SIGINT)
        self.assertEqual(second.wait(DEADLINE_S), -signal.SIGINT)
        until("an empty line", lambda: not self.status()["waiting"])

    def test_refusals(self):
        for words in (["--card", "nosuch"], ["--memory", "10Pi"]):
            result = self.flexai("run", *words, "true")
            self.assertEqual(result.returncode, 125, result)
            self.assertRegex(result.stderr, r"\Aflexai: [^\n]+; [^\n]+\n\Z")
        for words in (["pause", "s-none"], ["resume", "s-none"], ["set", "s-none", "--share", "5%"], ["cards", "nosuch"]):
            result = self.flexai(*words)
            self.assertEqual(result.returncode, 1, result)
            self.assertRegex(result.stderr, r"\Aflexai: [^\n]+; [^\n]+\n\Z")

    def test_killed_programs_leave_nothing(self):
        child, found = self.hold("--share", "30%")
        child.kill()
        until("the end of the slice", lambda: found["slice"] not in [each["slice"] for each in self.status()["slices"]])
        self.assertEqual(self.status()["cards"][0]["share_granted_permille"], 0)


class Changing(WithDaemon):
    def test_set(self):
        _, found = self.hold("--share", "30%")
        result = self.flexai("set", found["slice"], "--share", "40%", "--memory", "64Mi", "--priority", "high", "-o", "json")
        self.assertEqual(result.returncode, 0, result)
        changed = json.loads(result.stdout)
        self.assertEqual((changed["share_permille"], changed["limit_permille"], changed["memory_limit_bytes"], changed["priority"]),
                         (400, 400, 64 << 20, "high"))

    def test_set_past_the_card(self):
        _, found = self.hold("--share", "30%")
        self.hold("--share", "60%")
        refused = self.flexai("set", found["slice"], "--share", "50%")
        self.assertEqual(refused.returncode, 1, refused)
        self.assertEqual(self.status()["cards"][0]["share_granted_permille"], 900)

    def test_pause_and_resume(self):
        _, found = self.hold("--share", "30%")
        self.assertEqual(json.loads(self.flexai("pause", found["slice"], "-o", "json").stdout)["state"], "paused")
        self.assertNotEqual(json.loads(self.flexai("resume", found["slice"], "-o", "json").stdout)["state"], "paused")


class Reporting(WithDaemon):
    @staticmethod
    def whole(text):
        """The report, or None while the daemon still writes it."""
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return None

    def test_report(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "report.json")
            self.assertEqual(self.flexai("run", "--quiet", "--share", "30%", "--report", str(path), "true").returncode, 0)
            report = until("a report", lambda: path.stat().st_size and self.whole(path.read_text()))
            self.assertEqual((report["share_permille"], report["command"]), (300, "true"))
            self.assertGreaterEqual(report["duration_seconds"], 0)

    def test_report_to_a_pipe(self):
        ran = self.flexai("run", "--quiet", "--share", "30%", "--report", "/dev/stdout", "true")
        self.assertEqual(ran.returncode, 125, ran)
        self.assertRegex(ran.stderr, r"\Aflexai: the report can be written to a regular file only[^\n]*\n\Z")

    def test_every_field_is_documented(self):
        page = (pathlib.Path(__file__).resolve().parents[2] / "docs/reference/json-fields.md").read_text()
        self.hold("--share", "30%")
        status = self.status()
        for each in (status, *status["cards"], *status["slices"]):
            for name in each:
                self.assertIn(f"`{name}`", page)

    def test_trace(self):
        lister = shutil.which("clinfo")
        if not lister:
            self.skipTest("clinfo is not installed")
        with tempfile.TemporaryDirectory() as folder:
            trace = folder + "/trace"
            subprocess.run([FLEXAI, "run", "--quiet", lister], env={**self.env, "FLEXAI_TRACE": trace}, check=True,
                           stdout=subprocess.DEVNULL, timeout=DEADLINE_S)
            sums = json.loads(self.flexai("trace", trace, "-o", "json").stdout)
            calls = json.loads(self.flexai("trace", trace, "--calls", "-o", "json").stdout)["calls"]
            self.assertEqual(sum(each["calls"] for each in sums["functions"]), len(calls))
            self.assertGreater(len(calls), 10)
            name = sums["functions"][0]["function"]
            self.assertIn(name, self.flexai("trace", trace).stdout)
            self.assertIn(name, self.flexai("trace", trace, "--calls").stdout)

    def test_doctor_is_content(self):
        report = json.loads(self.flexai("doctor", "-o", "json").stdout)
        self.assertEqual([each for each in report["checks"] if each["verdict"] == "fail"], [])


class Starting(unittest.TestCase):
    def test_run_starts_a_daemon_where_none_is(self):
        if not FLEXAID.exists():
            self.skipTest(f"{FLEXAID} is not built")
        with tempfile.TemporaryDirectory() as folder:
            clean = {key: value for key, value in os.environ.items() if not key.startswith("FLEXAI_")}
            env = {**clean, "XDG_RUNTIME_DIR": folder}

            def flexai(*words):
                return subprocess.run([FLEXAI, *words], env=env, capture_output=True, text=True, timeout=DEADLINE_S,
                                      stdin=subprocess.DEVNULL)

            # The system's daemon, or one of this user at another address: not ours to use or to end.
            if flexai("status").returncode == 0:
                self.skipTest("a daemon serves this user already")
            run = flexai("run", "--share", "30%", "echo", "ran")
            told = json.loads(flexai("status", "-o", "json").stdout)
            self.assertTrue(told["socket"].startswith(folder), told["socket"])
            os.kill(told["daemon_pid"], signal.SIGTERM)
            if not told["cards"]:
                self.skipTest("this machine has no card")
            self.assertEqual((run.returncode, run.stdout), (0, "ran\n"), run)


if __name__ == "__main__":
    unittest.main(verbosity=1)
