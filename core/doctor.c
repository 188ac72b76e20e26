/* doctor.c - what this machine has, what it lacks, and what helps
 * SPDX-License-Identifier: Apache-2.0
 *
 * The rows in order: who the payload would be, the kernel's features, files
 * and folders, the network of the machine, presets. Each is tried, not looked
 * up: what works is what a session will find. The probes are children of this
 * process that only waitpid() by their pid sees; a program with other threads
 * should call this before it starts them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "backends/backend.h"
#include "core/base/buf.h"
#include "core/base/fd.h"
#include "core/doctor.h"
#include "core/include/exeat.h"
#include "core/preset.h"
#include "core/session.h"
#include "core/sys/netns.h"
#include "core/sys/route.h"
#include "core/workdir.h"

struct doctor {
	void (*each)(void *, const struct exeat_check *);
	void *user_data;
	int missing;
};

static void tell(struct doctor *d, const char *name,
		 enum exeat_check_state state, const char *detail,
		 const char *remedy)
{
	const struct exeat_check c = { name, state, detail, remedy };

	if (state == EXEAT_CHECK_MISSING)
		d->missing++;
	if (d->each)
		d->each(d->user_data, &c);
}

/* A failure: what was being done and why it failed; the remedy apart. */
static void tell_err(struct doctor *d, const char *name, bool only_warn,
		     const struct err *err)
{
	struct err bare = *err;
	char text[1024];

	bare.remedy[0] = '\0';
	tell(d, name, only_warn ? EXEAT_CHECK_WARN : EXEAT_CHECK_MISSING,
	     err_str(&bare, text, sizeof(text)), err->remedy);
}

/* ---- identity ---- */

static bool check_identity(struct doctor *d, struct identity *ret)
{
	static const char *const kinds[] = {
		[IDENTITY_USER] = "an ordinary user",
		[IDENTITY_ROOT] = "root",
		[IDENTITY_ONE_ID_ROOT] = "root of a namespace with one id",
	};
	struct err err = { 0 };
	char text[160];

	if (identity_find(-1, NULL, ret, &err) < 0) {
		tell_err(d, "identity", false, &err);
		return false;
	}
	(void)snprintf(text, sizeof(text),
		       "%s; commands run as uid %u, gid %u, inside %s (%u:%u)",
		       kinds[ret->kind], ret->host_uid, ret->host_gid,
		       ret->user, ret->uid, ret->gid);
	tell(d, "identity", EXEAT_CHECK_OK, text, "");
	if (ret->groups_kept)
		tell(d, "supplementary groups", EXEAT_CHECK_WARN,
		     "commands keep them: an ordinary user cannot drop groups",
		     "start as a user without them, or as root");
	return true;
}

/* ---- kernel ---- */

static void check_version(struct doctor *d)
{
	struct utsname u;

	if (uname(&u) == 0)
		tell(d, "kernel", EXEAT_CHECK_OK, u.release, "");
}

static void check_kernel(struct doctor *d, const struct identity *id)
{
	bool no_userns = false;

	for (size_t i = 0; i < doctor_kernel_nprobes; i++) {
		const struct probe *p = &doctor_kernel_probes[i];
		struct finding f;

		if (p->root_only && id->kind != IDENTITY_ROOT)
			continue;
		if (p->inside && no_userns) {
			tell(d, p->name, EXEAT_CHECK_MISSING,
			     "not tried: it needs user namespaces",
			     "see user namespaces");
			continue;
		}
		doctor_run(p, id, &f);
		if (f.r < 0)
			tell_err(d, p->name, f.only_warn, &f.err);
		else
			tell(d, p->name, EXEAT_CHECK_OK,
			     f.detail[0] ? f.detail : "works", "");
		no_userns |= i == 0 && f.r < 0;
	}
}

static void check_backend(struct doctor *d)
{
	const struct backend *b = backend_find("userns");
	struct err err = { 0 };

	if (b->probe(&err) < 0)
		tell_err(d, "backend userns", false, &err);
	else
		tell(d, "backend userns", EXEAT_CHECK_OK, "works", "");
}

