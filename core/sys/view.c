/* view.c - the list of operations: building, sending, receiving
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/sys/view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/msg.h"
#include "core/sys/view_private.h"

/* The least that one operation takes on the wire. */
#define OP_MIN 25

static void op_done(struct view_op *op)
{
	free(op->path);
	free(op->source);
	free(op->target);
}

void view_init(struct view *v)
{
	*v = (struct view){ .ops = NULL };
}

void view_done(struct view *v)
{
	for (size_t i = 0; i < v->nops; i++)
		op_done(&v->ops[i]);
	free(v->ops);
	view_init(v);
}

int view_add(struct view *v, const struct view_op *op)
{
	struct view_op copy = *op;

	if (v->nops == v->size) {
		size_t size = v->size ? 2 * v->size : 32;
		struct view_op *bigger =
			realloc(v->ops, size * sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		v->ops = bigger;
		v->size = size;
	}
	copy.target = NULL;
	copy.again = copy.laid = false;
	copy.path = strdup(op->path);
	copy.source = op->source ? strdup(op->source) : NULL;
	if (!copy.path || (op->source && !copy.source)) {
		op_done(&copy);
		return -ENOMEM;
	}
	v->ops[v->nops++] = copy;
	return 0;
}

void view_encode(const struct view *v, struct sbuf *ret)
{
	sbuf_u32(ret, (uint32_t)v->nops);
	for (size_t i = 0; i < v->nops; i++) {
		const struct view_op *op = &v->ops[i];

		sbuf_u8(ret, (uint8_t)op->kind);
		sbuf_u8(ret, op->per_run);
		sbuf_u8(ret, op->optional);
		sbuf_lstr(ret, op->path);
		sbuf_lstr(ret, op->source);
		sbuf_u64(ret, op->size);
		sbuf_u32(ret, op->mode);
		/* whatever another kind has there means nothing */
		sbuf_u8(ret,
			op->kind == VIEW_MOUNT_FD ? (uint8_t)op->fd_index : 0);
	}
}

static bool has_source(enum view_kind kind)
{
	return kind == VIEW_BIND_RO || kind == VIEW_BIND_RW ||
	       kind == VIEW_SYMLINK || kind == VIEW_FILE ||
	       kind == VIEW_LAYERED;
}

static bool get_op(struct rbuf *r, struct view_op *ret)
{
	uint8_t kind = rbuf_u8(r), per_run = rbuf_u8(r), optional = rbuf_u8(r);

	*ret = (struct view_op){
		.kind = (enum view_kind)kind,
		.per_run = per_run != 0,
		.optional = optional != 0,
		/* view_add() makes copies of its own */
		.path = (char *)(uintptr_t)rbuf_str(r),
		.source = (char *)(uintptr_t)rbuf_str(r),
		.size = rbuf_u64(r),
		.mode = rbuf_u32(r),
		.fd_index = rbuf_u8(r),
	};
	return !r->bad && kind <= VIEW_LAYERED && per_run <= 1 &&
	       optional <= 1 && ret->path && ret->path[0] == '/' &&
	       (ret->source || !has_source(ret->kind)) && ret->mode <= 07777 &&
	       ret->fd_index < MSG_FDS_MAX &&
	       (ret->fd_index == 0 || ret->kind == VIEW_MOUNT_FD);
}

int view_decode(struct rbuf *r, struct view *ret)
{
	uint32_t n = rbuf_u32(r);
	struct view v;
	int error = 0;

	if (r->bad || n > VIEW_OPS_MAX || n > rbuf_left(r) / OP_MIN)
		return -EPROTO;
	view_init(&v);
	for (uint32_t i = 0; i < n && error == 0; i++) {
		struct view_op op;

		error = get_op(r, &op) ? view_add(&v, &op) : -EPROTO;
	}
	if (error < 0) {
		view_done(&v);
		return error;
	}
	*ret = v;
	return 0;
}

const char *view_step(enum view_kind kind)
{
	static const char *const steps[] = {
		[VIEW_BIND_RO] = "show read-only",
		[VIEW_BIND_RW] = "show writable",
		[VIEW_MOUNT_FD] = "show mount",
		[VIEW_TMPFS] = "make tmpfs",
		[VIEW_DIR] = "make directory",
		[VIEW_SYMLINK] = "make symlink",
		[VIEW_FILE] = "put file",
		[VIEW_MASK] = "mask",
		[VIEW_PROC] = "mount proc",
		[VIEW_DEV] = "make devices",
		[VIEW_COVER] = "cover socket",
		[VIEW_LAYERED] = "show read-only",
	};

	return steps[kind];
}
