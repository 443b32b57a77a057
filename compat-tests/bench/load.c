/*
 * load: puts a daemon under CPG load through libcpg and reports what it delivered.
 *
 *   load throughput BYTES WARMUP_MS WINDOW_MS    one thread sends as fast as it is let, another dispatches
 *   load latency BYTES WARMUP_MS WINDOW_MS       one message in flight: sent to delivered
 *   load watch BYTES 0 0                         the same, every 10 ms, until SIGTERM
 *
 * Prints one line of name=value pairs. Every delivery is checked: own messages arrive in the order sent,
 * with the length and the bytes that were sent. A difference ends the program with status 2.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <corosync/corotypes.h>
#include <corosync/cpg.h>

#define DRAIN_LIMIT_MS 60000
#define LATENCY_SAMPLES 1000000

struct stamp { uint64_t number; uint64_t sent_ns; };

static cpg_handle_t handle;
static uint32_t own_node;
static size_t message_bytes;
static _Atomic uint64_t accepted, delivered, busy;
static _Atomic int sending, dispatching, joined;
static uint32_t *latencies;
static size_t latency_count;
static _Atomic int keep_samples;

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void sleep_ms(unsigned ms)
{
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };
	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

static void fail(int status, const char *what, long value)
{
	fprintf(stderr, "load: %s (%ld)\n", what, value);
	exit(status);
}

/* A byte of the body depends on its place only: cheap to make, and a shift or a hole shows. */
static unsigned char pattern(size_t place) { return (unsigned char)(place * 31 + 7); }

static void on_delivery(cpg_handle_t h, const struct cpg_name *group, uint32_t node, uint32_t pid,
	void *message, size_t length)
{
	struct stamp stamp;
	uint64_t number = atomic_load_explicit(&delivered, memory_order_relaxed);
	unsigned char *bytes = message;
	size_t last = length - 1;

	(void)h; (void)group;
	if (node != own_node || pid != (uint32_t)getpid())
		return;
	if (length != message_bytes)
		fail(2, "a message changed its length", (long)length);
	memcpy(&stamp, message, sizeof stamp);
	if (stamp.number != number)
		fail(2, "messages out of order", (long)stamp.number);
	if (last >= sizeof stamp && (bytes[last] != pattern(last) || bytes[length / 2 + 8] != pattern(length / 2 + 8)))
		fail(2, "a message changed its bytes", (long)number);
	if (latencies && atomic_load(&keep_samples) && latency_count < LATENCY_SAMPLES)
		latencies[latency_count++] = (uint32_t)(now_ns() - stamp.sent_ns);
	atomic_store_explicit(&delivered, number + 1, memory_order_release);
}

static void on_membership(cpg_handle_t h, const struct cpg_name *group,
	const struct cpg_address *members, size_t member_count, const struct cpg_address *left, size_t left_count,
	const struct cpg_address *joiners, size_t joiner_count)
{
	(void)h; (void)group; (void)members; (void)member_count; (void)left; (void)left_count; (void)joiners;
	if (joiner_count)
		atomic_store(&joined, 1);
}

static void *dispatch(void *unused)
{
	int fd;
	(void)unused;
	cpg_fd_get(handle, &fd);
	while (atomic_load(&dispatching)) {
		struct pollfd p = { fd, POLLIN, 0 };
		cs_error_t error;
		if (poll(&p, 1, 100) <= 0)
			continue;
		error = cpg_dispatch(handle, CS_DISPATCH_ALL);
		if (error != CS_OK && error != CS_ERR_TRY_AGAIN)
			fail(1, "cpg_dispatch", error);
	}
	return NULL;
}

/* 1: taken; 0: the daemon asks to wait. */
static int send_one(struct iovec *message)
{
	struct stamp stamp = { atomic_load_explicit(&accepted, memory_order_relaxed), now_ns() };
	cs_error_t error;

	memcpy(message->iov_base, &stamp, sizeof stamp);
	error = cpg_mcast_joined(handle, CPG_TYPE_AGREED, message, 1);
	if (error == CS_OK) {
		atomic_store_explicit(&accepted, stamp.number + 1, memory_order_release);
		return 1;
	}
	if (error != CS_ERR_TRY_AGAIN)
		fail(1, "cpg_mcast_joined", error);
	atomic_fetch_add_explicit(&busy, 1, memory_order_relaxed);
	return 0;
}

static void *send_all(void *message)
{
	while (atomic_load_explicit(&sending, memory_order_relaxed))
		send_one(message);
	return NULL;
}

static void wait_for(uint64_t wanted)
{
	unsigned waited = 0;
	while (atomic_load_explicit(&delivered, memory_order_acquire) < wanted) {
		if (waited++ > DRAIN_LIMIT_MS)
			fail(1, "accepted messages were never delivered", (long)(wanted - atomic_load(&delivered)));
		sleep_ms(1);
	}
}

