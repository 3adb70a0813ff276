"""The project's own files, and small words to talk about them. Used by every tools/check_*.py."""
import fnmatch
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = {".git", "build", "__pycache__", ".cache", "node_modules"}
CPP = (".h", ".cpp")


def files(root=ROOT):
    """Paths of the files that are or will be in git, relative to `root`, sorted, with "/" between folders."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=root, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        names = [name for name in listed.stdout.split("\0") if name]
    else:  # an unpacked archive
        names = []
        for folder, inner, here in os.walk(root):
            inner[:] = [name for name in inner if name not in SKIPPED]
            names += [os.path.relpath(os.path.join(folder, name), root) for name in here]
    return sorted(name for name in set(names) if (pathlib.Path(root) / name).is_file())


def text(name, root=ROOT):
    """The file's text, or None where it is not text."""
    try:
        return (pathlib.Path(root) / name).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def is_test(name):
    return name.endswith(("_test.cpp", "_test.h")) or name.startswith("tests/") or "/tests/" in name


def matches(name, patterns):
    """The first pattern `name` matches; "*" stands for one folder or file name."""
    for pattern in patterns:
        if name.count("/") == pattern.count("/") and fnmatch.fnmatchcase(name, pattern):
            return pattern
    return None


def report(what, problems):
    """Prints the problems and ends the program: 0 where there are none, else 1."""
    for problem in problems:
        print(problem)
    print(f"{what}: {len(problems)} problems" if problems else f"{what}: fine")
    sys.exit(1 if problems else 0)
