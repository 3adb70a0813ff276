#!/usr/bin/env python3
"""clang-tidy-14 over our own sources, with .clang-tidy. check_tidy.py BUILD_DIR

A source is looked at again only when it, a header of ours it includes, its flags, the rules or clang-tidy have changed:
flexai/tidy in the user's cache folder holds one empty file per content that was fine, for every checkout. Tests and
generated code are left out.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import tree

SEEN = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "flexai/tidy"
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def content(path, generated, done):
    """Adds the text of `path` and of every header of ours it reaches to `done` (path -> text)."""
    if path in done:
        return
    done[path] = path.read_text(errors="replace")
    for header in INCLUDE.findall(done[path]):
        for base in (tree.ROOT, generated, path.parent):
            if (base / header).is_file():
                content((base / header).resolve(), generated, done)
                break


def key(source, command, generated, rules):
    """The same in every checkout: no path in it says where the checkout lies."""
    done = {}
    content(source, generated, done)
    digest = hashlib.sha256((rules + command.replace(str(tree.ROOT), "")).encode())
    for path in sorted(done):
        digest.update(str(path.relative_to(tree.ROOT)).encode() + b"\0" + done[path].encode() + b"\0")
    return digest.hexdigest()


def tidy(build, source, mark):
    # The build's flags are gcc's; some of them clang does not know.
    ran = subprocess.run(["clang-tidy-14", "--quiet", "--extra-arg=-Wno-unknown-warning-option", "-p", str(build), str(source)],
                         capture_output=True, text=True, cwd=tree.ROOT)
    if ran.returncode == 0:
        mark.touch()
        return None
    return ran.stdout + ran.stderr


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    build = parser.parse_args().build.resolve()
    SEEN.mkdir(parents=True, exist_ok=True)
    version = subprocess.run(["clang-tidy-14", "--version"], check=True, capture_output=True, text=True).stdout
    rules = re.search(r"version (\S+)", version)[1] + (tree.ROOT / ".clang-tidy").read_text()
    ours = {tree.ROOT / name for name in tree.files() if name.endswith(".cpp") and not tree.is_test(name)}
    todo, fine = [], 0
    for entry in json.loads((build / "compile_commands.json").read_text()):
        source = pathlib.Path(entry["file"]).resolve()
        if source not in ours:
            continue
        mark = SEEN / key(source, entry["command"], build / "generated", rules)
        if mark.exists():
            fine += 1
        else:
            todo.append((source, mark))
    print(f"clang-tidy: {fine} sources are known to be fine, {len(todo)} to look at", flush=True)
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for (source, _), problem in zip(todo, pool.map(lambda job: tidy(build, *job), todo)):
            print(f"{source.relative_to(tree.ROOT)}: {'fine' if problem is None else 'FAILED'}", flush=True)
            if problem:
                bad += 1
                print(problem, flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
