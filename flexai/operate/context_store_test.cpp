#include "flexai/operate/context_store.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace flexai::operate {
namespace {

class ContextStoreTest : public testing::Test {
 protected:
  ContextStoreTest() {
    char name[] = "/tmp/flexai-contexts-XXXXXX";
    folder_ = mkdtemp(name);
    card_.model = "Acme \"9000\"";
    card_.driver = "1.2.3";
    card_.memory_bytes = 8 * model::kGiB;
  }
  ~ContextStoreTest() override { std::filesystem::remove_all(folder_); }

  std::string Path() const { return folder_ + "/contexts.json"; }
  void WriteText(const std::string& text) const { std::ofstream(Path()) << text; }
  std::string Text() const {
    std::stringstream text;
    text << std::ifstream(Path()).rdbuf();
    return text.str();
  }
  model::Bytes Found() const { return ContextStore(folder_).Find(card_); }

  std::string folder_;
  model::Card card_;
};

TEST_F(ContextStoreTest, IsThereForTheNextDaemon) {
  EXPECT_EQ(Found(), 0u);
  ContextStore(folder_).Keep(card_, 500 * model::kMiB);
  EXPECT_EQ(Found(), 500 * model::kMiB);
  model::Card other = card_;
  other.driver = "1.2.4";
  EXPECT_EQ(ContextStore(folder_).Find(other), 0u) << "another driver may take more or less";
  other = card_;
  other.model = "Acme 9001";
  ContextStore(folder_).Keep(other, 7);
  EXPECT_EQ(Found(), 500 * model::kMiB) << "what others hold stays";
  EXPECT_EQ(ContextStore(folder_).Find(other), 7u);
}

TEST_F(ContextStoreTest, MakesItsFolder) {
  const std::string deep = folder_ + "/state/flexai";
  ContextStore(deep).Keep(card_, 5);
  EXPECT_EQ(ContextStore(deep).Find(card_), 5u);
}

TEST_F(ContextStoreTest, WithoutAFolderItKeepsNothing) {
  ContextStore store("");
  store.Keep(card_, 5);
  EXPECT_EQ(store.Find(card_), 5u);
  EXPECT_EQ(ContextStore("").Find(card_), 0u);
}

TEST_F(ContextStoreTest, DamagedFilesAreHarmlessAndReplaced) {
  for (const char* text :
       {"", "no json", "[]", "{}", "{\"version\": 1}", "{\"version\": 1, \"contexts\": 3}",
        "{\"version\": 2, \"contexts\": [[\"Acme \\\"9000\\\"\", \"1.2.3\", 5]]}",
        "{\"version\": 1, \"contexts\": [[\"Acme \\\"9000\\\"\", \"1.2.3\", -5]]}",
        "{\"version\": 1, \"contexts\": [[\"Acme \\\"9000\\\"\", \"1.2.3\", \"5\"]]}",
        "{\"version\": 1, \"contexts\": [[\"Acme \\\"9000\\\"\", \"1.2.3\"], 5, null]}",
        "{\"version\": {}, \"contexts\": [[[[[[["}) {
    WriteText(text);
    EXPECT_EQ(Found(), 0u) << text;
    ContextStore(folder_).Keep(card_, 9);
    EXPECT_EQ(Found(), 9u) << text;
  }
}

TEST_F(ContextStoreTest, FiguresThatCannotBeTrueAreNotBelieved) {
  ContextStore(folder_).Keep(card_, 3 * model::kGiB);
  EXPECT_EQ(Found(), 0u) << "more than a quarter of the card";
  card_.memory_bytes = 80 * model::kGiB;
  EXPECT_EQ(Found(), 3 * model::kGiB);
  ContextStore(folder_).Keep(card_, 5 * model::kGiB);
  EXPECT_EQ(Found(), 0u);
}

TEST_F(ContextStoreTest, FilesThatOthersMayWriteAreNotBelieved) {
  ContextStore(folder_).Keep(card_, 5);
  ASSERT_EQ(chmod(Path().c_str(), 0666), 0);
  EXPECT_EQ(Found(), 0u);
  ASSERT_EQ(chmod(Path().c_str(), 0644), 0);
  EXPECT_EQ(Found(), 5u);
  if (geteuid() == 0) {
    ASSERT_EQ(chown(Path().c_str(), 65534, 65534), 0);
    EXPECT_EQ(Found(), 0u);
    ASSERT_EQ(chown(Path().c_str(), 0, 0), 0);
  }
  std::filesystem::rename(Path(), folder_ + "/elsewhere");
  std::filesystem::create_symlink(folder_ + "/elsewhere", Path());
  EXPECT_EQ(Found(), 0u) << "a link may lead anywhere";
  ContextStore(folder_).Keep(card_, 6);
  EXPECT_EQ(Found(), 6u);
  EXPECT_FALSE(std::filesystem::is_symlink(Path()));
}

TEST_F(ContextStoreTest, WhatIsNoFileAndWhatCannotBeWritten) {
  std::filesystem::create_directory(Path());
  EXPECT_EQ(Found(), 0u);
  ContextStore store(folder_);
  store.Keep(card_, 5);  // cannot be written
  EXPECT_EQ(store.Find(card_), 5u);
  EXPECT_EQ(Found(), 0u);
  std::filesystem::remove_all(Path());
  ASSERT_EQ(mkfifo(Path().c_str(), 0600), 0);
  EXPECT_EQ(Found(), 0u) << "and nobody waits for a writer";
  ContextStore("/proc/nothing/here").Keep(card_, 5);
}

TEST_F(ContextStoreTest, HugeFilesAreNotRead) {
  ContextStore(folder_).Keep(card_, 5);
  WriteText(Text() + std::string(100 << 10, ' '));
  EXPECT_EQ(Found(), 0u);
}

}  // namespace
}  // namespace flexai::operate