/* ---- files ---- */

static void check_helper(struct doctor *d)
{
	struct err err = { 0 };
	char path[4096];

	if (helper_path(NULL, path, sizeof(path), &err) < 0)
		tell_err(d, "helper program", false, &err);
	else
		tell(d, "helper program", EXEAT_CHECK_OK, path, "");
}

/* Only sessions with such a proxy need them. */
static void check_tls(struct doctor *d)
{
	const char *ca = ca_machine_path();
	struct err err = { 0 };
	char path[4096], text[4160];

	if (helper_path(NULL, path, sizeof(path), &err) < 0)
		return; /* told already */
	if (helper_tls_check(path, &err) < 0)
		return tell_err(d, "https:// upstream proxies", true, &err);
	if (!ca)
		return tell(d, "https:// upstream proxies", EXEAT_CHECK_WARN,
			    "this machine has no list of authorities",
			    "install ca-certificates, or name a file by --ca");
	(void)snprintf(text, sizeof(text), "verified by %s", ca);
	tell(d, "https:// upstream proxies", EXEAT_CHECK_OK, text, "");
}

static void check_work_dir(struct doctor *d, const struct identity *id)
{
	struct err err = { 0 };
	struct workdir w;
	int r = workdir_fresh(id, &w, &err);

	if (r < 0) {
		tell_err(d, "fresh work dirs", false, &err);
		return;
	}
	r = workdir_populate(&w, id, &err);
	if (r < 0)
		tell_err(d, "fresh work dirs", false, &err);
	else
		tell(d, "fresh work dirs", EXEAT_CHECK_OK, "can be made", "");
	workdir_close(&w);
}

/* ---- limits ---- */

/* A group of one's own, also where other machines' doctors see the same pid. */
static int group_name(char ret[32], struct err *err)
{
	char id[SESSION_ID_SIZE];
	int r = session_id_make(id);

	if (r < 0)
		return err_sys(err, -r, "make cgroup", NULL);
	(void)snprintf(ret, 32, "doctor-%s", id);
	return 0;
}

/* Who would keep which: as a session would find it, by making a group. */
static void check_limits(struct doctor *d)
{
	static const char *const labels[CGROUP_KINDS] = {
		[CGROUP_MEMORY] = "limit of memory",
		[CGROUP_CPU] = "limit of processors",
		[CGROUP_PIDS] = "limit of processes",
	};
	struct cgroup g = { .nplaces = 0 };
	struct err err = { 0 };
	char text[512], name[32];

	if (group_name(name, &err) < 0 || cgroup_open(name, &g, &err) < 0)
		tell_err(d, "limits", true, &err);
	for (int k = 0; err.code == ERR_NONE && k < CGROUP_KINDS; k++) {
		if (cgroup_need(&g, (enum cgroup_kind)k, &err) < 0) {
			tell_err(d, labels[k], true, &err);
			err_clear(&err);
			continue;
		}
		(void)snprintf(text, sizeof(text),
			       "by cgroups of version %d, "
			       "in %s",
			       cgroup_version(&g, (enum cgroup_kind)k),
			       g.where[k] ? g.where[k] : "?");
		tell(d, labels[k], EXEAT_CHECK_OK, text, "");
	}
	(void)cgroup_close(&g);
}

static void check_pause(struct doctor *d)
{
	struct cgroup g = { .nplaces = 0 };
	struct err err = { 0 };
	char text[512], name[32];

	if (group_name(name, &err) < 0 ||
	    cgroup_open_freezer(name, &g, &err) < 0)
		(void)snprintf(text, sizeof(text),
			       "by signals: no cgroup of version 2 is ours to "
			       "freeze");
	else
		(void)snprintf(text, sizeof(text), "by cgroup.freeze, in %s",
			       g.where[0] ? g.where[0] : "?");
	tell(d, "pause", EXEAT_CHECK_OK, text, "");
	(void)cgroup_close(&g);
}

