#!/usr/bin/env python3
"""Runs each fuzzer for a short while from its corpus. check_fuzz.py BUILD_DIR [--seconds 30]

A fuzzer is a program BUILD_DIR/fuzz/<name>; its corpus is tests/fuzz/corpus/<name>. New inputs stay in BUILD_DIR; an
input that breaks it is kept as BUILD_DIR/fuzz/<name>.crash-* and named.
"""
import argparse
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import tree


def start(program, seconds):
    found = program.parent / (program.name + ".found")
    found.mkdir(exist_ok=True)
    corpus = tree.ROOT / "tests/fuzz/corpus" / program.name
    command = [program, found, *([corpus] if corpus.is_dir() else []), f"-max_total_time={seconds}", "-timeout=10",
               "-rss_limit_mb=2048", f"-artifact_prefix={program}.", "-print_final_stats=1"]
    log = open(program.parent / (program.name + ".log"), "wb")
    return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL), log.name


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=30)
    options = parser.parse_args()
    programs = [path for path in sorted((options.build.resolve() / "fuzz").glob("*"))
                if path.is_file() and os.access(path, os.X_OK) and path.suffix == ""]
    if not programs:
        sys.exit(f"{options.build}/fuzz: no fuzzer was built there; nothing was checked")
    jobs, bad = os.cpu_count() or 2, 0
    for at in range(0, len(programs), jobs):
        running = [(program, *start(program, options.seconds)) for program in programs[at:at + jobs]]
        for program, child, log in running:
            status = child.wait()
            lines = pathlib.Path(log).read_text(errors="replace").splitlines()
            runs = [line.split()[-1] for line in lines if line.startswith("stat::number_of_executed_units")]
            print(f"{program.name}: {'fine' if status == 0 else 'FAILED'}, {runs[0] if runs else '?'} inputs", flush=True)
            if status != 0:
                bad += 1
                print("\n".join(lines[-40:]))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
