/* SPDX-License-Identifier: Apache-2.0 */
#include <ringkeep/ringkeep.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  rk_options options;
  rk_client* client = NULL;
  int code;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.socket_path = "/nonexistent/socket";
  code = rk_open(&options, &client);
  if (code != RK_ERR_UNAVAILABLE || client != NULL || strlen(rk_last_error()) == 0) {
    fprintf(stderr, "rk_open gave %d (%s)\n", code, rk_last_error());
    return 1;
  }
  return strcmp(rk_version(), "") == 0;
}
