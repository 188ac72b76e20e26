/* modes.c - exeat-helper: one binary, three modes
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stddef.h>

#include "core/helper/helper.h"

const struct helper_mode helper_modes[] = {
	{ "keeper", keeper_main },
	{ "front", front_main },
	{ "dialer", dialer_main },
	{ NULL, NULL },
};
