/* A watchdog for tests: answers the watchdog's requests on any file, and notes them in /run/dog. Preload it. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int timeout = 60;

static void note(const char *what, int value) {
	char line[64];
	int fd = open("/run/dog", O_WRONLY | O_APPEND | O_CREAT, 0600);
	if (write(fd, line, snprintf(line, sizeof(line), "%s %d\n", what, value)) < 0)
		_exit(99);
	close(fd);
}

int ioctl(int fd, unsigned long request, ...) {
	va_list arguments;
	va_start(arguments, request);
	void *argument = va_arg(arguments, void *);
	va_end(arguments);
	switch ((unsigned int)request) {
	case WDIOC_GETSUPPORT: {
		struct watchdog_info info = {.options = WDIOF_SETTIMEOUT | WDIOF_MAGICCLOSE, .identity = "Test dog"};
		memcpy(argument, &info, sizeof(info));
		note("support", 0);
		return 0;
	}
	case WDIOC_GETTIMEOUT:
		*(int *)argument = timeout;
		return 0;
	case WDIOC_SETTIMEOUT:
		timeout = *(int *)argument;
		note("timeout", timeout);
		return 0;
	case WDIOC_SETOPTIONS:
		note("options", 0);
		return 0;
	case WDIOC_KEEPALIVE:
		note("tickle", 0);
		return 0;
	}
	int (*real)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
	return real(fd, request, argument);
}
