#!/usr/bin/env python3
"""All C++ of ours is formatted by clang-format-14 with .clang-format. --fix rewrites what is not."""
import argparse
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import tree

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fix", action="store_true")
    options = parser.parse_args()
    names = [name for name in tree.files() if name.endswith(tree.CPP) and "/golden/" not in name]
    how = ["-i"] if options.fix else ["--dry-run", "-Werror"]
    ran = subprocess.run(["clang-format-14", "--style=file", *how, *names], cwd=tree.ROOT) if names else None
    if ran and ran.returncode != 0:
        print("format: run tools/check_format.py --fix")
        sys.exit(1)
    print(f"format: {len(names)} files are fine")
