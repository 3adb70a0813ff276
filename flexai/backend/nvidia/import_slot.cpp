#include "flexai/backend/nvidia/import_slot.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace flexai::backend::nvidia {
namespace {

struct Tables {
  const ElfW(Sym) * symbols = nullptr;
  const char* names = nullptr;
  const ElfW(Rela) * relocations[2] = {};
  size_t counts[2] = {};
};

Tables ReadTables(const link_map& map) {
  Tables tables;
  // Some C libraries write real addresses into the table, some leave offsets.
  const auto at = [&](uintptr_t word) { return word < map.l_addr ? word + map.l_addr : word; };
  for (const ElfW(Dyn)* entry = map.l_ld; entry->d_tag != DT_NULL; ++entry) {
    switch (entry->d_tag) {
      case DT_SYMTAB:
        tables.symbols = reinterpret_cast<const ElfW(Sym)*>(at(entry->d_un.d_ptr));
        break;
      case DT_STRTAB:
        tables.names = reinterpret_cast<const char*>(at(entry->d_un.d_ptr));
        break;
      case DT_JMPREL:
        tables.relocations[0] = reinterpret_cast<const ElfW(Rela)*>(at(entry->d_un.d_ptr));
        break;
      case DT_PLTRELSZ:
        tables.counts[0] = entry->d_un.d_val / sizeof(ElfW(Rela));
        break;
      case DT_RELA:
        tables.relocations[1] = reinterpret_cast<const ElfW(Rela)*>(at(entry->d_un.d_ptr));
        break;
      case DT_RELASZ:
        tables.counts[1] = entry->d_un.d_val / sizeof(ElfW(Rela));
        break;
      default:
        break;
    }
  }
  return tables;
}

bool IsImportSlot(const ElfW(Rela) & relocation) {
#if defined(__x86_64__)
  const auto type = ELF64_R_TYPE(relocation.r_info);
  return type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT;
#elif defined(__aarch64__)
  const auto type = ELF64_R_TYPE(relocation.r_info);
  return type == R_AARCH64_JUMP_SLOT || type == R_AARCH64_GLOB_DAT;
#else
#error "no import slots for this machine"
#endif
}

// The page may have been made read-only once the library was loaded.
bool Write(void** slot, void* value) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = reinterpret_cast<uintptr_t>(slot) & ~(page - 1);
  if (mprotect(reinterpret_cast<void*>(begin), page, PROT_READ | PROT_WRITE) != 0) return false;
  __atomic_store_n(slot, value, __ATOMIC_RELEASE);
  return true;
}

}  // namespace

void* ReplaceImport(void* library, const char* name, void* ours) {
  link_map* map = nullptr;
  if (!library || dlinfo(library, RTLD_DI_LINKMAP, &map) != 0 || !map) return nullptr;
  const Tables tables = ReadTables(*map);
  if (!tables.symbols || !tables.names) return nullptr;
  void* before = nullptr;
  for (int table = 0; table < 2; ++table) {
    for (size_t i = 0; tables.relocations[table] && i < tables.counts[table]; ++i) {
      const ElfW(Rela)& relocation = tables.relocations[table][i];
      if (!IsImportSlot(relocation)) continue;
      const ElfW(Sym)& symbol = tables.symbols[ELF64_R_SYM(relocation.r_info)];
      if (strcmp(tables.names + symbol.st_name, name) != 0) continue;
      void** slot = reinterpret_cast<void**>(map->l_addr + relocation.r_offset);
      void* called = *slot;
      if (called != ours && Write(slot, ours)) before = called;
    }
  }
  return before;
}

}  // namespace flexai::backend::nvidia
