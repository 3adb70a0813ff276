#include "flexai/remote/wire/buffer.h"

#include <stdlib.h>

namespace flexai::remote::wire {

Writer::~Writer() { free(data_); }

void Writer::Clear() {
  size_ = 0;
  ok_ = true;
}

void Writer::Bytes(const void* from, uint64_t bytes) {
  if (!ok_ || bytes == 0) return;
  if (bytes > kMostMessageBytes - size_) {
    ok_ = false;
    return;
  }
  if (size_ + bytes > room_) {
    uint64_t room = room_ ? room_ * 2 : 256;
    if (room < size_ + bytes) room = size_ + bytes;
    void* grown = realloc(data_, room);
    if (!grown) {
      ok_ = false;
      return;
    }
    data_ = static_cast<uint8_t*>(grown);
    room_ = room;
  }
  memcpy(data_ + size_, from, bytes);
  size_ += bytes;
}

Memory::~Memory() {
  while (pieces_) {
    Piece* next = pieces_->next;
    free(pieces_);
    pieces_ = next;
  }
}

void* Memory::Take(uint64_t bytes) {
  const uint64_t cost = sizeof(Piece) + kSlackBytes;
  if (left_ < cost || bytes > left_ - cost) return nullptr;
  auto* piece = static_cast<Piece*>(calloc(1, cost + bytes));
  if (!piece) return nullptr;
  left_ -= cost + bytes;
  piece->next = pieces_;
  piece->bytes = bytes;
  pieces_ = piece;
  return piece + 1;
}

}  // namespace flexai::remote::wire
