#!/usr/bin/env python3
"""Memory inside a slice, by every way to get it, and programs in one: on a real card, or with --fake on the fake one.

memory.py --build build/release [--fake] [--limit MIB] [--rounds N] [--programs] [--startup] [--out FILE.json]

It starts a daemon of its own, runs card_memory in a slice, and compares what was given with what the driver itself says that the
process holds. Exit code 1 where a byte over the limit was held, or less than 99 % of it could be.
"""
import argparse
import concurrent.futures
import importlib.util
import itertools
import json
import os
import pathlib
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time

from machine import Machine

MIB = 1 << 20
TORCH = ("""
    import torch
    free, total = torch.cuda.mem_get_info()
    print("free", free >> 20, "total", total >> 20, "MiB, torch", torch.__version__)
    a = torch.arange(1 << 20, device="cuda", dtype=torch.float32)
    assert float(a[7]) == 7.0
    m = torch.eye(1024, device="cuda") @ torch.full((1024, 1024), 3.0, device="cuda")
    assert float(m[5, 7]) == 3.0
""", """
    g = torch.cuda.CUDAGraph()
    s = torch.zeros(1024, device="cuda")
    with torch.cuda.graph(g):
        s.add_(1)
    for _ in range(5):
        g.replay()
    torch.cuda.synchronize()
    assert float(s[0]) == 5.0, s[0]
""", """
    held = []
    try:
        while True:
            held.append(torch.empty(64 << 20, dtype=torch.uint8, device="cuda"))
    except torch.OutOfMemoryError:
        pass
    print("got", 64 * len(held), "MiB before out of memory")
    del held
    torch.cuda.empty_cache()
    print("after: free", torch.cuda.mem_get_info()[0] >> 20)
""")
# The code of the first is loaded when it is launched, and more with each that is new.
FILLED = """
    import os, subprocess, torch
    x = torch.ones(1 << 20, device="cuda")
    held = []
    for size in (256 << 20, 32 << 20, 2 << 20):
        try:
            while True:
                held.append(torch.empty(size, dtype=torch.uint8, device="cuda"))
        except torch.OutOfMemoryError:
            pass
    def holds():
        told = int(subprocess.run([*os.environ["CARD_HELD"].split(), str(os.getpid())], capture_output=True, text=True).stdout)
        assert told, "the management library does not know this process"
        return told
    first = holds()
    for work in x.sin_, x.exp_, x.tanh_, x.erf_, x.lgamma_, x.digamma_, x.normal_, x.floor_, x.sigmoid_:
        work()
    torch.cuda.synchronize()
    later, limit = holds(), torch.cuda.mem_get_info()[1]
    print(f"held {first >> 20} MiB, and {later >> 20} with nine kernels more", "GIVEN more than the slice" if max(first, later) > limit else "")
"""
PROGRAMS = {
    "torch": ("".join(TORCH), {}),
    "torch, filled after its first kernel": (FILLED, {}),
    "torch, expandable segments": ("".join(TORCH), {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}),
    "torch, cudaMallocAsync": (TORCH[0] + TORCH[2], {"PYTORCH_CUDA_ALLOC_CONF": "backend:cudaMallocAsync"}),
    "torch, compile": ("""
        import torch
        @torch.compile
        def f(x):
            return torch.nn.functional.gelu(x * 2 + 1).sum(-1)
        x = torch.randn(512, 1024, device="cuda")
        want = torch.nn.functional.gelu(x * 2 + 1).sum(-1)
        assert torch.allclose(f(x), want, atol=1e-2), (f(x) - want).abs().max()
        print("compiled")
        """, {}),
    "torch, DataLoader workers": ("""
        import torch
        from torch.utils.data import DataLoader, TensorDataset
        rows = TensorDataset(torch.arange(4096).float())
        total = 0.0
        for batch, in DataLoader(rows, batch_size=64, num_workers=4, pin_memory=True):
            total += float(batch.cuda(non_blocking=True).sum())
        assert total == 4095 * 4096 / 2, total
        print("4 workers, pinned")
        """, {}),
    "torch, libraries": ("""
        import torch
        x = torch.randn(8, 3, 64, 64, device="cuda", dtype=torch.float16)
        y = torch.nn.functional.conv2d(x, torch.randn(16, 3, 3, 3, device="cuda", dtype=torch.float16))
        assert torch.isfinite(y).all()
        a = torch.randn(256, 256, device="cuda")
        assert torch.allclose(torch.fft.ifft(torch.fft.fft(a)).real, a, atol=1e-4)
        spd = a @ a.T + 256 * torch.eye(256, device="cuda")
        l = torch.linalg.cholesky(spd)
        assert torch.allclose(l @ l.T, spd, rtol=1e-2, atol=1e-1)
        b = torch._addmm_activation(torch.zeros(256, device="cuda", dtype=torch.bfloat16), a.bfloat16(), a.bfloat16(), use_gelu=True)
        assert torch.isfinite(b).all()
        s = a.relu().to_sparse_csr()
        assert torch.allclose(s @ a, a.relu() @ a, rtol=1e-2, atol=1e-1)
        print("cuDNN", torch.backends.cudnn.version(), "cuFFT, cuSOLVER, cuBLASLt, cuSPARSE")
        """, {}),
    "torch, spawned processes": ("""
        import torch, torch.multiprocessing as mp
        def work(rank, shared):
            shared += torch.ones(4, device="cuda")
            torch.cuda.synchronize()
        if __name__ == "__main__":
            mp.set_start_method("spawn")
            shared = torch.zeros(4, device="cuda")
            for rank in range(2):
                p = mp.Process(target=work, args=(rank, shared))
                p.start(); p.join()
                assert p.exitcode == 0, p.exitcode
            assert shared.tolist() == [2.0] * 4, shared
            print("memory shared with two processes (cudaIpc)")
        """, {}),
    "torchrun, NCCL": ("""
        import os, torch, torch.distributed as dist
        dist.init_process_group("nccl", device_id=torch.device("cuda:0"))
        x = torch.full((1 << 20,), float(dist.get_rank() + 1), device="cuda")
        dist.all_reduce(x)
        world = dist.get_world_size()
        assert float(x[3]) == world * (world + 1) / 2
        print("all_reduce over", world, "NCCL", torch.cuda.nccl.version())
        dist.destroy_process_group()
        """, {}),
    "torchrun, two ranks on one slice, NCCL": ("""
        import os, torch, torch.distributed as dist
        os.environ["NCCL_HOSTID"] = os.environ["RANK"]
        torch.cuda.set_device(0)
        dist.init_process_group("nccl", device_id=torch.device("cuda:0"))
        x = torch.full((1 << 20,), float(dist.get_rank() + 1), device="cuda")
        dist.all_reduce(x)
        assert float(x[3]) == 3
        if dist.get_rank() == 0:
            print("all_reduce over", dist.get_world_size(), "ranks of one card, which NCCL takes for two hosts (NCCL_HOSTID)")
        dist.destroy_process_group()
        """, {}),
    "torchrun, two ranks on one slice, gloo": ("""
        import os, torch, torch.distributed as dist
        dist.init_process_group("gloo")
        torch.cuda.set_device(0)
        model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(64, 64).cuda())
        torch.manual_seed(dist.get_rank())
        model(torch.randn(8, 64, device="cuda")).sum().backward()
        g = next(model.parameters()).grad
        other = [torch.zeros_like(g).cpu() for _ in range(2)]
        dist.all_gather(other, g.cpu())
        assert torch.equal(other[0], other[1])
        if dist.get_rank() == 0:
            print("gradients of two ranks agree")
        dist.destroy_process_group()
        """, {}),
    "triton": ("""
        import torch, triton, triton.language as tl
        @triton.jit
        def add(a, b, out, n, BLOCK: tl.constexpr):
            i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
            tl.store(out + i, tl.load(a + i, i < n) + tl.load(b + i, i < n), i < n)
        a, b = torch.randn(2, 98432, device="cuda")
        out = torch.empty_like(a)
        add[(triton.cdiv(a.numel(), 1024),)](a, b, out, a.numel(), BLOCK=1024)
        assert torch.equal(out, a + b)
        print("triton", triton.__version__)
        """, {}),
    "cupy": ("""
        import cupy
        a = cupy.arange(1 << 20)
        assert int(a.sum()) == (1 << 19) * ((1 << 20) - 1)
        print("cupy", cupy.__version__, "free", cupy.cuda.runtime.memGetInfo()[0] >> 20)
        """, {}),
    "jax": ("""
        import jax, jax.numpy as jnp
        assert float(jnp.ones((1024, 1024)).sum()) == 1024 * 1024
        print("jax", jax.__version__, jax.devices(), jax.devices()[0].memory_stats()["bytes_limit"] >> 20, "MiB")
        """, {}),
    "numba": ("""
        from numba import cuda
        import numpy
        @cuda.jit
        def twice(a):
            i = cuda.grid(1)
            if i < a.size:
                a[i] *= 2
        a = cuda.to_device(numpy.ones(1000))
        twice[10, 128](a)
        assert a.copy_to_host().sum() == 2000
        import numba
        print("numba", numba.__version__, "NumPy", numpy.__version__, cuda.current_context().get_memory_info())
        """, {}),
}
# By nvcc, with either kind of its run-time library.
CUDART = r"""
#include <cstdio>
__global__ void twice(int* a) { a[threadIdx.x] *= 2; }
int main() {
  int *there = nullptr, here[32], version = 0;
  for (int i = 0; i < 32; ++i) here[i] = i;
  size_t free_bytes = 0, total = 0;
  cudaRuntimeGetVersion(&version);
  if (cudaMalloc(&there, sizeof(here)) != cudaSuccess) return 2;
  cudaMemcpy(there, here, sizeof(here), cudaMemcpyHostToDevice);
  twice<<<1, 32>>>(there);
  cudaMemcpy(here, there, sizeof(here), cudaMemcpyDeviceToHost);
  cudaMemGetInfo(&free_bytes, &total);
  void* more = nullptr;
  const bool refused = cudaMalloc(&more, total) == cudaErrorMemoryAllocation;
  printf("cudart %d, total %zu MiB, more is %s\n", version, total >> 20, refused ? "refused" : "GIVEN");
  return here[31] == 62 && refused ? 0 : 3;
}
"""


