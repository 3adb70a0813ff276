#!/usr/bin/env python3
"""Generates C++ from one table of a vendor library.

gen.py --table api/opencl/opencl.toml --out DIR     writes DIR/opencl/*
gen.py --table api/opencl/opencl.toml --check       only reads and checks that table
gen.py --check                                      checks every table, and toy's outputs against api/toy/golden
gen.py --golden                                     writes api/toy/golden anew, for review
"""
import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import check
import emit_calls
import emit_coverage
import emit_dispatch
import emit_exports
import emit_parity
import emit_real
import emit_types
import read
import resolve
from model import TableError

ROOT = pathlib.Path(__file__).resolve().parents[2]

OUTPUTS = {
    "types.h": emit_types.generate,
    "calls.h": emit_calls.generate,
    "ops.cpp": emit_calls.generate_ops,
    "real.h": emit_real.generate,
    "doors.h": emit_real.generate_doors,
    "resolver.h": emit_exports.generate_resolver_header,
    "resolver.cpp": emit_exports.generate_resolver,
    "exports.cpp": emit_exports.generate,
    "exports.map": emit_exports.generate_map,
    "dispatch.cpp": emit_dispatch.generate,
    "fake_exports.cpp": emit_dispatch.generate_fake,
    "parity_test.cpp": emit_parity.generate,
    "coverage.md": emit_coverage.generate,
}


def load(path, shown=None):
    """The resolved and checked table in `path`; raises TableError."""
    table, return_notes = read.read(path, shown)
    table = resolve.resolve(table, return_notes)
    check.check(table)
    return table


def generate(table):
    """Every output of `table`: file name -> text."""
    return {name: emit(table) for name, emit in OUTPUTS.items()}


def write_if_changed(path, text):
    """Leaves an unchanged file alone, so that nothing is rebuilt for it."""
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def repository_name(path):
    """`path` as the repository names it: api/opencl/opencl.toml, wherever the checkout lies."""
    parts = pathlib.Path(path).resolve().parts
    return "/".join(parts[parts.index("api"):]) if "api" in parts else str(path)


def golden_folder():
    return ROOT / "api/toy/golden"


def check_all():
    """Checks every table and the golden text; prints what is wrong and returns how much that is."""
    wrong = 0
    for path in sorted(ROOT.glob("api/*/*.toml")):
        try:
            table = load(path, repository_name(path))
        except TableError as error:
            print(error, file=sys.stderr)
            wrong += 1
            continue
        if table.library.name == "toy":
            wrong += compare_golden(generate(table))
    return wrong


def compare_golden(outputs):
    wrong = 0
    for name, text in outputs.items():
        golden = golden_folder() / name
        if not golden.exists() or golden.read_text() != text:
            print(f"api/toy/golden/{name}: differs from what is generated now; "
                  f"if that is meant, run tools/gen/gen.py --golden and review the difference", file=sys.stderr)
            wrong += 1
    return wrong


def write_golden():
    table = load(ROOT / "api/toy/toy.toml", "api/toy/toy.toml")
    for name, text in generate(table).items():
        write_if_changed(golden_folder() / name, text)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", help="the .toml file")
    parser.add_argument("--out", help="folder for the outputs; a folder named after the library is made in it")
    parser.add_argument("--check", action="store_true", help="only check: the table, or without --table everything")
    parser.add_argument("--golden", action="store_true", help="write api/toy/golden anew")
    parser.add_argument("--list", action="store_true", help="print the names of the outputs, for the build")
    parser.add_argument("--sources", action="store_true", help="print the files of the generator, for the build")
    options = parser.parse_args(arguments)
    if options.list or options.sources:
        here = pathlib.Path(__file__).resolve().parent
        print(";".join(OUTPUTS if options.list else sorted(str(p) for p in here.glob("*.py"))), end="")
        return 0
    if options.golden:
        write_golden()
        return 0
    if options.check and not options.table:
        return 1 if check_all() else 0
    if not options.table:
        parser.error("--table is needed")
    try:
        table = load(options.table, repository_name(options.table))
    except (TableError, OSError) as error:
        print(f"{error}", file=sys.stderr)
        return 1
    if options.check:
        return 0
    if not options.out:
        parser.error("--out is needed unless --check is given")
    for name, text in generate(table).items():
        write_if_changed(pathlib.Path(options.out) / table.library.name / name, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
