"""What people may write wrong and what may be wrong with a machine, as one list: each gets a sentence (what, why; what to do) and
the documented exit code, the program does not run, and nothing is changed."""
import json
import os
import pathlib
import socket
import subprocess
import tempfile
import unittest

from tenants import BUILD, DEADLINE_S, FAKE_CARDS, FLEXAI, Daemon, Peer, Program, clean_environment, until

FAKE = FAKE_CARDS["fake_cuda"]
CARD = "GPU-666c6578-6169-2d66-616b-652d63617264"
NOBODY = 65534
SENTENCE = r"\Aflexai: [^\n;]+; [^\n]+\n\Z"

# What is asked of a card that is free: words, exit code, and what the sentence says.
ASKED = [
    (["--card", "7"], 125, "card '7' is unknown; this host has card 0"),
    (["--card", "GPU-7777"], 125, "card 'GPU-7777' is unknown"),
    (["--card", ""], 125, "--card needs CARD"),
    (["--share", "0%"], 125, "share '0%' is less than the smallest share of 1%"),
    (["--share", "101%"], 125, "share '101%'"),
    (["--share", "-5%"], 125, "share '-5%'"),
    (["--share", "abc"], 125, "share 'abc'"),
    (["--share", "30"], 125, "share '30' has no % sign; write 30% if"),
    (["--share", ""], 125, "--share needs PERCENT"),
    (["--share", "50%", "--limit", "20%"], 125, "limit 20 % is outside the share of 50 % to 100 %"),
    (["--share", "nan%"], 125, "share 'nan%'"),
    (["--memory", "abc"], 125, "memory 'abc'"),
    (["--memory", "8GB"], 125, "memory '8GB' can be meant two ways"),
    (["--memory", "-1Gi"], 125, "memory '-1Gi'"),
    (["--memory", "0"], 125, "memory '0' is 0 B, less than the smallest slice of 1 MiB"),
    (["--memory", "99999999Ti"], 125, "memory '99999999Ti'"),
    (["--memory", "65Gi"], 125, "memory 65.0 GiB is more than card 0 has, 64.0 GiB"),
    (["--memory", "300Mi"], 125, "memory 300 MiB is less than what a program holds on card 0 by using it at all, 400 MiB; ask for more than 400Mi"),
    (["--priority", "urgent"], 125, "priority 'urgent'"),
    (["--wait", "--nowait"], 125, "--wait and --nowait exclude each other"),
    (["--report", "/nonexistent/report"], 125, "cannot write the report '/nonexistent/report'"),
]

# What is wrong with the host: the daemon's environment, and what the sentence says.
HOSTS = {
    "no driver": ({"FLEXAI_NVML": "/nonexistent/libnvidia-ml.so.1"}, "install the card's driver"),
    "a library that is no driver": ({"FLEXAI_NVML": str(BUILD / "lib/libflexai_cuda.so")}, "install the card's driver"),
    "a driver that is too old": ({"FLEXAI_FAKE_DRIVER": "535.183.01"},
                                 "the NVIDIA driver 535.183.01 is older than 550, the oldest whose calls are known; install a newer"),
    "a card that is cut by MIG": ({"FLEXAI_FAKE_MIG": "1"}, r"NVIDIA card 0 \(flexai fake card\) is cut by MIG already.*; nvidia-smi -i 0 -mig 0"),
    "a card that is reserved": ({"FLEXAI_FAKE_COMPUTE_MODE": "3"}, r"NVIDIA card 0 .* compute mode .*; nvidia-smi -i 0 -c DEFAULT"),
    "a card that nobody may use": ({"FLEXAI_FAKE_COMPUTE_MODE": "2"}, r"NVIDIA card 0 .* compute mode .*; nvidia-smi -i 0 -c DEFAULT"),
    "MPS, as the driver tells": ({"FLEXAI_FAKE_MPS": "2"}, r"NVIDIA card 0 .* is shared by MPS.*; end its daemon \(echo quit"),
}


def books(daemon):
    """The daemon's status, but for what is found out at some time: whether the card's record can be read, and which levers hold."""
    status = daemon.status()
    for card in status["cards"]:
        del card["trace_refused"], card["levers"]
    return status


