/* Relays the sound of connected pairs before the network stack sees it. The crate's documentation says why things
 * are as they are; this file says how.
 *
 * A packet is either the plain sound of a flow that is on, from its source, in order: then it is rewritten and sent
 * on, or dropped as a duplicate. Or it is anything else: then it is passed to the stack as it came. */
#include <linux/bpf.h>

#include "fastpath.h"

#define SECTION(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
/* A function that the verifier examines by itself, once, and not anew for each state of its callers. */
#define GLOBAL __attribute__((noinline))
#define LIKELY(what) __builtin_expect(!!(what), 1)
#define UNLIKELY(what) __builtin_expect(!!(what), 0)
#define VOLATILE(place) (*(volatile __typeof__(place) *)&(place))
#define BE16(value) ((__u16)__builtin_bswap16(value))
#define BE32(value) ((__u32)__builtin_bswap32(value))

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "written for little-endian hosts"
#endif

#define ETHERTYPE_IPV4 BE16(0x0800)
#define ETHERTYPE_IPV6 BE16(0x86dd)
#define PROTOCOL_UDP 17
#define HOP_BY_HOP 0 /* IPv6 extension headers, RFC 8200 section 4 */
#define ROUTING 43
#define FRAGMENT 44
#define DESTINATION_OPTIONS 60
#define TIME_TO_LIVE 64
#define FAMILY_IPV4 2 /* AF_INET */
#define FAMILY_IPV6 10 /* AF_INET6 */

/* As gateway/media judges: RFC 3550 A.1's MAX_DROPOUT, the width of the window, 10 s. */
#define LARGEST_STEP 3000
#define WINDOW 64
#define LARGEST_TIMESTAMP_STEP 80000
#define LARGEST_JITTER 80000
#define SAMPLE_NANOSECONDS 125000

/* Units of 2^20 ns: a next hop is looked up anew after a second, a missing one after 16 ms, so that a flow without
 * one does not pay a lookup for every packet. */
#define HOP_TIME(now) ((__u32)((now) >> 20))
#define HOP_AGE 954
#define NO_HOP_AGE 15

static void *(*const map_lookup)(void *, const void *) = (void *)BPF_FUNC_map_lookup_elem;
static __u64 (*const clock_ns)(void) = (void *)BPF_FUNC_ktime_get_ns;
static long (*const redirect)(__u32, __u64) = (void *)BPF_FUNC_redirect;
static long (*const fib_lookup)(void *, struct bpf_fib_lookup *, int, __u32) = (void *)BPF_FUNC_fib_lookup;
static void *(*const ring_reserve)(void *, __u64, __u64) = (void *)BPF_FUNC_ringbuf_reserve;
static void (*const ring_submit)(void *, __u64) = (void *)BPF_FUNC_ringbuf_submit;

/* Map definitions as loaders read them from the type information: a number is the length of an array. */
#define NUMBER(name, value) int (*name)[value]

struct {
	NUMBER(type, BPF_MAP_TYPE_ARRAY);
	NUMBER(max_entries, ENTRIES_PER_ADDRESS);
	NUMBER(map_flags, BPF_F_MMAPABLE);
	__u32 *key;
	struct entry *value;
} table SECTION(".maps");

struct {
	NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	NUMBER(max_entries, 1);
	__u32 *key;
	struct counters *value;
} counters SECTION(".maps");

struct ring {
	NUMBER(type, BPF_MAP_TYPE_RINGBUF);
	NUMBER(max_entries, 4096);
};

