"""Runs long steps one after another, says what happens while it happens, and sums up. Used by tools/check.

A step's output goes to build/log/check-<name>.log; a step that takes long shows its last line every 15 s; a failed step
shows the end of its log. A step whose need has failed is skipped, and counts as failed.
"""
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import tree

TICK_S = 15
LOGS = tree.ROOT / "build/log"


class Steps:
    def __init__(self, script):
        self.script = script
        self.results = {}  # name -> "ok" | "FAILED" | "skipped"
        self.passed = self.failed = self.skipped = 0
        self.begin = time.monotonic()
        self.colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")

    def say(self, text, colour=""):
        if colour and self.colour:
            text = f"\033[{colour}m{text}\033[0m"
        print(f"{self.script}: {text}", file=sys.stderr, flush=True)

    def run(self, name, command, needs=(), env=None, count=None):
        """Runs `command`; `count(ok)` gives (passed, failed, skipped) cases, without it the step is one case."""
        missing = [need for need in needs if self.results.get(need) != "ok"]
        if missing:
            self.results[name] = "skipped"
            self.failed += 1
            self.say(f"skipped {name}: it needs {', '.join(missing)}", "33")
            return False
        LOGS.mkdir(parents=True, exist_ok=True)
        log = LOGS / f"{self.script}-{re.sub(r'[^A-Za-z0-9]+', '-', name)}.log"
        begin = time.monotonic()
        status = self._wait(name, command, log, env, begin)
        seconds = time.monotonic() - begin
        ok = status == 0
        passed, failed, skipped = count(ok) if count else (int(ok), int(not ok), 0)
        if not ok and failed == 0:
            failed = 1
        self.passed, self.failed, self.skipped = self.passed + passed, self.failed + failed, self.skipped + skipped
        self.results[name] = "ok" if ok else "FAILED"
        cases = f", {passed} passed" + (f", {skipped} skipped" if skipped else "") if count else ""
        self.say(f"{'ok     ' if ok else 'FAILED '} {name} ({seconds:.1f} s{cases})", "32" if ok else "31")
        if not ok:
            print("\n".join("    " + line for line in self._tail(log, 40)), file=sys.stderr)
            self.say(f"the whole log: {log.relative_to(tree.ROOT)}")
        return ok

    def _wait(self, name, command, log, env, begin):
        with open(log, "wb") as out:
            child = subprocess.Popen(command, cwd=tree.ROOT, stdin=subprocess.DEVNULL, stdout=out,
                                     stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}, start_new_session=True)
        try:
            while True:
                try:
                    return child.wait(timeout=TICK_S)
                except subprocess.TimeoutExpired:
                    last = (self._tail(log, 1) or [""])[0][:100]
                    self.say(f"{name} ... {time.monotonic() - begin:.0f} s: {last}", "2")
        except BaseException:  # also Ctrl-C: nothing of the step may go on in the background
            os.killpg(child.pid, signal.SIGTERM)
            raise

    @staticmethod
    def _tail(log, count):
        text = log.read_text(errors="replace").replace("\r", "\n")
        return [line for line in text.splitlines() if line.strip()][-count:]

    def finish(self):
        """Prints the summary; its last line has the form "N passed, N failed". Returns the exit status."""
        bad = {name: result for name, result in self.results.items() if result != "ok"}
        self.say(f"{len(self.results)} steps in {time.monotonic() - self.begin:.0f} s"
                 + (f", {self.skipped} cases skipped" if self.skipped else ""))
        for name, result in bad.items():
            self.say(f"  {result} {name}", "31")
        sys.stderr.flush()
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if bad else 0
