/* viewplan_etc.c - /etc inside: secrets masked, files of ours over the host's
 * SPDX-License-Identifier: Apache-2.0
 *
 * A mask costs something in every session, so only what is there and what the
 * payload could read is masked.
 */
#include "core/viewplan_etc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/fd.h"
#include "core/viewplan.h"
#include "policy/guard.h"

static const char step[] = "make view of /etc";

struct etc {
	const struct identity *id;
	struct view *view;
	struct err *err;
};

static int add(struct etc *e, const struct view_op *op)
{
	if (view_add(e->view, op) < 0)
		return err_sys(e->err, ENOMEM, step, NULL);
	return 0;
}

/* ---- secrets ---- */

/* A "*" in the last part stands for any text. */
static const char *const secrets[] = {
	/* password hashes and who may become root */
	"/etc/shadow",
	"/etc/shadow-",
	"/etc/gshadow",
	"/etc/gshadow-",
	"/etc/security/opasswd",
	"/etc/sudoers",
	"/etc/sudoers.d",
	"/etc/doas.conf",
	/* private keys of the machine */
	"/etc/ssh/ssh_host_*_key",
	"/etc/ssl/private",
	"/etc/pki/tls/private",
	"/etc/letsencrypt",
	"/etc/krb5.keytab",
	"/etc/ipsec.secrets",
	"/etc/ipsec.d/private",
	"/etc/swanctl",
	"/etc/wireguard",
	"/etc/openvpn",
	"/etc/tinc",
	"/etc/luks",
	"/etc/cryptsetup-keys.d",
	"/etc/kubernetes",
	"/etc/rancher",
	/* passwords of networks and services */
	"/etc/NetworkManager/system-connections",
	"/etc/netplan",
	"/etc/wpa_supplicant",
	"/etc/iwd",
	"/etc/ppp/chap-secrets",
	"/etc/ppp/pap-secrets",
	"/etc/libvirt/secrets",
	"/etc/mysql/debian.cnf",
	"/etc/postfix/sasl_passwd*",
	"/etc/exim4/passwd.client",
	"/etc/msmtprc",
	"/etc/samba/private",
	"/etc/cifs-credentials*",
	"/etc/davfs2/secrets",
	"/etc/sssd",
	"/etc/apt/auth.conf",
	"/etc/apt/auth.conf.d",
	"/etc/docker/key.json",
	"/etc/boto.cfg",
	"/etc/rclone.conf",
	"/etc/redis/*.conf",
	/* no secret, but ssh stops at a file here that is neither root's nor
	 * its user's own, and inside, nothing is root's */
	"/etc/ssh/ssh_config.d",
};

/*
 * Could the payload read it? For ourselves the kernel answers; as root for
 * another user, by owner and mode, any bit for a group counting as ours.
 */
static bool readable(const struct identity *id, const char *path)
{
	mode_t bits;
	struct stat st;

	if (id->kind != IDENTITY_ROOT)
		return faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0 ||
		       /* a folder: to enter is enough */
		       (errno == EACCES &&
			faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0);
	if (stat(path, &st) < 0)
		return false;
	bits = S_IROTH;
	if (st.st_uid == id->host_uid)
		bits |= S_IRUSR;
	if (st.st_gid == id->host_gid)
		bits |= S_IRGRP;
	if (S_ISDIR(st.st_mode))
		bits |= bits >> 2;
	return st.st_mode & bits;
}

/* A folder without anything in it keeps no secret. */
static bool is_empty(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *d;
	bool empty = true;

	if (!dir)
		return false;
	while (empty && (d = readdir(dir)))
		empty = strcmp(d->d_name, ".") == 0 ||
			strcmp(d->d_name, "..") == 0;
	(void)closedir(dir);
	return empty;
}

