/* The inside of larder/util/pair.h: what follows an answer. */
#ifndef LARDER_PAIR_INSIDE_H
#define LARDER_PAIR_INSIDE_H

#include <larder/util/pair.h>

enum follow {
    FOLLOW_NOT,
    FOLLOW_SET,
    FOLLOW_TOUCH,
    FOLLOW_LEAVE_OUT, /* it can't hold that: deleted instead */
    FOLLOW_DELETE
};

/** What the follower gets of a row that the leader answered. @param touches  it is a read that
 * gives a TTL */
enum follow larder__pair_follow_row(const struct larder_passage *passage,
                                    enum larder_many_kind many, enum larder_mode mode, int touches,
                                    const struct larder_row *row);

/** Makes it. @param write  of a set; of a touch its TTL */
void larder__pair_follow(struct larder_passage *passage, enum follow follow,
                         struct larder_slice key, const struct larder_write *write);
/** After it was made. */
void larder__pair_settle(struct larder_passage *passage, enum follow follow,
                         struct larder_slice key, enum larder_status status);

/** The write that the follower gets for one that the leader took. */
struct larder_write larder__pair_write(const struct larder_passage *passage,
                                       const struct larder_write *write);

/** Whether the call gives what it reads a TTL. */
static inline int larder__pair_touches(const struct larder_scope *scope)
{
    return scope->call != NULL && scope->call->touch_ttl_ms != LARDER_TTL_UNKNOWN;
}

#endif
