/* viewplan_etc.h - /etc inside: secrets masked, files of ours over the host's
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXEAT_CORE_VIEWPLAN_ETC_H
#define EXEAT_CORE_VIEWPLAN_ETC_H

#include "core/base/err.h"
#include "core/identity.h"
#include "core/sys/view.h"

struct viewplan_request;
/* Append to the session's list. Must come after the binds of /etc and /usr. */
int viewplan_etc(const struct viewplan_request *rq, struct view *view,
		 struct err *err);

#endif
