/* pattern.c - names and globs as text: what a host in a rule may look like
 * SPDX-License-Identifier: Apache-2.0
 */
#include "policy/pattern.h"

#include <string.h>

#include "policy/rule.h"

bool name_is_host_alias(const char *name)
{
	return strcmp(name, HOST_ALIAS_NAME) == 0 ||
	       strcmp(name, HOST_ALIAS_OTHER) == 0;
}

bool name_char(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '_';
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool all_of(const char *text, size_t len, const char *set)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\0' || !strchr(set, text[i]))
			return false;
	}
	return true;
}

bool name_ends_in_number(const char *text, size_t len)
{
	size_t start;

	if (len > 0 && text[len - 1] == '.')
		len--;
	start = len;
	while (start > 0 && text[start - 1] != '.')
		start--;
	text += start;
	len -= start;
	if (len == 0)
		return false;
	if (all_of(text, len, "0123456789"))
		return true;
	return len >= 2 && text[0] == '0' && lower(text[1]) == 'x' &&
	       all_of(text + 2, len - 2, "0123456789abcdefABCDEF");
}

/* Lower case, no trailing dot; `star` also lets "*" by. */
static bool copy_labels(const char *text, size_t len, bool star,
			char ret[LIMIT_NAME + 1], size_t *ret_at,
			const char **ret_why)
{
	size_t label = 0;

	if (len > 1 && text[len - 1] == '.')
		len--;
	*ret_at = 0;
	*ret_why = "no host";
	if (len == 0)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = lower(text[i]);

		*ret_at = i;
		*ret_why = "a name has at most 253 characters";
		if (i >= LIMIT_NAME)
			return false;
		ret[i] = c;
		*ret_why = "an empty label";
		if (c == '.' && (label == 0 || i + 1 == len))
			return false;
		label = c == '.' ? 0 : label + 1;
		*ret_why = "a label has at most 63 characters";
		if (label > LIMIT_LABEL)
			return false;
		*ret_why = "write one * only";
		if (star && c == '*' && label > 1 && ret[i - 1] == '*')
			return false;
		*ret_why = "a name has letters, digits, - and _ only";
		if (c != '.' && !name_char((unsigned char)c) &&
		    !(star && c == '*'))
			return false;
	}
	ret[len] = '\0';
	return true;
}

/* What the characters of a name become; 0: none of it. */
static const char canonical[256] = {
	['-'] = '-', ['.'] = '.', ['0'] = '0', ['1'] = '1', ['2'] = '2',
	['3'] = '3', ['4'] = '4', ['5'] = '5', ['6'] = '6', ['7'] = '7',
	['8'] = '8', ['9'] = '9', ['A'] = 'a', ['B'] = 'b', ['C'] = 'c',
	['D'] = 'd', ['E'] = 'e', ['F'] = 'f', ['G'] = 'g', ['H'] = 'h',
	['I'] = 'i', ['J'] = 'j', ['K'] = 'k', ['L'] = 'l', ['M'] = 'm',
	['N'] = 'n', ['O'] = 'o', ['P'] = 'p', ['Q'] = 'q', ['R'] = 'r',
	['S'] = 's', ['T'] = 't', ['U'] = 'u', ['V'] = 'v', ['W'] = 'w',
	['X'] = 'x', ['Y'] = 'y', ['Z'] = 'z', ['_'] = '_', ['a'] = 'a',
	['b'] = 'b', ['c'] = 'c', ['d'] = 'd', ['e'] = 'e', ['f'] = 'f',
	['g'] = 'g', ['h'] = 'h', ['i'] = 'i', ['j'] = 'j', ['k'] = 'k',
	['l'] = 'l', ['m'] = 'm', ['n'] = 'n', ['o'] = 'o', ['p'] = 'p',
	['q'] = 'q', ['r'] = 'r', ['s'] = 's', ['t'] = 't', ['u'] = 'u',
	['v'] = 'v', ['w'] = 'w', ['x'] = 'x', ['y'] = 'y', ['z'] = 'z',
};

/* copy_labels() of most names, quickly. False: ask that one. */
static bool copy_plain(const char *text, size_t len, char ret[LIMIT_NAME + 1])
{
	size_t label = 0;

	if (len > LIMIT_NAME)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = canonical[(unsigned char)text[i]];

		if (!c || (c == '.' && label == 0) || label > LIMIT_LABEL)
			return false;
		label = c == '.' ? 0 : label + 1;
		ret[i] = c;
	}
	ret[len] = '\0';
	return label > 0 && label <= LIMIT_LABEL;
}

