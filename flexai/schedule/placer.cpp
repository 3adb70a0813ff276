#include "flexai/schedule/placer.h"

#include <algorithm>
#include <array>

#include "flexai/schedule/policies/policies.h"

namespace flexai::schedule {
namespace {

struct Policy {
  std::string_view name;
  std::unique_ptr<Placer> (*make)(const PolicyInput&);
};

constexpr std::array<Policy, 7> kPolicies = {{
    {"flexai", MakeFlexai},
    {"fgd", MakeFgd},
    {"bestfit", MakeBestFit},
    {"packing", MakePacking},
    {"clustering", MakeClustering},
    {"dotprod", MakeDotProduct},
    {"random", MakeRandom},
}};

}  // namespace

std::span<const std::string_view> PolicyNames() {
  static const auto names = [] {
    std::array<std::string_view, kPolicies.size()> list;
    for (size_t i = 0; i < list.size(); ++i) list[i] = kPolicies[i].name;
    return list;
  }();
  return names;
}

Status CheckPolicy(std::string_view policy) {
  std::string known;
  for (const Policy& candidate : kPolicies) {
    if (candidate.name == policy) return Status();
    known += (known.empty() ? "" : ", ") + std::string(candidate.name);
  }
  return Status(Code::kInvalidArgument, "there is no policy '" + std::string(policy) + "'",
                "write one of " + known);
}

Result<std::unique_ptr<Placer>> MakePlacer(std::string_view policy, const PolicyInput& input) {
  FLEXAI_RETURN_IF_ERROR(CheckPolicy(policy));
  const auto named = std::find_if(kPolicies.begin(), kPolicies.end(), [&](const Policy& candidate) {
    return candidate.name == policy;
  });
  return named->make(input);
}

}  // namespace flexai::schedule
