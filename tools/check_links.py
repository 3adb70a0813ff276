#!/usr/bin/env python3
"""Papers point at things that exist: markdown links and anchors, the files named in code spans, and a symbol named right
after a file (`flexai/x/y.cpp` `Type::Function`) stands in that file."""
import argparse
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import tree

LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)|\!\[[^\]]*\]\(([^)\s]+)\)")
SPAN = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"[\w.+-]+(/[\w.+-]+)*/?")
SYMBOL = re.compile(r"[A-Za-z_]\w*(::~?[A-Za-z_]\w*)*(\(\))?")


def anchors(text):
    """The anchors of a page's headings, as the usual renderers make them."""
    for heading in re.findall(r"^#{1,6}\s+(.*)$", text, re.MULTILINE):
        plain = re.sub(r"[`*_]", "", heading).strip().lower()
        yield re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def without_fences(text):
    """Fenced blocks are examples: emptied, with the line numbers kept."""
    return re.sub(r"^(```|~~~).*?^\1", lambda block: "\n" * block.group(0).count("\n"), text, flags=re.MULTILINE | re.DOTALL)


def check_links(root, name, text):
    here = (root / name).parent
    for found in LINK.finditer(text):
        target = found.group(1) or found.group(2)
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        line = text.count("\n", 0, found.start()) + 1
        place = (here / path).resolve() if path else root / name
        if not place.exists():
            yield f"{name}:{line}: link to {target}: no such file"
        elif anchor and place.suffix == ".md" and anchor not in set(anchors(place.read_text())):
            yield f"{name}:{line}: link to {target}: the page has no such heading"


def check_names(root, name, text, tops):
    for number, line in enumerate(text.splitlines(), 1):
        previous, end = None, 0
        for span in SPAN.finditer(line):
            word = span.group(1)
            close = line[end:span.start()].strip(" ,:()->") == ""
            end = span.end()
            if PATH.fullmatch(word) and "/" in word and word.split("/")[0] in tops:
                if not (root / word).exists():
                    yield f"{name}:{number}: names {word}, which does not exist"
                    previous = None
                else:
                    previous = root / word
            elif previous is not None and close and previous.is_file() and SYMBOL.fullmatch(word):
                last = word.removesuffix("()").split("::")[-1]
                if not re.search(rf"\b{re.escape(last)}\b", previous.read_text()):
                    yield f"{name}:{number}: names {word} in {previous.relative_to(root)}, which has no such word"
            else:
                previous = None


def problems(root):
    root = pathlib.Path(root).resolve()
    names = tree.files(root)
    tops = {name.split("/")[0] for name in names if "/" in name}
    found = []
    for name in names:
        if name.endswith(".md"):
            text = without_fences(tree.text(name, root))
            found += check_links(root, name, re.sub(r"`[^`\n]*`", lambda span: " " * len(span.group(0)), text))
            if not name.startswith("docs/adr/") and name != "CHANGELOG.md":  # these speak of their own time
                found += check_names(root, name, text, tops)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default=tree.ROOT)
    tree.report("links", problems(parser.parse_args().root))