bool name_canonical(const char *text, size_t len, char ret[LIMIT_NAME + 1])
{
	char name[LIMIT_NAME + 1];
	const char *why;
	size_t at;

	if (name_ends_in_number(text, len) ||
	    !copy_labels(text, len, false, name, &at, &why))
		return false;
	memcpy(ret, name, sizeof(name));
	return true;
}

bool name_is_canonical(const char *name)
{
	size_t label = 0;
	size_t i;

	for (i = 0; name[i]; i++) {
		if (i >= LIMIT_NAME)
			return false;
		if (name[i] == '.') {
			if (label == 0)
				return false;
			label = 0;
		} else if (!name_char((unsigned char)name[i]) ||
			   ++label > LIMIT_LABEL) {
			return false;
		}
	}
	return label > 0 && !name_ends_in_number(name, i);
}

static bool is_ascii(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] >= 0x80)
			return false;
	}
	return true;
}

bool pattern_canonical(const char *text, size_t len, char ret[LIMIT_NAME + 1],
		       size_t *ret_at, const char **ret_why)
{
	size_t skip = len > 2 && text[0] == '*' && text[1] == '.' ? 2 : 0;
	char name[LIMIT_NAME + 1];
	size_t n;

	if (copy_plain(text, len, ret))
		return true;
	if (is_ascii(text, len)) {
		bool star = memchr(text, '*', len) != NULL;

		return copy_labels(text, len, star, ret, ret_at, ret_why);
	}
	if (memchr(text + skip, '*', len - skip)) {
		*ret_at = skip;
		*ret_why = "a * inside a label goes with ASCII only: write "
			   "the name in its xn-- form";
		return false;
	}
	if (!name_to_a_labels(text + skip, len - skip, name, ret_at, ret_why)) {
		*ret_at += skip;
		return false;
	}
	n = strlen(name);
	if (skip + n > LIMIT_NAME) {
		*ret_at = 0;
		*ret_why = "a name has at most 253 characters";
		return false;
	}
	memcpy(ret, text, skip);
	memcpy(ret + skip, name, n + 1);
	return true;
}

/* One label against one label of a pattern; "*" is any run, also of none. */
static bool label_matches(const char *p, size_t plen, const char *s,
			  size_t slen)
{
	size_t i = 0, j = 0;
	size_t star = SIZE_MAX, mark = 0;

	while (j < slen) {
		if (i < plen && p[i] == '*') {
			star = i++;
			mark = j;
		} else if (i < plen && p[i] == s[j]) {
			i++;
			j++;
		} else if (star != SIZE_MAX) {
			i = star + 1;
			j = ++mark;
		} else {
			return false;
		}
	}
	while (i < plen && p[i] == '*')
		i++;
	return i == plen;
}

static size_t last_label(const char *s, size_t len)
{
	size_t at = len;

	while (at > 0 && s[at - 1] != '.')
		at--;
	return at;
}

/*
 * Label by label from the right. `open_left`: the pattern had a leading "*.",
 * at least one label must be left over. A star in `s` is a character like
 * others that only a star of the pattern takes: so the same walk serves
 * matching and implication.
 */
static bool labels_match(const char *p, size_t plen, const char *s, size_t slen,
			 bool open_left)
{
	while (plen > 0 && slen > 0) {
		size_t pl = last_label(p, plen);
		size_t sl = last_label(s, slen);

		if (!label_matches(p + pl, plen - pl, s + sl, slen - sl))
			return false;
		plen = pl > 0 ? pl - 1 : 0;
		slen = sl > 0 ? sl - 1 : 0;
	}
	return plen == 0 && (open_left ? slen > 0 : slen == 0);
}

static bool is_open_left(const char *pattern)
{
	return pattern[0] == '*' && (pattern[1] == '.' || pattern[1] == '\0');
}

bool pattern_matches(const char *pattern, const char *name)
{
	bool open_left = is_open_left(pattern);

	if (open_left)
		pattern += pattern[1] ? 2 : 1;
	return labels_match(pattern, strlen(pattern), name, strlen(name),
			    open_left);
}

bool pattern_implies(const char *outer, const char *inner)
{
	/* A leading "*." of inner is labels without number. Only a label "*"
	 * matches it, and in front that is a leading "*." of outer, which
	 * wants a label to be left over for it. */
	return pattern_matches(outer, inner);
}

const char *pattern_literal_suffix(const char *pattern, bool *ret_plain)
{
	const char *star = strrchr(pattern, '*');
	const char *dot;

	*ret_plain = false;
	if (!star)
		return pattern;
	*ret_plain = star == pattern && is_open_left(pattern);
	dot = strchr(star, '.');
	return dot ? dot + 1 : star + strlen(star);
}
