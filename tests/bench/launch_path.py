#!/usr/bin/env python3
"""How many instructions of ours a call passes, and in which functions: `card_spin calls` in a slice, under callgrind.

The card is the fake one, whose own instructions are left out: counting begins where the application enters the
call and stops where the driver's is entered. Needs valgrind and the release build.
"""
import argparse
import collections
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

# How often `calls` makes each.
CALLS = {"cuLaunchKernel": 1 + 10 * (500 + 10), "cuStreamSynchronize": 1 + 10 * 2, "cuMemAlloc_v2": 1 + 10 * 50, "cuMemFree_v2": 10 * 50}
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/hardware"))
from machine import Machine  # noqa: E402


def counted(profile):
    """Instructions by function, of a profile of callgrind."""
    by, function, skip = collections.Counter(), "", False
    for line in profile.read_text().splitlines():
        if line.startswith("fn="):
            function = line[3:]
        elif line.startswith("calls="):
            skip = True  # the next line is of the function called, and counted there
        elif re.match(r"[+\-*\d]", line):
            if not skip:
                by[function] += int(line.split()[1])
            skip = False
    return by


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release", metavar="FOLDER")
    parser.add_argument("--call", default="cuLaunchKernel", choices=CALLS)
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        sys.exit("valgrind is missing: install it with your distribution's tools")
    if not (options.build / "test/card_spin").exists():
        sys.exit(f"{options.build}/test/card_spin is missing: build it with cmake --build --preset release")
    with tempfile.TemporaryDirectory() as folder:
        profile = pathlib.Path(folder) / "profile"
        machine = Machine(options.build, fake=True)
        try:
            command = [*machine.words(1024, 50), "valgrind", "--tool=callgrind", f"--toggle-collect={options.call}",
                       "--compress-strings=no", f"--callgrind-out-file={profile}", str(machine.build / "test/card_spin"), "calls",
                       folder + "/log", "1000"]
            env = {**machine.env, "FLEXAI_FAKE_SPIN": "0", "FLEXAI_FAKE_LAUNCH_NS": "0", "FLEXAI_FAKE_ITEM_NS": "0"}
            ran = subprocess.run(command, env=env, input="go\n", capture_output=True, text=True, timeout=600)
        finally:
            machine.close()
        if ran.returncode != 0:
            sys.exit(f"card_spin ended with {ran.returncode}: {ran.stderr.strip()}")
        by = counted(profile)
        times = CALLS[options.call]
        print(f"{'instructions':>12}  function")
        for function, count in by.most_common():
            if count / times >= 0.05:
                print(f"{count / times:>12.1f}  {function}")
        print(f"{sum(by.values()) / times:>12.1f}  in all, of each of {times}")


if __name__ == "__main__":
    main()
