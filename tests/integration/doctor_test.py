"""What `flexai doctor` says of a card behind a driver: the lever, how its time is charged, the driver's version."""
import json
import unittest

from tenants import BUILD, FAKE_CARDS, SCRATCH, Daemon, Program, until

TRIED = "580.159.04"
SPIN = BUILD / "test/card_spin"


class FakeCard(unittest.TestCase):
    def start(self, version):
        if not SPIN.exists():
            self.skipTest(f"{SPIN} is not built")
        daemon = Daemon(env={**FAKE_CARDS["fake_cuda"], "FLEXAI_FAKE_DRIVER": version})
        self.addCleanup(daemon.stop)
        return daemon.start()

    @staticmethod
    def findings(daemon):
        """The doctor's findings of the card, by what they are about."""
        checks = json.loads(daemon.flexai("doctor", "-o", "json").stdout)["checks"]
        return {each["check"].split()[2]: each for each in checks if each["check"].startswith("card 0 ")}

    def test_driver(self):
        for version, verdict in (TRIED, "pass"), ("999.1", "warn"):
            with self.subTest(version=version):
                daemon = self.start(version)
                finding = self.findings(daemon)["driver"]
                self.assertEqual(finding["verdict"], verdict, finding)
                self.assertIn(version, finding["found"])
                if verdict == "warn":
                    self.assertIn(TRIED, finding["found"])
                    self.assertIn("memory is limited all the same", finding["cure"])
                daemon.stop()

    def test_time(self):
        daemon = self.start(TRIED)
        # A pretended card has no kernel module that could record anything: the reason is told once it was looked for.
        finding = until("the record is looked for", lambda: (each := self.findings(daemon)["time"])["verdict"] != "pass" and each)
        self.assertRegex(finding["found"], r"^charged by the clock; \w+")
        self.assertIn("run flexaid as root", finding["cure"])
        card = daemon.status()["cards"][0]
        self.assertTrue(finding["found"].endswith(card["trace_refused"]), (finding, card))

    def test_library(self):
        checks = json.loads(self.start(TRIED).flexai("doctor", "-o", "json").stdout)["checks"]
        library = next(each for each in checks if each["check"] == "cuda library")
        self.assertEqual((library["verdict"], library["found"]), ("pass", str(BUILD / "lib/libflexai_cuda.so")))

    def test_lever(self):
        daemon = self.start(TRIED)
        self.assertRegex(self.findings(daemon)["lever"]["found"], "^not known yet")
        program = Program(daemon, "--share", "50%", command=[SPIN, "run", SCRATCH.name + "/log", "1", "1000"])
        self.addCleanup(program.end)
        finding = until("the program computes", lambda: (each := self.findings(daemon)["lever"])["found"][:3] != "not" and each)
        self.assertEqual((finding["found"].split(":")[0], finding["verdict"]), ("freeze", "pass"), program.told())


if __name__ == "__main__":
    unittest.main(verbosity=2)
