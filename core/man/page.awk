# page.awk - a page of the library: its prose, and what exeat.h says
# SPDX-License-Identifier: Apache-2.0
#
# awk -v version=X -v date=Y-M-D -v libexecdir=DIR -v page=NAME -v all_pages=A,B -v alias=DIR
#	-f page.awk exeat.h NAME.3.in >NAME.3
# awk -v tell=names -f page.awk exeat.h	     every name, and whether it has text
#
# Theory of operation
#
# The header is read first. Its banners (a comment of one line with four
# dashes at each end) begin sections. A comment that a declaration follows at
# once is the declaration's text; one that an empty line follows is the
# section's. In a struct or an enum a comment before a member is the text of
# this member and of those after it that have none, up to the next one; a
# comment behind a member is this member's own.
#
# Then the page is copied. A line "@PART SECTION@" becomes that part of the
# section whose banner begins so: names, synopsis, prose, functions, types;
# "@rules@" what the header's first comment says. A paragraph of the header is
# one here; words with a dash before them are a list.
#
# `alias=DIR` writes a page of one line there for every name of the header that
# the page has: `man exeat_run_wait` finds what is in exeat_run(3).
#
# `tell=names` prints "KIND NAME TEXT?" for all that was found: what the pages
# must have is asked of the header in another way by the tests.

# ---- text ----

