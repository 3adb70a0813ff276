#!/usr/bin/env python3
"""A vendor's name stands only where tools/layers.toml allows it; everything else speaks of cards and calls."""
import argparse
import pathlib
import re
import sys
import tomllib

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import tree


def problems(root):
    root = pathlib.Path(root)
    rules = tomllib.loads((root / "tools/layers.toml").read_text())["vendors"]
    # Either a whole word or part of a snake_case name in any case, or a part of a PascalCase name.
    words = "|".join(re.escape(word) for word in rules["words"])
    pattern = re.compile(rf"(?<![A-Za-z])(?:{words})(?![a-z])", re.IGNORECASE)
    camel = re.compile("|".join(rules["pascal_case"]))
    found = []
    for name in tree.files(root):
        if name.startswith(tuple(rules["allowed"])) or name in rules.get("exceptions", {}):
            continue
        text = tree.text(name, root)
        for number, line in enumerate((text or "").splitlines(), 1):
            hit = pattern.search(line) or camel.search(line)
            if hit:
                found.append(f"{name}:{number}: names a vendor ({hit.group(0)}): say what is meant for any card, "
                             f"or move it to the backend")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default=tree.ROOT)
    tree.report("vendor words", problems(parser.parse_args().root))
