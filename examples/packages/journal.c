/* An append-only list of edits, chained by package. */
#include "journal.h"

#include <stdlib.h>

int journal_init(struct journal *journal, int64_t largest_id)
{
    *journal = (struct journal){.largest_id = largest_id};
    journal->entries = calloc(JOURNAL_EDITS_MAX, sizeof(*journal->entries));
    journal->last = calloc((size_t)largest_id + 1, sizeof(*journal->last));
    if (journal->entries != NULL && journal->last != NULL &&
        pthread_mutex_init(&journal->editing, NULL) == 0)
        return 0;
    free(journal->entries);
    free((void *)journal->last);
    return -1;
}

void journal_clean_up(struct journal *journal)
{
    pthread_mutex_destroy(&journal->editing);
    free(journal->entries);
    free((void *)journal->last);
}

uint32_t journal_count(const struct journal *journal)
{
    return atomic_load_explicit(&journal->count, memory_order_acquire);
}

bool journal_begin(struct journal *journal, uint32_t *edit)
{
    if (pthread_mutex_trylock(&journal->editing) != 0)
        return false;
    uint32_t count = journal_count(journal);
    if (count == JOURNAL_EDITS_MAX) {
        pthread_mutex_unlock(&journal->editing);
        return false;
    }
    *edit = count + 1;
    return true;
}

void journal_end(struct journal *journal, int64_t package)
{
    uint32_t count = journal_count(journal);
    journal->entries[count] = (struct journal_entry){
        count + 1, atomic_load_explicit(&journal->last[package], memory_order_relaxed)};
    atomic_store_explicit(&journal->last[package], count + 1, memory_order_release);
    atomic_store_explicit(&journal->count, count + 1, memory_order_release);
    pthread_mutex_unlock(&journal->editing);
}

void journal_abandon(struct journal *journal)
{
    pthread_mutex_unlock(&journal->editing);
}

uint32_t journal_required(const struct journal *journal, int64_t package, uint32_t count)
{
    if (package < 0 || package > journal->largest_id)
        return 0;
    uint32_t place = atomic_load_explicit(&journal->last[package], memory_order_acquire);
    while (place > count)
        place = journal->entries[place - 1].previous;
    return place != 0 ? journal->entries[place - 1].edit : 0;
}
