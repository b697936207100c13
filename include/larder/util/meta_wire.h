/*
 * The meta protocol of memcached as pure functions between bytes and structs: no socket, no
 * allocation, no state. Requests are written so that nothing can be injected: every byte of every
 * field is checked. Replies are read incrementally, strictly and with a bound on every length: what
 * memcached would never say is BROKEN, and whoever sees that closes the connection.
 *
 *   request   command key [length] flag…\r\n     [value\r\n]
 *   reply     code [length] flag…\r\n            [value\r\n]
 *
 * Replies come in the order of their requests. Errors echo neither key nor opaque.
 *
 * Also here, since a client of the meta protocol needs them on the same connection: the classic
 * `get` and `gets` lines, which cost the server least for many keys but tell no TTL and no marks of
 * leases, and the replies to `version`, `stats`, `flush_all` and a login.
 *
 * Source: memcached's doc/protocol.txt, and each form as measured on memcached 1.6.18. "since"
 * names the version that a flag came with, where that is later.
 *
 * Threads: any, at once: nothing is shared.
 */
#ifndef LARDER_UTIL_META_WIRE_H
#define LARDER_UTIL_META_WIRE_H

#include <larder/backend.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- limits -------------------------------------------------------------------------------- */

/** A key as it stands on the wire; in base64 too, which leaves 186 bytes of key. */
#define LARDER_META_KEY_BYTES_MAX 250u
/** An opaque token, without its letter. */
#define LARDER_META_TOKEN_BYTES_MAX 31u
/** memcached reads so many words of a request, and drops the rest without a word. */
#define LARDER_META_FLAGS_MAX 17u
#define LARDER_META_STORE_FLAGS_MAX 16u /* of ms, which has a length besides */
/** No server has a larger item. Source: the largest -I is 1 GiB. */
#define LARDER_META_VALUE_BYTES_MAX (UINT32_C(1) << 30)
/** Any request line fits, with its end. */
#define LARDER_META_REQUEST_BYTES_MAX 640u
/** A reply line is no longer, with its end; a server that sends more is broken. */
#define LARDER_META_LINE_BYTES_MAX 2048u
/** Behind each value, in both directions. */
#define LARDER_META_LINE_END "\r\n"
#define LARDER_META_LINE_END_BYTES 2u

/* ---- commands and flags -------------------------------------------------------------------- */

/** ROW(NAME, text, what it does) */
#define LARDER_META_COMMAND_TABLE(ROW)                                  \
    ROW(GET, "mg", "reads; or touches, leases, asks without the value") \
    ROW(STORE, "ms", "stores: set, add, replace, append, prepend, cas") \
    ROW(DELETE, "md", "deletes, or marks stale")                        \
    ROW(COUNT, "ma", "counts up or down")                               \
    ROW(DEBUG, "me", "what the server knows of an item, for people")    \
    ROW(NOOP, "mn", "nothing; its MN says that all before it has been answered")

enum larder_meta_command {
#define LARDER_META_COMMAND_ROW(name, text, sentence) LARDER_META_##name,
    LARDER_META_COMMAND_TABLE(LARDER_META_COMMAND_ROW)
#undef LARDER_META_COMMAND_ROW
        LARDER_META_COMMANDS
};

/* Sets of commands, for the table. */
#define LARDER_META_G (1u << LARDER_META_GET)
#define LARDER_META_S (1u << LARDER_META_STORE)
#define LARDER_META_D (1u << LARDER_META_DELETE)
#define LARDER_META_A (1u << LARDER_META_COUNT)
#define LARDER_META_E (1u << LARDER_META_DEBUG)
#define LARDER_META_ALL (LARDER_META_G | LARDER_META_S | LARDER_META_D | LARDER_META_A)

