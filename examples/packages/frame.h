/* What stands around a page and is made anew for each answer: head, style, foot. */
#ifndef PACKAGES_FRAME_H
#define PACKAGES_FRAME_H

#include "pages.h"
#include "views.h"

/** Everything up to the page's body. @param search  what stands in the search field; may be NULL */
void frame_head(struct text *text, const char *title, const char *search);
/** Says what an edit did to the cache, above the page that follows it.
 * @param dropped  as the edit's redirect has it: how many pages, "all" or "none"; NULL: no edit */
void frame_edited(struct text *text, const char *dropped, const char *microseconds);
void frame_views(struct text *text, enum larder_status status, uint64_t count);
void frame_top(struct text *text, const struct viewed top[VIEWS_TOP]);
/** The foot of a page that went through the cache. */
void frame_foot_served(struct text *text, const struct served *served, const char *cache);
/** The foot of any other. */
void frame_foot(struct text *text);

#endif