static void throughput(struct iovec *message, unsigned warmup_ms, unsigned window_ms)
{
	pthread_t sender;
	uint64_t began, ended, a0, a1, d0, d1;

	atomic_store(&sending, 1);
	pthread_create(&sender, NULL, send_all, message);
	sleep_ms(warmup_ms);
	began = now_ns(); a0 = atomic_load(&accepted); d0 = atomic_load(&delivered);
	sleep_ms(window_ms);
	ended = now_ns(); a1 = atomic_load(&accepted); d1 = atomic_load(&delivered);
	atomic_store(&sending, 0);
	pthread_join(sender, NULL);
	wait_for(atomic_load(&accepted));
	printf("bytes=%zu accepted=%.1f delivered=%.1f backlog=%llu busy=%llu drain_ms=%.1f total=%llu\n",
		message_bytes, (a1 - a0) * 1e9 / (ended - began), (d1 - d0) * 1e9 / (ended - began),
		(unsigned long long)(a1 - d1), (unsigned long long)atomic_load(&busy), (now_ns() - ended) / 1e6,
		(unsigned long long)atomic_load(&delivered));
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static void stop_watching(int signal) { (void)signal; atomic_store(&sending, 0); }

static void latency(struct iovec *message, unsigned warmup_ms, unsigned window_ms, int watch)
{
	int fd;
	uint64_t began = now_ns(), warm = began + warmup_ms * 1000000ull, end = warm + window_ms * 1000000ull, now;

	latencies = calloc(LATENCY_SAMPLES, sizeof *latencies);
	if (!latencies)
		fail(1, "no memory", 0);
	cpg_fd_get(handle, &fd);
	if (watch) {
		atomic_store(&sending, 1);
		signal(SIGTERM, stop_watching);
		puts("watching");
		fflush(stdout);
	}
	while ((now = now_ns()) < end || (watch && atomic_load(&sending))) {
		if (watch)
			sleep_ms(10);
		now = now_ns();
		atomic_store(&keep_samples, now >= warm);
		while (!send_one(message))
			if (watch)
				sleep_ms(1);
		while (atomic_load(&delivered) < atomic_load(&accepted)) {
			struct pollfd p = { fd, POLLIN, 0 };
			poll(&p, 1, 1000);
			cpg_dispatch(handle, CS_DISPATCH_ALL);
			if (now_ns() - now > DRAIN_LIMIT_MS * 1000000ull)
				fail(1, "an accepted message was never delivered", 0);
		}
	}
	if (!latency_count)
		fail(1, "no sample", 0);
	qsort(latencies, latency_count, sizeof *latencies, by_value);
	printf("bytes=%zu samples=%zu p50_us=%.1f p99_us=%.1f max_us=%.1f\n", message_bytes, latency_count,
		latencies[latency_count / 2] / 1e3, latencies[latency_count * 99 / 100] / 1e3,
		latencies[latency_count - 1] / 1e3);
}

int main(int argc, char **argv)
{
	static cpg_model_v1_data_t model = { .cpg_deliver_fn = on_delivery, .cpg_confchg_fn = on_membership };
	static struct cpg_name group = { .length = 4, .value = "load" };
	struct iovec message;
	pthread_t dispatcher;
	unsigned warmup_ms, window_ms, tries = 0;
	cs_error_t error;
	size_t i;

	if (argc != 5)
		fail(64, "usage: load throughput|latency|watch BYTES WARMUP_MS WINDOW_MS", argc);
	message_bytes = strtoul(argv[2], NULL, 10);
	warmup_ms = strtoul(argv[3], NULL, 10);
	window_ms = strtoul(argv[4], NULL, 10);
	if (message_bytes < sizeof(struct stamp) + 16)
		fail(64, "at least 32 bytes", (long)message_bytes);
	message.iov_len = message_bytes;
	message.iov_base = malloc(message_bytes);
	for (i = 0; i < message_bytes; i++)
		((unsigned char *)message.iov_base)[i] = pattern(i);

	error = cpg_model_initialize(&handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, NULL);
	if (error != CS_OK)
		fail(1, "cpg_model_initialize", error);
	if ((error = cpg_local_get(handle, &own_node)) != CS_OK)
		fail(1, "cpg_local_get", error);
	while ((error = cpg_join(handle, &group)) == CS_ERR_TRY_AGAIN && tries++ < 5000)
		sleep_ms(2);
	if (error != CS_OK)
		fail(1, "cpg_join", error);
	for (tries = 0; !atomic_load(&joined); tries++) {
		if (tries > 5000)
			fail(1, "the join was never confirmed", 0);
		cpg_dispatch(handle, CS_DISPATCH_ALL);
		sleep_ms(2);
	}
	if (!strcmp(argv[1], "latency")) {
		latency(&message, warmup_ms, window_ms, 0);
	} else if (!strcmp(argv[1], "watch")) {
		latency(&message, 0, 0, 1);
	} else {
		atomic_store(&dispatching, 1);
		pthread_create(&dispatcher, NULL, dispatch, NULL);
		throughput(&message, warmup_ms, window_ms);
		atomic_store(&dispatching, 0);
		pthread_join(dispatcher, NULL);
	}
	cpg_leave(handle, &group);
	cpg_finalize(handle);
	return 0;
}
