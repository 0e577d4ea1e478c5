/* The generator, the sink, and the barest rewriter of the rig's veth rows.
 *
 * The generator runs by BPF_PROG_TEST_RUN with live frames: the kernel hands it frame after frame, and it either makes
 * the next packet of the next stream of it and transmits it, or drops it where the clock says that none is due. */
#include "kernel.h"

/* One stream: from the far end to a leg, and back from the pair's other leg. Addresses and ports in network order. */
struct stream {
	u32 to;
	u32 back_from;
	u16 to_port;
	u16 back_from_port;
	u32 ssrc;
	u32 timestamp;
	u32 sequence;
};

/* What to generate, and what was. One for the generator's thread, which alone writes it while it runs. */
struct schedule {
	u64 start;	/* monotonic nanoseconds; 0 until the first frame, which comes when the kernel is ready */
	u64 length;
	u64 rate;	/* packets a second */
	u64 done;	/* packets that were due so far */
	u64 now;	/* when the clock was looked at last */
	u64 credit;	/* packets that were due then and have not been sent yet */
	u64 sent;	/* of those that were due, those that were sent; the others came due while the generator was held up */
	u64 window;	/* packets that may be under way at once: more wait until some have come. 0: they do not wait */
	u64 given_up;	/* of those under way, those that are waited for no more */
	u64 come;	/* what had come when the window was full */
	u64 come_at;	/* since when no more has come */
	u32 streams;
	u32 turn;	/* the stream whose packet is next */
	u32 from;	/* the far end, in network order */
	u16 from_port;
	u8 to_mac[6];
	u8 from_mac[6];
	u8 filler[6];
};

/* What the sink has seen. Written by the one thread that polls its interface. */
struct seen {
	u64 received;
	u64 astray;
	u64 octets;
};

/* Where a leg's packets go. All of it in network order but the offsets. */
struct leg {
	u32 to;
	u16 to_port;
	u16 from_port;
	u32 ssrc;
	u32 timestamp_offset;
	u16 sequence_offset;
	u16 filler;
};

#define STREAMS 65536
#define PORTS 65536
/* Half a microsecond each; the last one takes all that is later. */
#define DELAYS 16384
#define DELAY_SHIFT 9

/* Packets by their delay: one value, so that one system call reads all. */
struct delays {
	u64 packets[DELAYS];
};

#define SECOND 1000000000ull
/* Packets that may be made up for at once after the generator was held up: no more than veth's ring takes. */
#define BACKLOG 128
/* For so long a full window waits for packets that may have been lost. */
#define PATIENCE 200000000ull

struct {
	NUMBER(type, MAP_ARRAY);
	NUMBER(max_entries, STREAMS);
	TYPE(key, u32);
	TYPE(value, struct stream);
} STREAM SECTION(".maps");

struct {
	NUMBER(type, MAP_ARRAY);
	NUMBER(max_entries, 1);
	TYPE(key, u32);
	TYPE(value, struct schedule);
} SCHEDULE SECTION(".maps");

struct {
	NUMBER(type, MAP_ARRAY);
	NUMBER(max_entries, 1);
	TYPE(key, u32);
	TYPE(value, struct seen);
} SEEN SECTION(".maps");

struct {
	NUMBER(type, MAP_ARRAY);
	NUMBER(max_entries, 1);
	TYPE(key, u32);
	TYPE(value, struct delays);
} DELAY SECTION(".maps");

struct {
	NUMBER(type, MAP_ARRAY);
	NUMBER(max_entries, PORTS);
	TYPE(key, u32);
	TYPE(value, struct leg);
} LEG SECTION(".maps");

/* Are as many packets under way as may be? So a switch holds back what the next one has no room for (pause frames, IEEE
 * 802.3 annex 31B): the cable loses nothing then, and what is lost was lost by the forwarder. */
ALWAYS_INLINE int is_full(struct schedule *schedule)
{
	u32 key = 0;
	struct seen *seen = map_lookup(&SEEN, &key);
	if (!seen)
		return 1;
	u64 come = seen->received + schedule->given_up;
	if (schedule->sent < come + schedule->window)
		return 0;
	u64 now = ktime();
	if (schedule->come != come) {
		schedule->come = come;
		schedule->come_at = now;
	} else if (now - schedule->come_at > PATIENCE) {
		schedule->given_up = schedule->sent - seen->received;
	}
	return 1;
}

/* Is a packet due? Notes it as done if so. The clock is looked at once for all that are due by then: at high rates
 * reading it is a good part of a packet's time. Those sent a moment later bear the same time, so delay is never shown
 * too small. */
