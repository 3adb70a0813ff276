"""Levers are tried by the daemon before programs need them: what does not hold is dropped, told once and remembered; a driver that
hangs or crashes in the probe changes nothing."""
import json
import os
import pathlib
import tempfile
import unittest

from tenants import BUILD, FAKE_CARDS, Daemon, Program, until

SPIN = BUILD / "test/card_spin"


class Probe(unittest.TestCase):
    def setUp(self):
        if not SPIN.exists():
            self.skipTest(f"{SPIN} is not built")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.state = pathlib.Path(folder.name)
        self.file = self.state / "kept/levers.json"
        self.log = str(self.state / "log")

    def start(self, pretend="", version="580.0.0", address=None, **more):
        """A daemon whose own processes meet a driver that pretends; programs meet one that does what it says."""
        env = {**FAKE_CARDS["fake_cuda"], "STATE_DIRECTORY": str(self.file.parent), "FLEXAI_FAKE_DRIVER": version, **more}
        daemon = Daemon(address, env={**env, "FLEXAI_FAKE_LEVERS": pretend})
        self.addCleanup(daemon.stop)
        daemon.start()
        daemon.env["FLEXAI_FAKE_LEVERS"] = ""
        return daemon

    def run_program(self, daemon, pretend=""):
        program = Program(daemon, "--share", "50%", command=[SPIN, "run", self.log, "1", "1000"], env={"FLEXAI_FAKE_LEVERS": pretend})
        self.addCleanup(program.end)
        return program

    @staticmethod
    def levers(daemon):
        """What is known once nothing is tried any more."""
        return until("the levers are tried", lambda: (each := daemon.status()["cards"][0]["levers"])["state"] != "probing" and each)

    def held(self, daemon):
        return {each["lever"]: each["holds"] for each in self.levers(daemon)["levers"]}

    @staticmethod
    def finding(daemon):
        checks = json.loads(daemon.flexai("doctor", "-o", "json").stdout)["checks"]
        return next(each for each in checks if each["check"] == "card 0 probe")

    def test_all_hold(self):
        daemon = self.start()
        self.assertEqual(self.held(daemon), {"stop": True, "hand-over": True, "time-slice": True})
        self.assertEqual(self.finding(daemon)["verdict"], "pass")
        program = self.run_program(daemon)
        until("it is stopped by its channels", lambda: program.slice()["lever"] == "freeze")
        self.assertNotIn("gating", program.told())

    def expect_gate(self, daemon, why):
        self.assertFalse(self.held(daemon)["stop"])
        finding = self.finding(daemon)
        self.assertEqual(finding["verdict"], "warn")
        self.assertIn("not used, stop: " + why, finding["found"])
        program = self.run_program(daemon)
        self.assertEqual(program.line(), "ready")
        until("its launches are held", lambda: program.slice()["lever"] == "gate")
        daemon.flexai("pause", program.slice()["slice"])
        daemon.flexai("resume", program.slice()["slice"])
        self.assertEqual(program.told().count("gating launches"), 1, program.told())
        self.assertIn("was found not to stop", program.told())

    def test_refused(self):
        self.expect_gate(self.start("stop=refuses"), "the driver refuses (status 0x56)")

    def test_lies(self):
        self.expect_gate(self.start("stop=lies"), "the driver says that it stops what runs, and it goes on")

    def test_other_levers(self):
        daemon = self.start("hand-over=lies,time-slice=refuses")
        self.assertEqual(self.held(daemon), {"stop": True, "hand-over": False, "time-slice": False})
        program = self.run_program(daemon)
        until("it is stopped by its channels", lambda: program.slice()["lever"] == "freeze")

    def test_found_while_a_program_runs(self):
        daemon = self.start()
        self.assertTrue(all(self.held(daemon).values()))
        program = self.run_program(daemon)
        until("it is stopped by its channels", lambda: program.slice()["lever"] == "freeze")
        daemon.stop()
        self.file.unlink()
        # The successor takes the program over, and then finds out.
        daemon = program.daemon = self.start("stop=lies", address=daemon.address)
        until("its launches are held", lambda: program.slice()["lever"] == "gate")

    def test_no_answer(self):
        for pretend in "stop=crashes", "time-slice=crashes":
            with self.subTest(pretend=pretend):
                daemon = self.start(pretend)
                levers = self.levers(daemon)
                self.assertEqual((levers["state"], levers["levers"]), ("not probed", []))
                self.assertIn("brought the probe down", levers["not_probed"])
                self.assertIn(levers["not_probed"], self.finding(daemon)["found"])
                program = self.run_program(daemon)
                until("it is stopped by its channels", lambda: program.slice()["lever"] == "freeze")
                daemon.stop()
                self.file.unlink()

    def test_no_memory(self):
        daemon = self.start(FLEXAI_FAKE_CONTEXT=str(65 << 30))
        levers = self.levers(daemon)
        self.assertEqual((levers["state"], levers["levers"]), ("not probed", []))
        self.assertIn("no memory", levers["not_probed"])
        self.assertFalse(self.file.exists())
        # A question that is asked of nobody, or by somebody else, is told at once.
        daemon.stop()
        self.assertIn("no daemon", daemon.flexai("doctor", "--probe").stderr)

    def test_hangs(self):
        daemon = self.start("stop=hangs")
        self.assertEqual(daemon.status()["cards"][0]["levers"]["state"], "probing")
        self.assertIn("being tried", self.finding(daemon)["found"])
        # Nobody waits for it.
        program = self.run_program(daemon)
        until("it is stopped by its channels", lambda: program.slice()["lever"] == "freeze")
        levers = self.levers(daemon)
        self.assertEqual(levers["state"], "not probed")
        self.assertIn("did not answer the probe", levers["not_probed"])

    def test_remembered(self):
        daemon = self.start("stop=lies")
        first = self.levers(daemon)
        daemon.stop()
        daemon = self.start()
        self.assertEqual(daemon.status()["cards"][0]["levers"], first)
        # Anew, by its user; programs that run go by what is found.
        program = self.run_program(daemon)
        until("its launches are held", lambda: program.slice()["lever"] == "gate")
        self.assertEqual(daemon.flexai("doctor", "--probe").stderr, "")
        self.assertTrue(all(self.held(daemon).values()))
        until("it is stopped by its channels", lambda: program.slice()["lever"] == "freeze")
        program.end()
        daemon.stop()
        # Another driver is another matter.
        daemon = self.start("stop=refuses", version="581.0.0")
        self.assertFalse(self.held(daemon)["stop"])

    def test_files_that_are_not_believed(self):
        daemon = self.start("stop=lies")
        self.levers(daemon)
        daemon.stop()
        good = json.loads(self.file.read_text())
        for name, value in ("boot", "another"), ("identity", "x"), ("model", "x"), ("flexai", "0"), ("card", "GPU-x"):
            other = json.loads(json.dumps(good))
            other["cards"][0]["key"][name] = value
            self.expect_forgotten(json.dumps(other))
        for name, value in ("at", "now"), ("levers", {}), ("levers", [{"lever": "stop", "holds": 1}]), ("levers", [7]), ("key", None):
            other = json.loads(json.dumps(good))
            other["cards"][0][name] = value
            self.expect_forgotten(json.dumps(other))
        text = json.dumps(good)
        for broken in "", "[]", "{", text[:len(text) // 2], "[" * 100000, text + "x", "\0" * 50, json.dumps({**good, "format": 2}):
            self.expect_forgotten(broken)
        self.expect_forgotten(text, mode=0o666)

    def expect_forgotten(self, text, mode=0o644):
        self.file.write_text(text)
        os.chmod(self.file, mode)
        daemon = self.start()
        self.assertTrue(all(self.held(daemon).values()), text[:200])
        daemon.stop()
        # What is written in its place is whole again.
        self.assertTrue(json.loads(self.file.read_text())["cards"], text[:200])

    def test_nowhere_to_remember(self):
        self.file.parent.write_text("no folder")
        daemon = self.start("stop=lies")
        self.assertFalse(self.held(daemon)["stop"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
