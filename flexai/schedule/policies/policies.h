// One function per file of this folder: makes the policy of that name.
#pragma once

#include <memory>

#include "flexai/schedule/placer.h"

namespace flexai::schedule {

std::unique_ptr<Placer> MakeFlexai(const PolicyInput& input);
std::unique_ptr<Placer> MakeFgd(const PolicyInput& input);
std::unique_ptr<Placer> MakeBestFit(const PolicyInput& input);
std::unique_ptr<Placer> MakeDotProduct(const PolicyInput& input);
std::unique_ptr<Placer> MakePacking(const PolicyInput& input);
std::unique_ptr<Placer> MakeClustering(const PolicyInput& input);
std::unique_ptr<Placer> MakeRandom(const PolicyInput& input);

}  // namespace flexai::schedule
