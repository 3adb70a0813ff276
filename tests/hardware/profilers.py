#!/usr/bin/env python3
"""Profilers and checkers of the vendor with and without a slice: do they run, and do they see the program's kernels?

profilers.py --build build/release [--fake] [--tools FOLDER ...] [--out FILE.json]

It runs card_spin for a moment under each tool that is found (in FOLDER, in the usual places of toolkits, beside this Python's
packages, on PATH): natively, inside of `flexai run`, and around it. Exit code 1 where a tool works natively and not in a slice.
"""
import argparse
import glob
import json
import os
import pathlib
import re
import shutil
import site
import subprocess
import sys

from machine import Machine

SECONDS = 60
# How each tool is started, and what its output has where it saw the program's kernel.
TOOLS = {
    "ncu": (["--target-processes", "all", "--metrics", "gpu__time_duration.sum", "--launch-count", "3"], r"gpu__time_duration\.sum +\S+ +[\d.,]+"),
    "nsys": (["profile", "--force-overwrite", "true", "--trace", "cuda", "--sample", "none", "--cpuctxsw", "none", "--stats", "true", "--wait",
              "primary", "--output", "{folder}/nsys"], r"cuda_gpu_kern_sum[\s\S]*?\n +[\d.]+ +\d+ +\d+"),
    "compute-sanitizer": (["--tool", "memcheck", "--target-processes", "all"], r"ERROR SUMMARY: 0 errors"),
}
USUAL = ["/usr/local/cuda*/bin", "/opt/nvidia/nsight-*/*", "/opt/nvidia/nsight-*/*/bin", "/usr/lib/nsight-*"]
# Reasons that the tools themselves give and that have nothing to do with a slice.
REFUSALS = {"ERR_NVGPUCTRPERM": "the driver keeps its counters to root", "No kernels were profiled": "it saw no kernel",
            "Target application terminated before first instrumented API call": "the program ended before the tool had begun"}


def find(name, folders):
    """The tool's path, or None."""
    packages = [site.getusersitepackages(), *site.getsitepackages()]
    beside = [f"{each}/nvidia/**/{name}" for each in packages]
    for pattern in [*(f"{folder}/{name}" for folder in folders), *(f"{folder}/{name}" for folder in USUAL), *beside]:
        for path in sorted(glob.glob(os.path.expanduser(pattern), recursive=True), reverse=True):
            if os.path.isfile(path) and os.access(path, os.X_OK):
                return path
    return shutil.which(name)


def judge(ran, saw):
    """One word or sentence for what became of it."""
    text = ran.stdout + ran.stderr
    for sign, reason in REFUSALS.items():
        if sign in text:
            return reason
    if ran.returncode:
        return f"exit code {ran.returncode}: {(text.strip().splitlines() or [''])[-1][:100]}"
    return "works" if re.search(saw, text) else "ran, but saw no kernel"


def start(words, env):
    try:
        return subprocess.run([str(word) for word in words], env=env, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as late:
        text = [(each or b"").decode(errors="replace") for each in (late.stdout, late.stderr)]
        return subprocess.CompletedProcess(late.cmd, 124, *text)


def measure(machine, name, path):
    """The three ways to start a tool, and what became of each."""
    options, saw = TOOLS[name]
    options = [each.format(folder=machine.folder.name) for each in options]
    work = [machine.build / "test/card_spin", "once"]
    run = [machine.build / "bin/flexai", "run", "--quiet", "--share", "50%", "--memory", "4Gi", "--nowait", "--"]
    ways = {"natively": ([path, *options, *work], machine.native()), "in a slice": ([*run, path, *options, *work], machine.env),
            "around flexai run": ([path, *options, *run, *work], machine.env)}
    row = {"tool": name, "path": str(path)}
    for way, (words, env) in ways.items():
        ran = start(words, env)
        row[way] = judge(ran, saw)
        if row[way] != "works":
            print(f"-- {name}, {way}:\n" + "\n".join((ran.stdout + ran.stderr).splitlines()[-12:]))
    return row


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--fake", action="store_true")
    parser.add_argument("--tools", nargs="*", default=[])
    parser.add_argument("--out")
    words = parser.parse_args()
    machine = Machine(words.build, words.fake)
    try:
        if words.fake:
            machine.env.update(FLEXAI_FAKE_LAUNCH_NS="1000000", FLEXAI_FAKE_ITEM_NS="0")
        plain = start([machine.build / "test/card_spin", "once"], machine.native())
        if plain.returncode:
            sys.exit(f"card_spin: {plain.stderr}")
        rows = []
        for name in TOOLS:
            path = find(name, words.tools)
            rows.append(measure(machine, name, path) if path else {"tool": name, "path": None})
    finally:
        machine.close()
    print("\n| tool | natively | in a slice | around flexai run |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row['tool']} | " + " | ".join(row.get(way, "not found") for way in ("natively", "in a slice", "around flexai run")) + " |")
    if words.out:
        pathlib.Path(words.out).write_text(json.dumps(rows, indent=1) + "\n")
    sys.exit(any(row.get("natively") == "works" and row["in a slice"] != "works" for row in rows))


if __name__ == "__main__":
    main()
