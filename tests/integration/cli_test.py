"""The program flexai as people meet it: against a daemon that answers as told, and bad input that needs none."""
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cli_stub_daemon import CARD, SLICE, StubDaemon, error, granted, status

FLEXAI = os.environ.get("FLEXAI_PROGRAM") or "build/release/bin/flexai"
DEADLINE_S = 30
REFERENCE = pathlib.Path(__file__).resolve().parents[2] / "docs/reference"


def environment(socket_path=None, **more):
    env = {key: value for key, value in os.environ.items() if not key.startswith("FLEXAI_") and not key.endswith("_LAYERS")}
    return {**env, "FLEXAI_SOCKET": socket_path or "/nonexistent/socket", **more}


def flexai(*words, socket_path=None, **options):
    options.setdefault("env", environment(socket_path))
    return subprocess.run([FLEXAI, *words], capture_output=True, text=True, timeout=DEADLINE_S, stdin=subprocess.DEVNULL,
                          **options)


class BadInput(unittest.TestCase):
    """Each refusal: one line that says what, why and what to do; the documented code; no program started."""

    def refused(self, words, code, *parts):
        with tempfile.TemporaryDirectory() as folder:
            mark = folder + "/ran"
            result = flexai(*words, *(["touch", mark] if words[0] == "run" and "--" not in words else []))
            self.assertEqual(result.returncode, code, result)
            self.assertEqual(result.stdout, "")
            self.assertRegex(result.stderr, r"\Aflexai: [^\n]+; [^\n]+\n\Z")
            for part in parts:
                self.assertIn(part, result.stderr)
            self.assertFalse(os.path.exists(mark))

    def test_shares(self):
        for share, why in (("0%", "less than the smallest"), ("0", "no % sign"), ("101%", "more than a whole card"),
                           ("30", "write 30% if percent"), ("abc", "not a number"), ("-5%", "negative"),
                           ("1e2%", "not a percentage"), ("nan%", "not a number"), ("12.34%", "finer"), ("30%%", "not a percentage")):
            with self.subTest(share):
                self.refused(["run", "--share", share], 125, "share '" + share + "'", why)
                self.refused(["set", "s-1", "--share", share], 125, "share '" + share + "'", why)

    def test_limit(self):
        self.refused(["run", "--share", "30%", "--limit", "20%"], 125, "limit")
        self.refused(["run", "--limit", "200%"], 125, "limit '200%'", "more than a whole card")

    def test_memory(self):
        for memory, why in (("0", "smallest slice"), ("1", "smallest slice"), ("8GB", "8GiB"), ("-1", "negative"),
                            ("abc", "not a number"), ("8Zi", "unknown unit"), ("99999999Pi", "too large")):
            with self.subTest(memory):
                self.refused(["run", "--memory", memory], 125, "memory '" + memory + "'", why)

    def test_words(self):
        self.refused(["run", "--share", ""], 125, "--share needs PERCENT")
        self.refused(["run", "--priority", "urgent"], 125, "urgent", "high, normal or low")
        self.refused(["run", "--shar", "30%"], 125, "no option '--shar'")
        self.refused(["run", "--wait", "--nowait"], 125, "exclude")
        self.refused(["run", "--report", "/nonexistent/x"], 125, "cannot write the report")
        self.refused(["run", "--"], 125, "no program")
        self.refused(["fly"], 125, "no command 'fly'")
        self.refused(["pause"], 125, "needs SLICE")
        self.refused(["status", "-o", "xml"], 125, "xml", "json")
        self.refused(["set", "s-1"], 125, "what to change")
        self.refused(["trace", "/nonexistent/file"], 1, "/nonexistent/file")

    def test_program(self):
        with tempfile.TemporaryDirectory() as folder:
            text = folder + "/text"
            pathlib.Path(text).write_text("x")
            self.refused(["run", "--", "nosuchprogram"], 127, "nosuchprogram")
            self.refused(["run", "--", folder + "/none"], 127)
            self.refused(["run", "--", text], 126, "not executable")
            self.refused(["run", "--", folder], 126, "a folder")

    def test_no_daemon(self):
        for words in (["status"], ["cards"], ["pause", "s-1"], ["set", "s-1", "--share", "5%"], ["top", "--once"]):
            with self.subTest(words):
                self.refused(words, 125)


