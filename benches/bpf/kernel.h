/* The little of the kernel's interface that the rig's programs use: no kernel headers are needed to build them. */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SECTION(name) __attribute__((section(name), used))
#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Map definitions are read from the types of these members. */
#define NUMBER(name, value) int(*name)[value]
#define TYPE(name, type) __typeof__(type) *name

#define MAP_ARRAY 2

enum verdict { VERDICT_ABORTED, VERDICT_DROP, VERDICT_PASS, VERDICT_TX };

/* struct xdp_md */
struct context {
	u32 data;
	u32 data_end;
	u32 data_meta;
	u32 ingress_ifindex;
	u32 rx_queue_index;
	u32 egress_ifindex;
};

static void *(*const map_lookup)(void *map, const void *key) = (void *)1;
static u64 (*const ktime)(void) = (void *)5;

#define SWAP16(value) __builtin_bswap16(value)
#define SWAP32(value) __builtin_bswap32(value)

/* Ethernet, IPv4 without options, UDP, and RTP as the rig makes them: one G.711 packet of 20 ms, whose sound begins
 * with what the rig wants to know of it. All in network order but the stamp, which only the rig reads. */
struct frame {
	u8 to_mac[6];
	u8 from_mac[6];
	u16 ethertype;

	u8 version;
	u8 service;
	u16 total;
	u16 identification;
	u16 fragment;
	u8 hops;
	u8 protocol;
	u16 check;
	u32 from;
	u32 to;

	u16 from_port;
	u16 to_port;
	u16 udp_length;
	u16 udp_check;

	u8 rtp;
	u8 payload_type;
	u16 sequence;
	u32 timestamp;
	u32 ssrc;

	u32 magic;
	u32 back_from;
	u16 back_from_port;
	u16 filler;
	u64 left;
	u8 sound[140];
} __attribute__((packed));

#define MAGIC 0x44754f67
#define ETHERTYPE_IPV4 0x0800
#define PROTOCOL_UDP 17

/* The frame of a packet, if it is long enough. */
ALWAYS_INLINE struct frame *frame_of(struct context *context)
{
	void *start = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	return start + sizeof(struct frame) <= end ? start : 0;
}

/* A frame of the rig's streams, on its way to the port in network order. */
ALWAYS_INLINE int is_ours(const struct frame *frame)
{
	return frame->ethertype == SWAP16(ETHERTYPE_IPV4) && frame->version == 0x45 &&
	       frame->protocol == PROTOCOL_UDP && frame->magic == MAGIC;
}

/* The header checksum of RFC 791 over the ten words of a header without options. */
ALWAYS_INLINE u16 header_check(const struct frame *frame)
{
	const u16 *words = (const void *)&frame->version;
	u32 sum = 0;
#pragma unroll
	for (int place = 0; place < 10; place++)
		if (place != 5)
			sum += words[place];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}
