#!/usr/bin/env python3
"""Drafts a table from a vendor's C headers and rules that people write; the table is then reviewed and committed.

draft.py --rules api/x/draft/x.toml --headers 12.4=DIR --headers 13.0=DIR --out api/x/x.toml

Headers are named from the oldest to the newest; the newest wins. `rules` hold [headers] (file, defines, typedefs), the
[library] text of the table, [handles], constants, and [[rule]] entries: a pattern of names (without version and stream suffix)
and what to say of the functions that match; later rules add to earlier ones. Needs the C compiler `cc`.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from check import RESERVED_NAMES
from read import BUILTIN

LONG = {"unsigned long long int": "uint64_t", "unsigned long long": "uint64_t", "long long": "int64_t",
        "unsigned long": "uint64_t", "long": "int64_t", "unsigned short": "uint16_t", "short": "int16_t",
        "unsigned": "unsigned int", "signed char": "int8_t", "signed int": "int"}
SUFFIX = re.compile(r"^(.*?)(?:_v(\d+))?(_ptsz|_ptds)?$")


def split_name(name):
    """cuMemcpy_v2_ptds as ("cuMemcpy", 2, "_ptds")."""
    base, version, stream = SUFFIX.match(name).groups()
    return base, int(version or 1), stream or ""


def number(version):
    major, _, minor = version.partition(".")
    return int(major) * 1000 + int(minor or 0) * 10


class Header:
    """Declarations of one version of a header, after the preprocessor."""

    def __init__(self, version, folder, rules):
        self.version, self.folder, self.rules = version, folder, rules
        self.enums, self.structs, self.handles, self.aliases, self.callbacks, self.functions = set(), {}, {}, {}, {}, {}
        self.tags = {}
        for statement in self.statements():
            self.statement(statement)
        self.sizes = self.measure()
        self.introduced = self.typedefs()

    def command(self):
        return ["cc", *(f"-D{d}" for d in self.rules["headers"].get("defines", ()))]

    def statements(self):
        file = pathlib.Path(self.folder) / self.rules["headers"]["file"]
        text = subprocess.run([*self.command(), "-E", file], check=True, capture_output=True, text=True).stdout
        kept, inside = [], False
        for line in text.splitlines():
            marker = re.match(r'# \d+ "(.*?)"', line)
            if marker:
                inside = marker.group(1) == str(file)
            elif inside:
                kept.append(line)
        text = re.sub(r"__attribute__\s*\(\(.*?\)\)(?=[\s;*])", " ", " ".join(kept))
        depth, start = 0, 0
        for at, char in enumerate(text):
            depth += (char == "{") - (char == "}")
            if char == ";" and not depth:
                yield re.sub(r"\s+", " ", text[start:at]).strip()
                start = at + 1

    def statement(self, text):
        body = re.match(r"(typedef )?(enum|struct|union)\s*(\w*)\s*\{(.*)\}\s*(.*)$", text)
        if body:
            self.body(*body.groups())
        elif text.startswith("typedef "):
            self.typedef(text[8:])
        else:
            function = re.match(r"(?:extern )?([\w\s*]+?)(\w+)\s*\((.*)\)$", text)
            if function:
                returns, name, params = function.groups()
                self.functions[name] = (self.clean(returns), [self.declaration(p, i) for i, p in
                                                              enumerate(self.commas(params)) if p.strip() not in ("void", "")])

    def body(self, typedef, what, tag, body, names):
        names = [n.strip() for n in names.split(",")] if typedef else [self.tags.get(tag, tag)]
        for name in names:
            if name.startswith("*") or not name:
                continue
            self.tags.setdefault(tag, name)
            if what == "enum":
                self.enums.add(name)
            else:
                self.structs[name] = body if what == "struct" else None

    def typedef(self, text):
        callback = re.match(r"(.*?)\(\s*\*\s*(\w+)\s*\)\s*\((.*)\)$", text)
        if callback:
            self.callbacks[callback.group(2)] = (self.clean(callback.group(1)), [
                self.declaration(p, i) for i, p in enumerate(self.commas(callback.group(3))) if p.strip() != "void"])
            return
        base, name = re.match(r"(.*?[\s*])(\w+)(?:\[.*\])?$", text).groups()
        handle = re.match(r"(?:const )?struct (\w+)\s*\*$", base.strip())
        if handle and handle.group(1) not in self.tags:
            self.handles[name] = handle.group(1)
        elif re.match(r"(struct|union|enum) \w+$", base.strip()):
            self.tags.setdefault(base.split()[1], name)
            self.structs.setdefault(name, None)
        else:
            self.aliases[name] = self.clean(base)

    @staticmethod
    def commas(text):
        return re.split(r",(?![^(]*\))", text)

    def clean(self, text):
        text = re.sub(r"\b(struct|union|enum) (\w+)", lambda m: self.tags.get(m.group(2), m.group(2)), text.strip())
        const = "const " if re.match(r"const\b|\w+ const\b", text) else ""
        stars = re.sub(r"\s", "", "".join(re.findall(r"\*\s*(?:const)?", text))).replace("const", " const ")
        base = " ".join(re.sub(r"\*.*", "", text).replace("const ", " ").replace(" const", " ").split())
        return f"{const}{LONG.get(base, base)}{stars}".strip()

    def declaration(self, text, position):
        text = text.strip()
        pointer = "*" if "[" in text else ""
        text = re.sub(r"\[.*\]", "", text).strip()
        named = re.match(r"(.*[\s*])(\w+)$", text)
        if not named or named.group(2) in ("int", "long", "char") or not re.sub(r"const|\s|\*", "", named.group(1)):
            return self.clean(text) + pointer, f"arg{position + 1}"
        return self.clean(named.group(1)) + pointer, named.group(2)

    def measure(self):
        """Size and alignment of every struct, as the C compiler sees them."""
        lines = "".join(f'  printf("{n} %zu %zu\\n", sizeof({n}), _Alignof({n}));\n' for n in [*self.structs, *(a for a in self.aliases if self.end(a) in self.structs)])
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / "sizes.c"
            for _ in range(4):
                source.write_text(f'#include <stdio.h>\n#include "{self.rules["headers"]["file"]}"\nint main(void) {{\n{lines}}}\n')
                done = subprocess.run([*self.command(), f"-I{self.folder}", "-w", source, "-o", f"{folder}/sizes"],
                                      capture_output=True, text=True)
                if not done.returncode:
                    break
                # What is only announced has no size.
                bad = set(re.findall(r"incomplete type .(?:struct |union )?(\w+)", done.stderr))
                bad |= set(re.findall(r"'(\w+)' undeclared|.(\w+). undeclared", done.stderr)[0]) if "undeclared" in done.stderr else set()
                bad |= {self.tags.get(b, b) for b in bad}
                lines = "".join(f"{l}\n" for l in lines.splitlines() if not any(f"sizeof({b})" in l for b in bad))
            else:
                sys.exit(done.stderr)
            out = subprocess.run([f"{folder}/sizes"], check=True, capture_output=True, text=True).stdout
        return {n: (int(s), int(a)) for n, s, a in (line.split() for line in out.splitlines())}

    def end(self, name):
        """What a chain of names stands for in this header."""
        while name in self.aliases and "*" not in self.aliases[name] and self.aliases[name] not in BUILTIN:
            name = self.aliases[name]
        return name

    def typedefs(self):
        """Versions in which each (name, stream suffix) changed, from the vendor's list of function types."""
        name = self.rules["headers"].get("typedefs")
        if not name or not (pathlib.Path(self.folder) / name).exists():
            return {}
        found = {}
        for base, version, stream in re.findall(r"\(\w*\s*\*PFN_(\w+?)_v(\d+)(_ptsz|_ptds)?\)",
                                                (pathlib.Path(self.folder) / name).read_text()):
            found.setdefault((base, stream), set()).add(int(version))
        return found


