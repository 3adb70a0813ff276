// Streams with work for which the watch of queues had no place: by name, so that each can be asked
// about.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace flexai::backend::cuda {

/// Thread: one at a time.
class OtherStreams {
 public:
  static constexpr size_t kMost = 256;
  static constexpr uint64_t kNoName = 0;
  struct Stream {
    uint64_t name;   // kNoName: it was destroyed before its work was done
    uint64_t group;  // whoever it belongs to
    uint64_t event;  // behind that work
  };

  void Add(uint64_t name, uint64_t group) {
    if (Find(name)) return;
    if (count_ == kMost) {
      lost_ = true;
    } else {
      streams_[count_++] = {name, group, 0};
    }
  }

  /// Null: it is none of them.
  Stream* Find(uint64_t name) {
    const auto end = streams_.begin() + count_;
    const auto found =
        std::find_if(streams_.begin(), end, [&](const Stream& s) { return s.name == name; });
    return found == end ? nullptr : &*found;
  }

  void Remove(Stream* stream) { *stream = streams_[--count_]; }
  /// Nothing will tell when the work of one ends.
  void Lose() { lost_ = true; }

  void RemoveGroup(uint64_t group) {
    const auto end = std::remove_if(streams_.begin(), streams_.begin() + count_,
                                    [&](const Stream& s) { return s.group == group; });
    count_ = static_cast<size_t>(end - streams_.begin());
  }

  /// All that there are, gone from here once `then` has seen them.
  template <class F>
  void Clear(F then) {
    std::for_each(streams_.begin(), streams_.begin() + count_, then);
    count_ = 0;
    lost_ = false;
  }

  /// Whether all are: asks about one after the other, up to the first that is not, and no more
  /// about those that were.
  template <class F>
  bool AllDone(F is_done) {
    while (count_ > 0 && is_done(streams_[count_ - 1])) --count_;
    return count_ == 0 && !lost_;
  }

 private:
  std::array<Stream, kMost> streams_;
  size_t count_ = 0;
  bool lost_ = false;  // there were more than could be noted
};

}  // namespace flexai::backend::cuda
