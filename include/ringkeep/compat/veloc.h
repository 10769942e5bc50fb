/* SPDX-License-Identifier: Apache-2.0
 *
 * What a VeloC program includes as <veloc.h>. This folder is on the include path of the targets and pkg-config files of
 * libringkeep-veloc only, so that it hides no other <veloc.h> from anybody else.
 */
#ifndef RINGKEEP_COMPAT_VELOC_H
#define RINGKEEP_COMPAT_VELOC_H

#include <string.h> /* NOLINT(modernize-deprecated-headers): it is C; programs get it from this header */

#include "../veloc.h"

#endif
