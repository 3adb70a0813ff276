"""What tests of slices share: a daemon of their own, programs in slices that do what they are told, and waiting with a
deadline. Every process that is started here is ended here, by its pid."""
import json
import os
import pathlib
import select
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest
import uuid

BUILD = pathlib.Path(os.environ.get("FLEXAI_BUILD") or "build/release").resolve()
FLEXAI, FLEXAID = BUILD / "bin/flexai", BUILD / "bin/flexaid"
TEST_CARD = os.environ.get("FLEXAI_TEST_CARD", "")  # a fake card for every test; empty: what this machine has
PROGRAM = BUILD / "test" / ("card_program_cuda" if TEST_CARD == "fake_cuda" else "card_program")
HEADER = struct.Struct("<IHHI")
MAGIC, VERSION, REQUEST, REPLY, ATTACH, ATTACHED = 0x41584C46, 2, 1, 2, 3, 4
DEADLINE_S = 30
MIB = 1 << 20
SCRATCH = tempfile.TemporaryDirectory()  # until this process ends
# Fake cards whose kernels burn as much time of cores as card_program's do on a real driver.
FAKE_WORK = {"FLEXAI_FAKE_SPIN": "1", "FLEXAI_FAKE_ITEM_NS": "20000", "FLEXAI_FAKE_UNITS": str(len(os.sched_getaffinity(0)))}
FAKE_CARDS = {"fake": {"OCL_ICD_VENDORS": str(BUILD / "lib/libfake_opencl.so"), **FAKE_WORK},
              # The only card: no other kind of driver is found.
              "fake_cuda": {"OCL_ICD_VENDORS": SCRATCH.name + "/none", "FLEXAI_NVML": str(BUILD / "lib/libfake_nvml.so"),
                            "FLEXAI_CUDA_DRIVER": str(BUILD / "lib/libfake_cuda.so"),
                            "FLEXAI_FAKE_SHARED": SCRATCH.name + "/card", "FLEXAI_FAKE_MEMORY": str(64 << 30),
                            # Books of programs are then what they asked for, and nothing else.
                            "FLEXAI_FAKE_CONTEXT": "0", "FLEXAI_FAKE_MODULE": "0", **FAKE_WORK}}
# A way to get memory on the test's card, the error past a limit, and a unit of which a sixteenth is held exactly.
ALLOC, REFUSED, UNIT = ("cuMemAlloc_v2", "error 2", 32 * MIB) if TEST_CARD == "fake_cuda" else ("clCreateBuffer", "error -4", MIB)


def until(what, answer, deadline_s=DEADLINE_S):
    """Polls until `answer()` is true, and returns what it is."""
    end = time.monotonic() + deadline_s
    while not (value := answer()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s} s: {what}")
        select.select([], [], [], 0.005)  # poll
    return value


def connect(address):
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(DEADLINE_S)
    try:
        peer.connect("\0" + address[1:] if address[0] == "@" else address)
    except OSError:
        peer.close()
        raise
    return peer


def read_exactly(peer, size):
    data = b""
    while len(data) < size:
        if not (more := peer.recv(size - len(data))):
            raise ConnectionError("the daemon closed the connection")
        data += more
    return data


def workers(pid):
    """The driver's threads of a process, by their numbers."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return [int(task.name) for task in tasks if int(task.name) != pid and 
            (task / "comm").read_text().startswith(("flexai-worker", "fake-worker"))]


def worker_time(pid):
    """Time that the driver's threads of a process spent on cores. Units: ns."""
    return sum(int(pathlib.Path(f"/proc/{pid}/task/{tid}/schedstat").read_text().split()[0]) for tid in workers(pid))


def cores_used(pid, for_s=1):
    """How many cores the driver's threads of a process keep busy for a while."""
    before, begin = worker_time(pid), time.monotonic()
    until("time passes", lambda: time.monotonic() >= begin + for_s)
    return (worker_time(pid) - before) / 1e9 / (time.monotonic() - begin)


def standing(pids):
    """Those of the processes whose work the fake card's lever has stopped just now; None where that card does not tell.
    Its shared file has places of 24 bytes: pid, whether it stands, and two words of memory."""
    if TEST_CARD != "fake_cuda":
        return None
    places = struct.Struct("<IIQQ").iter_unpack(pathlib.Path(FAKE_CARDS[TEST_CARD]["FLEXAI_FAKE_SHARED"]).read_bytes())
    return {pid for pid, stands, _, _ in places if stands and pid in pids}


def standing_still(pids, for_s=0.2):
    """Whether no worker of these processes computes for a while."""
    before = [worker_time(pid) for pid in pids]
    end = time.monotonic() + for_s
    while time.monotonic() < end:
        select.select([], [], [], 0.01)  # poll
        if [worker_time(pid) for pid in pids] != before:
            return False
    return True


