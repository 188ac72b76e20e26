/* upstream.h - --upstream-proxy: a URL, a file with one, or the environment
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_CORE_CLI_UPSTREAM_H
#define EXEAT_CORE_CLI_UPSTREAM_H

#include <stdbool.h>

#include "core/base/err.h"
#include "core/cli/options.h"

/*
 * *value becomes the URL: "@FILE" is replaced by the file's first line, "env"
 * by what the caller's proxy variables name (NULL if none does). The entries of
 * NO_PROXY are added to `direct`, and said on stderr unless `quiet`. What is
 * made lives as long as the process. No part of a URL is in an error.
 */
int cli_upstream(const char **value, struct cli_list *direct, bool quiet,
		 struct err *err);

#endif
