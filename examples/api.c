/* SPDX-License-Identifier: Apache-2.0
 * A counter that outlives its process: the example of README.md. Needs a server: `ringkeep up`. */
#include <inttypes.h>
#include <ringkeep/ringkeep.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void require(int code) {
  if (code == RK_OK) return;
  fprintf(stderr, "%s: %s\n", rk_error_name(code), rk_last_error());
  exit(1);
}

int main(void) {
  rk_client* client;
  require(rk_open(NULL, &client)); /* this node's server */
  int64_t lives = 0;
  rk_reader* last;
  const int found = rk_read(client, "lives", 0, &last); /* 0: the newest version */
  if (found != RK_ERR_NOT_FOUND) {
    require(found);
    const void* data;
    size_t size;
    require(rk_reader_section(last, "data", &data, &size));
    memcpy(&lives, data, sizeof lives);
    rk_reader_close(last);
  }
  ++lives;
  uint64_t version;
  require(rk_put(client, "lives", &lives, sizeof lives, &version)); /* here and on the predecessor */
  printf("life %" PRId64 ", version %" PRIu64 "\n", lives, version);
  rk_close(client);
}
