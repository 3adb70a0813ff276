#include "flexai/schedule/sim/philly.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace flexai::schedule::sim {
namespace {

constexpr double kLongestRun = 1e8;  // seconds: 3 years
constexpr int64_t kMostJobCards = 4096;
constexpr int64_t kDay = 86400;

// Takes `digits` digits and the separator behind them off the front.
bool TakeNumber(std::string_view* text, size_t digits, char separator, int* value) {
  const char* const end = text->data() + std::min(digits, text->size());
  const auto [last, error] = std::from_chars(text->data(), end, *value);
  if (error != std::errc() || last != end || *value < 0 || text->size() < digits) return false;
  text->remove_prefix(digits);
  if (separator == '\0') return true;
  if (text->empty() || text->front() != separator) return false;
  text->remove_prefix(1);
  return true;
}

bool IsLeap(int year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

// Days from the first of 1970; false where there is no such day.
bool DaysOf(int year, int month, int day, int64_t* days) {
  static constexpr std::array<int, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (year < 1970 || year > 2199 || month < 1 || month > 12) return false;
  const auto days_of = [&](int m) {
    return kDays[static_cast<size_t>(m - 1)] + (m == 2 && IsLeap(year));
  };
  if (day < 1 || day > days_of(month)) return false;
  *days = day - 1;
  for (int m = 1; m < month; ++m) *days += days_of(m);
  const auto leaps = [](int64_t y) { return y / 4 - y / 100 + y / 400; };
  *days += int64_t{365} * (year - 1970) + leaps(year - 1) - leaps(1969);
  return true;
}

// Of text that passed the row's checks.
int64_t RunOf(Row* row, size_t column) {
  const std::string_view text = row->Text(column);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() ||
      !(value >= 0 && value <= kLongestRun)) {
    row->Fail(column, "is not a number of seconds up to 1e8");
    return 0;
  }
  return std::max<int64_t>(1, std::llround(value));
}

}  // namespace

std::span<const Pool> PhillyPools() {
  static const std::array<Pool, 11> kPools = {{{"6214e9", 64},
                                               {"7f04ca", 32},
                                               {"11cb48", 16},
                                               {"b436b2", 64},
                                               {"ee9e8c", 64},
                                               {"e13805", 16},
                                               {"6c71a0", 32},
                                               {"2869ce", 16},
                                               {"ed69ec", 8},
                                               {"103959", 8},
                                               {"0e4a51", 32}}};
  return kPools;
}

Result<int64_t> ParseTime(std::string_view text) {
  const Status wrong(Code::kInvalidArgument, "'" + std::string(text) + "' is no time",
                     "write 2017-10-01, or 2017-10-01 07:01:55");
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  int64_t days = 0;
  const bool with_time = text.size() > 10;
  if (!TakeNumber(&text, 4, '-', &year) || !TakeNumber(&text, 2, '-', &month) ||
      !TakeNumber(&text, 2, with_time ? ' ' : '\0', &day) || !DaysOf(year, month, day, &days)) {
    return wrong;
  }
  if (with_time && (!TakeNumber(&text, 2, ':', &hour) || !TakeNumber(&text, 2, ':', &minute) ||
                    !TakeNumber(&text, 2, '\0', &second))) {
    return wrong;
  }
  if (!text.empty() || hour > 23 || minute > 59 || second > 60) return wrong;
  return days * kDay + hour * 3600 + minute * 60 + second;
}

Result<JobList> ReadPhillyJobs(std::string_view text, std::span<const Pool> pools, int64_t from_s,
                               int64_t until_s) {
  static constexpr std::string_view kColumns[] = {"timestamp", "duration", "num_gpus", "cluster"};
  JobList list;
  const Status status = ReadRows(text, kColumns, 0, &list.bad, [&](Row* row) {
    TimedJob job;
    const Result<int64_t> submit = ParseTime(row->Text(0));
    if (!submit.ok()) row->Fail(0, "is no time as 2017-10-01 07:01:55");
    job.run_s = RunOf(row, 1);
    job.cards = static_cast<uint32_t>(row->Number(2, 1, kMostJobCards));
    if (row->Text(3).empty()) row->Fail(3, "names no cluster");
    if (!row->reason().empty()) return;
    job.submit_s = *submit;
    const auto pool = std::find_if(pools.begin(), pools.end(),
                                   [&](const Pool& known) { return known.name == row->Text(3); });
    if (pool == pools.end() || job.submit_s < from_s || job.submit_s >= until_s) {
      ++list.outside;
      return;
    }
    job.pool = static_cast<uint32_t>(pool - pools.begin());
    list.jobs.push_back(job);
  });
  if (!status.ok()) return status;
  std::stable_sort(list.jobs.begin(), list.jobs.end(),
                   [](const TimedJob& a, const TimedJob& b) { return a.submit_s < b.submit_s; });
  return list;
}

}  // namespace flexai::schedule::sim
