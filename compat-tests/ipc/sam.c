/*
 * sam: registers with libsam, dies once on purpose, and prints what the restarted instance finds.
 * The process that libsam forks prints; its parent restarts it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <corosync/cmap.h>
#include <corosync/corotypes.h>
#include <corosync/sam.h>

static void print_keys(void)
{
	cmap_handle_t handle;
	cmap_iter_handle_t iterator;
	char key[CMAP_KEYNAME_MAXLEN + 1], *text;
	cmap_value_types_t type;
	size_t length;
	uint64_t number;

	if (cmap_initialize(&handle) != CS_OK)
		return;
	if (cmap_iter_init(handle, "resources.process.", &iterator) == CS_OK) {
		while (cmap_iter_next(handle, iterator, key, &length, &type) == CS_OK) {
			const char *name = strrchr(key, '.');
			if (type == CMAP_VALUETYPE_STRING && cmap_get_string(handle, key, &text) == CS_OK) {
				printf("  %s = %s\n", name, text);
				free(text);
			} else if (type == CMAP_VALUETYPE_UINT64 && cmap_get_uint64(handle, key, &number) == CS_OK) {
				if (strcmp(name, ".last_updated"))
					printf("  %s = %llu\n", name, (unsigned long long)number);
				else
					printf("  %s %s\n", name, number ? "set" : "0");
			}
		}
		cmap_iter_finalize(handle, iterator);
	}
	cmap_finalize(handle);
	fflush(stdout);
}

int main(void)
{
	unsigned int instance = 0;
	char data[16] = "";
	size_t size = 0;

	printf("initialize %d\n", sam_initialize(1000, SAM_RECOVERY_POLICY_RESTART | SAM_RECOVERY_POLICY_CMAP));
	printf("hc_send before register %d\n", sam_hc_send());
	fflush(stdout);
	printf("register %d\n", sam_register(&instance));
	printf("instance %u\n", instance);
	print_keys();
	printf("start %d\n", sam_start());
	print_keys();
	sam_data_getsize(&size);
	printf("data size %zu\n", size);
	if (instance == 1) {
		printf("store %d\n", sam_data_store("remember", 9));
		fflush(stdout);
		raise(SIGKILL);
	}
	printf("restore %d %s\n", sam_data_restore(data, sizeof data), data);
	printf("hc_send %d\n", sam_hc_send());
	if (instance == 2) {
		/* No health check comes any more: libsam ends this instance. */
		fflush(stdout);
		for (;;)
			pause();
	}
	printf("stop %d\n", sam_stop());
	print_keys();
	printf("finalize %d\n", sam_finalize());
	fflush(stdout);
	return 0;
}
