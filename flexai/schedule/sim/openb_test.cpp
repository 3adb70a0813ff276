#include "flexai/schedule/sim/openb.h"

#include <gtest/gtest.h>

namespace flexai::schedule::sim {
namespace {

TEST(Openb, ReadsNodesAndPods) {
  ModelNames models;
  const auto nodes = ReadOpenbNodes(
      "sn,cpu_milli,memory_mib,gpu,model\r\na,64000,1024,2,P100\r\nb,96000,2048,0,\n", &models);
  ASSERT_TRUE(nodes.ok());
  EXPECT_TRUE(nodes->bad.empty());
  ASSERT_EQ(nodes->nodes.size(), 2u);
  EXPECT_EQ(nodes->nodes[0].cpu_milli, 64000);
  EXPECT_EQ(nodes->nodes[0].cards, 2u);
  EXPECT_EQ(nodes->nodes[1].cards, 0u);

  const auto pods = ReadOpenbPods(
      "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos\n"
      "z,1000,10,1,460,T4|P100,LS\n\nb,2000,20,0,0,,BE\na,3000,30,8,1000,,LS",
      &models);
  ASSERT_TRUE(pods.ok());
  EXPECT_TRUE(pods->bad.empty());
  ASSERT_EQ(pods->pods.size(), 3u);
  // By name; P100 came first, so T4 is model 1.
  EXPECT_EQ(pods->pods[0],
            (Request{.cpu_milli = 3000, .memory_mib = 30, .cards = 8, .share = 1000}));
  EXPECT_EQ(pods->pods[1], (Request{.cpu_milli = 2000, .memory_mib = 20}));
  EXPECT_EQ(pods->pods[2].models, 3u);
  EXPECT_EQ(pods->pods[2].share, 460);
}

TEST(Openb, ShortListsHaveNoSpec) {
  ModelNames models;
  const auto pods =
      ReadOpenbPods("name,cpu_milli,memory_mib,num_gpu,gpu_milli\na,1,1,1,1000\n", &models);
  ASSERT_TRUE(pods.ok());
  EXPECT_EQ(pods->pods[0].models, kAnyModel);
}

TEST(Openb, NamesTheColumnThatIsMissing) {
  ModelNames models;
  const auto pods = ReadOpenbPods("name,cpu_milli,num_gpu,gpu_milli\n", &models);
  ASSERT_FALSE(pods.ok());
  EXPECT_NE(pods.status().message().find("memory_mib"), std::string::npos);
  EXPECT_FALSE(ReadOpenbNodes("", &models).ok());
}

TEST(Openb, TellsLineAndReasonOfEachBadRow) {
  ModelNames models;
  const auto pods = ReadOpenbPods(
      "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n"
      "a,x,1,1,1000,\n"
      "b,1,-5,1,1000,\n"
      "c,1,1,65,1000,\n"
      "d,1,1,1,1001,\n"
      "e,1,1,1,0,\n"
      "f,1,1,1,500,T4||P100\n"
      "g,1,1,1\n"
      "h,1,,1,1,\n"
      "i,99999999999999999999,1,1,1,\n"
      "ok,1,1,1,1000,T4\n",
      &models);
  ASSERT_TRUE(pods.ok());
  EXPECT_EQ(pods->pods.size(), 1u);
  const std::vector<std::pair<size_t, std::string>> expected = {
      {2, "cpu_milli 'x' is not a whole number"},
      {3, "memory_mib '-5' is not between 0 and 1099511627776"},
      {4, "num_gpu '65' is not between 0 and 64"},
      {5, "gpu_milli '1001' is not between 1 and 1000"},
      {6, "gpu_milli '0' is not between 1 and 1000"},
      {7, "gpu_spec 'T4||P100' has an empty name"},
      {8, "4 columns instead of 6"},
      {9, "memory_mib '' is not a whole number"},
      {10, "cpu_milli '99999999999999999999' is not a whole number"}};
  ASSERT_EQ(pods->bad.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(pods->bad[i].line, expected[i].first);
    EXPECT_EQ(pods->bad[i].reason, expected[i].second);
  }
}

TEST(Openb, ManyModelsAreTooMany) {
  ModelNames models;
  std::string text = "sn,cpu_milli,memory_mib,gpu,model\n";
  for (int i = 0; i < 66; ++i) text += "n,1,1,1,M" + std::to_string(i) + "\n";
  const auto nodes = ReadOpenbNodes(text + "n,1,1,1,\n", &models);
  ASSERT_TRUE(nodes.ok());
  EXPECT_EQ(nodes->nodes.size(), 64u);
  ASSERT_EQ(nodes->bad.size(), 3u);
  EXPECT_EQ(nodes->bad[0].line, 66u);
}

}  // namespace
}  // namespace flexai::schedule::sim
