// The checks of `flexai doctor`: each looks at one thing that can be wrong and names the cure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "apps/flexai/way_in.h"
#include "flexai/base/status.h"

namespace flexai::cli {

enum class Verdict { kPass, kWarn, kFail };
std::string_view VerdictName(Verdict verdict);

struct Finding {
  std::string check;
  Verdict verdict;
  std::string found;  // what is so
  std::string cure;   // what to do; empty when nothing is wrong
};

// Of the machine.
Finding CheckCLibrary();
Finding CheckOpenFiles();
Finding CheckLockedMemory();
Finding CheckNamespaces();
Finding CheckCgroup();
Finding CheckPreload();

// Of a way in.
Finding CheckLoader(const WayIn& way);
Finding CheckDrivers(const WayIn& way, const std::string& folder);
Finding CheckLayerFile(const WayIn& way);
Finding CheckLayerList(const WayIn& way, std::string_view list);
Finding CheckPreloaded(const Preload& preload);

// Of the daemon; `status` is what it answered.
Finding CheckDaemon(const Result<nlohmann::json>& status);
Finding CheckVersion(const nlohmann::json& status);
Finding CheckCards(const nlohmann::json& status);
/// One for each thing that this machine has and flexai does not share.
std::vector<Finding> CheckUnshared(const nlohmann::json& status);
Finding CheckLeftovers(const nlohmann::json& status);

// Of how shares are held on one card, as the daemon describes it (doctor_cards.cpp).
Finding CheckLever(const nlohmann::json& card);
Finding CheckProbe(const nlohmann::json& card);
Finding CheckCardTime(const nlohmann::json& card);
Finding CheckDriver(const nlohmann::json& card);

}  // namespace flexai::cli