struct {
	NUMBER(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	NUMBER(max_entries, MOST_RINGS);
	NUMBER(key_size, 4);
	NUMBER(value_size, 4);
	struct ring *values[];
} taps SECTION(".maps");

/* Constants that the loader sets; the verifier removes what they make unreachable. */
const volatile __u32 address_count = 1;
const volatile __u32 address_family[MOST_ADDRESSES] = { 4 };
const volatile __u32 address_words[MOST_ADDRESSES][4] = { { 0 } };
const volatile __u32 interface_count = 1;
const volatile __u32 interface_numbers[MOST_INTERFACES] = { 0 };
const volatile __u32 interface_flags[MOST_INTERFACES] = { 0 };
const volatile __u32 traffic_class = 0;

struct ethernet {
	__u32 addresses[3];
	__u16 type;
} __attribute__((packed, aligned(2)));

struct ipv4 {
	__u32 first; /* version, header length, TOS, total length */
	__u16 identification;
	__u16 fragment;
	__u16 ttl_protocol;
	__u16 checksum;
	__u32 source;
	__u32 destination;
};

struct ipv6 {
	__u32 first; /* version, traffic class, flow label */
	__u16 length;
	__u8 next;
	__u8 hops;
	__u32 source[4];
	__u32 destination[4];
};

struct udp {
	__u16 source;
	__u16 destination;
	__u16 length;
	__u16 checksum;
};

struct rtp {
	__u8 first;
	__u8 second; /* marker and payload type */
	__u16 sequence;
	__u32 timestamp;
	__u32 ssrc;
};

/* A packet as far as it is understood. */
struct packet {
	struct xdp_md *context;
	struct ethernet *ethernet;
	struct ipv4 *ipv4; /* one of these two */
	struct ipv6 *ipv6;
	struct udp *udp;
	struct rtp *rtp;
	void *end;
	__u32 number; /* of the entry, as FlowIndex::number */
	__u16 payload; /* octets */
};

/* Where it stands in its sender's sequence. */
enum order { NEXT, LATE, DUPLICATE, ELSEWHERE };

INLINE struct counters *count(void)
{
	__u32 zero = 0;
	return map_lookup(&counters, &zero);
}

INLINE int pass(enum pass reason)
{
	struct counters *figures = count();
	if (figures)
		figures->passed[reason]++;
	return XDP_PASS;
}

/* Loads a word before whatever is read after it. */
INLINE __u32 load_acquire(__u32 *place)
{
#ifdef ORDERED_MEMORY
	return VOLATILE(*place);
#else
	return __sync_fetch_and_or(place, 0);
#endif
}

INLINE int lock(struct entry *entry)
{
	__u32 free = VOLATILE(entry->lock);
	return !(free & 1) && __sync_val_compare_and_swap(&entry->lock, free, free + 1) == free;
}

/* Stores a word after whatever was written before it. */
INLINE void unlock(struct entry *entry)
{
#ifdef ORDERED_MEMORY
	__asm__ volatile("" ::: "memory");
	VOLATILE(entry->lock) = entry->lock + 1;
#else
	__sync_fetch_and_add(&entry->lock, 1);
#endif
}

INLINE int find_ipv4(__u32 destination)
{
#pragma clang loop unroll(full)
	for (__u32 place = 0; place < MOST_ADDRESSES; place++) {
		if (place >= address_count)
			break;
		if (address_family[place] == 4 && address_words[place][3] == destination)
			return (int)place;
	}
	return -1;
}

INLINE int find_ipv6(const __u32 *destination)
{
#pragma clang loop unroll(full)
	for (__u32 place = 0; place < MOST_ADDRESSES; place++) {
		if (place >= address_count)
			break;
		if (address_family[place] == 6 && address_words[place][3] == destination[3] &&
		    address_words[place][2] == destination[2] && address_words[place][1] == destination[1] &&
		    address_words[place][0] == destination[0])
			return (int)place;
	}
	return -1;
}

INLINE __u32 flags_of(__u32 interface)
{
#pragma clang loop unroll(full)
	for (__u32 place = 0; place < MOST_INTERFACES; place++) {
		if (place >= interface_count)
			break;
		if (interface_numbers[place] == interface)
			return interface_flags[place] | 0x80000000u;
	}
	return 0;
}

/* From its source, and the sound that is expected? If not, the reason; if it is, PASS_REASONS. */
INLINE enum pass compare(const struct entry *entry, const struct packet *packet)
{
	const struct rtp *rtp = packet->rtp;
	__u32 source = packet->ipv4 ? packet->ipv4->source : packet->ipv6->source[3];
	if (entry->source != source || entry->source_port != packet->udp->source)
		return PASS_STRANGER;
	if (entry->family != (packet->ipv4 ? 4 : 6))
		return PASS_STRANGER;
	if (packet->ipv6 && (entry->source_head[0] != packet->ipv6->source[0] ||
			     entry->source_head[1] != packet->ipv6->source[1] ||
			     entry->source_head[2] != packet->ipv6->source[2]))
		return PASS_STRANGER;
	/* Version 2 and nothing else; no RTCP (RFC 5761 section 4); something to hear. */
	if (rtp->first != 0x80 || rtp->second >> 5 == 6 || packet->payload == 0)
		return PASS_CONTENT;
	if ((rtp->second & 0x7f) != entry->payload_type)
		return PASS_PAYLOAD_TYPE;
	if (rtp->ssrc != entry->ssrc)
		return PASS_SSRC;
	return PASS_REASONS;
}

INLINE enum order judge(const struct entry *entry, __u16 sequence, __u16 *distance)
{
	__u16 step = sequence - entry->highest;
	*distance = step;
	if ((__u16)(step - 1) < LARGEST_STEP)
		return NEXT;
	__u16 back = -step;
	*distance = back;
	if (back >= WINDOW)
		return ELSEWHERE;
	if (entry->seen >> back & 1)
		return DUPLICATE;
	/* From before the listener's stream was anchored to this sender: its numbers there belong to others. */
	return back <= entry->span ? LATE : ELSEWHERE;
}

/* RFC 3550 A.8, in sixteenths of a tick. */
INLINE void measure(struct entry *entry, __u64 now, __u32 timestamp)
{
	__u32 transit = (__u32)(now / SAMPLE_NANOSECONDS) * entry->ticks - timestamp;
	__u32 difference = transit - entry->transit;
	if (difference & 0x80000000u)
		difference = -difference;
	entry->transit = transit;
	if (difference >= LARGEST_JITTER)
		return;
	__u32 jitter = entry->jitter + difference - ((entry->jitter + 8) >> 4);
	entry->jitter = jitter;
	if (jitter > entry->worst)
		entry->worst = jitter;
}

INLINE void accept(struct entry *entry, __u64 now, __u32 payload)
{
	entry->received++;
	entry->octets += payload;
	entry->last = now;
}

/* Octets of G.711 that are looked at: what lies in the cache line of the headers anyway. Of someone who speaks some
 * packet begins with a sound before a second has passed. */
#define LOOKED_AT 8
#define OF_ALL_OCTETS(value) (0x0101010101010101ull * (value))

/* Up to the third step of the companding law a sample is as good as silent; so gateway/media judges. */
INLINE int is_loud(const struct entry *entry, const struct packet *packet)
{
	__u8 quiet = entry->quiet;
	if (UNLIKELY(quiet > QUIET_MULAW))
		return quiet == QUIET_NEVER || packet->payload > 2;
	const __u64 *sound = (void *)(packet->rtp + 1);
	if (UNLIKELY(packet->payload < LOOKED_AT || (void *)(sound + 1) > packet->end))
		return 0;
	__u64 mask = quiet == QUIET_ALAW ? OF_ALL_OCTETS(0x55) : OF_ALL_OCTETS(0x7f);
	__u64 most = quiet == QUIET_ALAW ? OF_ALL_OCTETS(0x7f - 1) : OF_ALL_OCTETS(0x7f - 3);
	/* Without the sign; then a step above the third carries into the place of the sign. */
	__u64 steps = (*(const volatile __u64 *)sound ^ mask) & OF_ALL_OCTETS(0x7f);
	return ((steps + most) & OF_ALL_OCTETS(0x80)) != 0;
}

INLINE void follow(struct entry *entry, const struct packet *packet, __u64 now, __u16 step)
{
	__u32 timestamp = BE32(packet->rtp->timestamp);
	entry->expected += step;
	entry->highest += step;
	entry->loud += is_loud(entry, packet);
	entry->seen = step < WINDOW ? entry->seen << step | 1 : 1;
	__u32 span = entry->span + step;
	entry->span = span < 0xffff ? span : 0xffff;
	if (timestamp != entry->timestamp) {
		entry->timestamp = timestamp;
		entry->stood = now;
		entry->samples = packet->payload;
	}
}

/* Looks the next hop up as the host itself would send: therefore from the loopback interface, whose number is 1. */
static __attribute__((noinline)) int find_hop(struct bpf_fib_lookup *route, struct xdp_md *context)
{
	if (!route || !context)
		return 0;
	route->l4_protocol = PROTOCOL_UDP;
	route->ifindex = 1;
	if (fib_lookup(context, route, sizeof(*route), 0) != BPF_FIB_LKUP_RET_SUCCESS)
		return 0;
	__u32 flags = flags_of(route->ifindex);
	if (!flags)
		return 0;
	__u32 ingress = context->ingress_ifindex;
	/* From one interface to another only where both run the same way: what a driver receives can be given to
	 * another driver that runs XDP. */
	return route->ifindex == ingress || !((flags_of(ingress) ^ flags) & INTERFACE_NATIVE);
}

/* Makes sure that the entry's next hop is fresh; 0 if there is none. */
INLINE int hop(struct entry *entry, const struct packet *packet, __u64 now)
{
	__u32 age = HOP_TIME(now) - entry->hop_time;
	if (LIKELY(entry->hop_interface) ? age < HOP_AGE : age < NO_HOP_AGE)
		return entry->hop_interface != 0;
	struct counters *figures = count();
	if (figures)
		figures->lookups++;
	struct bpf_fib_lookup route = {};
	__u32 from = entry->from_address & (MOST_ADDRESSES - 1);
	route.sport = entry->from_port;
	route.dport = entry->destination_port;
	if (packet->ipv4) {
		route.family = FAMILY_IPV4;
		route.tos = traffic_class;
		route.tot_len = packet->payload + 40;
		route.ipv4_src = address_words[from][3];
		route.ipv4_dst = entry->destination;
	} else {
		route.family = FAMILY_IPV6;
		route.flowinfo = BE32(traffic_class << 20);
		route.tot_len = packet->payload + 60;
		for (int word = 0; word < 4; word++)
			route.ipv6_src[word] = address_words[from][word];
		for (int word = 0; word < 3; word++)
			route.ipv6_dst[word] = entry->destination_head[word];
		route.ipv6_dst[3] = entry->destination;
	}
	entry->hop_time = HOP_TIME(now);
	if (!find_hop(&route, packet->context)) {
		entry->hop_interface = 0;
		return 0;
	}
	const __u16 *to = (const __u16 *)route.dmac, *own = (const __u16 *)route.smac;
	entry->hop_addresses[0] = to[0] | (__u32)to[1] << 16;
	entry->hop_addresses[1] = to[2] | (__u32)own[0] << 16;
	entry->hop_addresses[2] = own[1] | (__u32)own[2] << 16;
	entry->hop_interface = route.ifindex;
	return 1;
}

/* Room for the packets of a reservation, which the verifier wants constant: 20 ms of G.711 and a bit, 40 ms, all. */
#define SMALL 192
#define MIDDLE 384
#define LARGE 1536

/* Copies as much as there is, up to the capacity: 64 octets at once, then 8, then one. */
INLINE void copy(void *to, const __u32 capacity, void *from, void *end)
{
	__u32 place = 0;
	for (; place + 64 <= capacity && from + 64 <= end; place += 64, from += 64)
		for (int word = 0; word < 8; word++)
			((__u64 *)(to + place))[word] = ((__u64 *)from)[word];
	for (; place + 8 <= capacity && from + 8 <= end; place += 8, from += 8)
		*(__u64 *)(to + place) = *(__u64 *)from;
	for (int octet = 0; octet < 7 && place < capacity && from + 1 <= end; octet++, place++, from++)
		*(__u8 *)(to + place) = *(__u8 *)from;
}

INLINE int record(void *ring, const __u32 capacity, const struct tap_head *head, void *rtp, void *end)
{
	struct tap_head *place = ring_reserve(ring, sizeof(*head) + capacity, 0);
	if (!place)
		return 0;
	*place = *head;
	copy(place + 1, capacity, rtp, end);
	ring_submit(place, BPF_RB_NO_WAKEUP);
	return 1;
}

/* Copies the packet into the ring; 0 if the ring is full. `order` is as in the record's head. */
GLOBAL int tap(struct xdp_md *context, __u32 number, __u32 ring_number, __u64 now, __s32 order)
{
	if (!context)
		return 0;
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	struct ethernet *ethernet = data;
	if ((void *)(ethernet + 1) > end)
		return 0;
	struct udp *udp = data + sizeof(*ethernet) +
			  (ethernet->type == ETHERTYPE_IPV4 ? sizeof(struct ipv4) : sizeof(struct ipv6));
	struct rtp *rtp = (void *)(udp + 1);
	if ((void *)(rtp + 1) > end)
		return 0;
	struct tap_head head = { .number = number, .length = BE16(udp->length) - sizeof(*udp), .order = order, .arrival = now };
	void *ring = map_lookup(&taps, &ring_number);
	if (!ring)
		return 0;
	if (LIKELY(head.length <= SMALL))
		return record(ring, SMALL, &head, rtp, end);
	if (head.length <= MIDDLE)
		return record(ring, MIDDLE, &head, rtp, end);
	if (head.length <= LARGE)
		return record(ring, LARGE, &head, rtp, end);
	return 0;
}

/* One's complement sums (RFC 1071): words may be of 32 bits, and are folded in the end. */
INLINE __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

INLINE __u64 exchanged(__u32 before, __u32 after)
{
	return (__u64)(__u32)~before + after;
}

INLINE __u64 words(const void *from, int number)
{
	__u64 sum = 0;
	for (int word = 0; word < number; word++)
		sum += ((const __u32 *)from)[word];
	return sum;
}

/* Rewrites ports and the RTP header. Gives what that changes in the checksum. */
INLINE __u64 rewrite_rtp(const struct entry *entry, struct packet *packet)
{
	struct udp *udp = packet->udp;
	struct rtp *rtp = packet->rtp;
	__u64 before = words(rtp, 3) + words(udp, 1);
	udp->source = entry->from_port;
	udp->destination = entry->destination_port;
	rtp->second = (rtp->second & 0x80) | entry->out_payload_type;
	rtp->sequence = BE16((__u16)(BE16(rtp->sequence) + entry->sequence_offset));
	rtp->timestamp = BE32(BE32(rtp->timestamp) + entry->timestamp_offset);
	rtp->ssrc = entry->out_ssrc;
	/* Of four words before, so that four times all ones less them is their complement. */
	return 4 * (__u64)0xffffffff - before + words(rtp, 3) + words(udp, 1);
}

INLINE void rewrite_ipv4(const struct entry *entry, struct packet *packet, __u32 virtual)
{
	struct ipv4 *ipv4 = packet->ipv4;
	__u32 source = address_words[entry->from_address & (MOST_ADDRESSES - 1)][3];
	__u64 addresses = exchanged(ipv4->source, source) + exchanged(ipv4->destination, entry->destination);
	__u32 first = (ipv4->first & 0xffff00ff) | traffic_class << 8;
	__u16 ttl_protocol = TIME_TO_LIVE | PROTOCOL_UDP << 8;
	__u64 header = (__u16)~ipv4->checksum + addresses + exchanged(ipv4->first, first) +
		       exchanged(ipv4->ttl_protocol, ttl_protocol);
	ipv4->first = first;
	ipv4->ttl_protocol = ttl_protocol;
	ipv4->checksum = ~fold(header);
	ipv4->source = source;
	ipv4->destination = entry->destination;
	__u64 change = rewrite_rtp(entry, packet) + addresses;
	__u16 checksum = packet->udp->checksum;
	if (virtual || checksum == 0) {
		packet->udp->checksum = 0;
	} else {
		checksum = ~fold((__u16)~checksum + change);
		packet->udp->checksum = checksum ? checksum : 0xffff;
	}
}

/* The whole checksum of a UDP datagram over IPv6, which must not be without. */
GLOBAL __u32 checksum_ipv6(struct xdp_md *context)
{
	if (!context)
		return 0;
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	struct ipv6 *ipv6 = data + sizeof(struct ethernet);
	void *from = ipv6 + 1;
	if (from + 8 > end)
		return 0;
	__u32 left = BE16(ipv6->length);
	__u64 sum = words(ipv6->source, 8) + ipv6->length + BE16(PROTOCOL_UDP);
	for (int word = 0; word < 380; word++) {
		if (left < 4 || from + 4 > end)
			break;
		sum += *(__u32 *)from;
		from += 4;
		left -= 4;
	}
	if (left >= 2 && from + 2 <= end) {
		sum += *(__u16 *)from;
		from += 2;
		left -= 2;
	}
	if (left && from + 1 <= end)
		sum += *(__u8 *)from;
	return fold(sum);
}

INLINE void rewrite_ipv6(const struct entry *entry, struct packet *packet, __u32 virtual)
{
	struct ipv6 *ipv6 = packet->ipv6;
	__u32 from = entry->from_address & (MOST_ADDRESSES - 1);
	__u64 change = 8 * (__u64)0xffffffff - words(ipv6->source, 8);
	ipv6->first = BE32(0x60000000u | traffic_class << 20);
	ipv6->hops = TIME_TO_LIVE;
	for (int word = 0; word < 4; word++)
		ipv6->source[word] = address_words[from][word];
	for (int word = 0; word < 3; word++)
		ipv6->destination[word] = entry->destination_head[word];
	ipv6->destination[3] = entry->destination;
	change += words(ipv6->source, 8) + rewrite_rtp(entry, packet);
	__u16 checksum;
	if (virtual) {
		packet->udp->checksum = 0;
		checksum = ~checksum_ipv6(packet->context);
	} else {
		checksum = ~fold((__u16)~packet->udp->checksum + change);
	}
	packet->udp->checksum = checksum ? checksum : 0xffff;
}

INLINE int send(const struct entry *entry, struct packet *packet)
{
	struct ethernet *ethernet = packet->ethernet;
	__u32 ingress = packet->context->ingress_ifindex;
	__u32 virtual = flags_of(ingress) & INTERFACE_VIRTUAL;
	if (packet->ipv4)
		rewrite_ipv4(entry, packet, virtual);
	else
		rewrite_ipv6(entry, packet, virtual);
	ethernet->addresses[0] = entry->hop_addresses[0];
	ethernet->addresses[1] = entry->hop_addresses[1];
	ethernet->addresses[2] = entry->hop_addresses[2];
	if (LIKELY(entry->hop_interface == ingress))
		return XDP_TX;
	return redirect(entry->hop_interface, 0);
}

/* With the lock held: judges, counts and sends. What is passed leaves no trace in the entry. */
INLINE int relay_locked(struct entry *entry, struct packet *packet)
{
	__u64 now = clock_ns();
	__u16 distance;
	__u32 timestamp = BE32(packet->rtp->timestamp);
	enum order order = judge(entry, BE16(packet->rtp->sequence), &distance);
	if (UNLIKELY(order == ELSEWHERE))
		return pass(PASS_SEQUENCE);
	if (UNLIKELY(order == NEXT && timestamp - entry->timestamp >= LARGEST_TIMESTAMP_STEP))
		return pass(PASS_TIMESTAMP);
	if (UNLIKELY(order != DUPLICATE && !hop(entry, packet, now)))
		return pass(PASS_NO_NEXT_HOP);
	struct counters *figures = count();
	if (!figures)
		return XDP_PASS;
	accept(entry, now, packet->payload);
	if (UNLIKELY(order == DUPLICATE)) {
		entry->duplicates++;
		entry->duplicate_octets += packet->payload;
		figures->duplicates++;
		return XDP_DROP;
	}
	if (LIKELY(order == NEXT))
		follow(entry, packet, now, distance);
	else
		entry->seen |= (__u64)1 << (distance & (WINDOW - 1));
	measure(entry, now, timestamp);
	if (entry->tap) {
		if (LIKELY(tap(packet->context, packet->number, entry->tap - 1, now, order == NEXT ? distance : -distance))) {
			figures->tapped++;
		} else {
			figures->tap_full++;
			entry->tap_full++;
		}
	}
	figures->forwarded++;
	figures->octets += packet->payload;
	return send(entry, packet);
}

INLINE int relay(struct packet *packet, int address)
{
	__u16 port = BE16(packet->udp->destination);
	__u32 place = (__u32)address * ENTRIES_PER_ADDRESS + (port >> 1);
	if (port & 1)
		return XDP_PASS;
	packet->number = place * 2;
	struct entry *entry = map_lookup(&table, &place);
	if (!entry)
		return XDP_PASS;
	__u32 generation = load_acquire(&entry->state);
	if (!generation)
		return pass(PASS_OFF);
	enum pass reason = compare(entry, packet);
	if (UNLIKELY(reason != PASS_REASONS))
		return pass(reason);
	if (UNLIKELY(!lock(entry)))
		return pass(PASS_CONTENDED);
	/* Either this sees that the flow was switched off, or the shard sees the lock and waits. */
	int action;
	if (LIKELY(VOLATILE(entry->state) == generation))
		action = relay_locked(entry, packet);
	else
		action = pass(PASS_OFF);
	unlock(entry);
	return action;
}

INLINE int receive_ipv4(struct packet *packet)
{
	struct ipv4 *ipv4 = packet->ipv4;
	struct udp *udp = packet->udp = (void *)(ipv4 + 1);
	packet->rtp = (void *)(udp + 1);
	if ((void *)(packet->rtp + 1) > packet->end || ipv4->ttl_protocol >> 8 != PROTOCOL_UDP)
		return XDP_PASS;
	int address = find_ipv4(ipv4->destination);
	if (address < 0)
		return XDP_PASS;
	/* Options, fragments, lengths that do not fit. */
	__u32 length = BE16((__u16)(ipv4->first >> 16));
	if ((ipv4->first & 0xff) != 0x45 || ipv4->fragment & BE16(0x3fff) || length < 40 ||
	    BE16(udp->length) != length - 20 || (void *)ipv4 + length > packet->end)
		return pass(PASS_UNUSUAL);
	packet->payload = length - 40;
	return relay(packet, address);
}

INLINE int receive_ipv6(struct packet *packet)
{
	struct ipv6 *ipv6 = packet->ipv6;
	struct udp *udp = packet->udp = (void *)(ipv6 + 1);
	packet->rtp = (void *)(udp + 1);
	if ((void *)(packet->rtp + 1) > packet->end)
		return XDP_PASS;
	int address = find_ipv6(ipv6->destination);
	if (address < 0)
		return XDP_PASS;
	__u32 length = BE16(ipv6->length);
	__u8 next = ipv6->next;
	if (next == HOP_BY_HOP || next == ROUTING || next == FRAGMENT || next == DESTINATION_OPTIONS)
		return pass(PASS_UNUSUAL);
	if (next != PROTOCOL_UDP)
		return XDP_PASS;
	/* Lengths that do not fit; no checksum, which IPv6 does not allow. */
	if ((ipv6->first & 0xf0) != 0x60 || length < 20 || udp->length != ipv6->length || udp->checksum == 0 ||
	    (void *)udp + length > packet->end)
		return pass(PASS_UNUSUAL);
	packet->payload = length - 20;
	return relay(packet, address);
}

SECTION("xdp") int duogate(struct xdp_md *context)
{
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	struct ethernet *ethernet = data;
	struct packet packet = { .context = context, .ethernet = ethernet, .end = end };
	if ((void *)(ethernet + 1) > end)
		return XDP_PASS;
	if (ethernet->type == ETHERTYPE_IPV4) {
		packet.ipv4 = (void *)(ethernet + 1);
		return receive_ipv4(&packet);
	}
	if (ethernet->type == ETHERTYPE_IPV6) {
		packet.ipv6 = (void *)(ethernet + 1);
		return receive_ipv6(&packet);
	}
	return XDP_PASS;
}

/* bpf_fib_lookup is for programs under a license compatible with the kernel's. */
const char terms[] SECTION("license") = "Dual MIT/GPL";
