#!/usr/bin/env python3
"""Adding a vendor touches nothing else: makes a backend in a copy of the project, builds it, and runs its tests."""
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import tree

NAME = "sample_card"
PLACE = tree.ROOT / "build/new_backend"


def run(*command):
    print("$", " ".join(map(str, command)), flush=True)
    subprocess.run(command, check=True, cwd=PLACE / "source", stdin=subprocess.DEVNULL)


def main():
    source = PLACE / "source"
    shutil.rmtree(PLACE, ignore_errors=True)
    for name in tree.files():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(tree.ROOT / name, source / name)
    before = {name: (source / name).read_bytes() for name in tree.files()}
    run(sys.executable, "tools/new_backend", NAME)
    changed = [name for name, content in before.items() if (source / name).read_bytes() != content]
    if changed != ["flexai/backend/CMakeLists.txt"]:
        sys.exit(f"a new backend changed {', '.join(changed)}; only its one line of CMake is allowed")
    run(sys.executable, "tools/check_layers.py", "--root", ".")
    run("clang-format-14", "--dry-run", "-Werror", *sorted(map(str, (source / "flexai/backend" / NAME).glob("*.[hc]*"))))
    run("cmake", "-S", ".", "-B", "../build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O1 -g1")
    tests = f"backend_{NAME}_exported_test"
    run("cmake", "--build", "../build", "-j", str(os.cpu_count() or 2), "--target", f"flexai_{NAME}_exports", tests)
    run("ctest", "--test-dir", "../build", "-R", f"^{tests}$", "--no-tests=error", "--output-on-failure")
    shutil.rmtree(PLACE)
    print("new backend: fine")


if __name__ == "__main__":
    main()