class Draft:
    def __init__(self, headers, rules):
        self.headers, self.rules, self.newest = headers, rules, headers[-1]
        self.needed, self.opaque, self.callback_texts = {}, set(), {}
        self.struct_texts = {}

    def find(self, attribute, name):
        """The newest header's word on `name`."""
        for header in reversed(self.headers):
            if name in getattr(header, attribute):
                return getattr(header, attribute)[name] if attribute != "enums" else True
        return None

    def ctype(self, text):
        """A type as the table names it; what it needs is noted."""
        base = re.sub(r"\bconst\b|\*", "", text).strip()
        seen = base
        while base not in BUILTIN and (alias := self.find("aliases", base)) and "*" not in alias and "const" not in alias:
            if alias in BUILTIN:
                break
            # A name that means another struct in each header is a struct of its own, of which only the size is told.
            if len({h.end(base) for h in self.headers if base in h.aliases}) > 1:
                break
            base = alias
        self.need(base)
        return text.replace(seen, base, 1) if seen != base else text

    def need(self, base):
        if base in BUILTIN or base in self.needed:
            return
        if self.find("enums", base):
            self.needed[base] = ("enum", "uint32_t")
        elif self.find("handles", base):
            kind = re.sub(r"_t$", "", base)
            kind = re.sub(self.rules["headers"].get("handle_prefix", ""), "", kind)
            self.needed[base] = ("handle", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind).lower())
        elif self.find("callbacks", base):
            self.needed[base] = ("callback", None)
            returns, params = self.find("callbacks", base)
            inner = ", ".join(f"{self.ctype(t)} {self.safe(n)}" for t, n in params)
            self.callback_texts[base] = f"{self.ctype(returns)}({inner})"
        elif self.find("sizes", base):
            self.struct(base)
        elif (alias := self.find("aliases", base)) is not None:
            self.needed[base] = ("scalar", "void*" if "*" in alias else alias)
        else:
            self.needed[base] = ("handle", base.lower())

    def struct(self, name):
        size, align = self.find("sizes", name)
        fields = self.fields(name)
        if fields:
            self.struct_texts[name] = f"size = {size}\nfields = [{', '.join(json.dumps(f) for f in fields)}]\n"
        else:
            first = next(h for h in self.headers if h.sizes.get(name) == (size, align))
            since = f'since = "{first.version}"\n' if first is not self.headers[0] else ""
            self.struct_texts[name] = f"size = {size}\nalign = {align}\n{since}"
        self.needed[name] = ("struct", None)

    def fields(self, name):
        """The fields of a plain struct; None where a union, a bit field or a struct inside makes it opaque."""
        body = self.find("structs", name)
        if not body or "{" in body or "(" in body or len({re.sub(r"\s", "", h.structs[name] or "") for h in self.headers
                                                              if name in h.structs}) > 1:
            return None
        out = []
        for part in [p.strip() for p in body.split(";") if p.strip()]:
            field = re.match(r"((?:const )?[\w ]+?[\s*]+)(\w+)(\[\d+\])?$", part)
            if not field or field.group(2) in RESERVED_NAMES or f"struct {name}" in part:
                return None
            text = self.newest.clean(field.group(1))
            base = re.sub(r"\bconst\b|\*", "", text).strip()
            if base == name or self.find("callbacks", base) or self.find("tags", name) == base:
                return None
            text = self.ctype(text)
            base = re.sub(r"\bconst\b|\*", "", text).strip()
            if base not in BUILTIN and base not in self.needed:
                return None
            out.append(f"{text} {field.group(2)}{field.group(3) or ''}")
        return out

    @staticmethod
    def safe(name):
        if name == "result":
            return "outcome"
        return name + "_" if name in RESERVED_NAMES else name

    def rule(self, name):
        base, _, _ = split_name(name)
        merged = {"notes": {}}
        for rule in self.rules["rule"]:
            if re.fullmatch(rule["match"], base) or re.fullmatch(rule["match"], name):
                merged.update({k: v for k, v in rule.items() if k not in ("match", "notes")})
                merged["notes"] = {**merged["notes"], **rule.get("notes", {})}
        return merged

    def param(self, function, ctype, name, rule, names):
        ctype, name = self.ctype(ctype), self.safe(name)
        base, depth = re.sub(r"\bconst\b|\*", "", ctype).strip(), ctype.count("*")
        kind = self.needed.get(base, ("", ""))[0]
        said = rule["notes"].get(name)
        if said is not None and re.match(r"(in|out|inout)\b", said):
            direction, _, said = said.partition(" ")
        else:
            direction = "in" if not depth or (ctype.startswith("const") and depth == 1) or base == "void" else "out"
        if direction == "out" and depth == 1 and self.is_read_first(base):
            direction = "inout"
        if said is None:
            said = self.shape(base, depth, kind, ctype, name, names)
        if said == "opaque" and depth:
            direction = "in"
            if rule.get("wire", "sync") in ("sync", "async"):
                rule["custom"] = True
        if kind == "callback":
            direction = "in"
            if rule.get("wire", "sync") in ("sync", "async"):
                rule["custom"] = True
        if direction != "in" and re.search(r"\bnew\b", rule.get("makes", "")) and kind == "handle" and "new" not in said:
            said = f"new {said}".strip()
        return f"{direction} {ctype} {name}" + (f" : {said}" if said else "")

    def is_read_first(self, base):
        """Whether a struct begins with the field by which its vendor tells versions of it apart."""
        field = self.rules["headers"].get("read_first")
        body = field and self.find("structs", next((h.end(base) for h in reversed(self.headers) if base in h.aliases), base))
        return bool(body) and re.sub(r"\s+", " ", body).strip().startswith(field + ";")

    @staticmethod
    def shape(base, depth, kind, ctype, name, names):
        if not depth:
            return ""
        if base == "char" and depth == 1:
            length = next((n for n in ("length", "len", "size", "bufferSize") if n in names), "")
            return "cstr" if ctype.startswith("const") else f"bytes({'*' * names[length]}{length})" if length else "opaque"
        if depth > 1 or base in ("void", "unsigned char") or kind == "callback":
            return "opaque"
        counts = [n for n in names if not names[n] and re.fullmatch(rf"(num|count|n)({re.escape(name)}|{re.escape(name.rstrip('s'))}s?)", n, re.I)]
        return f"count({counts[0]})" if counts and ctype.startswith("const") else ""

    def versions(self, name):
        """`since` and `until` of a function; what the headers show wins over what lists say."""
        inside = [h for h in self.headers if name in h.functions]
        base, _, stream = split_name(name)
        since = self.since_of_lists(name, base, stream)
        if inside[0] is not self.headers[0]:
            before = self.headers[self.headers.index(inside[0]) - 1]
            if not since or not number(before.version) < since <= number(inside[0].version):
                since = number(inside[0].version)
        elif since > number(inside[0].version):
            since = number(inside[0].version)
        last = self.headers.index(inside[-1])
        until = self.headers[last + 1].version if last + 1 < len(self.headers) else ""
        return f"{since // 1000}.{since % 1000 // 10}" if since else "", until

    def since_of_lists(self, name, base, stream):
        listed = sorted(set().union(*(h.introduced.get((base, stream), set()) for h in self.headers)))
        rows = sorted({n for h in self.headers for n in h.functions if split_name(n)[::2] == (base, stream)},
                      key=lambda n: split_name(n)[1])
        return listed[rows.index(name)] if len(listed) == len(rows) else 0

    def row(self, name):
        returns, params = self.find("functions", name)
        rule = self.rule(name)
        names = {self.safe(n): "*" in t for t, n in params}
        lines = [self.param(name, t, n, rule, names) for t, n in params]
        # A length behind a pointer is read before the call.
        for read in re.findall(r"bytes\(\*(\w+)\)", " ".join(lines)):
            lines = [re.sub(rf"^out (.*\b{read})$", r"inout \1", line) for line in lines]
        since, until = self.versions(name)
        out = [f"[fn.{name}]"]
        if rule.get("event"):
            out.append(f'event = "{rule["event"]}"')
        returns = self.ctype(returns)
        if returns != self.rules["headers"]["result"]:
            out.append(f'returns = "{returns}{" : cstr" if returns == "const char*" else ""}"')
        text = ", ".join(json.dumps(line) for line in lines)
        if len(text) > 105:
            text = "\n" + "".join(f"  {json.dumps(line)},\n" for line in lines)
        out.append(f"params = [{text}]")
        wire = rule.get("wire", "sync")
        out.append(f'wire = "{wire}"')
        if wire == "refuse":
            out.append(f"reason = {json.dumps(rule['reason'])}")
        if rule.get("custom") and wire in ("sync", "async"):
            out.append("custom = true")
        out.append(f'fake = "{rule.get("fake", "none")}"')
        if rule.get("errors"):
            pairs = ", ".join(f'{code} = "{name}"' for code, name in rule["errors"].items())
            out.append(f"errors = {{ {pairs} }}")
        if self.rules["headers"].get("door"):
            out.append(f'door = {{ {self.rules["headers"]["door"]} = "{split_name(name)[0]}" }}')
        out += [f'since = "{since}"'] if since else []
        out += [f'until = "{until}"'] if until else []
        out.append(f'source = {json.dumps(rule.get("source", self.rules["headers"]["source"]))}')
        return "\n".join(out) + "\n"

    def functions(self):
        names = dict.fromkeys(n for h in reversed(self.headers) for n in h.functions)
        return [n for n in names if re.match(self.rules["headers"]["functions"], n)]

    def type_since(self, name):
        for header in self.headers:
            kinds = (header.enums, header.handles, header.aliases, header.callbacks)
            if name in header.structs or any(name in k for k in kinds):
                return "" if header is self.headers[0] else header.version
        return ""

    def text(self):
        rows = "\n".join(self.row(name) for name in self.functions())
        out = [self.rules["table"]]
        for kind in ("scalar", "enum", "handle"):
            out.append(f"[type.{kind}]")
            out += [f'{n} = "{what}"' for n, (k, what) in self.needed.items() if k == kind]
            out.append("")
        # A struct stands after those it holds; C demands the same order.
        order = list(dict.fromkeys([*self.struct_texts]))
        out += [f"[type.struct.{n}]\n{self.struct_texts[n]}" for n in order]
        out.append("[type.callback]")
        out += [f'{n} = "{t}"' for n, t in self.callback_texts.items()]
        out.append("\n# Types that the oldest headers lack, or give another size.\n[type.since]")
        since = {n: self.type_since(n) for n in self.needed}
        out += [f'{n} = "{v}"' for n, v in since.items() if v]
        out.append("\n[constants]")
        out += [f"{n} = {v}" for n, v in self.rules["constants"].items()]
        return "\n".join(out) + "\n\n" + rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", required=True, type=pathlib.Path)
    parser.add_argument("--headers", required=True, action="append", help="VERSION=FOLDER, oldest first")
    parser.add_argument("--out", required=True, type=pathlib.Path)
    options = parser.parse_args()
    rules = tomllib.loads(options.rules.read_text())
    headers = [Header(*pair.split("=", 1), rules) for pair in options.headers]
    options.out.write_text(Draft(headers, rules).text())


if __name__ == "__main__":
    main()
