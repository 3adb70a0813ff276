// How long jobs run, learnt from those that ended: a quantile per user, image or queue.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace flexai::schedule {

class RunTimes {
 public:
  /// Jobs that have to have ended under a key before it is believed.
  static constexpr uint32_t kEnough = 5;

  /// One job ended that counts for each of these keys, as "user a", "image b", "queue c".
  void Learn(std::span<const std::string> keys, int64_t run_s);

  /// The time within which `permille` of the jobs of the first key that has enough of them ended,
  /// rounded up by at most a quarter; 0 when nobody knows.
  int64_t Estimate(std::span<const std::string> keys, int permille) const;

 private:
  // Four buckets for each doubling of the time.
  static constexpr size_t kBuckets = 4 * 40;
  struct Seen {
    uint32_t jobs = 0;
    std::array<uint32_t, kBuckets> buckets{};
  };
  std::map<std::string, Seen, std::less<>> seen_;
};

}  // namespace flexai::schedule