def matrix(machine, limit, rounds):
    ran = machine.run(limit, machine.build / "test/card_memory", "libcuda.so.1", machine.nvml, 2 * limit, rounds, timeout=240)
    print(ran.stdout, ran.stderr, sep="\n", file=sys.stderr)
    rows, bad = [], ran.returncode != 0
    without = re.findall(r"^without (.*: error \d+)$", ran.stdout, re.M)
    for name, given, held, base, free in re.findall(r"^row (.*) given=(\d+) held=(\d+) base=(\d+) free=(\d+)$", ran.stdout, re.M):
        if "Managed" in name:
            # It may move to the host, so the driver's figures of processes leave it out.
            held = int(held) + int(given)
        over = max(0, int(held) - limit * MIB)
        usable = int(held) / (limit * MIB)
        rows.append({"way": name, "given_mib": int(given) // MIB, "driver_mib": int(held) / MIB, "base_mib": int(base) / MIB,
                     "over_bytes": over, "usable": round(usable, 4), "free_at_end": int(free)})
        bad |= over > 0 or usable < 0.99
    peak = re.search(r"^rounds (\d+) peak=(\d+)$", ran.stdout, re.M)
    contexts = re.search(r"^contexts (\d+)$", ran.stdout, re.M)
    bad |= not contexts or int(contexts.group(1)) != 16
    bad |= not peak or int(peak.group(2)) > limit * MIB or len(rows) + len(without) != 36 or (machine.fake and bool(without))
    print(f"limit {limit} MiB on {machine.card['model']}, driver {machine.card['driver']}")
    print(f"{'way':36} {'given':>7} {'by driver':>10} {'over':>9} {'usable':>7}")
    for r in rows:
        print(f"{r['way']:36} {r['given_mib']:7} {r['driver_mib']:10.1f} {r['over_bytes']:9} {r['usable'] * 100:6.2f}%")
    for way in without:
        print(f"{way}, by the driver's own word")
    if peak:
        print(f"{peak.group(1)} random rounds: at most {int(peak.group(2)) / MIB:.1f} MiB held")
    made = int(contexts.group(1)) if contexts else 0
    print(f"contexts made and ended with memory in them that nobody freed: {made} of 16")
    return {"limit_mib": limit, "contexts": made, "rows": rows, "without": without, "peak": int(peak.group(2)) if peak else None, "failed": bool(bad)}


