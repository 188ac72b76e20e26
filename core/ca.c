/* ca.c - authorities: those that the machine trusts, and the caller's own
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/ca.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/limits.h"

/* Where systems keep the authorities that they trust, all in one file. */
static const char *const bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt", /* Debian and its family */
	"/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora and its family */
	"/etc/ssl/ca-bundle.pem",	      /* SUSE */
	"/etc/ssl/cert.pem",		      /* Alpine */
};

const char *ca_machine_path(void)
{
	for (size_t i = 0; i < sizeof(bundles) / sizeof(bundles[0]); i++)
		if (access(bundles[i], R_OK) == 0)
			return bundles[i];
	return NULL;
}

static int take(const char *path, char **ret, size_t *ret_len, struct err *err)
{
	int r = fd_read_file(AT_FDCWD, path, LIMIT_CA_FILE, ret, ret_len);

	if (r < 0)
		return err_new(err, ERR_INVALID, "ca_file", path,
			       "cannot be read: %s", strerrordesc_np(-r));
	/* the rest is looked at where a mistake in looking costs little */
	if (!strstr(*ret, "CERTIFICATE-----"))
		return err_new(err, ERR_INVALID, "ca_file", path,
			       "no certificate as PEM in it");
	return 0;
}

int ca_open(const char *file, bool needed, struct ca *ret, struct err *err)
{
	const char *machine = ca_machine_path();
	struct ca ca = { .inside = file != NULL };
	int r = 0;

	if (needed && !file && !machine) {
		r = err_new(err, ERR_UNAVAILABLE, "ca_file", NULL,
			    "this machine has no list of authorities");
		err_remedy(err, "install ca-certificates, or name a file");
		return r;
	}
	if (file)
		r = take(file, &ca.own, &ca.own_len, err);
	if (r == 0 && machine && (file || needed))
		r = take(machine, &ca.machine, &ca.machine_len, err);
	if (r < 0)
		ca_forget(&ca);
	else
		*ret = ca;
	return r;
}

char *ca_bundle(const struct ca *ca)
{
	char *text = malloc(ca->machine_len + ca->own_len + 2), *at = text;

	if (!text)
		return NULL;
	if (ca->machine_len > 0)
		at = mempcpy(at, ca->machine, ca->machine_len);
	*at++ = '\n'; /* the last line of it may lack its own */
	if (ca->own_len > 0)
		at = mempcpy(at, ca->own, ca->own_len);
	*at = '\0';
	return text;
}

void ca_forget(struct ca *ca)
{
	free(ca->own);
	free(ca->machine);
	ca->own = ca->machine = NULL;
	ca->own_len = ca->machine_len = 0;
}
