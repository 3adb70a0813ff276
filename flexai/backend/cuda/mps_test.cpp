#include "flexai/backend/cuda/mps.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace flexai::backend::cuda {
namespace {

TEST(Mps, ASocketThatSomebodyListensOnShowsIt) {
  char folder[] = "/tmp/flexai-mps-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  setenv("CUDA_MPS_PIPE_DIRECTORY", folder, 1);
  EXPECT_EQ(MpsFolder(), folder);
  sockaddr_un where = {};
  where.sun_family = AF_UNIX;
  snprintf(where.sun_path, sizeof(where.sun_path), "%s/control", folder);
  const int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(bind(listening, reinterpret_cast<const sockaddr*>(&where), sizeof(where)), 0);
  // A daemon that ended leaves such a file.
  EXPECT_EQ(FindMps(), "");
  ASSERT_EQ(listen(listening, 1), 0);
  EXPECT_EQ(FindMps(), std::string("the socket ") + where.sun_path);
  close(listening);
  EXPECT_EQ(FindMps(), "");
  unlink(where.sun_path);
  rmdir(folder);
}

}  // namespace
}  // namespace flexai::backend::cuda
