/* rawconnect.c - a client without a C library: system calls and nothing else
 * SPDX-License-Identifier: Apache-2.0
 *
 * rawconnect A.B.C.D PORT [TEXT]: connects, sends TEXT if there is one,
 * copies what comes to stdout. Statically linked, no preload can reach it.
 * Exit status: 0, or the errno of connect (ECONNREFUSED is 111), or of read.
 */
#include <linux/in.h>
#include <linux/unistd.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
static long raw_call(long n, long a, long b, long c)
{
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(n), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return r;
}

__asm__(".globl _start\n"
	"_start:\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call raw_main\n");
#elif defined(__aarch64__)
static long raw_call(long n, long a, long b, long c)
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2)
			 : "memory");
	return x0;
}

__asm__(".globl _start\n"
	"_start:\n"
	"	mov x0, sp\n"
	"	bl raw_main\n");
#else
#error "no system call instruction known for this machine"
#endif

void raw_main(long *stack);

static _Noreturn void leave(long code)
{
	for (;;)
		raw_call(__NR_exit_group, code, 0, 0);
}

/* Digits up to a byte that is none; *at moves behind that byte. */
static unsigned number(const char **at)
{
	unsigned n = 0;

	while (**at >= '0' && **at <= '9')
		n = n * 10 + (unsigned)(*(*at)++ - '0');
	if (**at)
		(*at)++;
	return n;
}

static long length(const char *text)
{
	long n = 0;

	while (text[n])
		n++;
	return n;
}

void raw_main(long *stack)
{
	struct sockaddr_in to = { .sin_family = 2 };
	char **argv = (char **)(stack + 1);
	static char buf[4096];
	const char *at;
	long fd, r;

	if (stack[0] < 3)
		leave(255);
	at = argv[1];
	for (unsigned i = 0; i < 4; i++)
		((uint8_t *)&to.sin_addr)[i] = (uint8_t)number(&at);
	at = argv[2];
	r = number(&at);
	to.sin_port = (uint16_t)((r >> 8) | (r & 0xff) << 8);
	fd = raw_call(__NR_socket, 2, 1, 0);
	if (fd < 0)
		leave(-fd);
	r = raw_call(__NR_connect, fd, (long)&to, sizeof(to));
	if (r < 0)
		leave(-r);
	if (stack[0] > 3)
		(void)raw_call(__NR_write, fd, (long)argv[3], length(argv[3]));
	while ((r = raw_call(__NR_read, fd, (long)buf, sizeof(buf))) > 0)
		(void)raw_call(__NR_write, 1, (long)buf, r);
	leave(-r);
}