class Run(unittest.TestCase):
    def setUp(self):
        self.daemon = StubDaemon()
        self.addCleanup(self.daemon.close)

    def run_program(self, *words, **options):
        return flexai("run", *words, socket_path=self.daemon.path, **options)

    def test_asks_for_what_was_written(self):
        self.run_program("--share", "30%", "--limit", "100%", "--memory", "8Gi", "--priority", "low", "--card", "0", "--", "true", "a b")
        request = self.daemon.requests[0]
        self.assertEqual(request.pop("cwd"), os.getcwd())
        self.assertEqual(request, {"op": "create", "share_permille": 300, "limit_permille": 1000, "memory_limit_bytes": 8 << 30,
                                   "cards": 1, "priority": "low", "card": "0", "wait": True, "command": "true a b"})

    def test_says_what_was_given(self):
        result = self.run_program("--share", "30%", "--memory", "8Gi", "true")
        self.assertEqual(result.stderr, "flexai: card 0 (Acme Card 9000), 30 % compute, 8.0 GiB, slice s-0001\n")
        self.assertEqual(result.stdout, "")
        self.assertEqual(self.run_program("--quiet", "true").stderr, "")

    def test_becomes_the_program(self):
        child = subprocess.Popen([FLEXAI, "run", "--quiet", "sh", "-c", "echo $$"], env=environment(self.daemon.path),
                                 stdout=subprocess.PIPE, text=True)
        self.assertEqual(int(child.communicate(timeout=DEADLINE_S)[0]), child.pid)

    def test_exit_code_and_signal_are_the_programs(self):
        for code in (0, 1, 42, 125, 255):
            self.assertEqual(self.run_program("--quiet", "sh", "-c", f"exit {code}").returncode, code)
        self.assertEqual(self.run_program("--quiet", "sh", "-c", "kill -TERM $$").returncode, -signal.SIGTERM)

    def test_environment(self):
        out = self.run_program("--share", "30%", "env", env=environment(self.daemon.path, TOY="1")).stdout
        self.assertIn(f"\nFLEXAI_SOCKET={self.daemon.path}\n", "\n" + out)
        self.assertRegex(out, rf"(?m)^FLEXAI_SLICE=s-0001:300:300:{5 << 30}:1:\d+:1$")
        self.assertRegex(out, r"(?m)^[A-Z]+_LAYERS=/\S+/libflexai_[a-z]+\.so$")
        self.assertIn("TOY=1\n", out)

    def test_layers_of_others_stay_behind_ours(self):
        variable = re.search(r"(?m)^([A-Z]+_LAYERS)=", self.run_program("env").stdout).group(1)
        out = self.run_program("env", env=environment(self.daemon.path, **{variable: "/other.so"})).stdout
        self.assertRegex(out, rf"(?m)^{variable}=/\S+/libflexai_[a-z]+\.so:/other\.so$")

    def test_nowait_without_room(self):
        self.daemon.answer = lambda request: iter([error("resource_exhausted", "card 0 has 20 % free, 30 % asked", "ask for less")])
        full = self.run_program("--nowait", "true")
        self.assertEqual((full.returncode, full.stderr), (75, "flexai: card 0 has 20 % free, 30 % asked; ask for less\n"))
        self.assertFalse(self.daemon.requests[0]["wait"])

    def test_refusal_of_the_daemon(self):
        self.daemon.answer = lambda request: iter([error("not_found", "there is no card '9'", "flexai cards lists them")])
        refused = self.run_program("--card", "9", "true")
        self.assertEqual((refused.returncode, refused.stderr), (125, "flexai: there is no card '9'; flexai cards lists them\n"))

    def test_daemon_that_hangs_up(self):
        self.daemon.answer = self.daemon.hang_up
        result = self.run_program("true")
        self.assertEqual(result.returncode, 125)
        self.assertRegex(result.stderr, r"\Aflexai: [^\n]+\n\Z")

    def test_waits_in_silence_without_a_terminal(self):
        self.daemon.answer = self.wait_then_grant
        result = self.run_program("--quiet", "echo", "ran")
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "ran\n", ""))

    @staticmethod
    def wait_then_grant(request):
        for position in (2, 1):
            yield {"waiting": {"position": position, "reason": "card 0 is full"}}
        yield {"slice": granted(request)}

    def test_report_goes_to_the_daemon(self):
        with tempfile.TemporaryDirectory() as folder:
            out = self.run_program("--report", folder + "/report.json", "ls", "/proc/self/fd").stdout
            self.assertEqual(len(self.daemon.files), 1)
            os.write(self.daemon.files[0], b"{}")
            self.assertEqual(pathlib.Path(folder, "report.json").read_text(), "{}")
            self.assertEqual(out.split(), ["0", "1", "2", "3"])  # 3: ls reads the folder; nothing of ours is left open

    def test_closed_descriptors_stay_closed(self):
        script = (f"import os,sys; os.closerange(0, 3); "
                  f"os.execv({FLEXAI!r}, ['flexai', 'run', '--report', sys.argv[1] + '/r', 'sh', '-c', "
                  f"'ls /proc/$$/fd > ' + sys.argv[1] + '/out'])")
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([sys.executable, "-c", script, folder], env=environment(self.daemon.path), timeout=DEADLINE_S)
            self.assertEqual(done.returncode, 0)
            # The shell itself may hold a copy of its own at 10; none of 0, 2 came back.
            held = set(pathlib.Path(folder, "out").read_text().split()) - {"1", "10"}
            self.assertFalse(held & {"0", "2"}, held)
            self.assertEqual(len(self.daemon.files), 1)

    def test_ignored_signals_stay_ignored(self):
        out = self.run_program("--quiet", "grep", "SigIgn", "/proc/self/status",
                               preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)).stdout
        self.assertTrue(int(out.split()[1], 16) & 1 << (signal.SIGHUP - 1))

    def test_few_descriptors_and_no_home(self):
        env = {"FLEXAI_SOCKET": self.daemon.path, "PATH": "/usr/bin:/bin"}
        result = self.run_program("--quiet", "echo", "ok", env=env, preexec_fn=lambda: __import__("resource").setrlimit(
            __import__("resource").RLIMIT_NOFILE, (32, 32)))
        self.assertEqual((result.returncode, result.stdout), (0, "ok\n"))

    def test_missing_interpreter(self):
        with tempfile.TemporaryDirectory() as folder:
            script = folder + "/script"
            pathlib.Path(script).write_text("#!/nonexistent/interpreter\n")
            os.chmod(script, 0o755)
            result = self.run_program("--quiet", script)
            self.assertEqual(result.returncode, 127)
            self.assertIn("interpreter", result.stderr)


