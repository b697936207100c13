/* What the site answers to which request; knows nothing of sockets. */
#ifndef PACKAGES_SITE_H
#define PACKAGES_SITE_H

#include <pthread.h>

#include "caches.h"
#include "pages.h"
#include "views.h"

struct site {
    const char *database_path; /* borrowed */
    struct caches *caches;     /* borrowed */
    struct pages pages;
    struct views views;
    pthread_key_t connection; /* each thread's struct database, closed when the thread ends */
    /* Open as long as the site, unused: a database that can't be served is noticed at the start,
     * and switched to write-ahead logging before threads meet in it. */
    struct database *keeper;
};

/** Texts are borrowed; NULL where the request has none. */
struct request {
    bool post;
    const char *path;              /* decoded, without the query */
    const char *from, *search;     /* ?from= and ?q= */
    const char *dropped, *took_us; /* what an edit tells the page that follows */
    const char *synopsis;          /* the edit form's field */
};

struct answer {
    unsigned code;        /* HTTP's */
    struct text location; /* of a redirect; else empty */
    struct text head;     /* the answer is head, served.body, foot */
    struct served served;
    struct text foot;
};

/** @return 0; or -1, and standard error says why */
int site_init(struct site *site, struct caches *caches, const char *database_path);
void site_clean_up(struct site *site);

/** Any thread. The answer is freed with answer_free(), in any thread. */
void site_answer(struct site *site, const struct request *request, struct answer *answer);
void answer_free(struct answer *answer);

/** The page about the cache itself. */
void site_answer_cache(struct site *site, struct answer *answer);

#endif
