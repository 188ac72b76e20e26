/* getname.c - a client with a resolver in it, to be linked statically
 * SPDX-License-Identifier: Apache-2.0
 *
 * getname NAME PORT: connects to the name's addresses one after the other and
 * says what the first that takes it answers. Built against several C libraries:
 * no wrapper of a dynamic loader, and musl asks for A and AAAA from one socket.
 */
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int dial(const struct addrinfo *list)
{
	for (; list; list = list->ai_next) {
		int fd = socket(list->ai_family, list->ai_socktype, 0);

		if (fd >= 0 &&
		    connect(fd, list->ai_addr, list->ai_addrlen) == 0)
			return fd;
		perror("connect");
		if (fd >= 0)
			(void)close(fd);
	}
	return -1;
}

int main(int argc, char **argv)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list;
	char text[1024];
	ssize_t n;
	int fd, r;

	if (argc != 3)
		return 2;
	r = getaddrinfo(argv[1], argv[2], &hints, &list);
	if (r) {
		(void)fprintf(stderr, "%s: %s\n", argv[1], gai_strerror(r));
		return 3;
	}
	fd = dial(list);
	freeaddrinfo(list);
	if (fd < 0)
		return 4;
	r = snprintf(text, sizeof(text),
		     "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
		     argv[1]);
	if (r < 0 || (size_t)r >= sizeof(text) ||
	    write(fd, text, (size_t)r) != r)
		return 5;
	while ((n = read(fd, text, sizeof(text))) > 0)
		(void)fwrite(text, 1, (size_t)n, stdout);
	return n < 0 ? 6 : 0;
}
