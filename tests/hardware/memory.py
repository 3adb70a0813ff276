#!/usr/bin/env python3
"""Memory inside a slice, by every way to get it, and programs in one: on a real card, or with --fake on the fake one.

memory.py --build build/release [--fake] [--limit MIB] [--rounds N] [--programs] [--startup] [--out FILE.json]

It starts a daemon of its own, runs card_memory in a slice, and compares what was given with what the driver itself says that the
process holds. Exit code 1 where a byte over the limit was held, or less than 99 % of it could be.
"""
import argparse
import importlib.util
import json
import pathlib
import re
import shutil
import subprocess
import sys
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
PROGRAMS = {
    "torch": ("".join(TORCH), {}),
    "torch, expandable segments": ("".join(TORCH), {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}),
    "torch, cudaMallocAsync": (TORCH[0] + TORCH[2], {"PYTORCH_CUDA_ALLOC_CONF": "backend:cudaMallocAsync"}),
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
        print("numba", cuda.current_context().get_memory_info())
        """, {}),
}


def matrix(machine, limit, rounds):
    ran = machine.run(limit, machine.build / "test/card_memory", "libcuda.so.1", machine.nvml, 2 * limit, rounds, timeout=240)
    print(ran.stdout, ran.stderr, sep="\n", file=sys.stderr)
    rows, bad = [], ran.returncode != 0
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
    bad |= not peak or int(peak.group(2)) > limit * MIB or len(rows) != 22
    print(f"limit {limit} MiB on {machine.card['model']}, driver {machine.card['driver']}")
    print(f"{'way':36} {'given':>7} {'by driver':>10} {'over':>9} {'usable':>7}")
    for r in rows:
        print(f"{r['way']:36} {r['given_mib']:7} {r['driver_mib']:10.1f} {r['over_bytes']:9} {r['usable'] * 100:6.2f}%")
    if peak:
        print(f"{peak.group(1)} random rounds: at most {int(peak.group(2)) / MIB:.1f} MiB held")
    made = int(contexts.group(1)) if contexts else 0
    print(f"contexts made and ended with memory in them that nobody freed: {made} of 16")
    return {"limit_mib": limit, "contexts": made, "rows": rows, "peak": int(peak.group(2)) if peak else None, "failed": bool(bad)}


def look_up(machine, limit, driver):
    ran = machine.run(limit, machine.build / "test/card_look_up", driver, "libcuda.so.1")
    lines = ran.stdout.strip().splitlines()
    print(*lines[-12:], ran.stderr if ran.returncode else "", sep="\n")
    return {"summary": lines[-1] if lines else ran.stderr, "failed": ran.returncode != 0}


def has(package):
    return importlib.util.find_spec(package) is not None


def programs(machine, limit):
    found = {}
    for name, (text, env) in PROGRAMS.items():
        package = name.split(",")[0]
        if not has(package):
            found[name] = "not installed"
            continue
        try:
            ran = machine.run(limit, sys.executable, "-c", textwrap.dedent(text), env=env)
            found[name] = ran.stdout.strip() if ran.returncode == 0 else f"FAILED {ran.returncode}: {ran.stdout[-400:]} {ran.stderr[-1500:]}"
        except subprocess.TimeoutExpired:
            found[name] = "FAILED: no end within 120 s"
    if shutil.which("nvidia-smi"):
        found["nvidia-smi"] = machine.run(limit, "nvidia-smi", "--query-gpu=memory.total,memory.used", "--format=csv,noheader").stdout.strip()
    for name, said in found.items():
        print(f"{name}: {said}")
    return found


def startup(machine, limit):
    """Seconds from start to the first tensor on the card, natively and in a slice, in turns."""
    text = "import torch; torch.zeros(1).cuda()"
    took = {"native": [], "slice": []}
    for _ in range(3):
        begin = time.monotonic()
        subprocess.run([sys.executable, "-c", text], check=True, capture_output=True)
        took["native"].append(round(time.monotonic() - begin, 3))
        begin = time.monotonic()
        machine.run(limit, sys.executable, "-c", text)
        took["slice"].append(round(time.monotonic() - begin, 3))
    print("seconds to the first tensor", took)
    return took


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--fake", action="store_true")
    parser.add_argument("--limit", type=int, default=0, help="MiB; 8192 by default, 512 on the fake card")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--programs", action="store_true")
    parser.add_argument("--startup", action="store_true", help="how long PyTorch takes to the first tensor")
    parser.add_argument("--out")
    options = parser.parse_args()
    limit = options.limit or (512 if options.fake else 8192)
    machine = Machine(options.build, options.fake)
    try:
        result = {"card": machine.card, "memory": matrix(machine, limit, options.rounds),
                  "look_up": look_up(machine, limit, machine.driver)}
        if options.programs:
            result["programs"] = programs(machine, limit)
        if options.startup and has("torch"):
            result["startup_seconds"] = startup(machine, limit)
    finally:
        machine.close()
    if options.out:
        pathlib.Path(options.out).write_text(json.dumps(result, indent=1) + "\n")
    return 1 if result["memory"]["failed"] or result["look_up"]["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