def unasked(machine, limit):
    """What the driver takes although nobody asks for it, in a slice that is nearly full."""
    ran = machine.run(limit, machine.build / "test/card_unasked", "libcuda.so.1", machine.nvml, timeout=120, env={"FLEXAI_FAKE_STREAMS_IN_BLOCK": "4"})
    rows = [{"what": what, "made": int(made), "code": int(code), "over_bytes": max(0, int(held) - limit * MIB), "held_mib": int(held) / MIB}
            for what, made, code, held in re.findall(r"^row (.*) made=(\d+) code=(\d+) held=(\d+)$", ran.stdout, re.M)]
    bad = ran.returncode != 0 or len(rows) != 4 or any(row["over_bytes"] > 0 or row["code"] != 2 or row["held_mib"] == 0 for row in rows)
    for row in rows:
        print(f"{row['what']:36} {row['made']:7} {row['held_mib']:10.1f} {row['over_bytes']:9}, then error {row['code']}")
    if bad:
        print("!! unasked:", ran.returncode, ran.stdout, ran.stderr, sep="\n")
    return {"rows": rows, "failed": bad}


def look_up(machine, limit, driver):
    """As programs ask, and with a trace, for which all must lead to us."""
    summaries, failed = [], False
    for env in ({}, {"FLEXAI_TRACE": machine.folder.name + "/look_up.trace"}):
        ran = machine.run(limit, machine.build / "test/card_look_up", driver, "libcuda.so.1", env=env)
        lines = ran.stdout.strip().splitlines()
        print(*lines[-12:], ran.stderr if ran.returncode else "", sep="\n")
        summaries.append(("with a trace: " if env else "") + (lines[-1] if lines else ran.stderr))
        failed = failed or ran.returncode != 0
    return {"summary": "; ".join(summaries), "failed": failed}


