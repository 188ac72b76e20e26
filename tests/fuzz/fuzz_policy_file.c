/* fuzz_policy_file.c - policy files (JSON)
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/file.h"
#include "tests/fuzz/fuzz.h"

/* The same name may be said in several ways before it is compiled. */
static void check_budgets(const struct policy_file *f, const struct policy *p)
{
	const struct policy_spec spec = {
		.mode = POLICY_OPEN,
		.budgets = f->budgets,
		.nbudgets = f->nbudgets,
	};
	struct policy *again;
	void *image;
	size_t len;

	assert(policy_compile(&spec, &image, &len, NULL) == 0);
	assert(policy_new(image, len, &again) == 0);
	assert(policy_nbudgets(again) == policy_nbudgets(p));
	policy_free(again);
	free(image);
}

/* What compiles writes JSON that means the same. */
static void check_compiled(const struct policy_file *f)
{
	struct policy_spec spec = {
		.mode = f->mode,
		.allow = (const char *const *)f->allow,
		.nallow = f->nallow,
		.deny = (const char *const *)f->deny,
		.ndeny = f->ndeny,
		.require_names = f->require_names,
		.dns_refusal = f->dns_refusal,
		.budgets = f->budgets,
		.nbudgets = f->nbudgets,
	};
	struct policy_file again;
	struct policy *p;
	struct sbuf json;
	void *image;
	size_t len;

	if (policy_compile(&spec, &image, &len, NULL) != 0)
		return;
	assert(policy_new(image, len, &p) == 0);
	sbuf_init(&json, LIMIT_POLICY_FILE);
	assert(policy_json(p, &json) == 0);
	assert(policy_file_parse(json.s, json.len, &again, NULL) == 0);
	assert(again.nallow + again.ndeny == policy_nrules(p));
	check_budgets(&again, p);
	policy_file_done(&again);
	sbuf_done(&json);
	policy_free(p);
	free(image);
}

/* Where an error says that an unknown key is, there is a key. */
static void check_place(const char *text, size_t size, const struct err *err)
{
	size_t line, column;
	int skip = 0;

	if (sscanf(err->message, "line %zu column %zu: %n", &line, &column,
		   &skip) != 2 ||
	    strcmp(err->message + skip, "unknown key") != 0)
		return;
	for (size_t i = 0; i < size; i++) {
		bool first = ((unsigned char)text[i] & 0xc0) != 0x80;

		if (line == 1 && column == 1 && first) {
			assert(text[i] == '"');
			return;
		}
		if (line == 1)
			column -= first;
		else
			line -= text[i] == '\n';
	}
	assert(false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = { 0 };
	struct policy_file f;

	if (policy_file_parse((const char *)data, size, &f, &err) == 0) {
		check_compiled(&f);
		policy_file_done(&f);
	} else {
		assert(err.code != ERR_NONE && err.message[0]);
		check_place((const char *)data, size, &err);
	}
	return 0;
}
