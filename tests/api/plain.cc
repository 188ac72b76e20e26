/* plain.cc - the header is valid C++, its functions link
 * SPDX-License-Identifier: Apache-2.0
 */
#include <cstdio>
#include <exeat.h>
#include <string>

static std::string collected;

static void collect(void *, exeat_run *, exeat_stream, const void *data,
		    size_t len)
{
	collected.append(static_cast<const char *>(data), len);
}

int main()
{
	exeat_session_options so = exeat_session_options();
	exeat_run_options ro = exeat_run_options();
	exeat_session *session;
	exeat_run *run;
	exeat_error error;
	char text[1024];

	so.size = sizeof(so);
	so.audit_fd = -1;
	ro.size = sizeof(ro);
	ro.command = "echo from C++";
	ro.stdio[EXEAT_STDOUT] = EXEAT_STDIO_CALLBACK;
	ro.on_output = collect;
	if (exeat_session_open(&so, &session, &error) < 0 ||
	    exeat_run_start(session, &ro, &run, &error) < 0 ||
	    exeat_run_wait(run, -1, &error) < 0) {
		std::fprintf(stderr, "%s\n",
			     exeat_error_text(&error, text, sizeof(text)));
		return 1;
	}
	exeat_session_close(session);
	if (collected != "from C++\n")
		std::fprintf(stderr, "got: %s\n", collected.c_str());
	return collected != "from C++\n";
}
