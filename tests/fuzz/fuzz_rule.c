/* fuzz_rule.c - the rule grammar and canonical names
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "policy/pattern.h"
#include "policy/rule.h"
#include "tests/fuzz/fuzz.h"

static void check_rule(const char *text, enum rule_side side)
{
	char once[LIMIT_RULE_TEXT], twice[LIMIT_RULE_TEXT];
	struct rule_error e;
	struct rule r, again;

	if (rule_parse(text, side, &r, &e) != 0) {
		assert(e.position <= strlen(text));
		assert(e.message[0]);
		return;
	}
	assert(r.side == side && (r.nports > 0 || r.kind == RULE_PRESET));
	(void)rule_str(&r, once);
	assert(rule_parse(once, side, &again, &e) == 0);
	assert(rule_equal(&r, &again));
	assert(strcmp(rule_str(&again, twice), once) == 0);
	assert(rule_implies(&r, &again));
	if (r.kind == RULE_NAME)
		assert(name_is_canonical(r.name) &&
		       rule_matches_name(&r, r.name));
}

static void check_name(const char *text, size_t size)
{
	char once[LIMIT_NAME + 1], twice[LIMIT_NAME + 1];

	if (!name_canonical(text, size, once))
		return;
	assert(name_is_canonical(once));
	assert(name_canonical(once, strlen(once), twice));
	assert(strcmp(once, twice) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	assert(text);
	memcpy(text, data, size);
	text[size] = '\0';
	check_rule(text, RULE_ALLOW);
	check_rule(text, RULE_DENY);
	check_name((const char *)data, size);
	(void)name_is_canonical(text);
	free(text);
	return 0;
}
