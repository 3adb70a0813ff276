#include "flexai/backend/cuda/fake_shared.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "flexai/backend/nvidia/fake_cards.h"

namespace flexai::backend::cuda::fake_driver {
namespace {

// One that has ended and that nobody has waited for yet holds nothing any more.
bool Lives(uint32_t pid) {
  if (pid == static_cast<uint32_t>(getpid())) return true;
  if (pid == 0 || kill(static_cast<pid_t>(pid), 0) != 0) return false;
  char path[32], text[128] = {};
  snprintf(path, sizeof(path), "/proc/%u/stat", pid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const ssize_t got = read(fd, text, sizeof(text) - 1);
  close(fd);
  const char* name_end = got > 0 ? strrchr(text, ')') : nullptr;
  return name_end && strncmp(name_end, ") Z", 3) != 0;
}

}  // namespace

SharedCard& SharedCard::Instance(int card) {
  static auto* const cards = [] {
    auto* made = new std::vector<SharedCard>;
    for (int i = 0; i < CardCount(); ++i) made->push_back(SharedCard(i));
    return made;
  }();
  return (*cards)[static_cast<size_t>(card)];
}

SharedCard::Books& SharedCard::TheBooks() {
  static Books* const books = [] {
    auto* made = new Books;
    made->count = CardCount() * kPlaces;
    const size_t size = static_cast<size_t>(made->count) * sizeof(Place);
    const char* path = getenv("FLEXAI_FAKE_SHARED");
    const int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    const bool is_shared = fd >= 0 && ftruncate(fd, static_cast<off_t>(size)) == 0;
    void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                    MAP_SHARED | (is_shared ? 0 : MAP_ANONYMOUS), is_shared ? fd : -1, 0);
    if (fd >= 0) close(fd);
    if (at != MAP_FAILED) made->places = static_cast<Place*>(at);
    return made;
  }();
  return *books;
}

SharedCard::SharedCard(int card) {
  const char* bytes = getenv("FLEXAI_FAKE_MEMORY");
  total_ = bytes ? strtoull(bytes, nullptr, 10) : uint64_t{1} << 30;
  Place* const all = TheBooks().places;
  if (all) places_ = all + ptrdiff_t{card} * kPlaces;
}

SharedCard::Place* SharedCard::MyPlace() {
  Books& books = TheBooks();
  const auto self = static_cast<uint32_t>(getpid());
  // What a program held before it became this one went with it, on every card.
  const bool fresh = books.begun.exchange(self) != self;
  for (int i = 0; fresh && books.places && i < books.count; ++i) {
    if (books.places[i].pid.load() == self) books.places[i].pid.store(0);
  }
  for (int i = 0; places_ && i < kPlaces; ++i) {
    if (places_[i].pid.load() == self) return &places_[i];
  }
  for (int i = 0; places_ && i < kPlaces; ++i) {
    uint32_t holder = places_[i].pid.load();
    if (Lives(holder)) continue;
    if (!places_[i].pid.compare_exchange_strong(holder, self)) continue;
    places_[i].stands.store(0);
    places_[i].bytes.store(0);
    places_[i].managed.store(0);
    return &places_[i];
  }
  return nullptr;
}

bool SharedCard::Take(uint64_t bytes, bool managed) {
  Place* mine = MyPlace();
  if (!mine || bytes > total_) return false;
  mine->bytes.fetch_add(bytes);
  if (managed) mine->managed.fetch_add(bytes);
  if (used() <= total_) return true;
  Give(bytes, managed);
  return false;
}

void SharedCard::Give(uint64_t bytes, bool managed) {
  Place* mine = bytes ? MyPlace() : nullptr;
  if (!mine) return;
  mine->bytes.fetch_sub(bytes);
  if (managed) mine->managed.fetch_sub(bytes);
}

void SharedCard::Stands(bool stands) {
  if (Place* mine = MyPlace()) mine->stands.store(stands);
}

std::vector<SharedCard::Use> SharedCard::Uses() const {
  std::vector<Use> uses;
  for (int i = 0; places_ && i < kPlaces; ++i) {
    const uint32_t pid = places_[i].pid.load();
    const uint64_t bytes = places_[i].bytes.load(), managed = places_[i].managed.load();
    if (bytes <= managed || !Lives(pid)) continue;
    uses.push_back({pid, bytes - managed});
  }
  return uses;
}

uint64_t SharedCard::used() const {
  uint64_t bytes = 0;
  for (int i = 0; places_ && i < kPlaces; ++i) {
    const uint64_t more = places_[i].bytes.load();
    if (more > 0 && Lives(places_[i].pid.load())) bytes += more;
  }
  return bytes;
}

}  // namespace flexai::backend::cuda::fake_driver
