"""exports.cpp and exports.map: the vendor's symbols, each entering the chassis. resolver.cpp: names to rows."""
from model import Shape
from text import head, namespace


def _arguments(function):
    return ", ".join(f"{p.type.text()} {p.name}" for p in function.params)


def _names(function):
    return ", ".join(p.name for p in function.params)


def _export(table, function):
    """The check whether what is behind is open leaves the way free: what opens is elsewhere, and both calls are jumps."""
    back = f"backend::{table.library.name}"
    entry = f"intercept::Entry<{function.call}, {back}::g_chassis, {back}::kExportedDoor>"
    call = f"{entry}::Invoke({_names(function)})"
    opens = (f"if (!{back}::g_exported_open.load(std::memory_order_acquire)) [[unlikely]]\n"
             f"    return intercept::Opening<{entry}, &{back}::OpenExportedNow>::Invoke({_names(function)});")
    if function.name in table.library.doors:
        asked = next(p.name for p in function.params if p.shape == Shape.CSTRING)
        call = f"{back}::LookUp({back}::kExportedDoor, \"{function.name}\", {asked},\n                 {call})"
        opens = f"{back}::OpenExported();"
    return (f"FLEXAI_EXPORT {function.returns.type.text()} {function.name}({_arguments(function)}) {{\n"
            f"  {opens}\n  return {call};\n}}\n")


def _pass(table, name):
    """A symbol without a row. Words are handed on as they come; no such function takes more than six, or numbers with a point."""
    back = f"backend::{table.library.name}"
    return (f"FLEXAI_EXPORT uintptr_t {name}(uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d, uintptr_t e, uintptr_t f) {{\n"
            f"  using Function = uintptr_t(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t);\n"
            f"  auto* next = reinterpret_cast<Function*>({back}::Passed(\"{name}\"));\n"
            f"  return next ? next(a, b, c, d, e, f) : static_cast<uintptr_t>({table.library.errors['unimplemented']});\n}}\n")


def exported(table):
    """Functions that the library exports; extensions are reached by look-ups only."""
    return [f for f in table.functions if not f.extension]


def generate(table):
    lib = table.library.name
    body = "\n".join([*(_export(table, f) for f in exported(table)), *(_pass(table, n) for n in table.library.passes)])
    return (f"{head(table)}// {table.library.soname}, one symbol per row. Needs from {table.library.exported_header}: g_chassis,\n"
            f"// kExportedDoor, g_exported_open, OpenExportedNow(), where there are doors LookUp(door, asked of, name, found), and where symbols\n"
            f"// have no row Passed(name).\n"
            f"#include \"{table.library.exported_header}\"\n#include \"flexai/intercept/entry.h\"\n"
            f"#include \"{lib}/calls.h\"\n\n"
            f"#define FLEXAI_EXPORT extern \"C\" __attribute__((visibility(\"default\")))\n\n"
            f"namespace {namespace(table)} {{\n\n{body}\n}}  // namespace {namespace(table)}\n")


def _version_key(version):
    return [int(part) for part in version.split(".")] if version else []


def generate_map(table):
    """The version script, with the vendor's own symbol versions."""
    prefix, rows = table.library.namespace_version, exported(table)
    if not prefix:
        names = "".join(f"    {name};\n" for name in [*(f.name for f in rows), *table.library.passes])
        return f"{head(table, '#')}{{\n  global:\n{names}  local:\n    *;\n}};\n"
    out, before = [head(table, "#")], ""
    for version in sorted({f.since for f in rows}, key=_version_key):
        names = "".join(f"    {f.name};\n" for f in rows if f.since == version)
        local = "" if before else "  local:\n    *;\n"
        out.append(f"{prefix}{version} {{\n  global:\n{names}{local}}}{before};\n")
        before = f" {prefix}{version}"
    return "\n".join(out)


def generate_resolver_header(table):
    return (f"{head(table)}\n#pragma once\n\n#include <cstdint>\n\n#include \"flexai/intercept/lookup.h\"\n\nnamespace {namespace(table)} {{\n\n"
            f"/// The index of the function that `door` hands out for `name`; an empty `door` knows the symbols' own names.\n"
            f"/// -1 if there is no such row.\n/// Thread: any; no lock, no allocation.\n"
            f"int FindByName(const char* door, const char* name);\n\n"
            f"/// The index of the function with this id; -1 if there is none.\n"
            f"int FindById(uint32_t id);\n\n"
            f"/// All rows that `door` may hand out for `name`, the oldest first.\n"
            f"intercept::DoorRows RowsAtDoor(const char* door, const char* name);\n\n}}  // namespace {namespace(table)}\n")


def _number(version):
    major, _, minor = version.partition(".")
    return int(major) * 1000 + int(minor or 0) * 10 if version else 0


def generate_resolver(table):
    lib = table.library.name
    names = sorted((f.name, f.index) for f in table.functions)
    ids = sorted((f.id, f.index) for f in table.functions)
    aliases = sorted((door, alias, _number(f.since), f.index) for f in table.functions for door, alias in f.door.items())
    name_rows = "".join(f"    {{\"{n}\", {i}}},\n" for n, i in names)
    id_rows = "".join(f"    {{{n:#010x}, {i}}},\n" for n, i in ids)
    alias_rows = "".join(f"    {{\"{d}\", \"{a}\", {i}, {since}}},\n" for d, a, since, i in aliases)
    by_door = ("  if (const intercept::DoorRows rows = RowsAtDoor(door, name); rows.count > 0) return rows.first->index;\n"
               if aliases else "")
    alias_table = f"constexpr intercept::DoorRow kDoorRows[] = {{\n{alias_rows}}};\n\n" if aliases else ""
    rows_at_door = ("  return intercept::FindDoorRows(kDoorRows, static_cast<int>(std::size(kDoorRows)), door, name);\n"
                    if aliases else "  return {};\n")
    unused = "" if aliases else "[[maybe_unused]] "
    return (f"{head(table)}\n#include \"{lib}/resolver.h\"\n\n#include <string.h>\n\n#include <algorithm>\n#include <iterator>\n\n"
            f"namespace {namespace(table)} {{\nnamespace {{\n\n"
            f"struct Name {{\n  const char* name;\n  int index;\n}};\nconstexpr Name kNames[] = {{\n{name_rows}}};\n\n"
            f"struct Id {{\n  uint32_t id;\n  int index;\n}};\nconstexpr Id kIds[] = {{\n{id_rows}}};\n\n{alias_table}"
            f"}}  // namespace\n\n"
            f"int FindByName({unused}const char* door, const char* name) {{\n{by_door}"
            f"  const Name* at = std::lower_bound(std::begin(kNames), std::end(kNames), name,\n"
            f"      [](const Name& row, const char* asked) {{ return strcmp(row.name, asked) < 0; }});\n"
            f"  return at != std::end(kNames) && strcmp(at->name, name) == 0 ? at->index : -1;\n}}\n\n"
            f"int FindById(uint32_t id) {{\n"
            f"  const Id* at = std::lower_bound(std::begin(kIds), std::end(kIds), id,\n"
            f"      [](const Id& row, uint32_t asked) {{ return row.id < asked; }});\n"
            f"  return at != std::end(kIds) && at->id == id ? at->index : -1;\n}}\n\n"
            f"intercept::DoorRows RowsAtDoor({unused}const char* door, {unused}const char* name) {{\n{rows_at_door}}}\n\n"
            f"}}  // namespace {namespace(table)}\n")
