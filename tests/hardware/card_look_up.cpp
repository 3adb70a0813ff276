// Compares the driver's own look-up by name, version and kind of stream with the table, and with
// what our library in front of it answers. card_look_up REAL_DRIVER [OURS]; exit code 1 where they
// differ.
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "cuda/real.h"
#include "cuda/resolver.h"
#include "flexai/backend/cuda/look_up_row.h"
#include "flexai/base/load_directly.h"

namespace cu = flexai::api::cuda;
namespace backend = flexai::backend::cuda;

namespace {

struct Counts {
  int asked = 0, found = 0, by_address = 0, table_differs = 0, status_differs = 0, ours = 0,
      not_ours = 0;
};

cu::Real Load(const char* path, bool directly) {
  cu::Real real;
  void* library =
      directly ? flexai::LoadDirectly(path, RTLD_NOW | RTLD_LOCAL) : dlopen(path, RTLD_NOW);
  if (!library) fprintf(stderr, "cannot open %s: %s\n", path, dlerror());
  for (const auto& row : cu::kFunctions) {
    if (library) cu::AsTable(real)[row.index] = dlsym(library, row.name);
  }
  return real;
}

std::string FileOf(void* function) {
  Dl_info info;
  return function && dladdr(function, &info) && info.dli_fname ? info.dli_fname : "";
}

// What would pass a limit.
bool Matters(flexai::intercept::Event event) {
  using flexai::intercept::Event;
  return event == Event::kMemoryAlloc || event == Event::kMemoryInfo ||
         event == Event::kContextCreate || event == Event::kLaunch || event == Event::kLaunchGraph;
}

void Ask(const cu::Real& real, const cu::Real* ours, const std::string& name, int version,
         uint64_t flags, Counts* counts) {
  void* found = nullptr;
  cu::CUdriverProcAddressQueryResult status = 0;
  const cu::CUresult code = real.cuGetProcAddress_v2(name.c_str(), &found, version, flags, &status);
  ++counts->asked;
  if (code == cu::CUDA_SUCCESS && found) {
    ++counts->found;
    const std::vector<void*> nowhere(cu::kFunctionCount);
    const int by_table =
        backend::RowOfLookUp(name.c_str(), version, flags, &nowhere, nowhere.data());
    const int row = backend::RowOfLookUp(name.c_str(), version, flags, found, cu::AsTable(real));
    const bool known = row >= 0 && cu::AsTable(real)[row] == found;
    counts->by_address += known;
    if (known && by_table != row && (by_table < 0 || cu::AsTable(real)[by_table] != found)) {
      ++counts->table_differs;
      printf("table: %s %d %d is %s, the table says %s\n", name.c_str(), version,
             static_cast<int>(flags), cu::kFunctions[row].name,
             by_table < 0 ? "none" : cu::kFunctions[by_table].name);
    }
  }
  if (!ours) return;
  void* answer = nullptr;
  cu::CUdriverProcAddressQueryResult our_status = 0;
  const cu::CUresult our_code =
      ours->cuGetProcAddress_v2(name.c_str(), &answer, version, flags, &our_status);
  if (our_code != code || our_status != status || !answer != !found) ++counts->status_differs;
  static const std::string own = FileOf(reinterpret_cast<void*>(ours->cuGetProcAddress_v2));
  // What nobody listens to may be the driver's own; a trace listens to all.
  static const bool all = getenv("FLEXAI_TRACE") != nullptr;
  const int row =
      answer ? backend::RowOfLookUp(name.c_str(), version, flags, found, cu::AsTable(real)) : -1;
  const bool matters = all || (row >= 0 && Matters(cu::kFunctions[row].event));
  if (answer && FileOf(answer) == own) {
    ++counts->ours;
  } else if (answer && matters) {
    ++counts->not_ours;
    printf("not ours: %s %d %d\n", name.c_str(), version, static_cast<int>(flags));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const cu::Real real = Load(argv[1], /*directly=*/true);
  const cu::Real ours = argc > 2 ? Load(argv[2], /*directly=*/false) : cu::Real();
  if (!real.cuGetProcAddress_v2 || (argc > 2 && !ours.cuGetProcAddress_v2)) return 2;
  std::set<std::string> names;
  std::set<int> versions = {2000, 4000, 11000, 11040, 12000, 12040, 13000};
  for (const auto& function : cu::kFunctions) {
    std::string name = function.name;
    for (const char* end : {"_ptsz", "_ptds"}) {
      if (name.size() > 5 && name.compare(name.size() - 5, 5, end) == 0)
        name.resize(name.size() - 5);
    }
    const size_t at = name.rfind("_v");
    if (at != name.npos && at + 3 == name.size()) name.resize(at);
    names.insert(name);
  }
  Counts counts;
  for (const std::string& name : names) {
    for (const int version : versions) {
      for (const uint64_t flags : {0, 1, 2}) {
        Ask(real, argc > 2 ? &ours : nullptr, name, version, flags, &counts);
      }
    }
  }
  printf(
      "look-ups %d, found %d, of these known by address %d; the table differs %d; ours: status "
      "differs %d, "
      "lead to us %d, past us although they matter %d\n",
      counts.asked, counts.found, counts.by_address, counts.table_differs, counts.status_differs,
      counts.ours, counts.not_ours);
  return counts.status_differs + counts.not_ours > 0;
}
