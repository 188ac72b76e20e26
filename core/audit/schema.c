/* schema.c - every field of the audit, in one table
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/audit/schema.h"

#include "core/audit/audit.h"

#define AT(member) offsetof(struct audit_event, member)

const struct audit_field audit_fields[] = {
	{ "time", AUDIT_T_TIME, AUDIT_ALWAYS, AT(time_us), 0, "always",
	  "when it was decided; RFC 3339, UTC, microseconds" },
	{ "seq", AUDIT_T_U64, AUDIT_ALWAYS, AT(seq), 0, "always",
	  "number of the line within the session, from 1; a gap means that "
	  "lines were removed" },
	{ "session", AUDIT_T_TEXT, AUDIT_IF_SET, AT(session), 0, "always",
	  "identifier of the session" },
	{ "label", AUDIT_T_TEXT, AUDIT_IF_SET, AT(label), 0,
	  "the session has one", "label that the caller gave the session" },
	{ "run", AUDIT_T_U32, AUDIT_IF_SET, AT(run), 0,
	  "it is known: one run alone, or its socket tells",
	  "number of the run within the session" },
	{ "posture", AUDIT_T_U32, AUDIT_IF_SET, AT(posture), 0,
	  "a posture is concerned",
	  "number of the network posture within the session" },
	{ "layer", AUDIT_T_LAYER, AUDIT_ALWAYS, AT(layer), 0, "always",
	  "where it was seen: dns, kernel, tcp, tls, http, udp, proxy, "
	  "policy, lifecycle" },
	{ "verdict", AUDIT_T_VERDICT, AUDIT_IF_SET, AT(verdict), 0,
	  "something was decided",
	  "allow, deny, or fail: allowed, but it did not work" },
	{ "protocol", AUDIT_T_TEXT, AUDIT_IF_SET, AT(protocol), 0,
	  "it was recognised", "protocol of the flow or packet" },
	{ "name", AUDIT_T_TEXT, AUDIT_IF_SET, AT(name), 0,
	  "a name is concerned", "host name that was asked for" },
	{ "learnt", AUDIT_T_TEXT, AUDIT_IF_SET, AT(learnt), 0,
	  "there is a name", "how the name was learnt" },
	{ "address", AUDIT_T_ADDRESS, AUDIT_IF_FLAG, AT(address),
	  AT(has_address), "an address is concerned",
	  "address that the payload wanted to reach" },
	{ "port", AUDIT_T_U16, AUDIT_IF_SET, AT(port), 0, "a port is concerned",
	  "port that the payload wanted to reach" },
	{ "rule", AUDIT_T_TEXT, AUDIT_IF_SET, AT(rule), 0, "a rule decided",
	  "the rule that decided, in canonical form" },
	{ "reason", AUDIT_T_TEXT, AUDIT_IF_SET, AT(reason), 0,
	  "there is more to say than the verdict", "why" },
	{ "hint", AUDIT_T_TEXT, AUDIT_IF_SET, AT(hint), 0,
	  "refused, and a rule can allow it", "the rule that would allow it" },
	{ "errno", AUDIT_T_ERRNO, AUDIT_IF_SET, AT(error), 0, "verdict is fail",
	  "error of the system call, by name" },
	{ "bytes_in", AUDIT_T_U64, AUDIT_IF_FLAG, AT(bytes_in), AT(has_bytes),
	  "a flow ended", "bytes that the payload received" },
	{ "bytes_out", AUDIT_T_U64, AUDIT_IF_FLAG, AT(bytes_out), AT(has_bytes),
	  "a flow ended", "bytes that the payload sent" },
	{ "duration_ms", AUDIT_T_U64, AUDIT_IF_FLAG, AT(duration_ms),
	  AT(has_duration), "something ended that lasted",
	  "how long it lasted, in milliseconds" },
	{ "chain", AUDIT_T_LIST, AUDIT_IF_SET, AT(chain), 0,
	  "a DNS answer went through aliases",
	  "the CNAMEs between the name and its addresses" },
	{ "dropped", AUDIT_T_U64, AUDIT_IF_SET, AT(dropped), 0,
	  "one line stands for several events",
	  "how many events have no line of their own. With verdict deny: this "
	  "line counts so many refusals, alike by its other fields, which came "
	  "faster than they are logged. In layer lifecycle: so many events "
	  "before this line were lost, of whatever kind, because the audit "
	  "could not be written then (a full disk, a reader that did not "
	  "read) or because they were more than it takes in a second" },
	{ "pid", AUDIT_T_U32, AUDIT_IF_SET, AT(pid), 0, "it could be found out",
	  "process, as the host numbers it" },
	{ "exe", AUDIT_T_TEXT, AUDIT_IF_SET, AT(exe), 0,
	  "it could be found out", "executable of that process" },
	{ "hash", AUDIT_T_TEXT, AUDIT_IF_SET, AT(hash), 0, "always",
	  "what chains the line to the one before; always the last field" },
};

const size_t audit_nfields = sizeof(audit_fields) / sizeof(audit_fields[0]);

const char *audit_type_json(enum audit_type type)
{
	switch (type) {
	case AUDIT_T_U64:
	case AUDIT_T_U32:
	case AUDIT_T_U16:
		return "number";
	case AUDIT_T_LIST:
		return "array of strings";
	case AUDIT_T_TIME:
	case AUDIT_T_TEXT:
	case AUDIT_T_LAYER:
	case AUDIT_T_VERDICT:
	case AUDIT_T_ADDRESS:
	case AUDIT_T_ERRNO:
		break;
	}
	return "string";
}