def has(package):
    return importlib.util.find_spec(package) is not None


def command(name, text, folder):
    """How a program is started; None where what it needs is not installed."""
    if not has(name.split(",")[0].replace("torchrun", "torch")):
        return None
    script = pathlib.Path(folder) / ("program_" + re.sub(r"\W+", "_", name) + ".py")
    script.write_text(textwrap.dedent(text))
    if not name.startswith("torchrun"):
        return [sys.executable, script]
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2" if "two" in name else "1", script]


def compiled(folder):
    """Programs by nvcc, with its static and its shared run-time library."""
    nvcc = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
    made = {}
    if not os.path.exists(nvcc):
        return made
    source = pathlib.Path(folder) / "cudart.cu"
    source.write_text(CUDART)
    for kind in ("static", "shared"):
        program = pathlib.Path(folder) / f"cudart_{kind}"
        done = subprocess.run([nvcc, "-arch=native", f"-cudart={kind}", "-o", program, source], capture_output=True, text=True)
        made[f"cudart, {kind}"] = [program] if done.returncode == 0 else ["sh", "-c", f"echo {shlex.quote(done.stderr[-300:])} >&2; exit 1"]
    return made


OPENCL = "OpenCL, NVIDIA's"


def with_verdict(said, limit):
    """What card_opencl was given is as much in each round, and with all else that the driver holds for it never more than the slice."""
    got = [int(number) for number in re.findall(r"^got (\d+) MiB", said, re.M)]
    held = [int(number) / 1024 for number in re.findall(r" held (\d+) KiB", said)]
    return said + ("GIVEN more than the slice, or not as much in each round\n" if got and (max(held) > limit or len(set(got)) > 1) else "")


def programs(machine, limit, numba_path):
    """All at once, a slice each: they share the card as tenants do."""
    found, running = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        commands = {name: (command(name, text, folder), env) for name, (text, env) in PROGRAMS.items()}
        commands.update({name: (words, {}) for name, words in compiled(folder).items()})
        commands[OPENCL] = ([machine.build / "test/card_opencl", "memory", machine.nvml], {})
        if shutil.which("nvidia-smi"):
            commands["nvidia-smi"] = (["nvidia-smi", "--query-gpu=memory.total,memory.used", "--format=csv,noheader"], {})
        left = list(commands)
        while left or running:
            while left and len(running) < 8:
                name = left.pop(0)
                words, env = commands[name]
                if words is None:
                    found[name] = "not installed"
                    continue
                env = {**env, "CARD_HELD": f"{machine.build}/test/card_unasked libcuda.so.1 {machine.nvml}"}
                if name == "numba" and numba_path:
                    env = {**env, "PYTHONPATH": numba_path}
                running[name] = machine.start(limit, *words, env=env), time.monotonic()
            for name, (child, begin) in list(running.items()):
                late = time.monotonic() - begin > 150
                if child.poll() is None and not late:
                    continue
                if late:
                    child.kill()
                out, err = child.communicate()
                if name == OPENCL:
                    out = with_verdict(out, limit)
                fine = child.returncode == 0 or (name == OPENCL and child.returncode == 77)
                found[name] = out.strip() if fine else f"FAILED {child.returncode}: {out[-400:]} {err[-1500:]}"
                print(f"{name}: {found[name]}", flush=True)
                del running[name]
            time.sleep(0.02)  # poll
    return {name: found[name] for name in commands}


ONCE = "to its own start", "driver", "context", "module and memory", "first kernels"  # of card_spin once
TENSOR = "to its own start", "import", "first tensor"
# Many import at once, and then each makes its tensor while the others wait.
FIRST_TENSOR = """
import time
begin = time.monotonic_ns()
import torch
print(begin, time.monotonic_ns(), flush=True)
input()
begin = time.monotonic_ns()
torch.zeros(1).cuda()
print(begin, time.monotonic_ns())
"""