class OnATerminal(unittest.TestCase):
    """flexai inside a terminal of 24 x 80 that the test owns."""

    def setUp(self):
        self.daemon = StubDaemon()
        self.addCleanup(self.daemon.close)

    def start(self, *words, **more):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execve(FLEXAI, ["flexai", *words], environment(self.daemon.path, TERM="xterm", **more))
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(self.terminal)
        self.seen = b""
        self.addCleanup(os.close, self.terminal)

    def until(self, part, after=0):
        """Reads until `part` was shown behind byte `after`; None waits for the end."""
        end = time.monotonic() + DEADLINE_S
        while part is None or part not in self.seen[after:]:
            ready, _, _ = select.select([self.terminal], [], [], max(0, end - time.monotonic()))
            self.assertTrue(ready, f"{part!r} did not come; seen last: {self.seen[-300:]!r}")
            try:
                data = os.read(self.terminal, 65536)
            except OSError:
                data = b""
            if not data:
                self.assertIsNone(part, f"{part!r} did not come; seen last: {self.seen[-300:]!r}")
                return
            self.seen += data

    def status(self):
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def check_given_back(self):
        self.assertLess(self.seen.rfind(b"\x1b[?1049h"), self.seen.rfind(b"\x1b[?1049l"))
        self.assertLess(self.seen.rfind(b"\x1b[?25l"), self.seen.rfind(b"\x1b[?25h"))

    def echoes(self):
        return bool(termios.tcgetattr(self.terminal)[3] & termios.ECHO)

    def test_top_leaves_on_q(self):
        self.start("top")
        self.until(b"s-7f3a")
        self.assertFalse(self.echoes())
        os.write(self.terminal, b"q")
        self.until(b"\x1b[?1049l")
        self.assertEqual(self.status(), 0)
        self.check_given_back()

    def test_top_gives_the_terminal_back_on_signals(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGSEGV):
            with self.subTest(number):
                self.start("top")
                self.until(b"s-7f3a")
                os.kill(self.pid, number)
                self.until(b"\x1b[?1049l")
                self.assertEqual(self.status(), -number)
                self.check_given_back()

    def test_top_restores_the_modes_before_it_ends(self):
        # A shell keeps the terminal alive behind top, so that its modes can be read.
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execve("/bin/sh", ["sh", "-c", f"{FLEXAI} top; echo END; read x"], environment(self.daemon.path, TERM="xterm"))
        self.addCleanup(os.close, self.terminal)
        self.seen = b""
        self.until(b"s-7f3a")
        self.assertFalse(self.echoes())
        os.write(self.terminal, b"q")
        self.until(b"END")
        self.assertTrue(self.echoes())
        os.write(self.terminal, b"\n")
        self.assertEqual(self.status(), 0)

    def test_top_stops_and_comes_back(self):
        self.start("top")
        self.until(b"s-7f3a")
        os.kill(self.pid, signal.SIGTSTP)
        self.until(b"\x1b[?1049l")
        self.assertTrue(os.WIFSTOPPED(os.waitpid(self.pid, os.WUNTRACED)[1]))
        self.assertTrue(self.echoes())
        mark = len(self.seen)
        os.kill(self.pid, signal.SIGCONT)
        self.until(b"\x1b[?1049h", mark)
        self.until(b"s-7f3a", mark)
        os.write(self.terminal, b"q")
        self.until(b"\x1b[?1049l", mark)
        self.assertEqual(self.status(), 0)

    def test_top_keys(self):
        self.start("top")
        self.until(b"sorted by slice")
        os.write(self.terminal, b"s")
        self.until(b"sorted by received")
        os.write(self.terminal, b"h")
        self.until(b"keys")
        os.write(self.terminal, b"p")
        self.until(b"s-7f3a paused")
        self.assertIn({"op": "pause", "slice": "s-7f3a"}, self.daemon.requests)
        os.write(self.terminal, b"\x1b[B\x1b[A")
        os.write(self.terminal, b"q")
        self.until(b"\x1b[?1049l")
        self.assertEqual(self.status(), 0)

    def test_top_survives_the_daemon(self):
        self.start("top")
        self.until(b"s-7f3a")
        self.daemon.answer = lambda request: iter([error("internal", "no")])
        os.write(self.terminal, b"s")
        self.until(b"no answer: no")
        os.write(self.terminal, b"q")
        self.until(b"\x1b[?1049l")
        self.assertEqual(self.status(), 0)

    def test_waiting_says_why_and_ends_on_ctrl_c(self):
        hold = threading.Event()
        self.addCleanup(hold.set)

        def answer(request):
            yield {"waiting": {"position": 2, "reason": "card 0 has 20 % free, 30 % asked"}}
            hold.wait(DEADLINE_S)

        self.daemon.answer = answer
        self.start("run", "true")
        self.until(b"flexai: waiting, 2nd in line: card 0 has 20 % free, 30 % asked")
        os.write(self.terminal, b"\x03")
        # By the signal itself, which shells report as 130, so that a loop around us ends too.
        self.assertEqual(self.status(), -signal.SIGINT)

    def test_waiting_clears_its_line(self):
        self.daemon.answer = Run.wait_then_grant
        self.start("run", "--share", "30%", "true")
        self.until(b"slice s-0001")
        self.assertIn(b"1st in line", self.seen)
        self.assertRegex(self.seen, rb"\r\x1b\[Kflexai: card 0")
        self.assertEqual(self.status(), 0)

    def test_colour(self):
        for more, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
            self.start("doctor", **more)
            self.until(b"checks,")
            self.status()
            self.assertEqual(b"\x1b[" in self.seen, coloured)


