#!/usr/bin/env python3
"""Runs programs that nobody here wrote in slices of this machine's OpenCL card, unchanged, and prints a table of them.

Each runs twice: in a slice that is large enough, where it must come to its usual end, and in one that is too small, where
it must be refused: that shows that its allocations are seen. One that asks how large the card is, and takes no more, must
come to its usual end in both. tools/bootstrap compat installs them.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("FLEXAI_BUILD") or ROOT / "build/release").resolve()
PYTHON = ROOT / "build/venv/bin/python"
LIMIT_S = 300

PYOPENCL = """
import numpy, pyopencl
for platform in pyopencl.get_platforms():
    context = pyopencl.Context(platform.get_devices())
    queue = pyopencl.CommandQueue(context)
    program = pyopencl.Program(context, "kernel void twice(global float* a) { a[get_global_id(0)] *= 2; }").build()
    data = numpy.arange(4 << 20, dtype=numpy.float32)
    buffer = pyopencl.Buffer(context, pyopencl.mem_flags.READ_WRITE, data.nbytes)
    pyopencl.enqueue_copy(queue, buffer, data)
    program.twice(queue, data.shape, None, buffer)
    back = numpy.empty_like(data)
    pyopencl.enqueue_copy(queue, back, buffer)
    assert (back == 2 * data).all()
    print("right on", platform.version, "of", len(pyopencl.get_platforms()), "platforms")
    buffer.release()
"""
EACH_PLATFORM = """
import pyopencl
refused = 0
for platform in pyopencl.get_platforms():
    context = pyopencl.Context(platform.get_devices())
    try:
        pyopencl.Buffer(context, pyopencl.mem_flags.READ_WRITE, 16 << 20)
    except pyopencl.MemoryError:
        refused += 1
