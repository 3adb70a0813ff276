#!/usr/bin/env python3
"""Runs the commands that the papers show: each ```sh block that follows a line <!-- run -->.

The blocks of one page run in order in one bash, in the repository's root, with build/release/bin first on PATH; a page
passes when every command does. <!-- run exit=75 --> expects that status of the block's last command. A `$ ` before a
command is left out, and lines without it in such a block are output.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import tree

BLOCK = re.compile(r"^<!-- run(?: exit=(\d+))? -->\n```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
LIMIT_S = 300


def commands(body):
    lines = body.splitlines()
    if any(line.startswith("$ ") for line in lines):
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    return "\n".join(lines)


def script(page, text):
    parts = []
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start()) + 2
        expected = found.group(1) or "0"
        parts.append(f"( set -e\n{commands(found.group(2))}\n)\nstatus=$?\n"
                     f"[ $status -eq {expected} ] || {{ echo '{page}:{line}: status '$status', expected {expected}'; exit 1; }}")
    return "\n".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", help="only these pages")
    options = parser.parse_args()
    env = {**os.environ, "PATH": f"{tree.ROOT}/build/release/bin:{os.environ['PATH']}"}
    bad = count = 0
    for page in options.pages or [name for name in tree.files() if name.endswith(".md")]:
        body = script(page, (tree.ROOT / page).read_text())
        if not body:
            continue
        count += 1
        print(f"docs: {page}", flush=True)
        try:
            status = subprocess.run(["bash", "-c", body], cwd=tree.ROOT, env=env, stdin=subprocess.DEVNULL,
                                    timeout=LIMIT_S).returncode
        except subprocess.TimeoutExpired:
            print(f"{page}: its commands took longer than {LIMIT_S} s")
            status = 1
        bad += status != 0
    print(f"docs: {count - bad} of {count} pages run")
    return 1 if bad or not count else 0


if __name__ == "__main__":
    sys.exit(main())
