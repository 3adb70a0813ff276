"""exports.cpp and exports.map: the vendor's symbols, each entering the chassis. resolver.cpp: names to rows."""
from model import Shape
from text import head, namespace


def _arguments(function):
    return ", ".join(f"{p.type.text()} {p.name}" for p in function.params)


def _names(function):
    return ", ".join(p.name for p in function.params)


def _export(table, function):
    back = f"backend::{table.library.name}"
    call = (f"intercept::Entry<{function.call}, {back}::g_chassis, {back}::kExportedDoor>::Invoke("
            f"{_names(function)})")
    if function.name in table.library.doors:
        asked = next(p.name for p in function.params if p.shape == Shape.CSTRING)
        call = f"{back}::LookUp({back}::kExportedDoor, \"{function.name}\", {asked},\n                 {call})"
    return (f"FLEXAI_EXPORT {function.returns.type.text()} {function.name}({_arguments(function)}) {{\n"
            f"  {back}::OpenExported();\n  return {call};\n}}\n")


def exported(table):
    """Functions that the library exports; extensions are reached by look-ups only."""
    return [f for f in table.functions if not f.extension]


def generate(table):
    lib = table.library.name
    body = "\n".join(_export(table, f) for f in exported(table))
    return (f"{head(table)}// {table.library.soname}, one symbol per row. Needs from flexai/backend/{lib}/exported.h: g_chassis,\n"
            f"// kExportedDoor, OpenExported() and, where there are doors, LookUp(door, asked of, name, found).\n"
            f"#include \"flexai/backend/{lib}/exported.h\"\n#include \"flexai/intercept/entry.h\"\n"
            f"#include \"{lib}/calls.h\"\n\n"
            f"#define FLEXAI_EXPORT extern \"C\" __attribute__((visibility(\"default\")))\n\n"
            f"namespace {namespace(table)} {{\n\n{body}\n}}  // namespace {namespace(table)}\n")


def _version_key(version):
    return [int(part) for part in version.split(".")] if version else []


def generate_map(table):
    """The version script, with the vendor's own symbol versions."""
    prefix, rows = table.library.namespace_version, exported(table)
    if not prefix:
        names = "".join(f"    {f.name};\n" for f in rows)
        return f"{head(table, '#')}{{\n  global:\n{names}  local:\n    *;\n}};\n"
    out, before = [head(table, "#")], ""
    for version in sorted({f.since for f in rows}, key=_version_key):
        names = "".join(f"    {f.name};\n" for f in rows if f.since == version)
        local = "" if before else "  local:\n    *;\n"
        out.append(f"{prefix}{version} {{\n  global:\n{names}{local}}}{before};\n")
        before = f" {prefix}{version}"
    return "\n".join(out)


def generate_resolver_header(table):
    return (f"{head(table)}\n#pragma once\n\n#include <cstdint>\n\nnamespace {namespace(table)} {{\n\n"
            f"/// The index of the function that `door` hands out for `name`; an empty `door` knows the symbols' own names.\n"
            f"/// -1 if there is no such row.\n/// Thread: any; no lock, no allocation.\n"
            f"int FindByName(const char* door, const char* name);\n\n"
            f"/// The index of the function with this id; -1 if there is none.\n"
            f"int FindById(uint32_t id);\n\n}}  // namespace {namespace(table)}\n")


def generate_resolver(table):
    lib = table.library.name
    names = sorted((f.name, f.index) for f in table.functions)
    ids = sorted((f.id, f.index) for f in table.functions)
    aliases = [(door, alias, f.index) for f in table.functions for door, alias in f.door.items()]
    name_rows = "".join(f"    {{\"{n}\", {i}}},\n" for n, i in names)
    id_rows = "".join(f"    {{{n:#010x}, {i}}},\n" for n, i in ids)
    alias_rows = "".join(f"    {{\"{d}\", \"{a}\", {i}}},\n" for d, a, i in aliases)
    find_alias = ("  for (const Alias& alias : kAliases) {\n"
                  "    if (strcmp(alias.door, door) == 0 && strcmp(alias.name, name) == 0) return alias.index;\n  }\n"
                  if aliases else "")
    alias_table = (f"struct Alias {{\n  const char* door;\n  const char* name;\n  int index;\n}};\n"
                   f"constexpr Alias kAliases[] = {{\n{alias_rows}}};\n\n" if aliases else "")
    unused = "" if aliases else "[[maybe_unused]] "
    return (f"{head(table)}\n#include \"{lib}/resolver.h\"\n\n#include <string.h>\n\n#include <algorithm>\n#include <iterator>\n\n"
            f"namespace {namespace(table)} {{\nnamespace {{\n\n"
            f"struct Name {{\n  const char* name;\n  int index;\n}};\nconstexpr Name kNames[] = {{\n{name_rows}}};\n\n"
            f"struct Id {{\n  uint32_t id;\n  int index;\n}};\nconstexpr Id kIds[] = {{\n{id_rows}}};\n\n{alias_table}"
            f"}}  // namespace\n\n"
            f"int FindByName({unused}const char* door, const char* name) {{\n{find_alias}"
            f"  const Name* at = std::lower_bound(std::begin(kNames), std::end(kNames), name,\n"
            f"      [](const Name& row, const char* asked) {{ return strcmp(row.name, asked) < 0; }});\n"
            f"  return at != std::end(kNames) && strcmp(at->name, name) == 0 ? at->index : -1;\n}}\n\n"
            f"int FindById(uint32_t id) {{\n"
            f"  const Id* at = std::lower_bound(std::begin(kIds), std::end(kIds), id,\n"
            f"      [](const Id& row, uint32_t asked) {{ return row.id < asked; }});\n"
            f"  return at != std::end(kIds) && at->id == id ? at->index : -1;\n}}\n\n}}  // namespace {namespace(table)}\n")
