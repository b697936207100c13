/* What is cached: the body of a page, and which packages it shows. */
#ifndef PACKAGES_PAGE_H
#define PACKAGES_PAGE_H

#include "database.h"
#include "text.h"

#define ROWS_PER_PAGE 40

enum page_kind { PAGE_FRONT, PAGE_PACKAGE, PAGE_SEARCH };

/** Names one page. */
struct page_address {
    enum page_kind kind;
    char name[PACKAGE_NAME_MAX + 1]; /* the package, or what names are to begin with */
    int64_t from;                    /* the first row of a long list */
};

struct shown {
    int64_t id;
    char name[PACKAGE_NAME_MAX + 1];
};

struct page {
    struct text body;
    struct shown *shown; /* each package once: those whose edit makes the page old */
    size_t shown_count, shown_capacity;
};

enum page_result { PAGE_FOUND, PAGE_NOT_FOUND, PAGE_FAILED };

/** Renders from the database, within one state of it (database_begin()). The page comes in empty
 * and is freed with page_free() whatever the result. */
enum page_result page_render(struct database *database, const struct page_address *address,
                             struct page *page);
void page_free(struct page *page);

/* What the pages are put together from. */
void page_show(struct page *page, int64_t id, const char *name);
void page_package_link(struct text *text, const char *name);
/** A row of a list; `after`, when not NULL, stands behind the name. */
void page_mention(struct page *page, const struct mention *mention, const char *after);
/** "1-100 of 2 345", with links; `base` ends in "from=". */
void page_pager(struct page *page, const char *base, int64_t from, int64_t total);

enum page_result page_render_front(struct database *database, struct page *page);
enum page_result page_render_package(struct database *database, const struct page_address *address,
                                     struct page *page);
enum page_result page_render_search(struct database *database, const struct page_address *address,
                                    struct page *page);

#endif