class Views(unittest.TestCase):
    def setUp(self):
        self.daemon = StubDaemon()
        self.addCleanup(self.daemon.close)

    def ask(self, *words, code=0):
        result = flexai(*words, socket_path=self.daemon.path)
        self.assertEqual(result.returncode, code, result)
        return result.stdout

    def test_json_is_the_daemons(self):
        self.assertEqual(json.loads(self.ask("status", "-o", "json")), status(socket=self.daemon.path))
        self.assertEqual(json.loads(self.ask("cards", "-o", "json")), {"cards": [CARD]})
        self.assertEqual(json.loads(self.ask("pause", "s-7f3a", "-o", "json"))["slice"], "s-7f3a")

    def test_tables(self):
        self.assertEqual(self.ask("cards").splitlines(), [
            "CARD  MODEL           GRANTED  RECEIVED  MEM USED/TOTAL  SLICES",
            "0     Acme Card 9000     30 %    29.8 %    1.5/16.0 GiB       1"])
        self.assertIn("s-7f3a  ana    running   30 %   30 %    29.8 %     1.5/8.0 GiB  python train.py", self.ask("status"))
        self.assertIn("acme-0", self.ask("cards", "-o", "wide"))
        for line in self.ask("top", "--once").splitlines():
            self.assertLessEqual(len(line), 80)

    def test_nothing_drives_the_terminal(self):
        evil = {**SLICE, "command": "\x1b]0;x\x07", "owner": "\x1b[2J"}
        self.daemon.answer = lambda request: iter([status(slices=[evil], warnings=["\x1b[31m"])])
        for words in (["status"], ["status", "-o", "wide"], ["top", "--once"]):
            self.assertNotIn("\x1b", self.ask(*words))

    def test_a_daemon_of_another_version(self):
        self.daemon.answer = lambda request: iter([{"version": "9.9.9", "protocol": 9, "cards": [{}], "slices": [{"memory_used_bytes": "x"}]}])
        for words in (["status"], ["status", "-o", "wide"], ["cards"], ["top", "--once"], ["version"]):
            self.ask(*words)
        self.assertIn("protocol 9", self.ask("doctor", code=1))

    def test_set_asks_for_the_change_alone(self):
        self.ask("set", "s-7f3a", "--memory", "1Gi", "--no-growth")
        self.assertEqual(self.daemon.requests, [{"op": "set", "slice": "s-7f3a", "memory_limit_bytes": 1 << 30, "no_growth": True}])

    def test_unknown_slice_and_card(self):
        self.daemon.answer = lambda request: iter([error("not_found", "there is no slice 's-x'", "flexai status lists them")])
        self.ask("pause", "s-x", code=1)
        self.daemon.answer = self.daemon.default
        self.ask("cards", "7", code=1)

    def test_doctor(self):
        report = json.loads(self.ask("doctor", "-o", "json"))
        self.assertTrue(report["healthy"])
        for check in report["checks"]:
            self.assertIn(check["verdict"], ("pass", "warn", "fail"))
            self.assertEqual(check["verdict"] == "pass", check["cure"] == "", check)

    def test_a_full_disk_is_told(self):
        with open("/dev/full", "w") as full:
            result = subprocess.run([FLEXAI, "status"], env=environment(self.daemon.path), stdout=full,
                                    stderr=subprocess.PIPE, text=True, timeout=DEADLINE_S)
        self.assertEqual(result.returncode, 1)
        self.assertIn("cannot write the output", result.stderr)