/**
 * Every flag of a request. The rows are in the order in which flags go out, which matters:
 * memcached 1.6.18 evaluates R, T, N and t as they come, so that a T before R hides the win, and a
 * t before T or N tells the TTL that was (ttl_before of a request).
 *
 * ROW(letter, NAME, bit, commands, commands of a later version, that version, sentence)
 */
/* clang-format off */
#define LARDER_META_FLAG_TABLE(ROW)                                                                     \
    ROW('b', BASE64,         0, LARDER_META_ALL | LARDER_META_E, 0, 0,                                  \
        "the key is standard, padded base64, and names the decoded bytes; echoed beside k")             \
    ROW('q', QUIET,          1, LARDER_META_ALL, 0, 0,                                                  \
        "hides EN of mg, HD of ms and md, HD of ma where the counter was there; never a value, NF, "    \
        "NS, EX or an error, nor HD of mg and of a counter that was made")                              \
    ROW('k', KEY,            2, LARDER_META_ALL, 0, 0, "echo the key; not on errors")                   \
    ROW('O', OPAQUE,         3, LARDER_META_ALL, 0, 0, "echo this token; not on errors")                \
    ROW('R', RECACHE,        4, LARDER_META_G, 0, 0,                                                    \
        "win when less TTL than this is left (seconds) and nobody has won; never on an item that "      \
        "lives for ever")                                                                               \
    ROW('T', TTL,            5, LARDER_META_ALL, 0, 0,                                                  \
        "the new TTL (exptime); with md only beside I")                                                 \
    ROW('N', VIVIFY,         6, LARDER_META_G | LARDER_META_A, LARDER_META_S, 10620,                    \
        "make a missing item, with this TTL (exptime): mg an empty placeholder that is won, ma the "    \
        "initial number, ms what append and prepend bring")                                             \
    ROW('E', NEW_VERSION,    7, 0, LARDER_META_ALL, 10627, "the version the item gets")                 \
    ROW('C', COMPARE,        8, LARDER_META_S | LARDER_META_D | LARDER_META_A, 0, 0,                    \
        "only at this version: else EX, or NF; ms in mode E ignores it")                                \
    ROW('F', SET_FLAGS,      9, LARDER_META_S, 0, 0, "the client's 32 bits")                            \
    ROW('I', INVALIDATE,    10, LARDER_META_S | LARDER_META_D, 0, 0,                                    \
        "md: mark stale instead, with a new version, for the next reader to win; ms beside C: store "   \
        "at an older version too, and mark the value stale")                                            \
    ROW('M', MODE,          11, LARDER_META_S | LARDER_META_A, 0, 0,                                    \
        "one character; ms: E add, A append, P prepend, R replace, S set; ma: I or +, D or -")          \
    ROW('D', DELTA,         12, LARDER_META_A, 0, 0, "how much; 1 without it")                          \
    ROW('J', INITIAL,       13, LARDER_META_A, 0, 0,                                                    \
        "what N makes the counter; the delta is not applied")                                           \
    ROW('t', RETURN_TTL,    14, LARDER_META_G | LARDER_META_A, 0, 0, "tell seconds left; -1: for ever") \
    ROW('c', RETURN_VERSION,15, LARDER_META_G | LARDER_META_S | LARDER_META_A, LARDER_META_D, 10627,    \
        "tell the version (cas); 0 after EX, NF, NS, and with the server's -C")                         \
    ROW('f', RETURN_FLAGS,  16, LARDER_META_G, 0, 0, "tell the client's 32 bits")                       \
    ROW('s', RETURN_SIZE,   17, LARDER_META_G, LARDER_META_S, 10620, "tell the value's length")         \
    ROW('h', RETURN_HIT,    18, LARDER_META_G, 0, 0, "tell whether it was read before: 0 or 1")         \
    ROW('l', RETURN_ACCESS, 19, LARDER_META_G, 0, 0, "tell the seconds since it was last accessed")     \
    ROW('v', VALUE,         20, LARDER_META_G | LARDER_META_A, 0, 0, "send the value")                  \
    ROW('u', NO_BUMP,       21, LARDER_META_G, 0, 0, "leave the LRU and h and l as they are")           \
    ROW('x', DROP_VALUE,    22, 0, LARDER_META_D, 10627, "empty the value and its flags, keep the item")\
    ROW('P', HINT_P,        23, LARDER_META_ALL, 0, 0, "for proxies; memcached ignores it")             \
    ROW('L', HINT_L,        24, LARDER_META_ALL, 0, 0, "for proxies; memcached ignores it")