raise SystemExit("out of memory on every platform" if refused == len(pyopencl.get_platforms()) else 0)
"""
OPENCV = """
import cv2, numpy
assert cv2.ocl.haveOpenCL() and cv2.ocl.useOpenCL(), "no OpenCL"
picture = numpy.random.default_rng(0).integers(0, 255, (2160, 3840, 3), dtype=numpy.uint8)
blurred = cv2.GaussianBlur(cv2.UMat(picture), (9, 9), 0).get()
cv2.ocl.setUseOpenCL(False)
away = numpy.abs(blurred.astype(int) - cv2.GaussianBlur(picture, (9, 9), 0).astype(int)).max()
assert away <= 1, away
print("as on the host, on", cv2.ocl.Device.getDefault().name())
"""


class Case:
    def __init__(self, name, version, command, expects, memory, small, refused=None, **more):
        """`expects`: what it says in `memory`; in `small` it is refused, by our line."""
        self.name, self.version, self.command, self.expects, self.memory, self.small = name, version, command, expects, memory, small
        self.small_command, self.env, self.before = more.get("small_command", command), more.get("env", {}), more.get("before")
        self.refused, self.adapts = refused, more.get("adapts", False)


def debian(package):
    return ["dpkg-query", "-W", "-f", "${Version}", package]


def wheel(package):
    return [PYTHON, "-c", f"import importlib.metadata as m; print(m.version('{package}'))"]


def cases(folder):
    movie = folder / "movie.y4m"
    test_picture = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25", "-frames:v", "25"]
    return [
        Case("clpeak", debian("clpeak"), ["clpeak", "--global-bandwidth"], r"float16\s*: \d", "2Gi", "1Mi", adapts=True),
        Case("hashcat", debian("hashcat"), ["hashcat", "-b", "-m", "0", "-D", "1"], r"Speed\.#.*H/s", "2Gi", "2Mi"),
        Case("pyopencl, two PoCLs", wheel("pyopencl"), [PYTHON, "-c", PYOPENCL], r"(?s)right on .* of 2 platforms.*right on .* of 2 platforms",
             "64Mi", "8Mi", small_command=[PYTHON, "-c", EACH_PLATFORM], refused="out of memory on every platform"),
        Case("tinygrad", wheel("tinygrad"), [PYTHON, ROOT / "examples/1_share_one_card/train.py", "--seconds", "2", "--samples", "65536"],
             r"last loss [01]\.", "1Gi", "128Mi", "out of memory on the card", env={"DEV": "CL"}),
        Case("ffmpeg avgblur_opencl, unsharp_opencl", debian("ffmpeg"),
             [*test_picture[:4], "-nostdin", "-init_hw_device", "opencl=card:0.0", "-filter_hw_device", "card", *test_picture[4:], "-vf",
              "format=yuv420p,hwupload,avgblur_opencl=3,unsharp_opencl,hwdownload,format=yuv420p", "-f", "framemd5", "-"],
             r"\n0, +24,.*[0-9a-f]{32}", "256Mi", "1Mi"),
        Case("x264 --opencl", debian("x264"), ["x264", "--opencl", "-o", folder / "movie.264", movie],
             r"(?s)OpenCL acceleration enabled.*encoded 25 frames", "1Gi", "1Mi", env={"FLEXAI_OPENCL_DEVICE_TYPE": "gpu"},
             before=[*test_picture, "-pix_fmt", "yuv420p", movie]),
        Case("OpenCV UMat", wheel("opencv-python-headless"), [PYTHON, "-c", OPENCV], r"as on the host, on .", "1Gi", "1Mi",
             env={"OPENCV_OPENCL_DEVICE": ":CPU:"}),
    ]


class Runner:
    def __init__(self, env, folder):
        self.env = env
        self.folder = folder  # programs leave files where they run

    def sliced(self, memory, command, env):
        return subprocess.run([BUILD / "bin/flexai", "run", "--memory", memory, "--", *command], env={**self.env, **env},
                              cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                              timeout=LIMIT_S)

    def row(self, case):
        """A line of the table, and what went wrong."""
        version = subprocess.run(case.version, capture_output=True, text=True).stdout.strip()
        if not version:
            return f"| {case.name} | - | not installed | |", f"{case.name} is not installed: tools/bootstrap compat"
        if case.before:
            subprocess.run(case.before, check=True, stdin=subprocess.DEVNULL)
        ran = self.sliced(case.memory, case.command, case.env)
        fits = self.ends_well(case, ran)
        small = self.sliced(case.small, case.small_command, case.env)
        said = re.search(r"flexai: .*(asked|limit).*", small.stdout)
        refused = said and (case.refused is None or case.refused in small.stdout)
        wrong = ""
        if not fits:
            wrong += f"{case.name} in {case.memory} ended with {ran.returncode}:\n{ran.stdout[-1500:]}\n"
        if case.adapts:
            refused = self.ends_well(case, small)
        if not refused:
            wrong += f"{case.name} in {case.small} ended with {small.returncode}:\n{small.stdout[-1500:]}\n"
        return (f"| {case.name} | {version} | {case.memory}: {'runs' if fits else 'FAILS'} | "
                f"{case.small}: {('adapts' if case.adapts else 'refused') if refused else 'WRONG'}, ends with {small.returncode} |", wrong)

    @staticmethod
    def ends_well(case, ran):
        return ran.returncode == 0 and re.search(case.expects, ran.stdout) and "refused" not in ran.stdout


def main():
    env = {**os.environ, "FLEXAI_SOCKET": f"@flexai-programs-{uuid.uuid4().hex[:12]}"}
    daemon = subprocess.Popen([BUILD / "bin/flexaid", "--socket", env["FLEXAI_SOCKET"]], env=env)
    failed = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            print("| program | version | in a slice large enough | in one too small |\n|---|---|---|---|", flush=True)
            for case in cases(pathlib.Path(folder)):
                row, wrong = Runner(env, folder).row(case)
                print(row, flush=True)
                failed += [wrong] if wrong else []
    finally:
        daemon.terminate()
        daemon.wait()
    for each in failed:
        print(each, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
