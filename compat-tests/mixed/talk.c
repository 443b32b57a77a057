/*
 * talk: a CPG member that sends messages of mixed sizes and writes down everything it is told.
 *
 *   talk GROUP LOG SEED PER_SECOND
 *
 * Lines of the log, in the order of the callbacks:
 *   i NODE PID               who we are
 *   s NUMBER BYTES           a message that the daemon accepted
 *   d NODE PID NUMBER BYTES  a delivery
 *   v NODE:PID ...           the members of the group, after a change of it
 *   l NODE:PID ...           who left in that change
 *   r NODE SEQ MEMBER ...    a ring
 *   x ERROR                  the connection ended
 * SIGUSR1: no more messages. SIGTERM: end. Status 2: a message that nobody can have sent.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <corosync/corotypes.h>
#include <corosync/cpg.h>

#define LARGEST 1500000

struct head { uint32_t number, bytes; };

static FILE *record;
static volatile sig_atomic_t quiet, done;
static uint64_t state;
static unsigned char message[LARGEST];

static void on_signal(int number) { if (number == SIGUSR1) quiet = 1; else done = 1; }

static void fail(int status, const char *what, long value)
{
	fprintf(record, "x %s %ld\n", what, value);
	fflush(record);
	exit(status);
}

static uint32_t any(uint32_t below)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((state >> 33) % below);
}

/* Most are small; one in two thousand is larger than what one request to the daemon can carry. */
static uint32_t any_size(void)
{
	uint32_t kind = any(10000);
	if (kind < 5)
		return 200000 + any(LARGEST - 200000 + 1);
	if (kind < 40)
		return 20000 + any(180000);
	if (kind < 300)
		return 1400 + any(18600);
	return kind < 3000 ? 200 + any(1200) : 8 + any(192);
}

static unsigned char pattern(size_t place, uint32_t number) { return (unsigned char)(place * 31 + number * 7 + 3); }

static void on_delivery(cpg_handle_t h, const struct cpg_name *group, uint32_t node, uint32_t pid,
	void *data, size_t length)
{
	struct head head;
	const unsigned char *bytes = data;
	size_t i;

	(void)h; (void)group;
	if (length < sizeof head)
		fail(2, "too short", (long)length);
	memcpy(&head, data, sizeof head);
	fprintf(record, "d %u %u %u %zu\n", node, pid, head.number, length);
	if (head.bytes != length)
		fail(2, "changed its length", (long)length);
	for (i = sizeof head; i < length; i++)
		if (bytes[i] != pattern(i, head.number))
			fail(2, "changed its bytes", (long)i);
}

static void list(char kind, const struct cpg_address *items, size_t count)
{
	size_t i;
	fputc(kind, record);
	for (i = 0; i < count; i++)
		fprintf(record, " %u:%u", items[i].nodeid, items[i].pid);
	fputc('\n', record);
}

static void on_group(cpg_handle_t h, const struct cpg_name *group, const struct cpg_address *members,
	size_t member_count, const struct cpg_address *left, size_t left_count,
	const struct cpg_address *joined, size_t joined_count)
{
	(void)h; (void)group; (void)joined; (void)joined_count;
	list('v', members, member_count);
	if (left_count)
		list('l', left, left_count);
}

static void on_ring(cpg_handle_t h, struct cpg_ring_id ring, uint32_t count, const uint32_t *members)
{
	uint32_t i;
	(void)h;
	fprintf(record, "r %u %llu", ring.nodeid, (unsigned long long)ring.seq);
	for (i = 0; i < count; i++)
		fprintf(record, " %u", members[i]);
	fputc('\n', record);
	fflush(record);
}

static uint64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static cpg_handle_t connect_and_join(const char *text)
{
	cpg_model_v1_data_t model = { CPG_MODEL_V1, on_delivery, on_group, on_ring, CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF };
	struct cpg_name group;
	cpg_handle_t handle;
	cs_error_t error;
	uint32_t node;
	int attempts = 600;

	group.length = (uint32_t)strlen(text);
	memcpy(group.value, text, group.length);
	while ((error = cpg_model_initialize(&handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, NULL)) == CS_ERR_TRY_AGAIN
			&& attempts--)
		usleep(50000);
	if (error != CS_OK)
		fail(1, "cpg_model_initialize", error);
	cpg_local_get(handle, &node);
	fprintf(record, "i %u %u\n", node, (unsigned)getpid());
	while ((error = cpg_join(handle, &group)) == CS_ERR_TRY_AGAIN && attempts--)
		usleep(50000);
	if (error != CS_OK)
		fail(1, "cpg_join", error);
	return handle;
}

static void send_next(cpg_handle_t handle)
{
	static struct head next;
	struct iovec vector;
	cs_error_t error;
	uint32_t i;

	if (!next.bytes) {
		next.number++;
		next.bytes = any_size();
		memcpy(message, &next, sizeof next);
		for (i = sizeof next; i < next.bytes; i++)
			message[i] = pattern(i, next.number);
	}
	vector.iov_base = message;
	vector.iov_len = next.bytes;
	error = cpg_mcast_joined(handle, CPG_TYPE_AGREED, &vector, 1);
	if (error == CS_OK) {
		fprintf(record, "s %u %u\n", next.number, next.bytes);
		next.bytes = 0;
	} else if (error != CS_ERR_TRY_AGAIN) {
		fail(1, "cpg_mcast_joined", error);
	}
}

int main(int argc, char **argv)
{
	cpg_handle_t handle;
	uint64_t began, due = 0, flushed = 0, now;
	double per_second;
	int fd;

	if (argc != 5)
		return 64;
	record = fopen(argv[2], "w");
	if (!record)
		return 66;
	state = strtoull(argv[3], NULL, 10) * 2654435761u + (uint64_t)getpid();
	per_second = atof(argv[4]);
	quiet = per_second <= 0;
	signal(SIGUSR1, on_signal);
	signal(SIGTERM, on_signal);
	handle = connect_and_join(argv[1]);
	cpg_fd_get(handle, &fd);
	began = now_ms();
	while (!done) {
		struct pollfd p = { fd, POLLIN, 0 };
		now = now_ms();
		if (poll(&p, 1, quiet || now < began + (uint64_t)(due * 1000 / per_second) ? 2 : 0) > 0) {
			cs_error_t error = cpg_dispatch(handle, CS_DISPATCH_ALL);
			if (error != CS_OK && error != CS_ERR_TRY_AGAIN)
				fail(1, "cpg_dispatch", error);
		}
		if (!quiet && now >= began + (uint64_t)(due * 1000 / per_second)) {
			send_next(handle);
			due = due < (uint64_t)((now - began) * per_second / 1000) ? (uint64_t)((now - began) * per_second / 1000) : due + 1;
		}
		if (now > flushed + 100) {
			fflush(record);
			flushed = now;
		}
	}
	fflush(record);
	return 0;
}
