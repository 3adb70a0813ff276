#include "flexai/backend/cuda/visible_card.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

namespace flexai::backend::cuda {
namespace {

constexpr char kUuid[] = "GPU-666c6578-6169-2d66-616b-652d63617264";

TEST(VisibleCard, TheSlicesCardByIndexAndName) {
  for (const char* chosen :
       {static_cast<const char*>(nullptr), "0", "0,1", kUuid, "GPU-666c",
        "GPU-666c6578-6169,GPU-777", " 0", "+0", "00", "0 ", "\t+0", " GPU-666c", "0,"}) {
    const VisibleCards card = ChooseVisible(chosen, {kUuid});
    EXPECT_EQ(card.list, kUuid) << chosen;
    EXPECT_EQ(card.sentence, "") << chosen;
  }
}

TEST(VisibleCard, NoneOnPurpose) {
  for (const char* chosen :
       {"", "-1", "NoDevFiles", ",0", " -1", " ", " ,0", "+", "x0", "0x0", "1x"}) {
    const VisibleCards card = ChooseVisible(chosen, {kUuid});
    EXPECT_EQ(card.list, "") << chosen;
    EXPECT_EQ(card.sentence, "") << chosen;
  }
}

TEST(VisibleCard, WhatTheSliceDoesNotHaveIsTold) {
  for (const char* chosen : {"1", "1,0", "17", " 1", "+1", "99999999999999999999", "GPU-",
                             "GPU-777", "MIG-666c6578", "MIG-GPU-666c/1/0"}) {
    const VisibleCards card = ChooseVisible(chosen, {kUuid});
    EXPECT_EQ(card.list, "") << chosen;
    EXPECT_NE(card.sentence.find(std::string("=") + chosen + " names no card"), std::string::npos)
        << card.sentence;
  }
}

TEST(VisibleCard, SeveralInTheOrderAskedFor) {
  constexpr char kOther[] = "GPU-777c6578-6169-2d66-616b-652d63617264";
  const std::string both = std::string(kUuid) + "," + kOther;
  const std::string swapped = std::string(kOther) + "," + kUuid;
  const std::pair<const char*, std::string> expected[] = {
      {nullptr, both},    {"0,1", both},     {"1,0", swapped},
      {"1", kOther},      {"0", kUuid},      {"GPU-777,0", swapped},
      {"1,2,0", kOther},  {"0,0,1", kUuid},  {"0,-1,1", kUuid},
      {"", ""},           {"0, 1", both},    {" 1 , +0", swapped},
      {"1, x,0", kOther}, {"0,+0,1", kUuid}, {both.c_str(), both},
  };
  for (const auto& [chosen, list] : expected) {
    const VisibleCards cards = ChooseVisible(chosen, {kUuid, kOther});
    EXPECT_EQ(cards.list, list) << (chosen ? chosen : "nothing");
    EXPECT_EQ(cards.sentence, "");
  }
  EXPECT_NE(ChooseVisible("2", {kUuid, kOther}).sentence.find("0 to 1"), std::string::npos);
}

TEST(VisibleCard, TheDriverReadsIt) {
  setenv("CUDA_VISIBLE_DEVICES", "0", 1);
  setenv("CUDA_MPS_PIPE_DIRECTORY", "/tmp", 1);
  ShowCardsOfSlice({kUuid});
  EXPECT_STREQ(getenv("CUDA_VISIBLE_DEVICES"), kUuid);
  EXPECT_NE(access(getenv("CUDA_MPS_PIPE_DIRECTORY"), F_OK), 0);
}

TEST(VisibleCard, ACardOfAnotherKindIsNotShown) {
  EXPECT_EQ(ChooseVisible("0", {"opencl-12"}).list, "");
  EXPECT_EQ(ChooseVisible("1", {"opencl-12"}).sentence, "");
}

}  // namespace
}  // namespace flexai::backend::cuda