class Papers(unittest.TestCase):
    def complete(self, *words):
        script = flexai("completion", "bash").stdout
        line = " ".join(f"'{word}'" for word in words)
        body = f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _flexai; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        with StubDaemon() as daemon:
            env = environment(daemon.path)
            env["PATH"] = os.path.dirname(os.path.abspath(FLEXAI)) + ":" + env["PATH"]
            return subprocess.run(["bash", "-c", body], env=env, capture_output=True, text=True, timeout=DEADLINE_S,
                                  check=True).stdout.split()

    def test_bash_completes(self):
        self.assertEqual(self.complete("flexai", "st"), ["status"])
        self.assertEqual(self.complete("flexai", "run", "--sh"), ["--share"])
        self.assertEqual(self.complete("flexai", "run", "--priority", "h"), ["high"])
        self.assertEqual(self.complete("flexai", "status", "-o", "y"), ["yaml"])

    def test_bash_completes_living_names(self):
        self.assertEqual(self.complete("flexai", "pause", ""), ["s-7f3a"])
        self.assertEqual(self.complete("flexai", "run", "--card", ""), ["auto", "0"])

    def test_reference_is_what_the_program_says(self):
        self.assertEqual(flexai("man", "--reference").stdout, (REFERENCE / "cli.md").read_text(),
                         "write it anew: flexai man --reference > docs/reference/cli.md")

    def test_every_field_is_documented(self):
        page = (REFERENCE / "json-fields.md").read_text()
        with StubDaemon() as daemon:
            printed = [json.loads(flexai(*words, "-o", "json", socket_path=daemon.path).stdout)
                       for words in (["status"], ["cards"], ["pause", "s-7f3a"], ["doctor"], ["version"])]

        def names(value):
            if isinstance(value, dict):
                yield from value
            for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
                yield from names(item)

        for name in set(names(printed)) - {"op"}:
            self.assertIn(f"`{name}`", page)

    def test_every_exit_code_is_documented(self):
        page = (REFERENCE / "exit-codes.md").read_text()
        header = (REFERENCE.parent.parent / "apps/flexai/exit_codes.h").read_text()
        for code in re.findall(r"constexpr int k\w+ = (\d+);", header):
            self.assertIn(f"\n| {code} |", page)

    def test_man_pages_are_sound(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(flexai("man", folder).returncode, 0)
            pages = sorted(os.listdir(folder))
            self.assertIn("flexai-run.1", pages)
            try:
                subprocess.run(["groff", "--version"], capture_output=True, check=True)
            except OSError:
                self.skipTest("groff is not installed")
            for page in pages:
                done = subprocess.run(["groff", "-man", "-ww", "-z", page], cwd=folder, capture_output=True, text=True)
                self.assertEqual((done.returncode, done.stderr), (0, ""), page)


if __name__ == "__main__":
    unittest.main(verbosity=1)