/* clang-format on */

enum larder_meta_flag {
#define LARDER_META_FLAG_ROW(letter, name, bit, commands, later, version, sentence) \
    LARDER_META_FLAG_##name = 1 << bit,
    LARDER_META_FLAG_TABLE(LARDER_META_FLAG_ROW)
#undef LARDER_META_FLAG_ROW
};

/* ---- requests ------------------------------------------------------------------------------ */

/** One request, cleared before it is filled. A field that belongs to a flag is read when that flag
 * is set. */
struct larder_meta_request {
    enum larder_meta_command command;
    uint32_t flags;             /* LARDER_META_FLAG_* */
    struct larder_slice key;    /* as it goes out: 1 to 250 bytes of 0x21-0x7e and 0x80-0xff; with
                                   BASE64 padded base64; empty for mn */
    int key_checked;            /* 1: without BASE64, whoever made it has found it valid already, as
                                   larder_key_encode() does */
    size_t value_length;        /* STORE: how many bytes the caller sends behind the line */
    struct larder_slice opaque; /* OPAQUE: 1 to 31 bytes of 0x21-0x7e; so HINT_P and HINT_L */
    struct larder_slice hint_p;
    struct larder_slice hint_l;
    uint64_t compare;     /* COMPARE; not 0, which ms refuses to match and ma takes for "any" */
    uint64_t new_version; /* NEW_VERSION */
    uint64_t delta;       /* DELTA */
    uint64_t initial;     /* INITIAL */
    uint32_t set_flags;   /* SET_FLAGS */
    int32_t recache_s;    /* RECACHE */
    int32_t ttl;          /* TTL and VIVIFY are exptimes: 0 for ever, 1 to 2592000 seconds from now,
                             more: that second of Unix time, below 0: dead at once */
    int32_t vivify_ttl;
    char mode;      /* MODE */
    int ttl_before; /* 1: RETURN_TTL goes out ahead of all others: what was left before T and N */
};

/** Where requests are written, one behind the other. */
struct larder_meta_output {
    char *bytes;
    size_t size;
    size_t length; /* what is written */
};

/**
 * Appends one request line. Of ms, the caller then sends value_length bytes and
 * LARDER_META_LINE_END.
 * @return OK; TOO_LARGE when it does not fit; BAD_KEY; BAD_ARGUMENT for a flag that the command has
 *         in no version, a field out of its bounds, I of ms without C, T of md without I, or too
 *         many flags. Unless OK nothing is written
 */
enum larder_status larder_meta_write(struct larder_meta_output *output,
                                     const struct larder_meta_request *request);

/** The version of memcached that understands all of a request, as 10000 × major + 100 × minor +
 * patch; 10618 for what has been measured. An older one answers CLIENT_ERROR, or ignores a flag. */
uint32_t larder_meta_version_needed(const struct larder_meta_request *request);

/**
 * Appends one key to a classic read line: "gets k1 k2 k3\r\n", or "get" without versions. Begin
 * with larder_meta_write_get(), end with larder_meta_write_end(). memcached takes lines of any
 * length.
 * @return as larder_meta_write()
 */
enum larder_status larder_meta_write_get(struct larder_meta_output *output, int with_version);
enum larder_status larder_meta_write_get_key(struct larder_meta_output *output,
                                             struct larder_slice key);
enum larder_status larder_meta_write_end(struct larder_meta_output *output);