ALWAYS_INLINE int is_due(struct schedule *schedule)
{
	if (schedule->window && is_full(schedule))
		return 0;
	if (schedule->credit) {
		schedule->credit--;
		return 1;
	}
	u64 now = ktime();
	schedule->now = now;
	if (!schedule->start)
		schedule->start = now;
	u64 passed = now - schedule->start;
	if (passed >= schedule->length)
		return 0;
	/* 2.5e6 a second times nanoseconds of 100 s still fit. */
	u64 due = passed * schedule->rate / SECOND;
	if (due <= schedule->done)
		return 0;
	u64 credit = due - schedule->done;
	schedule->done = due;
	schedule->credit = (schedule->window || credit < BACKLOG ? credit : BACKLOG) - 1;
	return 1;
}

SECTION("xdp") int generate(struct context *context)
{
	struct frame *frame = frame_of(context);
	u32 key = 0;
	struct schedule *schedule = map_lookup(&SCHEDULE, &key);
	if (!frame || !schedule)
		return VERDICT_ABORTED;
	if (!is_due(schedule))
		return VERDICT_DROP;
	key = schedule->turn;
	schedule->turn = key + 1 < schedule->streams ? key + 1 : 0;
	struct stream *stream = map_lookup(&STREAM, &key);
	if (!stream)
		return VERDICT_ABORTED;

	/* The page may have been anybody's packet before: all but the sound is written anew. */
	__builtin_memcpy(frame->to_mac, schedule->to_mac, 6);
	__builtin_memcpy(frame->from_mac, schedule->from_mac, 6);
	frame->ethertype = SWAP16(ETHERTYPE_IPV4);
	frame->version = 0x45;
	frame->service = 0;
	frame->total = SWAP16(sizeof(struct frame) - 14);
	frame->identification = 0;
	frame->fragment = 0;
	frame->hops = 64;
	frame->protocol = PROTOCOL_UDP;
	frame->from = schedule->from;
	frame->to = stream->to;
	frame->check = header_check(frame);
	frame->from_port = schedule->from_port;
	frame->to_port = stream->to_port;
	frame->udp_length = SWAP16(sizeof(struct frame) - 34);
	frame->udp_check = 0;
	frame->rtp = 0x80;
	frame->payload_type = 8;
	stream->sequence++;
	stream->timestamp += 160;
	frame->sequence = SWAP16((u16)stream->sequence);
	frame->timestamp = SWAP32(stream->timestamp);
	frame->ssrc = stream->ssrc;
	frame->magic = MAGIC;
	frame->back_from = stream->back_from;
	frame->back_from_port = stream->back_from_port;
	frame->left = schedule->now;
	schedule->sent++;
	return VERDICT_TX;
}

SECTION("xdp") int sink(struct context *context)
{
	struct frame *frame = frame_of(context);
	u32 key = 0;
	struct seen *seen = map_lookup(&SEEN, &key);
	if (!seen || !frame || !is_ours(frame))
		return VERDICT_PASS;
	seen->received++;
	seen->octets += sizeof(struct frame);
	if (frame->from != frame->back_from || frame->from_port != frame->back_from_port)
		seen->astray++;
	/* One in sixteen, whichever stream's: the clock is not free. */
	if ((seen->received & 15) == 0) {
		u64 delay = (ktime() - frame->left) >> DELAY_SHIFT;
		if (delay >= DELAYS)
			delay = DELAYS - 1;
		/* The verifier is to see the bound where it matters. */
		__asm__ volatile("" : "+r"(delay));
		struct delays *delays = map_lookup(&DELAY, &key);
		if (delays)
			delays->packets[delay & (DELAYS - 1)]++;
	}
	return VERDICT_DROP;
}

/* The ceiling: looks a leg up, rewrites, transmits. It trusts every packet and counts none. */
SECTION("xdp") int rewrite(struct context *context)
{
	struct frame *frame = frame_of(context);
	if (!frame || !is_ours(frame))
		return VERDICT_PASS;
	u32 key = SWAP16(frame->to_port);
	struct leg *leg = map_lookup(&LEG, &key);
	if (!leg || !leg->to_port)
		return VERDICT_PASS;
	u8 mac[6];
	__builtin_memcpy(mac, frame->to_mac, 6);
	__builtin_memcpy(frame->to_mac, frame->from_mac, 6);
	__builtin_memcpy(frame->from_mac, mac, 6);
	frame->from = frame->to;
	frame->to = leg->to;
	frame->check = header_check(frame);
	frame->from_port = leg->from_port;
	frame->to_port = leg->to_port;
	frame->udp_check = 0;
	frame->sequence = SWAP16((u16)(SWAP16(frame->sequence) + leg->sequence_offset));
	frame->timestamp = SWAP32(SWAP32(frame->timestamp) + leg->timestamp_offset);
	frame->ssrc = leg->ssrc;
	return VERDICT_TX;
}
