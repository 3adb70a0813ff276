// What the doctor says of a card that the daemon describes.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "apps/flexai/doctor_checks.h"

namespace flexai::cli {
namespace {

using nlohmann::json;

const json kCard = {{"card", "2"},
                    {"kind", "gpu"},
                    {"lever", "freeze"},
                    {"driver", "580.1.2"},
                    {"driver_tried", "580.1.2"},
                    {"trace_refused", ""}};

json With(const char* name, const json& value) {
  json card = kCard;
  card[name] = value;
  return card;
}

void ExpectFinding(const Finding& finding, const char* check, Verdict verdict, const char* part) {
  EXPECT_EQ(finding.check, check);
  EXPECT_EQ(finding.verdict, verdict) << finding.found;
  EXPECT_NE(finding.found.find(part), std::string::npos) << finding.found;
  EXPECT_EQ(finding.cure.empty(), verdict == Verdict::kPass) << finding.cure;
}

TEST(DoctorCards, Lever) {
  ExpectFinding(CheckLever(kCard), "card 2 lever", Verdict::kPass, "freeze: ");
  ExpectFinding(CheckLever(With("lever", "gate")), "card 2 lever", Verdict::kWarn, "gate: ");
  ExpectFinding(CheckLever(With("lever", "none")), "card 2 lever", Verdict::kPass, "not known yet");
}

TEST(DoctorCards, Time) {
  ExpectFinding(CheckCardTime(kCard), "card 2 time", Verdict::kPass, "by the driver's record");
  ExpectFinding(CheckCardTime(With("trace_refused", "opening it fails")), "card 2 time",
                Verdict::kWarn, "by the clock; opening it fails");
  ExpectFinding(CheckCardTime(With("trace_refused", nullptr)), "card 2 time", Verdict::kPass,
                "by the clock");
  json older = kCard;
  older.erase("trace_refused");
  ExpectFinding(CheckCardTime(older), "card 2 time", Verdict::kPass, "by the clock");
}

TEST(DoctorCards, Unshared) {
  EXPECT_TRUE(CheckUnshared(json{{"cards", {kCard}}}).empty());
  json status = {{"cards", {kCard}}, {"unshared", {{{"why", "it is cut"}, {"cure", "mend it"}}}}};
  ASSERT_EQ(CheckUnshared(status).size(), 1u);
  ExpectFinding(CheckUnshared(status)[0], "not shared", Verdict::kWarn, "it is cut");
  status["cards"] = json::array();
  ExpectFinding(CheckUnshared(status)[0], "not shared", Verdict::kFail, "it is cut");
}

json Levers(const char* state, const json& levers, const char* not_probed = "") {
  return {{"state", state},
          {"not_probed", not_probed},
          {"probed_at", "2026-01-31T12:00:00Z"},
          {"driver", "580.1.2"},
          {"levers", levers}};
}

TEST(DoctorCards, Probe) {
  const json stop = {{"lever", "stop"}, {"holds", true}, {"found", "0.5 ms"}};
  const json slices = {{"lever", "time-slice"}, {"holds", false}, {"found", "2048 us"}};
  ExpectFinding(CheckProbe(kCard), "card 2 probe", Verdict::kPass, "no levers to try");
  ExpectFinding(CheckProbe(With("levers", nullptr)), "card 2 probe", Verdict::kPass, "no levers");
  ExpectFinding(CheckProbe(With("levers", Levers("probing", json::array()))), "card 2 probe",
                Verdict::kPass, "being tried");
  ExpectFinding(CheckProbe(With("levers", Levers("not probed", json::array(), "no room"))),
                "card 2 probe", Verdict::kWarn, "were not tried: no room");
  ExpectFinding(CheckProbe(With("levers", Levers("probed", json::array({stop})))), "card 2 probe",
                Verdict::kPass, "tried at 2026-01-31T12:00:00Z with driver 580.1.2; stop: 0.5 ms");
  ExpectFinding(CheckProbe(With("levers", Levers("probed", json::array({stop, slices})))),
                "card 2 probe", Verdict::kWarn,
                "not used, time-slice: 2048 us; held, stop: 0.5 ms");
  ExpectFinding(CheckProbe(With("levers", Levers("probed", json::array({7, slices})))),
                "card 2 probe", Verdict::kWarn, "not used, ");
}

TEST(DoctorCards, Driver) {
  ExpectFinding(CheckDriver(kCard), "card 2 driver", Verdict::kPass, "580.1.2: the version");
  ExpectFinding(CheckDriver(With("driver", "610.3")), "card 2 driver", Verdict::kWarn,
                "610.3 is untried: the figures were taken with 580.1.2");
  ExpectFinding(CheckDriver(With("driver_tried", "")), "card 2 driver", Verdict::kPass, "580.1.2");
}

}  // namespace
}  // namespace flexai::cli