def clean_environment(**more):
    """The environment without what people or other tests have set for flexai and for layers; FLEXAI_TEST_CARD names
    the fake card to put in."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("FLEXAI_") and not key.endswith("_LAYERS")}
    return {**clean, "STATE_DIRECTORY": SCRATCH.name + "/state", **FAKE_CARDS.get(TEST_CARD, {}), **more}


class Daemon:
    """flexaid at an address of its own."""

    def __init__(self, address=None, env=None):
        self.address = address or f"@flexai-test-{uuid.uuid4().hex[:12]}"
        self.env = clean_environment(FLEXAI_SOCKET=self.address, **(env or {}))
        self.process = None

    def start(self):
        self.process = subprocess.Popen([FLEXAID, "--socket", self.address], env=self.env, stdin=subprocess.DEVNULL)
        until("the daemon answers", self.answers)
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon ended with {self.process.returncode}")
        try:
            return bool(self.status())
        except OSError:
            return False

    def ask(self, **request):
        data = json.dumps(request).encode()
        with connect(self.address) as peer:
            peer.sendall(HEADER.pack(MAGIC, VERSION, REQUEST, len(data)) + data)
            return json.loads(read_exactly(peer, HEADER.unpack(read_exactly(peer, HEADER.size))[3]))

    def status(self):
        return self.ask(op="status")

    def slices(self):
        return {each["slice"]: each for each in self.status()["slices"]}

    def kill(self):
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(DEADLINE_S)

    def try_second(self):
        """What becomes of another daemon at the same address."""
        return subprocess.run([FLEXAID, "--socket", self.address], env=self.env, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=DEADLINE_S)

    def flexai(self, *words):
        return subprocess.run([FLEXAI, *words], env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=DEADLINE_S)


class Peer:
    """A daemon that answers each frame as the test says."""

    def __init__(self, answer, user=None, address=None):
        self.address = address or f"@flexai-test-{uuid.uuid4().hex[:12]}"
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind("\0" + self.address[1:])
        if user is not None:
            os.seteuid(user)  # whose socket it is, the kernel notes here
        self.listening.listen()
        if user is not None:
            os.seteuid(0)
        self.answer = answer
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                peer, _ = self.listening.accept()
            except OSError:
                return
            with peer:
                try:
                    read_exactly(peer, HEADER.unpack(read_exactly(peer, HEADER.size))[3])
                    self.answer(peer)
                    peer.recv(1)
                except OSError:
                    pass

    def close(self):
        if self.listening.fileno() < 0:
            return
        self.listening.shutdown(socket.SHUT_RDWR)
        self.thread.join(DEADLINE_S)
        self.listening.close()


class Program:
    """card_program in a slice. `do` gives it a command and returns its answer."""

    def __init__(self, daemon, *options, command=None, commands=("-",), prefix=(), env=None, flexai=FLEXAI, **popen):
        self.daemon = daemon
        self.log = tempfile.TemporaryFile("w+")
        words = [*prefix, flexai, "run", "--quiet", *options, "--", *(command or [PROGRAM, *commands])]
        self.process = subprocess.Popen(words, env={**daemon.env, **(env or {})}, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.log, bufsize=0, **popen)
        self.pid = self.process.pid
        self.buffer = b""

    def line(self, deadline_s=DEADLINE_S):
        end = time.monotonic() + deadline_s
        while b"\n" not in self.buffer:
            ready = select.select([self.process.stdout], [], [], max(end - time.monotonic(), 0))[0]
            if not ready:
                raise AssertionError(f"no answer within {deadline_s} s")
            if not (more := os.read(self.process.stdout.fileno(), 65536)):
                raise AssertionError(f"the program ended ({self.process.wait(DEADLINE_S)}): {self.told()}")
            self.buffer += more
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode()

    def tell(self, command):
        self.process.stdin.write(command.encode() + b"\n")

    def do(self, command):
        self.tell(command)
        return self.line()

    def slice(self):
        """This program's slice as the daemon describes it, once there is one."""
        return until(f"process {self.pid} has a slice", lambda: next(
            (each for each in self.daemon.status()["slices"] if each["leader_pid"] == self.pid), None))

    def used(self):
        return self.slice()["memory_used_bytes"]

    def told(self):
        """What came on stderr so far."""
        self.log.seek(0)
        return self.log.read()

    def leave(self):
        """Lets the program come to its end; its exit code."""
        self.process.stdin.close()
        code = self.process.wait(DEADLINE_S)
        self.process.stdout.close()
        return code

    def end(self):
        """Ends it in whatever state it is."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(DEADLINE_S)
        for each in (self.process.stdin, self.process.stdout, self.log):
            each.close()


class WithDaemon(unittest.TestCase):
    """A daemon for each class of tests; a test leaves no slice behind."""

    @classmethod
    def setUpClass(cls):
        for each in (FLEXAI, FLEXAID, PROGRAM):
            if not each.exists():
                raise unittest.SkipTest(f"{each} is not built")
        cls.daemon = Daemon().start()
        cls.addClassCleanup(cls.daemon.stop)
        if not cls.daemon.status()["cards"]:
            raise unittest.SkipTest("this machine has no card")

    def setUp(self):
        self.addCleanup(self.no_slice_is_left)

    def no_slice_is_left(self):
        until("the daemon has no slice", lambda: not self.daemon.slices())

    def run_program(self, *options, **more):
        program = Program(self.daemon, *options, **more)
        self.addCleanup(program.end)
        return program

    def until_used(self, program, expected):
        until(f"{expected} bytes used", lambda: program.used() == expected)