# As it stands: some characters mean something to roff.
function plain(s) {
	gsub(/\\/, "\\e", s)
	gsub(/-/, "\\-", s)
	gsub(/'/, "\\(aq", s)
	gsub(/\^/, "\\(ha", s)
	gsub(/~/, "\\(ti", s)
	return s
}

# One paragraph: names in bold, `quoted` in italics, a sentence a line.
function prose(s,    out, word) {
	out = ""
	while (match(s, name_pattern)) {
		word = substr(s, RSTART, RLENGTH)
		out = out plain(substr(s, 1, RSTART - 1))
		if (word ~ /^[`*]/)
			out = out "\\fI" \
			      plain(substr(word, 2, length(word) - 2)) "\\fR"
		else if (word ~ /\([1-8]\)$/)
			out = out "\\fB" \
			      plain(substr(word, 1, length(word) - 3)) "\\fR" \
			      substr(word, length(word) - 2)
		else
			out = out "\\fB" plain(word) "\\fR"
		s = substr(s, RSTART + RLENGTH)
	}
	out = out plain(s)
	gsub(/[.] +/, ".\n", out)
	return folded(out)
}

# Lines of at most 80 columns, none of which roff takes for a request.
function folded(s,    n, i, k, j, line, word, at, out) {
	out = ""
	n = split(s, line, "\n")
	for (i = 1; i <= n; i++) {
		k = split(line[i], word, " ")
		at = 0
		for (j = 1; j <= k; j++) {
			if (at > 0 && at + 1 + length(word[j]) <= 79) {
				out = out " " word[j]
				at += 1 + length(word[j])
				continue
			}
			out = out (out == "" ? "" : "\n") \
			      (word[j] ~ /^[.]/ ? "\\&" : "") word[j]
			at = length(word[j])
		}
	}
	return out
}

# A comment of several paragraphs ("\n" between them); `between` separates.
function paragraphs(s, between,    n, i, p, out) {
	n = split(s, p, "\n")
	out = ""
	for (i = 1; i <= n; i++) {
		if (p[i] ~ /^- /)
			out = out (i > 1 && p[i - 1] ~ /^- / ? "" : ".RS\n") \
			      ".IP \\(bu 2\n" prose(substr(p[i], 3)) "\n" \
			      (i < n && p[i + 1] ~ /^- / ? "" : ".RE\n")
		else
			out = out (i > 1 ? between "\n" : "") prose(p[i]) "\n"
	}
	return out
}

# ---- the header ----

# The words of a comment, from its first line on, which is in $0.
function comment(    text, line, fresh, done) {
	text = ""
	fresh = 1
	line = $0
	sub(/^.*\/\*/, "", line)
	for (;;) {
		done = line ~ /\*\//
		sub(/^[ \t]*\*\//, "*/", line)
		sub(/^[ \t]*\*([ \t]|$)/, "", line)
		sub(/[ \t]*\*\/.*/, "", line)
		sub(/^[ \t]+/, "", line)
		if (line == "" && text != "")
			fresh = 1
		else if (line ~ /^- /) {
			text = text (text == "" ? "" : "\n") line
			fresh = 0
		} else if (line != "") {
			text = text (text == "" ? "" : fresh ? "\n" : " ") line
			fresh = 0
		}
		if (done || (getline line) <= 0)
			break
	}
	return text
}

# A declaration from $0 on, to its end; the comment behind it in `behind`.
function declaration(    text, line, at) {
	text = ""
	behind = ""
	for (;;) {
		line = $0
		at = index(line, "/*")
		if (at) {
			behind = behind (behind == "" ? "" : "\n") comment()
			line = substr(line, 1, at - 1)
		}
		gsub(/[ \t]+/, " ", line)
		sub(/^ /, "", line)
		text = text (text == "" || text ~ /[*(]$/ ? "" : " ") line
		sub(/ $/, "", text)
		if (text ~ end_pattern || getline <= 0)
			return text
	}
}

function add(kind, name, decl, text) {
	nitems++
	item_kind[nitems] = kind
	item_name[nitems] = name
	item_decl[nitems] = decl
	item_text[nitems] = text
	item_section[nitems] = nsections
}

# The members so far that share a text.
function members_end() {
	if (nmembers)
		groups = groups members "\001" members_text "\002"
	members = members_text = ""
	nmembers = 0
}

function member_add(decl, text,    name, list, n, i) {
	if (text != "" && nmembers) {
		members_end()
		members_text = text
	} else if (text != "")
		members_text = members_text \
			       (members_text == "" ? "" : "\n") text
	members = members (nmembers ? "\003" : "") decl
	nmembers++
	if (members_text == "")
		untold = untold " " decl
	if (text != "")
		members_end()
}

# enum { A = 0, B } in one line, too
function enumerators(line,    n, i, part, last) {
	n = split(line, part, ",")
	for (i = 1; i <= n; i++) {
		gsub(/^[ \t]+|[ \t;}]+$/, "", part[i])
		last = i == n || part[i + 1] ~ /^[ \t]*$/
		if (part[i] != "")
			member_add(part[i], last ? behind : "")
	}
}

function body(kind, name, text,    line) {
	groups = untold = ""
	members_end()
	line = $0
	if (line ~ /\};$/) {
		sub(/^[^{]*\{/, "", line)
		behind = ""
		enumerators(line)
	} else while (getline > 0 && $0 !~ /^\};/) {
		if ($0 ~ /^[ \t]*$/)
			continue
		if ($0 ~ /^[ \t]*\/\*/) {
			members_end()
			members_text = comment()
			continue
		}
		end_pattern = kind == "enum" ? "." : ";$"
		line = declaration()
		sub(/[;]$/, "", line)
		if (kind == "enum")
			enumerators(line)
		else
			member_add(line, behind)
	}
	members_end()
	add(kind, name, groups, text)
	item_untold[nitems] = untold
}

function function_name(decl) {
	sub(/ *\(.*/, "", decl)
	sub(/^.*[ *]/, "", decl)
	return decl
}

function header(    text, name) {
	if ($0 ~ /^\/\* ---- .* ---- \*\/$/) {
		nsections++
		section_title[nsections] = $0
		gsub(/^\/\* ---- | ---- \*\/$/, "", section_title[nsections])
		said = ""
	} else if ($0 ~ /^\/\*/) {
		said = comment()
		if (nsections == 0 && rules == "") {
			rules = said
			said = ""
		}
	} else if ($0 ~ /^[ \t]*$/) {
		if (said != "")
			section_prose[nsections] = section_prose[nsections] \
				(section_prose[nsections] == "" ? "" : "\n") \
				said
		said = ""
	} else if ($0 ~ /^EXEAT_API /) {
		end_pattern = ";$"
		text = declaration()
		sub(/^EXEAT_API /, "", text)
		add("function", function_name(text), text, said)
		said = ""
	} else if ($0 ~ /^(struct|enum) [a-z_]+ \{/) {
		text = said
		said = ""
		body($1, $2, text)
	} else if ($0 ~ /^#define EXEAT_[A-Z_]+_INIT/) {
		name = $2
		while ($0 ~ /\\$/ && getline > 0)
			if (match($0, /struct [a-z_]+/))
				init[substr($0, RSTART + 7, RLENGTH - 7)] = name
	}
}

# ---- the page ----

# Parameters in italics, the rest bold; broken between parameters.
function prototype(decl,    head, rest, n, i, c, depth, param, word, out,
		   column, width) {
	head = decl
	sub(/\(.*/, "(", head)
	rest = substr(decl, length(head) + 1)
	sub(/\);$/, "", rest)
	out = "\\fB" plain(head)
	column = length(head)
	n = 0
	depth = 0
	param[1] = ""
	for (i = 1; i <= length(rest); i++) {
		c = substr(rest, i, 1)
		depth += (c == "(") - (c == ")")
		if (c == "," && depth == 0)
			n++
		else if (c != " " || param[n + 1] != "")
			param[n + 1] = param[n + 1] c
	}
	width = column > 40 ? 8 : column
	for (i = 1; i <= n + 1; i++) {
		c = i <= n ? ", " : ");"
		if (i > 1 && column + length(param[i]) + 2 > 72 ||
		    i == 1 && width == 8) {
			sub(/ $/, "", out)
			out = out "\n" sprintf("%" width "s", "")
			column = width
		}
		column += length(param[i]) + 2
		out = out declarator(param[i]) c
	}
	return out "\\fR"
}

# "type name", the name in italics; back in bold
function declarator(s,    name) {
	if (s == "void")
		return s
	if (match(s, /\(\*[a-z_]+\)/)) {
		name = substr(s, RSTART + 2, RLENGTH - 3)
		return plain(substr(s, 1, RSTART + 1)) "\\fI" name "\\fB" \
		       plain(substr(s, RSTART + RLENGTH - 1))
	}
	if (!match(s, /[a-z_]+(\[[0-9]*\])?$/))
		return plain(s)
	return plain(substr(s, 1, RSTART - 1)) "\\fI" substr(s, RSTART) "\\fB"
}

function alias_add(name) {
	if (alias == "" || name == page)
		return
	print ".so man3/" page ".3" >(alias "/" name ".3")
	close(alias "/" name ".3")
}

function functions(section, only,    i, out) {
	out = ""
	for (i = 1; i <= nitems; i++) {
		if (item_section[i] != section || item_kind[i] != "function")
			continue
		alias_add(item_name[i])
		if (only == "synopsis")
			out = out prototype(item_decl[i]) "\n"
		else
			out = out ".SS " item_name[i] "()\n" \
			      paragraphs(item_text[i], ".PP")
	}
	return out
}

# The name of a member, and what else its declaration says
function members_of(kind, groups,    n, i, part, out, m, k, j, list, l) {
	out = ""
	n = split(groups, part, "\002")
	for (i = 1; i < n; i++) {
		split(part[i], m, "\001")
		k = split(m[1], list, "\003")
		for (j = 1; j <= k; j++)
			out = out (j > 1 ? ".TQ\n" : ".TP\n") "\\fB" \
			      (kind == "enum" ? plain(list[j]) \
					      : declarators(list[j])) \
			      "\\fR\n"
		out = out paragraphs(m[2], ".IP")
	}
	return out
}

# "uint64_t a, b" has two
function declarators(s,    n, i, part, out) {
	if (s ~ /\(/)
		return declarator(s)
	n = split(s, part, ", *")
	out = declarator(part[1])
	for (i = 2; i <= n; i++)
		out = out ", " declarator(part[i])
	return out
}

function types(section,    i, out) {
	out = ""
	for (i = 1; i <= nitems; i++) {
		if (item_section[i] != section || item_kind[i] == "function")
			continue
		if (!(item_name[i] in pages))
			alias_add(item_name[i])
		out = out ".SS " item_kind[i] " " item_name[i] "\n"
		if (item_text[i] != "")
			out = out paragraphs(item_text[i], ".PP")
		if (item_name[i] in init)
			out = out "Begin with \\fB" init[item_name[i]] \
			      "\\fR.\n"
		out = out members_of(item_kind[i], item_decl[i])
	}
	return out
}

function names(section,    i, out, line, word) {
	out = line = ""
	for (i = 1; i <= nitems; i++) {
		if (item_section[i] != section || item_kind[i] != "function")
			continue
		word = item_name[i] ","
		if (length(line) + length(word) > 72) {
			out = out line "\n"
			line = ""
		}
		line = line (line == "" ? "" : " ") word
	}
	line = out line
	sub(/,$/, "", line)
	return line
}

function section_of(title,    i) {
	for (i = 1; i <= nsections; i++)
		if (index(section_title[i], title) == 1)
			return i
	print FILENAME ": no section \"" title "\" in the header" >"/dev/stderr"
	bad = 1
	return 0
}

function piece(what, title,    s) {
	if (what == "rules") {
		s = substr(rules, index(rules, "\n- ") + 1)
		return paragraphs(s, ".PP")
	}
	s = section_of(title)
	if (what == "names")
		return names(s) "\n"
	if (what == "synopsis")
		return ".nf\n.B #include <exeat.h>\n.PP\n" \
		       functions(s, "synopsis") ".fi\n"
	if (what == "prose")
		return paragraphs(section_prose[s], ".PP")
	if (what == "functions")
		return functions(s, "")
	if (what == "types")
		return types(s)
	print FILENAME ": no part \"" what "\"" >"/dev/stderr"
	bad = 1
	return ""
}

# Every name of the header, as the pages have it.
function tell_names(    i, n, j, part, m, list, k, l) {
	for (i = 1; i <= nitems; i++) {
		print item_kind[i], item_name[i], \
		      item_text[i] != "" || item_kind[i] != "function"
		if (item_untold[i] != "")
			print item_kind[i], item_name[i] ":" item_untold[i], 0
	}
}

BEGIN {
	name_pattern = "`[^`]+`|\\*[a-z]+\\*|[a-z_]+\\(\\)|" \
		       "EXEAT_[.][.][.]_[A-Z_]+|EXEAT_[A-Z_]+|" \
		       "[a-z][a-z0-9_.-]*\\([1-8]\\)"
	n = split(all_pages, page_name, ",")
	for (i = 1; i <= n; i++)
		pages[page_name[i]]
	# text before the first banner belongs to none
	nsections = 0
	nitems = 0
}
NR == FNR {
	header()
	next
}
/^@[a-z]+( .*)?@$/ {
	gsub(/^@|@$/, "")
	what = $1
	sub(/^[a-z]+ ?/, "")
	printf "%s", piece(what, $0)
	next
}
{
	gsub(/@VERSION@/, version)
	gsub(/@DATE@/, date)
	gsub(/@LIBEXECDIR@/, libexecdir)
	print
}
END {
	if (tell == "names")
		tell_names()
	exit bad
}
