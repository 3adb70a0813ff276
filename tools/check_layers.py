#!/usr/bin/env python3
"""Includes go down only, peers never see each other, and some folders may not use some headers: tools/layers.toml."""
import argparse
import pathlib
import re
import sys
import tomllib

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import tree

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def folder_of(path, rules):
    """(folder, its rule's name) for a file: the longest listed folder that holds it, or None."""
    parts = path.split("/")[:-1]
    for length in range(len(parts), 0, -1):
        folder = "/".join(parts[:length])
        rule = tree.matches(folder, rules)
        if rule:
            return folder, rule
    return None


def target_of(header, generated):
    """The path an include names inside the project, or None for a header from elsewhere."""
    if header.startswith(("flexai/", "apps/", "tests/", "examples/")):
        return header
    if header.split("/")[0] in generated and "/" in header:
        return "generated/" + header
    return None


def check_rules(rules):
    """The floors themselves: a folder may use lower floors only."""
    for name, rule in rules.items():
        for used in rule["uses"]:
            for other in [other for other in rules if other == used or tree.matches(other, [used])]:
                if rules[other]["floor"] >= rule["floor"]:
                    yield (f"tools/layers.toml: {name} (floor {rule['floor']}) may not use {other} "
                           f"(floor {rules[other]['floor']}): includes go down only")


def check_file(name, text, layers, generated):
    rules = layers["folders"]
    home = folder_of(name, rules)
    if home is None:
        yield f"{name}: its folder has no floor; add it to [folders] in tools/layers.toml"
        return
    folder, rule = home
    test = tree.is_test(name) or name in layers["tests"]["support"]
    allowed = rules[rule]["uses"] + (layers["tests"]["uses"] if test else [])
    for found in INCLUDE.finditer(text):
        header = found.group(2)
        line = text.count("\n", 0, found.start()) + 1
        target = target_of(header, generated)
        if target is None:
            yield from check_foreign(name, line, header, folder, layers, test)
            continue
        other = folder_of(target, list(rules) + ["generated/*"])
        if other is None:
            yield f"{name}:{line}: includes {header}, whose folder has no floor in tools/layers.toml"
        elif other[0] == folder or tree.matches(other[0], allowed):
            # A backend sees what is made from its own table, never from another's.
            if rule == "flexai/backend/*" and other[1] == "generated/*" and other[0].split("/")[1] != folder.split("/")[2]:
                yield f"{name}:{line}: includes {header}: a backend sees its own table only"
        else:
            yield f"{name}:{line}: includes {header}: {folder} may use {', '.join(allowed) or 'nothing of ours'}"
        if target in layers["tests"]["support"] and not test:
            yield f"{name}:{line}: includes {header}, which is for tests only"


def check_foreign(name, line, header, folder, layers, test):
    if test:
        return
    for group, why in (("in_process", "is loaded into users' processes"), ("pure", "is pure: no clock, thread, file or socket")):
        rule = layers[group]
        inside = any(tree.matches("/".join(folder.split("/")[:n]), rule["folders"]) for n in range(1, 9))
        inside = inside or any(name.startswith(place + "/") for place in rule["folders"]) or name in rule.get("files", [])
        if inside and any(re.fullmatch(refused, header) for refused in rule["refuses"]):
            yield f"{name}:{line}: includes <{header}>: this code {why} ([{group}] in tools/layers.toml)"


def problems(root):
    root = pathlib.Path(root)
    layers = tomllib.loads((root / "tools/layers.toml").read_text())
    names = tree.files(root)
    generated = {path.split("/")[1] for path in names if path.startswith("api/") and path.count("/") > 1}
    found = list(check_rules(layers["folders"]))
    for name in names:
        if name.endswith(tree.CPP) and name.startswith(("flexai/", "apps/", "tests/", "examples/")):
            found += check_file(name, tree.text(name, root) or "", layers, generated)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default=tree.ROOT)
    tree.report("layers", problems(parser.parse_args().root))
