/* What the program shares with the gateway. The Rust side of each is named; tests compare the two. */

/* src/entry.rs. Three cache lines; a packet of IPv4 touches the first two. Words that are compared with a packet or
 * copied into it are in network order. */
struct entry {
	/* What a packet is compared with and rewritten by. The shard's, but for the hop and `worst`. */
	__u32 state; /* 0: off; else the generation of the flow */
	__u32 source; /* last four octets of the address */
	__u32 destination;
	__u16 source_port;
	__u16 destination_port;
	__u16 from_port;
	__u16 sequence_offset; /* host order */
	__u32 ssrc;
	__u32 out_ssrc;
	__u32 timestamp_offset; /* host order */
	__u8 payload_type;
	__u8 out_payload_type;
	__u8 from_address;
	__u8 tap; /* number of the ring, plus one */
	__u32 hop_interface;
	__u32 hop_time; /* units of 2^20 ns */
	__u32 hop_addresses[3]; /* MAC addresses: the hop's, ours */
	__u8 family; /* 4 or 6 */
	__u8 ticks; /* of the RTP clock in 125 microseconds: 1 at 8 kHz, 6 at 48 kHz */
	__u8 quiet; /* enum quiet */
	__u8 padding_1;
	__u32 worst;

	/* What is written for each packet, by whoever holds the lock. */
	__u32 lock; /* odd while held */
	__u32 received;
	__u64 seen;
	__u64 octets;
	__u64 last;
	__u64 stood;
	__u32 expected;
	__u32 timestamp;
	__u32 transit;
	__u32 jitter;
	__u16 highest;
	__u16 span;
	__u16 samples;
	__u16 loud; /* packets that say something, modulo 2^16 */

	/* IPv6 and rare events. */
	__u32 source_head[3]; /* first twelve octets of the address */
	__u32 destination_head[3];
	__u32 duplicates;
	__u32 duplicate_octets;
	__u32 tap_full;
	__u32 generation; /* the shard's own */
	__u32 padding_3[6];
};

_Static_assert(sizeof(struct entry) == 192, "an entry is three cache lines");
_Static_assert(__builtin_offsetof(struct entry, lock) == 64, "written words begin a cache line");
_Static_assert(__builtin_offsetof(struct entry, source_head) == 128, "rare words begin a cache line");

/* src/flow.rs: how packets of silence can be told. */
enum quiet {
	QUIET_ALAW, /* by the first octets of their sound */
	QUIET_MULAW,
	QUIET_SHORT, /* by their being as good as empty */
	QUIET_NEVER, /* not at all */
};

/* src/counters.rs, in the order of PassReason. */
enum pass {
	PASS_OFF,
	PASS_STRANGER,
	PASS_CONTENT,
	PASS_SSRC,
	PASS_PAYLOAD_TYPE,
	PASS_SEQUENCE,
	PASS_TIMESTAMP,
	PASS_NO_NEXT_HOP,
	PASS_CONTENDED,
	PASS_UNUSUAL,
	PASS_REASONS,
};

/* src/counters.rs: PathCounters, in the order of its fields. */
struct counters {
	__u64 forwarded;
	__u64 octets;
	__u64 duplicates;
	__u64 tapped;
	__u64 tap_full;
	__u64 lookups;
	__u64 passed[PASS_REASONS];
};

/* src/tap.rs: what stands before each packet in a ring. */
struct tap_head {
	__u32 number; /* of the entry, as FlowIndex::number */
	__u16 length; /* of the RTP packet */
	__s16 order; /* step after the highest, or, negative, how far before it */
	__u64 arrival; /* ns */
};

/* src/settings.rs */
#define MOST_ADDRESSES 8
#define MOST_INTERFACES 8
#define MOST_RINGS 64

/* src/table.rs */
#define ENTRIES_PER_ADDRESS 32768

/* src/program.rs: bits of interface_flags. */
#define INTERFACE_VIRTUAL 1u /* checksums of what it receives may be partial */
#define INTERFACE_NATIVE 2u