static int mask(struct etc *e, const char *path)
{
	struct view_op op = { .kind = VIEW_MASK, .optional = true };
	char target[PATH_MAX];
	struct stat st;
	int r;

	if (!readable(e->id, path) || is_empty(path))
		return 0;
	op.path = (char *)(uintptr_t)path;
	r = add(e, &op);
	/* a mask of the name is none of what it leads to */
	if (r < 0 || lstat(path, &st) < 0 || !S_ISLNK(st.st_mode) ||
	    !realpath(path, target))
		return r;
	op.path = target;
	return add(e, &op);
}

static int mask_pattern(struct etc *e, const char *pattern)
{
	const char *name = strrchr(pattern, '/') + 1;
	char path[PATH_MAX];
	int len = (int)(name - pattern);
	struct dirent *d;
	int r = 0;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "%.*s", len, pattern);
	dir = opendir(path);
	if (!dir)
		return 0;
	while (r == 0 && (d = readdir(dir))) {
		if (fnmatch(name, d->d_name, 0) != 0)
			continue;
		(void)snprintf(path + len, sizeof(path) - (size_t)len, "%s",
			       d->d_name);
		r = mask(e, path);
	}
	(void)closedir(dir);
	return r;
}

static int mask_secrets(struct etc *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(secrets) / sizeof(secrets[0]);
	     i++)
		r = strchr(secrets[i], '*') ? mask_pattern(e, secrets[i]) :
					      mask(e, secrets[i]);
	return r;
}

/* ---- files of ours ---- */

/* `text` by that name, whatever the host has there. */
static int replace(struct etc *e, const char *path, const char *text)
{
	struct view_op op = { .kind = VIEW_FILE, .mode = 0444 };

	if (!text)
		return err_sys(e->err, ENOMEM, step, NULL);
	op.path = (char *)(uintptr_t)path;
	op.source = (char *)(uintptr_t)text;
	return add(e, &op);
}

static int put_resolv_conf(struct etc *e)
{
	char v4[ADDR_STRLEN], v6[ADDR_STRLEN], text[160];

	(void)snprintf(text, sizeof(text), "nameserver %s\nnameserver %s\n",
		       addr_str(&gate_addrs.resolver4, v4),
		       addr_str(&gate_addrs.resolver6, v6));
	return replace(e, "/etc/resolv.conf", text);
}

/* Files and DNS only: other sources are daemons of the host. */
static const char nsswitch[] = "passwd: files\n"
			       "group: files\n"
			       "shadow: files\n"
			       "gshadow: files\n"
			       "hosts: files dns\n"
			       "networks: files\n"
			       "protocols: files\n"
			       "services: files\n"
			       "ethers: files\n"
			       "rpc: files\n";

static const char hosts[] = "127.0.0.1 localhost " VIEWPLAN_HOSTNAME "\n"
			    "::1 localhost ip6-localhost ip6-loopback\n";

static int put_files(struct etc *e, const char *work)
{
	cleanup_free char *home = NULL, *passwd = NULL;
	int r;

	if (asprintf(&home, "%s/.exeat/home", work) < 0) {
		home = NULL;
		return err_sys(e->err, ENOMEM, step, NULL);
	}
	passwd = identity_passwd(e->id, home);
	r = put_resolv_conf(e);
	if (r == 0)
		r = replace(e, "/etc/hosts", hosts);
	if (r == 0)
		r = replace(e, "/etc/passwd", passwd);
	if (r == 0)
		r = replace(e, "/etc/group", e->id->group);
	if (r == 0)
		r = replace(e, "/etc/hostname", VIEWPLAN_HOSTNAME "\n");
	if (r == 0)
		r = replace(e, "/etc/nsswitch.conf", nsswitch);
	return r;
}

int viewplan_etc(const struct viewplan_request *rq, struct view *view,
		 struct err *err)
{
	struct etc e = { rq->id, view, err };
	int r = mask_secrets(&e);

	if (r == 0)
		r = put_files(&e, rq->work->path);
	return r == 0 && rq->ca ? replace(&e, VIEWPLAN_CA, rq->ca) : r;
}