class BadInput(unittest.TestCase):
    def daemon_on(self, env):
        """A daemon on the fake card in an environment of its own."""
        if not FLEXAI.exists() or not (BUILD / "lib/libfake_nvml.so").exists():
            self.skipTest("flexai or its fake card is not built")
        # Everything of this test's own, so that its writes would show.
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        state = pathlib.Path(self.folder.name, "state")
        state.mkdir()
        (state / "contexts.json").write_text(json.dumps({"version": 1, "contexts": [["flexai fake card", "580.0.0", 400 << 20]]}))
        daemon = Daemon(env={**FAKE, "FLEXAI_FAKE_SHARED": self.folder.name + "/card", "STATE_DIRECTORY": str(state), **env})
        self.addCleanup(daemon.stop)
        return daemon.start()

    def check_refused(self, daemon, words, code, sentence):
        """`flexai run` with these words ends so, and leaves everything as it was."""
        before = books(daemon)
        ran = daemon.flexai("run", "--quiet", *words, "--", "sh", "-c", f"echo ran; touch {self.folder.name}/ran")
        self.assertEqual((ran.returncode, ran.stdout), (code, ""), ran)
        self.assertRegex(ran.stderr, SENTENCE)
        self.assertRegex(ran.stderr, sentence)
        self.assertFalse(os.path.exists(self.folder.name + "/ran"))
        self.assertEqual(books(daemon), before)

    def test_what_is_asked(self):
        daemon = self.daemon_on({})
        for words, code, sentence in ASKED:
            with self.subTest(words=words):
                self.check_refused(daemon, words, code, "flexai: " + sentence)

    def test_shares_past_the_whole_card(self):
        daemon = self.daemon_on({})
        first = Program(daemon, "--share", "60%", command=["cat"])
        self.addCleanup(first.end)
        until("it has a slice", daemon.slices)
        before = books(daemon)["cards"][0]
        full = daemon.flexai("run", "--share", "50%", "--nowait", "--", "echo", "ran")
        self.assertEqual((full.returncode, full.stdout), (75, ""), full)
        self.assertRegex(full.stderr, SENTENCE)
        self.assertIn("card 0 has no room: asked for 50 % of its time, of which 40 % is free", full.stderr)
        full = daemon.flexai("run", "--share", "10%", "--memory", "60Gi", "--nowait", "--", "echo", "ran")
        self.assertEqual((full.returncode, full.stdout), (75, ""), full)
        self.assertIn("60.0 GiB of its memory, of which 25.6 GiB is free", full.stderr)
        wrong = daemon.flexai("set", next(iter(daemon.slices())), "--share", "101%")
        self.assertEqual(wrong.returncode, 125, wrong)
        self.assertRegex(wrong.stderr, SENTENCE)
        wrong = daemon.flexai("set", next(iter(daemon.slices())), "--memory", "65Gi")
        self.assertEqual(wrong.returncode, 1, wrong)
        self.assertRegex(wrong.stderr, SENTENCE)
        self.assertEqual(books(daemon)["cards"][0], before)

    def test_programs(self):
        daemon = self.daemon_on({})
        before = books(daemon)
        folder = pathlib.Path(self.folder.name)
        (folder / "text").write_text("no program")
        (folder / "script").write_text("#!/nonexistent/interpreter\n")
        (folder / "script").chmod(0o755)
        for program, code in ([], 125), (["nosuchprogram"], 127), ([str(folder / "text")], 126), ([str(folder)], 126), \
                ([str(folder / "script")], 127):
            with self.subTest(program=program):
                ran = daemon.flexai("run", "--quiet", "--share", "30%", "--", *program)
                self.assertEqual(ran.returncode, code, ran)
                self.assertRegex(ran.stderr, SENTENCE)
        until("no slice is left", lambda: not daemon.slices())
        self.assertEqual(books(daemon), before)

    def check_host(self, daemon, sentence):
        status = daemon.status()
        self.assertEqual(status["cards"], [])
        self.check_refused(daemon, ["--share", "30%"], 125, "this host has no card that flexai can share.*" + sentence)
        cards = daemon.flexai("cards")
        self.assertEqual(cards.returncode, 0, cards)
        doctor = daemon.flexai("doctor", "-o", "json")
        self.assertEqual(doctor.returncode, 1, doctor)
        failed = [each for each in json.loads(doctor.stdout)["checks"] if each["verdict"] == "fail"]
        self.assertIn("cards", [each["check"] for each in failed])
        if not status["unshared"]:
            return self.assertEqual(cards.stdout, "no cards: flexai doctor says why\n")
        self.assertRegex(cards.stdout, "not shared: " + sentence)
        self.assertEqual(json.loads(daemon.flexai("cards", "-o", "json").stdout), {"cards": [], "unshared": status["unshared"]})
        told = next(each for each in failed if each["check"] == "not shared")
        self.assertRegex(f"{told['found']}; {told['cure']}", sentence)
        if status["unshared"][0]["uuid"]:
            self.check_refused(daemon, ["--card", CARD], 125, r"\Aflexai: " + sentence)
            cards = daemon.flexai("cards", CARD)
            self.assertEqual((cards.returncode, cards.stdout), (1, ""), cards)
            self.assertRegex(cards.stderr, sentence)

    def test_hosts(self):
        for what, (env, sentence) in HOSTS.items():
            with self.subTest(what=what):
                daemon = self.daemon_on(env)
                self.check_host(daemon, sentence)
                daemon.stop()

    def test_a_host_with_mps(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as control:
            control.bind(folder + "/control")
            control.listen()
            daemon = self.daemon_on({"CUDA_MPS_PIPE_DIRECTORY": folder})
            self.check_host(daemon, rf"MPS runs \(the socket {folder}/control\), so the NVIDIA driver sees one .*; end it \(echo quit")

    def test_one_that_gets_the_cores_instead_is_told(self):
        daemon = self.daemon_on({"FLEXAI_FAKE_MIG": "1", "OCL_ICD_VENDORS": str(BUILD / "lib/libfake_opencl.so")})
        if not daemon.status()["cards"]:
            self.skipTest("no loader of OpenCL")
        self.assertEqual(len(daemon.status()["unshared"]), 1)
        ran = daemon.flexai("run", "--share", "30%", "--", "true")
        self.assertEqual(ran.returncode, 0, ran)
        self.assertRegex(ran.stderr, r"\nflexai: warning: not shared: NVIDIA card 0 .* MIG already.*; nvidia-smi -i 0 -mig 0")
        self.assertIn("not shared: NVIDIA card 0", daemon.flexai("cards").stdout)
        doctor = {each["check"]: each["verdict"] for each in json.loads(daemon.flexai("doctor", "-o", "json").stdout)["checks"]}
        self.assertEqual(doctor["not shared"], "warn")

    @unittest.skipUnless(os.geteuid() == 0, "only root can make another user's socket")
    def test_a_socket_of_another_user(self):
        other = Peer(lambda peer: None, NOBODY)
        self.addCleanup(other.close)
        ran = subprocess.run([FLEXAI, "run", "--share", "30%", "--", "echo", "ran"], env=clean_environment(FLEXAI_SOCKET=other.address),
                             capture_output=True, text=True, timeout=DEADLINE_S, stdin=subprocess.DEVNULL)
        self.assertEqual((ran.returncode, ran.stdout), (125, ""), ran)
        self.assertRegex(ran.stderr, SENTENCE)
        self.assertIn(f"the socket {other.address} belongs to user {NOBODY}, neither you nor root", ran.stderr)

    def test_no_daemon_at_the_address(self):
        for address in "/nonexistent/socket", "@" + "a" * 200:
            with self.subTest(address=address):
                ran = subprocess.run([FLEXAI, "status"], env=clean_environment(FLEXAI_SOCKET=address), capture_output=True, text=True,
                                     timeout=DEADLINE_S, stdin=subprocess.DEVNULL)
                self.assertEqual((ran.returncode, ran.stdout), (125, ""), ran)
                self.assertRegex(ran.stderr, SENTENCE)


class VisibleCards(unittest.TestCase):
    """CUDA_VISIBLE_DEVICES of a program in a slice, by index, name, part of a name, and what the slice does not have."""

    def test_all(self):
        program = BUILD / "test/card_program_cuda"
        if not program.exists():
            self.skipTest(f"{program} is not built")
        daemon = Daemon(env=FAKE).start()
        self.addCleanup(daemon.stop)
        for chosen, told in (None, False), ("0", False), (CARD, False), (CARD[:9], False), ("", False), ("-1", False), \
                ("1", True), ("GPU-777", True), ("MIG-GPU-666c/1/0", True):
            with self.subTest(chosen=chosen):
                env = {} if chosen is None else {"CUDA_VISIBLE_DEVICES": chosen}
                ran = subprocess.run([FLEXAI, "run", "--quiet", "--share", "30%", "--", program, "alloc cuMemAlloc_v2 4"],
                                     env={**daemon.env, **env}, capture_output=True, text=True, timeout=DEADLINE_S,
                                     stdin=subprocess.DEVNULL)
                shown = not told and chosen not in ("", "-1")
                self.assertEqual((ran.returncode, ran.stdout), (0, "ok 0\n" if shown else "error 100\n"), ran)
                sentence = f"flexai: CUDA_VISIBLE_DEVICES={chosen} names no card of this slice, so the program sees none; the slice"
                self.assertEqual(sentence in ran.stderr, told, ran)
                self.assertEqual(len(ran.stderr.splitlines()), int(told), ran)

    def test_programs_read_it_themselves(self):
        """PyTorch counts the cards of the host by another library, and those that the variable leaves: they must be as many as there are."""
        daemon = Daemon(env=FAKE).start()
        self.addCleanup(daemon.stop)
        run = [FLEXAI, "run", "--quiet", "--share", "30%", "--"]
        say = ["sh", "-c", "echo $CUDA_VISIBLE_DEVICES"]
        for chosen, words, said in ((None, run, CARD), ("0", run, CARD), ("", run, ""), ("1", run, "1"), (CARD[:9], run, CARD[:9]),
                                    (None, [*run, *run], CARD)):
            with self.subTest(chosen=chosen, words=words):
                env = {key: value for key, value in daemon.env.items() if key != "CUDA_VISIBLE_DEVICES"}
                if chosen is not None:
                    env["CUDA_VISIBLE_DEVICES"] = chosen
                ran = subprocess.run([*words, *say], env=env, capture_output=True, text=True, timeout=DEADLINE_S, stdin=subprocess.DEVNULL)
                self.assertEqual((ran.returncode, ran.stdout), (0, said + "\n"), ran)


if __name__ == "__main__":
    unittest.main(verbosity=2)
