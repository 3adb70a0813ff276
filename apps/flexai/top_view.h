// What `flexai top` shows, as text: pure, so that tests can look at it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace flexai::cli {

enum class SortBy { kSlice, kReceived, kMemory, kShare };

struct TopState {
  SortBy sort = SortBy::kSlice;
  size_t selected = 0;
  bool help = false;
  bool colour = false;
  size_t width = 80;
  size_t height = 0;    // 0: as many lines as there are
  std::string message;  // what the last key did
};

const char* SortName(SortBy sort);
SortBy NextSort(SortBy sort);

/// The slices of `status` in the order shown.
nlohmann::json SortedSlices(const nlohmann::json& status, SortBy sort);

/// The screen. Shape: lines of at most `state.width` characters, `state.height` of them at most.
std::string TopScreen(const nlohmann::json& status, const TopState& state);

}  // namespace flexai::cli