/* ---- the machine's network ---- */

static void check_resolvers(struct doctor *d)
{
	cleanup_free char *text = NULL;
	struct sbuf found;

	if (fd_read_file(AT_FDCWD, "/etc/resolv.conf", 1 << 20, &text, NULL) <
	    0) {
		tell(d, "name servers", EXEAT_CHECK_MISSING,
		     "/etc/resolv.conf cannot be read",
		     "make one with nameserver lines");
		return;
	}
	sbuf_init(&found, 1024);
	for (char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n') {
		char *a;

		p += strspn(p, " \t");
		if (strncmp(p, "nameserver", 10) != 0)
			continue;
		a = p + 10 + strspn(p + 10, " \t");
		if (a == p + 10)
			continue;
		sbuf_str(&found, found.len > 0 ? ", " : "");
		sbuf_add(&found, a, strcspn(a, " \t\r\n#"));
	}
	if (found.len > 0 && !found.bad)
		tell(d, "name servers", EXEAT_CHECK_OK, found.s, "");
	else
		tell(d, "name servers", EXEAT_CHECK_WARN,
		     "none in /etc/resolv.conf; 127.0.0.1 will be asked",
		     "add nameserver lines");
	sbuf_done(&found);
}

static void check_ipv6(struct doctor *d)
{
	/* an ordinary address; nothing is sent to it */
	const char *cursor = "2000::1";
	enum route_kind kind = ROUTE_NONE;
	struct err err = { 0 };
	struct addr a;
	cleanup_fd int fd = route_open(&err);

	if (fd < 0) {
		tell_err(d, "routes", false, &err);
		return;
	}
	if (!addr_parse(&cursor, &a) || route_ask(fd, &a, &kind, &err) < 0)
		kind = ROUTE_NONE;
	tell(d, "IPv6", EXEAT_CHECK_OK,
	     kind == ROUTE_UNICAST ? "routed" :
				     "no route; names get IPv4 addresses only",
	     "");
}

static void check_ports(struct doctor *d)
{
	char text[160];

	(void)snprintf(text, sizeof(text),
		       "tcp %d, %d, %d (HTTP and SOCKS proxy) and udp %d, %d "
		       "are the gate's inside; a command that binds one gets "
		       "EADDRINUSE",
		       GATE_PORT_TCP, GATE_PORT_DNS_TCP, GATE_PORT_PROXY,
		       GATE_PORT_UDP, GATE_PORT_DNS_UDP);
	tell(d, "ports of the gate", EXEAT_CHECK_OK, text, "");
}

/* ---- presets ---- */

static void check_preset(struct doctor *d, const char *name)
{
	struct preset_set set = { 0 };
	struct err err = { 0 };
	char label[96];

	if (preset_set_make_one(name, &set, &err) < 0) {
		(void)snprintf(label, sizeof(label), "preset @%s", name);
		tell_err(d, label, true, &err);
	}
	preset_set_done(&set);
}

static void check_presets(struct doctor *d)
{
	char **names = NULL;
	char text[64];
	size_t n = 0;

	if (preset_names(&names) < 0)
		return;
	for (; names[n]; n++)
		check_preset(d, names[n]);
	(void)snprintf(text, sizeof(text), "%zu known", n);
	tell(d, "presets", EXEAT_CHECK_OK, text, "");
	preset_names_free(names);
}

int exeat_doctor(void (*each)(void *user_data, const struct exeat_check *check),
		 void *user_data)
{
	struct doctor d = { each, user_data, 0 };
	struct identity id;

	check_version(&d);
	if (!check_identity(&d, &id))
		return d.missing;
	check_kernel(&d, &id);
	check_backend(&d);
	check_helper(&d);
	check_tls(&d);
	check_work_dir(&d, &id);
	check_limits(&d);
	check_pause(&d);
	check_resolvers(&d);
	check_ipv6(&d);
	check_ports(&d);
	check_presets(&d);
	identity_done(&id);
	return d.missing;
}
