/* SPDX-License-Identifier: Apache-2.0
 * veloc_places SOCKET NAME RANK: the sizes of what the places of a rank's checkpoint keep, read through any server, a
 * line a place with data.
 */
#include <ringkeep/ringkeep.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char** argv) {
  rk_options options;
  rk_client* client = NULL;
  int place;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  if (argc != 4) return 2;
  options.socket_path = argv[1];
  if (rk_open(&options, &client) != RK_OK) {
    fprintf(stderr, "%s\n", rk_last_error());
    return 1;
  }
  for (place = 0; place < 16; ++place) {
    char name[256];
    rk_reader* reader = NULL;
    const void* data;
    size_t size = 0;
    int code;
    snprintf(name, sizeof name, "veloc/0000000000000000/%s/%s/%d", argv[2], argv[3], place);
    code = rk_read(client, name, 0, &reader);
    if (code == RK_ERR_NOT_FOUND) continue;
    if (code != RK_OK || rk_reader_section(reader, "veloc.data", &data, &size) != RK_OK) {
      fprintf(stderr, "%s: %s\n", name, rk_last_error());
      return 1;
    }
    if (size > 0) printf("%d: %zu\n", place, size);
    rk_reader_close(reader);
  }
  rk_close(client);
  return 0;
}