def between(moments):
    return [round((after - before) / 1e6, 2) for before, after in itertools.pairwise(moments)]


def start_of_small(machine, limit, times):
    """Ms of each phase of each start of card_spin, natively and in a slice in turns."""
    command = [machine.build / "test/card_spin", "once"]
    run = {"native": lambda: subprocess.run(command, capture_output=True, env=machine.native(), text=True),
           "slice": lambda: machine.run(limit, *command)}
    rows = {name: [] for name in run}

    def moments(name):
        done = run[name]()
        done.check_returncode()
        return map(int, done.stdout.split())
    for i in range(times):
        for name in list(run)[::1 if i % 2 else -1]:
            begin = time.monotonic_ns()
            rows[name].append(between([begin, *moments(name)]))
    return rows


def start_of_torch(machine, times):
    """The same of PyTorch, several at once."""
    rows = {"native": [], "slice": []}
    command = [sys.executable, "-c", FIRST_TENSOR]
    started = []
    for name in ("native", "slice", "slice", "native") * (times // 2):
        begin = time.monotonic_ns()
        words, env = ([], machine.native()) if name == "native" else (machine.words(1024, 5), machine.env)
        started.append((name, begin, subprocess.Popen([*words, *command], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)))
    imported = [between([begin, *map(int, child.stdout.readline().split())]) for _, begin, child in started]
    for (name, _, child), phases in zip(started, imported):
        said = child.communicate("go\n")[0]
        if child.returncode:
            raise RuntimeError(f"PyTorch's first tensor, {name}: ended with {child.returncode}")
        rows[name].append(phases + between(map(int, said.split())))
    return rows


def startup(machine, limit):
    """What each phase of a program's start takes, in ms, natively and in a slice: of a small program to the end of its first kernels, of PyTorch to
    its first tensor on the card. How long a program takes to end is not part of it."""
    of = {"small": (ONCE, start_of_small(machine, limit, 12))}
    if has("torch"):
        of["torch"] = TENSOR, start_of_torch(machine, 8)
    for what, (phases, rows) in of.items():
        if any(len(row) != len(phases) for each in rows.values() for row in each):
            raise RuntimeError(f"a start of {what} did not tell all of {', '.join(phases)}")
    result = {what: {name: {phase: list(ms) for phase, ms in zip(phases, zip(*each))} for name, each in rows.items()} for what, (phases, rows) in of.items()}
    for what, each in result.items():
        for name, phases in each.items():
            print(f"start of {what}, {name}: " + ", ".join(f"{phase} {statistics.median(ms):.1f}" for phase, ms in phases.items()), flush=True)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--fake", action="store_true")
    parser.add_argument("--limit", type=int, default=0, help="MiB; 8192 by default, 512 on the fake card")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--programs", action="store_true")
    parser.add_argument("--numba-path", help="where modules are that numba shall find first, such as a NumPy that it supports")
    parser.add_argument("--startup", action="store_true", help="what each phase of a start takes, of a small program and of PyTorch")
    parser.add_argument("--out")
    options = parser.parse_args()
    limit = options.limit or (512 if options.fake else 8192)
    machine = Machine(options.build, options.fake)
    try:
        with concurrent.futures.ThreadPoolExecutor() as beside:
            others = beside.submit(programs, machine, limit, options.numba_path) if options.programs else None
            result = {"card": machine.card, "memory": matrix(machine, limit, options.rounds),
                      "unasked": unasked(machine, limit), "look_up": look_up(machine, limit, machine.driver)}
            if others:
                result["programs"] = others.result()
        if options.startup:
            try:
                result["startup"] = startup(machine, limit)
            except (RuntimeError, OSError, ValueError, subprocess.CalledProcessError) as failure:
                result["startup_failed"] = str(failure)
    finally:
        machine.close()
    if options.out:
        pathlib.Path(options.out).write_text(json.dumps(result, indent=1) + "\n")
    if failure := result.get("startup_failed"):
        print(f"!! a start was not measured: {failure}")
    bad = [name for name, said in result.get("programs", {}).items() if "FAILED" in said or "GIVEN" in said]
    print(*(f"!! {name} failed" for name in bad), sep="\n")
    return 1 if any(result[part]["failed"] for part in ("memory", "unasked", "look_up")) or bad or "startup_failed" in result else 0


if __name__ == "__main__":
    sys.exit(main())
