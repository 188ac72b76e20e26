# banned.awk - fail on functions that the style guide bans.
#
# Usage: awk -f tests/lint/banned.awk FILES
#
# Comments and strings are blanked first: prose may name what code may not use.
BEGIN {
	ban("strcpy strcat stpcpy strncpy strncat gets", "use memcpy with a length, or sbuf")
	ban("sprintf vsprintf", "use snprintf or sbuf_fmt")
	ban("strtok strtok_r", "use a cursor parser")
	ban("atoi atol atoll atof strtol strtoul strtoll strtoull strtod", "use core/base/num.h")
	ban("alloca", "use a bounded array or the heap")
	ban("signal", "use sigaction or signalfd")
	ban("system popen", "no shell in between")
	# of the product; a caller of the library may have them
	ban("pthread_create thrd_create", "no threads")
}
function ban(names, why,   n, i, name) {
	n = split(names, name, " ")
	for (i = 1; i <= n; i++)
		banned[name[i]] = why
}
# The line without comments, strings and character constants.
function code_of(line,   out, c, d, i, n) {
	out = ""
	n = length(line)
	for (i = 1; i <= n; i++) {
		c = substr(line, i, 1)
		d = substr(line, i, 2)
		if (in_comment) {
			if (d == "*/") {
				in_comment = 0
				i++
			}
		} else if (quote != "") {
			if (c == "\\")
				i++
			else if (c == quote)
				quote = ""
		} else if (d == "/*") {
			in_comment = 1
			i++
		} else if (d == "//") {
			break
		} else if (c == "\"" || c == "'") {
			quote = c
			out = out " "
		} else {
			out = out c
		}
	}
	if (line !~ /\\$/)
		quote = ""
	return out
}
FNR == 1 { in_comment = 0; quote = "" }
{
	code = code_of($0)
	while (match(code, /[A-Za-z_][A-Za-z_0-9]*[ \t]*\(/)) {
		name = substr(code, RSTART, RLENGTH)
		member = RSTART > 1 ? substr(code, RSTART - 1, 1) : ""
		sub(/[ \t]*\($/, "", name)
		code = substr(code, RSTART + RLENGTH)
		# a member of that name is a function of ours
		if (name in banned && member != "." && member != ">" &&
		    !(FILENAME ~ /^tests\// && banned[name] == "no threads")) {
			printf "%s:%d: %s: %s\n", FILENAME, FNR, name, banned[name]
			bad = 1
		}
	}
}
END { exit bad }
