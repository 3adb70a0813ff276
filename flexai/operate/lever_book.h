// What probes found of cards' levers, remembered in a file so that not every start of a daemon
// probes: docs/formats/levers.md describes it. A file that cannot be believed is as good as none.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "flexai/device/prober.h"
#include "flexai/model/card.h"

namespace flexai::operate {

/// What is known of one card's levers.
struct LeverRecord {
  device::ProbeResult result;
  int64_t at = 0;  // Units: s since 1970; 0 = never
};

/// The levers of `result` that were found not to hold.
uint32_t Dropped(const device::ProbeResult& result);

nlohmann::json ToJson(const device::ProbeResult& result);
/// Errors: kDataLoss (no such result).
Result<device::ProbeResult> ProbeFromJson(const nlohmann::json& j);

class LeverBook {
 public:
  /// In `folder`, made when something is first kept; empty = nothing is remembered. `version` is
  /// ours: another one may probe otherwise.
  LeverBook(std::string folder, std::string version);

  /// What was found of this card since the machine's start, with this driver.
  std::optional<LeverRecord> Find(const model::Card& card) const;
  /// Remembers it in place of what was known of the card. Errors: whatever the file system says.
  Status Keep(const model::Card& card, const LeverRecord& record) const;

 private:
  nlohmann::json Key(const model::Card& card) const;
  nlohmann::json Read() const;

  std::string folder_;
  std::string version_;
};

}  // namespace flexai::operate
