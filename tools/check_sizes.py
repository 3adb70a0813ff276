#!/usr/bin/env python3
"""Sizes and manners of files: at most 500 lines, functions of at most 60, a README of at most 60 lines in each folder,
no sleeping in tests."""
import argparse
import pathlib
import re
import sys
import tomllib

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import tree

MAX_LINES = 500
MAX_FUNCTION = 60
MAX_README = 60
REASON = re.compile(r"^\s*(//|#|\"\"\")?\s*Longer than 500 lines because \S+")
SOURCE = tree.CPP + (".py", ".cmake", ".sh", ".toml", ".js", ".ts")
SLEEP = re.compile(r"\b(sleep_for|sleep_until|usleep|nanosleep|time\.sleep|clock_nanosleep|sleep)\s*\(")
# A named reason on the line keeps a wait that is no guess about time, as inside a poll with a deadline.
SLEEP_ALLOWED = re.compile(r"//\s*poll|#\s*poll")


def check_lines(name, lines):
    if len(lines) > MAX_LINES and name.endswith(SOURCE) and not any(REASON.match(line) for line in lines[:12]):
        # A table has as many rows as the vendor has functions.
        if not (name.startswith("api/") and (name.endswith(".toml") or "/golden/" in name)):
            yield (f"{name}: {len(lines)} lines, {MAX_LINES} are allowed: cut it in two, or say in its head "
                   f"'Longer than {MAX_LINES} lines because ...'")


def check_functions(name, lines):
    """Bodies that begin at the left margin or inside a class, measured by the formatter's own indentation."""
    start, indent = None, ""
    for number, line in enumerate(lines, 1):
        opens = re.match(r"^( {0,4})\S.*\)[\w\s:&>*<,()-]*\{$", line)
        if start is None and opens and not re.match(r"^\s*(if|for|while|switch|else|do|namespace|enum|struct|class|union|extern)\b", line):
            start, indent = number, opens.group(1)
        elif start is not None and (line == indent + "}" or line.startswith(indent + "};")):
            if number - start + 1 > MAX_FUNCTION:
                yield f"{name}:{start}: a function of {number - start + 1} lines, {MAX_FUNCTION} are allowed"
            start = None


def check_sleep(name, lines):
    for number, line in enumerate(lines, 1):
        code = re.sub(r'"(\\.|[^"\\])*"', '""', line)
        if SLEEP.search(code.split("//")[0].split("#")[0]) and not SLEEP_ALLOWED.search(code):
            yield f"{name}:{number}: a test that sleeps guesses; poll for the event with a deadline (and mark the wait '// poll')"


def check_readmes(root, names):
    rules = tomllib.loads((root / "tools/layers.toml").read_text())["readme"]
    folders = {"."} | {"/".join(name.split("/")[:n]) for name in names for n in range(1, name.count("/") + 1)}
    present = set(names)
    for folder in sorted(folders):
        if folder in rules["without"] or not (folder == "." or tree.matches(folder, rules["folders"])):
            continue
        readme = "README.md" if folder == "." else folder + "/README.md"
        inside = [name for name in names if name.startswith(folder + "/") and not name.endswith("CMakeLists.txt")]
        if folder != "." and not inside:
            continue
        if readme not in present:
            yield f"{folder}: has no README.md (what comes in, what goes out, what it may include, where to start reading)"
        elif folder != "." and len((root / readme).read_text().splitlines()) > MAX_README:
            yield f"{readme}: more than {MAX_README} lines"


def problems(root):
    root = pathlib.Path(root)
    names = tree.files(root)
    found = list(check_readmes(root, names))
    for name in names:
        text = tree.text(name, root)
        if text is None:
            continue
        lines = text.splitlines()
        found += check_lines(name, lines)
        if name.endswith(tree.CPP) and not name.startswith("api/"):
            found += check_functions(name, lines)
        # A bench measures for a time that people choose; it passes or fails nothing.
        is_bench = name.startswith(("tests/bench/", "tests/hardware/"))
        if tree.is_test(name) and not is_bench and name.endswith(tree.CPP + (".py", ".sh")) and name != "tools/tests/test_checks.py":
            found += check_sleep(name, lines)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default=tree.ROOT)
    tree.report("sizes", problems(parser.parse_args().root))
