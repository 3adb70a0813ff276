"""OpenCL programs on a card that another driver shows as well, on the fake one: it is one card, held by the lever of that
driver's channels, and what a context takes counts."""
import json
import pathlib
import subprocess
import tempfile
import unittest

from tenants import BUILD, FAKE_CARDS, FLEXAI, FLEXAID, MIB, Daemon, Program, clean_environment, until

PROGRAM = BUILD / "test/card_program"
FAKE = BUILD / "lib/libfake_opencl.so"
CONTEXT = 300 * MIB
REFUSED = "error -4"


class OpenCl(unittest.TestCase):
    def setUp(self):
        if not all(each.exists() for each in (FLEXAI, FAKE, PROGRAM, BUILD / "lib/libfake_nvml.so")):
            self.skipTest("flexai, its fake cards or the program is not built")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        driver = self.folder / "libnvidia-opencl.so.1"  # by its name it is known
        driver.symlink_to(FAKE)
        self.env = {**FAKE_CARDS["fake_cuda"], "FLEXAI_FAKE_SHARED": folder.name + "/card", "STATE_DIRECTORY": folder.name + "/state",
                    "OCL_ICD_VENDORS": str(driver), "FLEXAI_FAKE_OPENCL": "nvidia"}

    def start_daemon(self, **more):
        daemon = Daemon(env={**self.env, **more})
        self.addCleanup(daemon.stop)
        return daemon.start()

    def run_program(self, daemon, *options, command=(PROGRAM, "-")):
        program = Program(daemon, *options, command=list(command))
        self.addCleanup(program.end)
        return program

    def found(self, **more):
        """What the daemon's look at the cards says."""
        looked = subprocess.run([FLEXAID, "--probe-cards"], env=clean_environment(**{**self.env, **more}), capture_output=True, text=True, check=True)
        return json.loads(looked.stdout)

    def test_it_is_one_card(self):
        cards = self.found()["cards"]
        self.assertEqual([(card["id"], card["backend"]) for card in cards], [("0", "cuda")])
        self.assertEqual(cards[0]["libraries"], ["libcuda.so.580.0.0", "libnvidia-opencl.so.1", "libfake_opencl.so"])

    def test_a_card_without_another_driver_is_listed(self):
        cards = self.found(FLEXAI_NVML=str(self.folder / "none"))["cards"]
        self.assertEqual([(card["id"], card["backend"], card["uuid"][:4]) for card in cards], [("0", "opencl", "GPU-")])

    def test_a_card_that_may_not_be_shared_is_not_listed(self):
        found = self.found(FLEXAI_FAKE_MIG="1")
        self.assertEqual((found["cards"], len(found["unshared"])), ([], 1))

    def test_its_channels_are_stopped_and_its_work_is_seen(self):
        program = self.run_program(self.start_daemon(), "--share", "10%", "--limit", "30%", "--memory", "64Mi")
        self.assertEqual(program.do("alloc clCreateBuffer 4096"), "ok 0")

        def lever():
            seen = program.slice()
            return seen["lever"], [process["workers"] for process in seen["processes"]]
        until("its channels are the lever", lambda: lever() == ("freeze", [8]))
        until("it is idle", lambda: program.slice()["state"] == "idle")
        for _ in range(2):
            program.tell("spin 1000")
            until("it works", lambda: program.slice()["state"] in ("running", "held"))
            until("it is held now and then", lambda: program.slice()["state"] == "held")
            self.assertRegex(program.line(), "^spun ")
            until("it is idle again", lambda: program.slice()["state"] == "idle")
        self.assertGreater(program.slice()["compute_received_seconds"], 0)

    def test_a_loader_that_knows_no_layers_gets_the_driver_through_us(self):
        program = self.run_program(self.start_daemon(), "--share", "10%", "--limit", "30%", "--memory", "64Mi",
                                   command=("env", "-u", "OPENCL_LAYERS", PROGRAM, "-"))
        self.assertEqual(program.do(f"alloc clCreateBuffer {32 * MIB}"), "ok 0")
        self.assertEqual(program.used(), 32 * MIB)
        self.assertEqual(program.do(f"alloc clCreateBuffer {40 * MIB}"), REFUSED)
        seen = program.slice()
        self.assertEqual((seen["lever"], [process["workers"] for process in seen["processes"]]), ("freeze", [8]))
        program.tell("spin 1000")
        until("it is held now and then", lambda: program.slice()["state"] == "held")
        self.assertRegex(program.line(), "^spun ")

    def test_a_context_counts(self):
        state = self.folder / "state"
        state.mkdir()
        (state / "contexts.json").write_text(json.dumps({"version": 1, "contexts": [["flexai fake card", "580.0.0", CONTEXT]]}))
        program = self.run_program(self.start_daemon(), "--share", "10%", "--memory", "400Mi")
        self.assertEqual(program.do(f"alloc clCreateBuffer {120 * MIB}"), REFUSED)
        self.assertEqual(program.used(), CONTEXT)
        self.assertEqual(program.do(f"alloc clCreateBuffer {100 * MIB}"), "ok 0")
        self.assertEqual(program.used(), 400 * MIB)


if __name__ == "__main__":
    unittest.main(verbosity=2)
