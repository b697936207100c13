/*
 * What an entry is to our callers, where memcached has more states than they: a lease on a missing
 * key is an empty placeholder, and an entry can be marked stale. Both are missing to everybody but
 * lease_get. mg tells which it is, so reads and deletes take one request; what can't be told
 * without looking is looked at first, done at the version that was seen, and begun anew when
 * somebody was faster.
 */
#include "meta.h"

/* So often a TTL is put back where others touch the same key meanwhile. */
#define AMENDS_MAX 4

/* ---- looking ------------------------------------------------------------------------------- */

struct look_question {
    struct question question;
    struct sight *sight;
};

static int take_sight(struct question *question, const struct larder_meta_reply *reply, void **sink,
                      size_t *sink_size)
{
    struct look_question *look = (struct look_question *)(void *)question;
    (void)sink;
    (void)sink_size;
    *look->sight = (struct sight){.state = meta_state_of(reply),
                                  .version = reply->version,
                                  .length = reply->size,
                                  .flags = reply->client_flags,
                                  .won = (reply->marks & LARDER_META_WON) != 0,
                                  .leased = (reply->marks & LARDER_META_LOST) != 0};
    question->status = LARDER_OK;
    return 1;
}

enum larder_status meta_look(struct call *call, const struct target *target, struct sight *sight)
{
    struct look_question look = {
        .question = {.request = {.command = LARDER_META_GET,
                                 .flags = LARDER_META_FLAG_KEY | LARDER_META_FLAG_RETURN_VERSION |
                                          LARDER_META_FLAG_RETURN_FLAGS |
                                          LARDER_META_FLAG_RETURN_SIZE | LARDER_META_FLAG_NO_BUMP,
                                 .key = target->wire.bytes},
                     .answer = take_sight,
                     .is_read = 1},
        .sight = sight};
    return meta_ask(call, target->site, &look.question);
}

enum larder_status meta_change(struct call *call, const struct target *target, change_fn *change,
                               const void *what)
{
    struct sight sight = {.round = 0};
    enum larder_status status;
    unsigned round = 0;
    do {
        status = meta_look(call, target, &sight);
        if (status != LARDER_OK)
            return status;
        sight.round = round++;
        status = change(call, target, &sight, what);
    } while (status == META_DISTURBED);
    if (sight.won)
        meta_return_win(call, target, sight.version);
    return status;
}

static enum larder_status refuse(struct call *call, const struct target *target,
                                 struct sight *sight, const void *refusal)
{
    (void)call;
    (void)target;
    return sight->state == STATE_LIVE ? *(const enum larder_status *)refusal : LARDER_MISS;
}

enum larder_status meta_refusal(struct call *call, const struct target *target,
                                enum larder_status status)
{
    return call->meta->leases ? meta_change(call, target, refuse, &status) : status;
}

/* ---- amends -------------------------------------------------------------------------------- */

static int take_anything(struct question *question, const struct larder_meta_reply *reply,
                         void **sink, size_t *sink_size)
{
    (void)reply; /* gone, or replaced meanwhile: just as well */
    (void)sink;
    (void)sink_size;
    question->status = LARDER_OK;
    return 1;
}

/* By its version, so that a value which was stored meanwhile is left alone. A failure costs the
 * next readers their turn until the stale entry dies, and nothing else. */
void meta_return_win(struct call *call, const struct target *target, uint64_t version)
{
    struct sight sight = {.state = STATE_STALE, .version = version};
    if (version == 0 && meta_look(call, target, &sight) != LARDER_OK)
        return;
    if (sight.version == 0 || (sight.state != STATE_STALE && !sight.won))
        return; /* it is not stale any more, or somebody has leased the key anew */
    struct question back = {
        .request = {.command = LARDER_META_DELETE,
                    .flags = LARDER_META_FLAG_INVALIDATE | LARDER_META_FLAG_COMPARE,
                    .key = target->wire.bytes,
                    .compare = sight.version},
        .answer = take_anything};
    if (meta_ask(call, target->site, &back) == LARDER_OK)
        META_COUNT(call->meta, wins_returned);
}

struct ttl_question {
    struct question question;
    enum state state;
    int won;
    int64_t ttl_s; /* that it had */
};

static int take_ttl(struct question *question, const struct larder_meta_reply *reply, void **sink,
                    size_t *sink_size)
{
    struct ttl_question *ttl = (struct ttl_question *)(void *)question;
    (void)sink;
    (void)sink_size;
    ttl->state = meta_state_of(reply);
    ttl->won = (reply->marks & LARDER_META_WON) != 0;
    ttl->ttl_s = reply->ttl_s;
    question->status = LARDER_OK;
    return 1;
}

/* A value that came in the place of what was touched gets its own TTL back, in the next round.
 * @return 1 when that won the right to renew it, which others had given back meanwhile */
static int return_ttl(struct call *call, const struct target *target, int64_t ttl_s)
{
    int won = 0;
    for (int round = 0; round < AMENDS_MAX; round++) {
        struct ttl_question ttl = {
            .question = {.request = {.command = LARDER_META_GET,
                                     .flags = LARDER_META_FLAG_KEY | LARDER_META_FLAG_TTL |
                                              LARDER_META_FLAG_RETURN_TTL |
                                              LARDER_META_FLAG_RETURN_FLAGS |
                                              LARDER_META_FLAG_RETURN_SIZE,
                                     .key = target->wire.bytes,
                                     .ttl = meta_exptime_of_left(ttl_s),
                                     .ttl_before = 1},
                         .answer = take_ttl}};
        enum larder_status status = meta_ask(call, target->site, &ttl.question);
        won |= ttl.won;
        if (status != LARDER_OK || ttl.state != STATE_LIVE || ttl.ttl_s == ttl_s)
            break;
        ttl_s = ttl.ttl_s;
    }
    return won;
}

struct amends meta_amends_of_marked(const struct larder_meta_request *request,
                                    const struct larder_meta_reply *reply)
{
    int touched = (request->flags & LARDER_META_FLAG_TTL) != 0;
    return (struct amends){.won = (reply->marks & LARDER_META_WON) != 0,
                           .touched = touched && meta_state_of(reply) != STATE_LIVE,
                           .ttl_s = reply->ttl_s};
}

void meta_amend(struct call *call, const struct target *target, const struct amends *amends)
{
    int won = amends->won;
    if (amends->touched && return_ttl(call, target, amends->ttl_s))
        won = 1;
    if (won)
        meta_return_win(call, target, 0);
}
