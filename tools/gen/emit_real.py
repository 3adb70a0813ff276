"""real.h: the driver's functions as a struct of typed pointers, and functions that fill tables by name or by slot."""
from text import head, namespace, signature


def generate(table):
    lib = table.library.name
    members = "".join(f"  {f.returns.type.text()} (*{f.name})({', '.join(p.type.text() for p in f.params)}) = nullptr;\n"
                      for f in table.functions)
    return (f"{head(table)}\n#pragma once\n\n#include \"{lib}/calls.h\"\n\nnamespace {namespace(table)} {{\n\n"
            f"/// Where calls go next: pointers of the driver (or loader) behind us, in the order of the indices.\n"
            f"struct Real {{\n{members}}};\n"
            f"static_assert(sizeof(Real) == kFunctionCount * sizeof(void*));\n\n"
            f"inline void* const* AsTable(const Real& real) {{\n  return reinterpret_cast<void* const*>(&real);\n}}\n"
            f"inline void** AsTable(Real& real) {{\n  return reinterpret_cast<void**>(&real);\n}}\n\n"
            f"}}  // namespace {namespace(table)}\n")


def generate_doors(table):
    """doors.h: entries of every function for one door, as a table by index; slots of the vendor's dispatch table."""
    lib = table.library.name
    entries = "".join(f"      reinterpret_cast<void*>(&intercept::Entry<{f.call}, kChassis, kDoor>::Invoke),\n"
                      for f in table.functions)
    out = (f"{head(table)}\n#pragma once\n\n#include \"flexai/intercept/entry.h\"\n#include \"{lib}/calls.h\"\n\n"
           f"namespace {namespace(table)} {{\n\n"
           f"/// Our entry of each function, by index, for one door of one chassis.\n"
           f"template <auto& kChassis, int kDoor>\nvoid* const* Entries() {{\n"
           f"  static void* const kEntries[kFunctionCount] = {{\n{entries}  }};\n  return kEntries;\n}}\n\n")
    if table.library.slots:
        out += (f"/// Words in the vendor's dispatch table.\n"
                f"inline constexpr int kSlots = {table.library.slots};\n\n"
                f"/// Reads a dispatch table of `slots` words into a table by index; null where it has no such slot.\n"
                f"inline void FromSlots(void* const* slots, int count, void** by_index) {{\n"
                f"  for (const intercept::FnInfo& info : kFunctions) {{\n"
                f"    by_index[info.index] = info.slot >= 0 && info.slot < count ? slots[info.slot] : nullptr;\n  }}\n}}\n\n"
                f"/// Puts our entries into a dispatch table, wherever it has a function to stand in for.\n"
                f"inline void IntoSlots(void* const* by_index, void** slots, int count) {{\n"
                f"  for (const intercept::FnInfo& info : kFunctions) {{\n"
                f"    if (info.slot < 0 || info.slot >= count || !slots[info.slot]) continue;\n"
                f"    slots[info.slot] = by_index[info.index];\n  }}\n}}\n\n")
    return out + f"}}  // namespace {namespace(table)}\n"