/** 1 when every byte may stand in a key of a request and the length fits. */
int larder_meta_key_valid(struct larder_slice key);
/** 1 when it is 4 to 250 characters of padded base64. */
int larder_meta_base64_valid(struct larder_slice key);

/* ---- replies ------------------------------------------------------------------------------- */

/** ROW(NAME, text, what it says, and to which requests) */
#define LARDER_META_CODE_TABLE(ROW)                                                      \
    ROW(VA, "VA", "a value: a hit, or a counter's new number")                           \
    ROW(HD, "HD", "done; or there, where no value was asked for")                        \
    ROW(EN, "EN", "mg, me: a miss")                                                      \
    ROW(NF, "NF", "ms, md, ma: nothing under that key")                                  \
    ROW(NS, "NS", "ms: not stored, for its mode's reason; ma: not stored")               \
    ROW(EX, "EX", "ms, md, ma: another version is there")                                \
    ROW(ME, "ME", "me: what the server knows")                                           \
    ROW(MN, "MN", "mn: all before it has been answered")                                 \
    ROW(ERROR, "ERROR", "no such command, or words missing; or too many connections")    \
    ROW(CLIENT_ERROR, "CLIENT_ERROR", "the request can't be; or the value is no number") \
    ROW(SERVER_ERROR, "SERVER_ERROR", "the server could not; the old value may be gone") \
    ROW(CLASSIC_VALUE, "VALUE", "get, gets: a hit; any number of them, then END")        \
    ROW(CLASSIC_END, "END", "get, gets, stats: that was all")                            \
    ROW(CLASSIC_OK, "OK", "flush_all, verbosity: done")                                  \
    ROW(CLASSIC_STORED, "STORED", "set, which is also how a client logs in: done")       \
    ROW(CLASSIC_VERSION, "VERSION", "version")                                           \
    ROW(CLASSIC_STAT, "STAT", "stats: one figure; any number of them, then END")

enum larder_meta_code {
#define LARDER_META_CODE_ROW(name, text, sentence) LARDER_META_##name,
    LARDER_META_CODE_TABLE(LARDER_META_CODE_ROW)
#undef LARDER_META_CODE_ROW
        LARDER_META_CODES
};

/** larder_meta_reply.marks */
#define LARDER_META_WON 1u   /* W: this reader computes the value */
#define LARDER_META_STALE 2u /* X: the value is marked stale */
#define LARDER_META_LOST 4u  /* Z: somebody else has won */

/** Why an error. What keeps the connection in step is said of each; the rest closes it. */
enum larder_meta_cause {
    LARDER_META_NO_ERROR,
    LARDER_META_NOT_A_NUMBER,         /* ma on what is no counter; in step */
    LARDER_META_OBJECT_TOO_LARGE,     /* ms; the old value is gone; in step */
    LARDER_META_OUT_OF_MEMORY,        /* ms; the old value is gone; in step */
    LARDER_META_UNAUTHENTICATED,      /* the server wants a login, or refused one */
    LARDER_META_TOO_MANY_CONNECTIONS, /* unasked, at connect; the server closes */
    LARDER_META_BAD_REQUEST,          /* our fault; perhaps the value ran as commands */
    LARDER_META_BAD_COMMAND,          /* a server without the meta protocol */
    LARDER_META_SERVER_FAILED         /* any other SERVER_ERROR */
};

