// The bytes of the page and of frames are what docs/formats/region.md says: each row of its tables
// is compared with the struct, in both directions.
#include <gtest/gtest.h>
#include <stddef.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "flexai/slice/attach.h"
#include "flexai/slice/region.h"

namespace flexai::slice {
namespace {

// A build for another machine or compiler must not move anything.
static_assert(sizeof(RegionHeader) == 512);
static_assert(sizeof(FrameHeader) == 12);
static_assert(sizeof(AttachRequest) == 80);
static_assert(sizeof(AttachReply) == 496);
static_assert(offsetof(Region, slots) == sizeof(RegionHeader));

struct Place {
  size_t offset;
  size_t bytes;
  bool operator==(const Place&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Place& place) {
  return out << place.bytes << " bytes at " << place.offset;
}
using Fields = std::map<std::string, Place>;

#define FIELD(type, name)                               \
  {                                                     \
#name, { offsetof(type, name), sizeof(type::name) } \
  }

const std::map<std::string, Fields>& Structs() {
  static const std::map<std::string, Fields> structs = {
      {"RegionHeader", {FIELD(RegionHeader, magic),         FIELD(RegionHeader, version),
                        FIELD(RegionHeader, size),          FIELD(RegionHeader, max_processes),
                        FIELD(RegionHeader, slice),         FIELD(RegionHeader, card),
                        FIELD(RegionHeader, command),       FIELD(RegionHeader, owner_uid),
                        FIELD(RegionHeader, leader_pid),    FIELD(RegionHeader, created),
                        FIELD(RegionHeader, memory_limit),  FIELD(RegionHeader, memory_peak),
                        FIELD(RegionHeader, share),         FIELD(RegionHeader, limit),
                        FIELD(RegionHeader, priority),      FIELD(RegionHeader, paused),
                        FIELD(RegionHeader, gate),          FIELD(RegionHeader, slots_used),
                        FIELD(RegionHeader, heartbeat),     FIELD(RegionHeader, window_begin),
                        FIELD(RegionHeader, window_length), FIELD(RegionHeader, window_period),
                        FIELD(RegionHeader, context_bytes), FIELD(RegionHeader, card_uuid),
                        FIELD(RegionHeader, time_slice),    FIELD(RegionHeader, dropped)}},
      {"ProcessSlot", {FIELD(ProcessSlot, owner),    FIELD(ProcessSlot, used),
                       FIELD(ProcessSlot, claim),    FIELD(ProcessSlot, refused),
                       FIELD(ProcessSlot, launches), FIELD(ProcessSlot, turned_at),
                       FIELD(ProcessSlot, obeyed),   FIELD(ProcessSlot, workers),
                       FIELD(ProcessSlot, lever),    FIELD(ProcessSlot, pid),
                       FIELD(ProcessSlot, booked),   FIELD(ProcessSlot, advance),
                       FIELD(ProcessSlot, measures), FIELD(ProcessSlot, host_pid),
                       FIELD(ProcessSlot, unseen),   FIELD(ProcessSlot, emptied_at),
                       FIELD(ProcessSlot, queues),   FIELD(ProcessSlot, unforeseen),
                       FIELD(ProcessSlot, granted),  FIELD(ProcessSlot, compared)}},
      {"FrameHeader",
       {FIELD(FrameHeader, magic), FIELD(FrameHeader, version), FIELD(FrameHeader, type),
        FIELD(FrameHeader, length)}},
      {"AttachRequest",
       {FIELD(AttachRequest, slice), FIELD(AttachRequest, share), FIELD(AttachRequest, limit),
        FIELD(AttachRequest, memory), FIELD(AttachRequest, priority),
        FIELD(AttachRequest, leader_pid), FIELD(AttachRequest, region_version),
        FIELD(AttachRequest, slot), FIELD(AttachRequest, owner), FIELD(AttachRequest, cards),
        FIELD(AttachRequest, part)}},
      {"AttachReply",
       {FIELD(AttachReply, code), FIELD(AttachReply, slot), FIELD(AttachReply, owner),
        FIELD(AttachReply, message), FIELD(AttachReply, hint)}},
  };
  return structs;
}

std::string Page() {
  std::ifstream file(FLEXAI_REGION_PAGE);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The tables of the page, by the heading above each: rows "| offset | bytes | field | ...".
std::map<std::string, Fields> Documented() {
  std::map<std::string, Fields> tables;
  std::string heading;
  std::istringstream page(Page());
  for (std::string line; std::getline(page, line);) {
    if (line.rfind("### ", 0) == 0) heading = line.substr(4);
    Place place;
    char field[64];
    if (sscanf(line.c_str(), "| %zu | %zu | %63s |", &place.offset, &place.bytes, field) == 3) {
      EXPECT_TRUE(tables[heading].emplace(field, place).second) << field << " stands there twice";
    }
  }
  return tables;
}

TEST(RegionLayoutTest, IsWhatThePageSays) {
  const auto documented = Documented();
  for (const auto& [name, fields] : Structs()) {
    ASSERT_TRUE(documented.count(name)) << name << " has no table";
    const Fields& table = documented.at(name);
    for (const auto& [field, place] : fields) {
      ASSERT_TRUE(table.count(field)) << name << "::" << field << " has no row";
      EXPECT_EQ(table.at(field), place) << name << "::" << field;
    }
    EXPECT_EQ(table.size(), fields.size()) << name << " has rows for fields that it lacks";
  }
  EXPECT_EQ(documented.size(), Structs().size());
}

// Every field of a struct is in the list above: their bytes, with the gaps that alignment asks for,
// leave none over.
TEST(RegionLayoutTest, KnowsEveryField) {
  const std::map<std::string, size_t> ends = {{"RegionHeader", sizeof(RegionHeader)},
                                              {"ProcessSlot", sizeof(ProcessSlot)},
                                              {"FrameHeader", sizeof(FrameHeader)},
                                              {"AttachRequest", sizeof(AttachRequest)},
                                              {"AttachReply", sizeof(AttachReply)}};
  for (const auto& [name, fields] : Structs()) {
    std::map<size_t, size_t> by_offset;
    for (const auto& [field, place] : fields) by_offset[place.offset] = place.bytes;
    size_t end = 0;
    for (const auto& [offset, bytes] : by_offset) {
      EXPECT_EQ(offset, end) << "a gap in " << name;
      end = offset + bytes;
    }
    const bool aligned = name == "RegionHeader" || name == "ProcessSlot";
    EXPECT_EQ(aligned ? (end + 127) / 128 * 128 : end, ends.at(name)) << name;
  }
}

TEST(RegionLayoutTest, NumbersInTheTextHold) {
  const std::string page = Page();
  const auto says = [&](const std::string& text) { return page.find(text) != std::string::npos; };
  std::string size = std::to_string(sizeof(Region));
  size.insert(size.size() - 3, ",");
  EXPECT_TRUE(says("A memfd of " + size + " bytes")) << size;
  EXPECT_TRUE(says("then " + std::to_string(kMaxProcesses) + " slots of " +
                   std::to_string(sizeof(ProcessSlot)) + " bytes"));
  EXPECT_TRUE(says("Slot `i` begins at " + std::to_string(offsetof(Region, slots)) + " + " +
                   std::to_string(sizeof(ProcessSlot)) + " `i`"));
  EXPECT_TRUE(says("(region version " + std::to_string(kRegionVersion) + ", protocol " +
                   std::to_string(kProtocolVersion) + ")"));
  EXPECT_TRUE(says("No `heartbeat` for " + std::to_string(kHeartbeatLimit / kMillisecond) + " ms"));
  EXPECT_TRUE(says("`length` bytes, " + std::to_string(kMaxFrame >> 20) + " MiB at most"));
  char magic[32];
  snprintf(magic, sizeof(magic), "`FLXR` (0x%x)", kRegionMagic);
  EXPECT_TRUE(says(magic));
  snprintf(magic, sizeof(magic), "`FLXA` (0x%x)", kFrameMagic);
  EXPECT_TRUE(says(magic));
}

}  // namespace
}  // namespace flexai::slice
