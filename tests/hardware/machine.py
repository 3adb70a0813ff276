"""A daemon of a measurement's own, for a real card or the fake one."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

REAL_NVML = ["/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1", "/usr/lib/aarch64-linux-gnu/libnvidia-ml.so.1",
             "/usr/lib64/libnvidia-ml.so.1", "/usr/local/nvidia/lib64/libnvidia-ml.so.1"]


class Machine:
    """A daemon, and the environment that leads to it."""

    def __init__(self, build, fake=False):
        self.fake = fake
        self.build = pathlib.Path(build).resolve()
        self.env = dict(os.environ, FLEXAI_SOCKET=f"@flexai-hardware-{os.getpid()}")
        self.nvml = os.environ.get("FLEXAI_NVML") or next((p for p in REAL_NVML if os.path.exists(p)), "")
        self.driver = os.environ.get("FLEXAI_CUDA_DRIVER") or self.nvml.replace("nvidia-ml", "cuda")
        self.folder = tempfile.TemporaryDirectory()
        self.env["XDG_STATE_HOME"] = self.folder.name + "/state"
        self.env.setdefault("OCL_ICD_VENDORS", "libnvidia-opencl.so.1")  # what a loader of OpenCL opens
        if fake:
            self.nvml = str(self.build / "lib/libfake_nvml.so")
            self.driver = str(self.build / "lib/libfake_cuda.so")
            self.env.update(FLEXAI_NVML=self.nvml, FLEXAI_CUDA_DRIVER=self.driver,
                            FLEXAI_FAKE_MEMORY=str(8 << 30), FLEXAI_FAKE_SHARED=self.folder.name + "/card")
            self.env.update(OCL_ICD_VENDORS=self.folder.name + "/libnvidia-opencl.so.1", FLEXAI_FAKE_OPENCL="nvidia")
            os.symlink(self.driver, self.folder.name + "/libcuda.so.1")
            os.symlink(self.build / "lib/libfake_opencl.so", self.env["OCL_ICD_VENDORS"])
        self.start_daemon()
        self.card = self.find_card()

    def start_daemon(self):
        self.daemon = subprocess.Popen([self.build / "bin/flexaid", "--socket", self.env["FLEXAI_SOCKET"]], env=self.env,
                                       stdin=subprocess.DEVNULL)

    def native(self):
        """The environment of a program that runs without us."""
        return {**self.env, "LD_LIBRARY_PATH": self.folder.name} if self.fake else {**self.env, "CUDA_VISIBLE_DEVICES": self.card["uuid"]}

    def daemon_seconds(self):
        """Time on cores of the daemon and its helper so far."""
        spent = 0
        for line in pathlib.Path(f"/proc/{self.daemon.pid}/task/{self.daemon.pid}/children").read_text().split() + [str(self.daemon.pid)]:
            fields = pathlib.Path(f"/proc/{line}/stat").read_text().rsplit(")", 1)[1].split()
            spent += int(fields[11]) + int(fields[12])
        return spent / os.sysconf("SC_CLK_TCK")

    def find_card(self):
        for _ in range(100):
            cards = subprocess.run([self.build / "bin/flexai", "cards", "-o", "json"], env=self.env, capture_output=True, text=True)
            if cards.returncode == 0:
                break
            time.sleep(0.1)  # poll
        for card in json.loads(cards.stdout)["cards"]:
            if card["backend"] == "cuda":
                return card
        sys.exit(f"flexai lists no card of this kind: {cards.stdout} {cards.stderr}")

    def words(self, memory, share):
        return [self.build / "bin/flexai", "run", "--quiet", "--card", self.card["card"], "--share", f"{share}%", "--limit", "100%",
                "--memory", f"{memory}Mi", "--"]

    def run(self, memory, *command, timeout=120, env=None):
        return subprocess.run([*self.words(memory, 10), *map(str, command)], env={**self.env, **(env or {})}, capture_output=True, text=True,
                              timeout=timeout)

    def start(self, memory, *command, env=None):
        """The same, which is not waited for."""
        return subprocess.Popen([*self.words(memory, 10), *map(str, command)], env={**self.env, **(env or {})}, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def status(self):
        for _ in range(100):
            asked = subprocess.run([self.build / "bin/flexai", "status", "-o", "json"], env=self.env, capture_output=True, text=True)
            if asked.returncode == 0:
                return json.loads(asked.stdout)
            time.sleep(0.05)  # poll: a new daemon looks at the cards first
        sys.exit(f"flexai status: {asked.stderr}")

    def close(self):
        self.daemon.terminate()
        self.daemon.wait()
        self.folder.cleanup()