/** One reply, as far as its line. Slices point into the bytes that were parsed. */
struct larder_meta_reply {
    enum larder_meta_code code;
    enum larder_meta_cause cause;
    uint32_t present;        /* the LARDER_META_FLAG_* that were answered: BASE64, KEY, OPAQUE and
                                RETURN_*; of VALUE lines RETURN_FLAGS, perhaps RETURN_VERSION */
    uint32_t marks;          /* LARDER_META_WON, _STALE, _LOST */
    size_t line_length;      /* in bytes, with its end */
    size_t value_length;     /* VA, VALUE: this many bytes and a line end follow */
    struct larder_slice key; /* KEY; ME and VALUE always */
    struct larder_slice opaque; /* OPAQUE */
    struct larder_slice text; /* what follows ERROR, CLIENT_ERROR, SERVER_ERROR, VERSION, STAT, and
                                 the key of ME */
    uint64_t version;         /* RETURN_VERSION */
    int64_t ttl_s;            /* RETURN_TTL; -1: for ever */
    uint64_t size;            /* RETURN_SIZE */
    uint64_t access_s;        /* RETURN_ACCESS */
    uint32_t client_flags;    /* RETURN_FLAGS */
    uint32_t hit_before;      /* RETURN_HIT: 0 or 1 */
};

enum larder_meta_parse {
    LARDER_META_WHOLE,
    LARDER_META_MORE,  /* so far it may become a reply */
    LARDER_META_BROKEN /* it never will: close the connection */
};

/**
 * Reads the line of a reply.
 * @param value_max  a longer value is BROKEN: nobody need make room for it
 * @return WHOLE and *reply; MORE, never with LARDER_META_LINE_BYTES_MAX bytes given; BROKEN
 */
enum larder_meta_parse larder_meta_parse_line(const void *bytes, size_t length, size_t value_max,
                                              struct larder_meta_reply *reply);

/**
 * The same of the reply that must answer `request`, which larder_meta_write() has written: BROKEN
 * also when it doesn't fit, see larder_meta_fits().
 */
enum larder_meta_parse larder_meta_parse_answer(const void *bytes, size_t length, size_t value_max,
                                                const struct larder_meta_request *request,
                                                struct larder_meta_reply *reply);

/**
 * Reads a reply with its value.
 * @param value  on WHOLE the value, in `bytes`; empty where the reply has none
 * @param needed on WHOLE how many bytes the reply took; on MORE how many there must be at the least
 */
enum larder_meta_parse larder_meta_parse(const void *bytes, size_t length, size_t value_max,
                                         struct larder_meta_reply *reply,
                                         struct larder_slice *value, size_t *needed);

/** 1 when a value of this reply follows its line. */
static inline int larder_meta_has_value(const struct larder_meta_reply *reply)
{
    return reply->code == LARDER_META_VA || reply->code == LARDER_META_CLASSIC_VALUE;
}

/**
 * 1 when a reply can be the answer to a request: its code is one of the command's, key and opaque
 * are the ones that were sent, all that was asked for is told, and nothing else. An error can
 * answer anything. What doesn't fit belongs to another request: close the connection.
 */
int larder_meta_fits(const struct larder_meta_request *request,
                     const struct larder_meta_reply *reply);

/** 1 when the connection is in step after this reply, and may be used again. */
static inline int larder_meta_in_step(const struct larder_meta_reply *reply)
{
    return reply->cause == LARDER_META_NO_ERROR || reply->cause == LARDER_META_NOT_A_NUMBER ||
           reply->cause == LARDER_META_OBJECT_TOO_LARGE ||
           reply->cause == LARDER_META_OUT_OF_MEMORY;
}

/** What me tells. */
struct larder_meta_debug {
    int64_t ttl_s;     /* exp; -1: for ever */
    uint64_t access_s; /* la */
    uint64_t version;  /* cas */
    uint64_t fetched;  /* 1: was read before */
    uint64_t slab;     /* cls */
    uint64_t size;     /* of the whole item, in bytes */
};

/** Takes the text of an ME reply apart. Words that it does not know are passed over.
 * @return 1, or 0 for a text that is none */
int larder_meta_parse_debug(struct larder_slice text, struct larder_meta_debug *debug);

/** "1.6.18" or "1.6.18-1" as 10618, for larder_meta_version_needed(). @return 0 for no version */
uint32_t larder_meta_parse_version(struct larder_slice text);

#ifdef __cplusplus
}
#endif

#endif
