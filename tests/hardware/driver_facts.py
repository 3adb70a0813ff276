#!/usr/bin/env python3
"""Compares api/cuda/rm.toml with the public source of the driver's kernel module.

    tests/hardware/driver_facts.py FOLDER    a checkout of the source, of any version

Numbers are compared with the vendor's #defines, structs field by field. Not part of tools/check: the source is not here.
"""
import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEPT = "src/common/sdk/nvidia/inc", "src/nvidia/arch/nvalloc/unix/include", "src/nvidia/inc", "kernel-open/common/inc"


def source_text(folder):
    headers = [h for kept in KEPT for h in sorted((folder / kept).rglob("*.h"))]
    if not headers:
        sys.exit(f"check_driver_facts: {folder} does not hold the source of the kernel module (no {KEPT[0]})")
    return "\n".join(header.read_text(errors="replace") for header in headers)


def number(text, name):
    for found in re.finditer(rf"^#\s*define\s+{name}\s+(\S.*)$|^\s*NV_STATUS_CODE\({name},\s*(\w+)", text, re.M):
        value = re.match(r"\(?(0x[0-9a-fA-F]+|\d+|'.')[UL]*\)?", (found.group(1) or found.group(2)).strip())
        if value:
            word = value.group(1)
            return ord(word[1]) if word.startswith("'") else int(word, 0)
    return None


def fields(text, name):
    """Names of the fields of struct `name`, as declared; None if it is not there."""
    found = re.search(rf"typedef struct\s*(?:{name})?\s*\{{([^{{}}]*)\}}\s*{name}\s*;", text)
    if not found:
        return None
    body = re.sub(r"//.*?$|/\*.*?\*/", "", found.group(1), flags=re.S | re.M)
    body = re.sub(r"NV_DECLARE_ALIGNED\((.*?),\s*8\)|NV_ALIGN_BYTES\(8\)", lambda m: m.group(1) or "", body)
    return [re.sub(r"\[.*", "", part.split()[-1]) for part in body.split(";") if part.strip()]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    text = source_text(pathlib.Path(sys.argv[1]))
    table = tomllib.loads((ROOT / "api/cuda/rm.toml").read_text())
    wrong, absent = [], []
    for name, ours in table["constants"].items():
        theirs = number(text, name)
        if theirs is None:
            absent.append(name)
        elif theirs != ours:
            wrong.append(f"{name} is {ours:#x} here, {theirs:#x} there")
    for name, struct in table["type"]["struct"].items():
        ours = [re.sub(r"\[.*", "", field.split()[-1]) for field in struct["fields"]]
        theirs = fields(text, name)
        if theirs is None:
            absent.append(name)
        elif theirs != ours:
            wrong.append(f"{name} has fields {ours} here, {theirs} there")
    for line in wrong:
        print(line)
    print(f"{len(table['constants'])} numbers and {len(table['type']['struct'])} structs compared: {len(wrong)} differ, "
          f"{len(absent)} were not found{': ' + ', '.join(absent) if absent else ''}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
