/* The measure of what any XDP relay costs: looks a flow up by its port, rewrites what a relay must at the least, and
 * sends the packet back. No judgement, no counting, no checks beyond those that the verifier asks for. */
#include <linux/bpf.h>

#define SECTION(name) __attribute__((section(name), used))
#define NUMBER(name, value) int (*name)[value]

struct target {
	__u32 source;
	__u32 destination;
	__u32 ports;
	__u32 addresses[3];
};

struct {
	NUMBER(type, BPF_MAP_TYPE_HASH);
	NUMBER(max_entries, 65536);
	__u16 *key;
	struct target *value;
} targets SECTION(".maps");

static void *(*const map_lookup)(void *, const void *) = (void *)BPF_FUNC_map_lookup_elem;

SECTION("xdp") int bare(struct xdp_md *context)
{
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	__u32 *ethernet = data, *ipv4 = data + 14, *udp = data + 34, *rtp = data + 42;
	if (data + 54 > end || *(__u16 *)(data + 12) != 0x0008)
		return XDP_PASS;
	__u16 port = *(__u16 *)(data + 36);
	struct target *target = map_lookup(&targets, &port);
	if (!target)
		return XDP_PASS;
	/* The sum of the header stays when its addresses change places. */
	ipv4[3] = target->source;
	ipv4[4] = target->destination;
	udp[0] = target->ports;
	*(__u16 *)(data + 40) = 0;
	rtp[1] += 1;
	rtp[2] = target->source;
	ethernet[0] = target->addresses[0];
	ethernet[1] = target->addresses[1];
	ethernet[2] = target->addresses[2];
	return XDP_TX;
}

const char terms[] SECTION("license") = "Dual MIT/GPL";
