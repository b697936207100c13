/*
 * Caches in lockstep with the model: long random sequences of every operation, and on memory every
 * short sequence there is.
 *
 *     model_test [SUBJECT|ALPHABET...]      LARDER_SEED=n repeats a run
 *
 * An alphabet is a choice of steps; all sequences of them are run, on two keys, up to a length.
 */
#include "lockstep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dice.h"
#include "sanitizer.h"

/* ---- random steps -------------------------------------------------------------------------- */

static struct larder_slice random_value(struct dice *dice)
{
    static const char *const texts[] = {"",
                                        "0",
                                        "1",
                                        "9",
                                        "10",
                                        "99",
                                        "100",
                                        "abc",
                                        "x",
                                        "18446744073709551615",
                                        "18446744073709551616",
                                        "007",
                                        "a b"};
    static unsigned char bytes[5000];
    if (bytes[0] == 0)
        memset(bytes, 'v', sizeof(bytes));
    switch (roll(dice, 8)) {
    case 0:
        return larder_bytes(bytes, roll(dice, 300));
    case 1:
        return larder_bytes(bytes, roll(dice, 10) == 0 ? 4000 + roll(dice, 1000) : roll(dice, 70));
    default:
        return larder_text(texts[roll(dice, sizeof(texts) / sizeof(texts[0]))]);
    }
}

static int64_t random_ttl(const struct lockstep *lockstep, struct dice *dice)
{
    static const int64_t ttls[] = {0, 1, 2, 10, 500, 15000, 16000, 1000000, INT64_MAX};
    if (!fixture_has_manual_clock(&lockstep->fixture))
        return roll(dice, 2) == 0 ? LARDER_TTL_FOREVER : AGEING_LONG_MS;
    return ttls[roll(dice, sizeof(ttls) / sizeof(ttls[0]))];
}

static uint64_t random_delta(const struct lockstep *lockstep, struct dice *dice)
{
    static const uint64_t deltas[] = {0, 1, 1, 2, 9, 10, 91, 1000, UINT64_MAX};
    uint64_t delta = deltas[roll(dice, sizeof(deltas) / sizeof(deltas[0]))];
    uint64_t largest = lockstep->fixture.traits->delta_max;
    return delta < largest ? delta : largest;
}

static struct model_step random_step(const struct lockstep *lockstep, struct dice *dice)
{
    struct model_step step = {.key = (unsigned)roll(dice, MODEL_KEYS)};
    step.does = (enum model_does)roll(dice, MODEL_DOES);
    if (step.does == MODEL_FLUSH && roll(dice, 50) != 0)
        step.does = MODEL_SET;
    step.value = random_value(dice);
    step.flags = (uint32_t)roll(dice, UINT64_C(1) << 32);
    step.ttl_ms = random_ttl(lockstep, dice);
    step.size = roll(dice, 3) == 0 ? roll(dice, 12) : MODEL_BYTES;
    step.direction = roll(dice, 2) == 0 ? LARDER_UP : LARDER_DOWN;
    step.number = random_delta(lockstep, dice);
    step.initial = roll(dice, 4) == 0 ? UINT64_MAX : roll(dice, 100);
    if (step.does == MODEL_LEASE_GET && (step.ttl_ms <= 0 || step.ttl_ms > UINT32_MAX))
        step.ttl_ms = 60000;
    if (step.does == MODEL_ADVANCE)
        step.ttl_ms = roll(dice, 20) == 0 ? (int64_t)roll(dice, 2000000) : (int64_t)roll(dice, 12);
    if (step.does == MODEL_SET_ABSENT)
        step.value = larder_bytes(NULL, 0), step.flags = 0;
    return step;
}

/* Without STRICT_COUNTERS, digits and then something else may be counted; and memcached before
 * 1.6.22 refuses a number from 2^63 up when there happens to be a '-' in the memory behind it. */
static int may_be_counted(const struct lockstep *lockstep, const struct model_entry *entry)
{
    uint64_t number;
    if ((lockstep->fixture.traits->promises & LARDER_STRICT_COUNTERS) != 0 ||
        entry->state != MODEL_LIVE || entry->length == 0)
        return 1;
    if (model_number(entry, &number))
        return number <= INT64_MAX;
    return entry->bytes[0] < '0' || entry->bytes[0] > '9';
}

/* What the model can't hold, or a server answers in its own way, is not asked. */
static int is_sensible(struct lockstep *lockstep, unsigned side, const struct model_step *step)
{
    const struct model_entry *entry = model_entry(&lockstep->model[side], step->key);
    int joins = step->does == MODEL_APPEND || step->does == MODEL_PREPEND;
    if (!lockstep_can(lockstep, step->does))
        return 0;
    if (joins && entry->length + step->value.length > MODEL_BYTES - 1)
        return 0;
    int counts = step->does == MODEL_COUNT || step->does == MODEL_COUNT_INITIAL;
    if (counts && !may_be_counted(lockstep, entry))
        return 0;
    /* a padded counter is longer than the model's, and its spaces would stand in the middle */
    int padded = lockstep->pads && entry->counted;
    return !padded || (!joins && (step->does != MODEL_READ || step->size >= MODEL_BYTES));
}

static int has_many_form(enum model_does does)
{
    return does == MODEL_READ || does == MODEL_GET || does == MODEL_DELETE || does == MODEL_TOUCH ||
           does == MODEL_SET || does == MODEL_ADD || does == MODEL_REPLACE;
}

static void random_many(struct lockstep *lockstep, unsigned side, struct dice *dice,
                        const struct model_step *first)
{
    struct model_step steps[5];
    size_t count = 1 + roll(dice, 5);
    for (size_t i = 0; i < count; i++) {
        steps[i] = random_step(lockstep, dice);
        if (steps[i].does == MODEL_ADVANCE) /* its TTL is how far the clock goes */
            steps[i].ttl_ms = random_ttl(lockstep, dice);
        steps[i].does = first->does;
        if (steps[i].value.data == NULL)
            steps[i].value = larder_text("m");
        steps[i].ttl_ms = random_ttl(lockstep, dice); /* what an ADVANCE drew is none */
        if (lockstep->pads)
            steps[i].size = MODEL_BYTES;
    }
    lockstep_run_many(lockstep, side, steps, count);
}

static void run_random(const struct subject *subject, uint64_t seed, unsigned steps)
{
    static struct lockstep lockstep;
    struct dice dice = {seed};
    lockstep_open(&lockstep, subject, "random_steps_answer_as_the_model", seed);
    while (lockstep.steps < steps) {
        unsigned side = (unsigned)roll(&dice, lockstep.sides);
        struct model_step step = random_step(&lockstep, &dice);
        if (!is_sensible(&lockstep, side, &step))
            continue;
        if (has_many_form(step.does) && roll(&dice, 6) == 0)
            random_many(&lockstep, side, &dice, &step);
        else
            lockstep_run(&lockstep, side, &step);
    }
    lockstep_check(&lockstep);
    lockstep_close(&lockstep);
}

static void random_steps_answer_as_the_model(void **state)
{
    const struct subject *subject = *state;
    uint64_t seed = chosen_seed();
    unsigned steps = subject_has_server(subject) ? 20000 : 200000;
    printf("%s: LARDER_SEED=%llu, %u steps\n", subject->name, (unsigned long long)seed, steps);
    run_random(subject, seed, steps);
}

/* ---- every short sequence ------------------------------------------------------------------ */

/* Words; each is said of every key, and beside them there is ADVANCE. */
struct alphabet {
    const char *name;
    const struct model_step *words;
    size_t count;
    size_t longest; /* sentence over two keys, in words */
};

static const struct model_step all_words[] = {
    {.does = MODEL_GET},
    {.does = MODEL_SET, .value = {"9", 1}},
    {.does = MODEL_SET, .value = {"word", 4}, .ttl_ms = 2},
    {.does = MODEL_ADD, .value = {"10", 2}, .ttl_ms = 1},
    {.does = MODEL_REPLACE, .value = {"5", 1}},
    {.does = MODEL_APPEND, .value = {"0", 1}},
    {.does = MODEL_OBSERVE},
    {.does = MODEL_CAS, .value = {"cas", 3}},
    {.does = MODEL_DELETE},
    {.does = MODEL_TOUCH, .ttl_ms = 1},
    {.does = MODEL_COUNT, .number = 1},
    {.does = MODEL_COUNT_INITIAL, .number = 1, .direction = LARDER_DOWN, .ttl_ms = 2},
    {.does = MODEL_SET_ABSENT, .ttl_ms = 2},
    {.does = MODEL_LEASE_GET, .ttl_ms = 2},
    {.does = MODEL_LEASE_FILL, .value = {"7", 1}},
    {.does = MODEL_LEASE_RETURN},
};

static const struct model_step ttl_words[] = {
    {.does = MODEL_GET},
    {.does = MODEL_SET, .value = {"9", 1}},
    {.does = MODEL_SET, .value = {"word", 4}, .ttl_ms = 2},
    {.does = MODEL_ADD, .value = {"10", 2}, .ttl_ms = 1},
    {.does = MODEL_DELETE},
    {.does = MODEL_TOUCH, .ttl_ms = 1},
};

static const struct model_step version_words[] = {
    {.does = MODEL_OBSERVE},
    {.does = MODEL_CAS, .value = {"cas", 3}, .ttl_ms = 2},
    {.does = MODEL_SET, .value = {"9", 1}},
    {.does = MODEL_APPEND, .value = {"0", 1}},
    {.does = MODEL_DELETE_VERSION},
    {.does = MODEL_TOUCH, .ttl_ms = 1},
};

static const struct model_step lease_words[] = {
    {.does = MODEL_LEASE_GET, .ttl_ms = 2},
    {.does = MODEL_LEASE_FILL, .value = {"7", 1}, .ttl_ms = 1},
    {.does = MODEL_LEASE_RETURN},
    {.does = MODEL_SET, .value = {"9", 1}, .ttl_ms = 1},
    {.does = MODEL_SET_ABSENT, .ttl_ms = 2},
    {.does = MODEL_DELETE},
};

static const struct model_step counter_words[] = {
    {.does = MODEL_COUNT, .number = 1},
    {.does = MODEL_COUNT_INITIAL, .number = 1, .initial = 9, .ttl_ms = 2},
    {.does = MODEL_SET_ABSENT, .ttl_ms = 2},
    {.does = MODEL_REPLACE, .value = {"x", 1}},
    {.does = MODEL_GET_AND_TOUCH, .ttl_ms = 1},
    {.does = MODEL_DELETE},
};

#define WORDS(words) words, sizeof(words) / sizeof((words)[0])
static const struct alphabet alphabets[] = {
    {"all", WORDS(all_words), 4},          {"ttls", WORDS(ttl_words), 6},
    {"versions", WORDS(version_words), 6}, {"leases", WORDS(lease_words), 6},
    {"counters", WORDS(counter_words), 6},
};
#define ALPHABETS (sizeof(alphabets) / sizeof(alphabets[0]))
#define SENTENCE_MAX 8

static const struct model_step advance = {.does = MODEL_ADVANCE, .ttl_ms = 1};

/* Word `number` of `keys` keys; the last one is ADVANCE. */
static struct model_step word(const struct alphabet *alphabet, size_t number, unsigned keys)
{
    if (number == alphabet->count * keys)
        return advance;
    struct model_step step = alphabet->words[number % alphabet->count];
    step.key = (unsigned)(number / alphabet->count);
    return step;
}

static void forget(struct lockstep *lockstep, unsigned keys)
{
    for (unsigned key = 0; key < keys; key++) {
        struct model_step gone = {.does = MODEL_DELETE, .key = key};
        lockstep_run(lockstep, 0, &gone);
        lockstep->model[0].entries[key].seen = lockstep->model[0].entries[key].held = 0;
        lockstep->held[0][key].token = 0;
    }
}

static void say(struct lockstep *lockstep, const struct alphabet *alphabet, unsigned keys,
                const size_t *sentence, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        struct model_step step = word(alphabet, sentence[i], keys);
        lockstep_run(lockstep, 0, &step);
    }
    for (unsigned key = 0; key < keys; key++) {
        struct model_step get = {.does = MODEL_GET, .key = key};
        lockstep_run(lockstep, 0, &get);
    }
    forget(lockstep, keys);
}

/* Says every sentence of `length` words. The first word is of key 0, which stands for any.
 * @return how many */
static uint64_t say_all(struct lockstep *lockstep, const struct alphabet *alphabet, unsigned keys,
                        size_t length)
{
    size_t sentence[SENTENCE_MAX] = {0};
    for (uint64_t said = 1;; said++) {
        say(lockstep, alphabet, keys, sentence, length);
        size_t digit = length;
        while (digit > 0 &&
               ++sentence[digit - 1] == (digit == 1 ? alphabet->count : alphabet->count * keys + 1))
            sentence[--digit] = 0;
        if (digit == 0)
            return said;
    }
}

/* Over one key sentences may be one word longer, when there are many words. */
static void every_short_sequence_answers_as_the_model(void **state)
{
    static struct lockstep lockstep;
    const struct alphabet *alphabet = *state;
    size_t longest = SANITIZED ? (alphabet->longest + 2) / 2 : alphabet->longest;
    uint64_t said = 0;
    lockstep_open(&lockstep, subject_named("memory"), alphabet->name, 0);
    for (size_t length = 1; length <= longest + (alphabet == alphabets); length++)
        said += say_all(&lockstep, alphabet, 1, length);
    for (size_t length = 1; length <= longest; length++)
        said += say_all(&lockstep, alphabet, 2, length);
    printf("%s: %llu sequences of up to %zu steps over 2 keys, %llu steps in all\n", alphabet->name,
           (unsigned long long)said, longest, (unsigned long long)lockstep.steps);
    lockstep_close(&lockstep);
}

/* ---- running ------------------------------------------------------------------------------- */

static int run_subject(const struct subject *subject)
{
    const struct CMUnitTest random[] = {{"random_steps_answer_as_the_model",
                                         random_steps_answer_as_the_model, NULL, NULL,
                                         (void *)(uintptr_t)subject}};
    return _cmocka_run_group_tests(subject->name, random, 1, NULL, NULL);
}

static int run_alphabet(const struct alphabet *alphabet)
{
    const struct CMUnitTest exhaustive[] = {{"every_short_sequence_answers_as_the_model",
                                             every_short_sequence_answers_as_the_model, NULL, NULL,
                                             (void *)(uintptr_t)alphabet}};
    return _cmocka_run_group_tests(alphabet->name, exhaustive, 1, NULL, NULL);
}

static int run_named(const char *name)
{
    for (size_t i = 0; i < ALPHABETS; i++)
        if (strcmp(name, alphabets[i].name) == 0)
            return run_alphabet(&alphabets[i]);
    const struct subject *subject = subject_named(name);
    if (subject == NULL) {
        fprintf(stderr, "no subject or alphabet is called %s\n", name);
        return 1;
    }
    return run_subject(subject);
}

int main(int count, char **names)
{
    int failed = 0;
    for (int i = 1; i < count; i++)
        failed += run_named(names[i]);
    for (size_t i = 0; count < 2 && i < contract_subject_count; i++)
        failed += run_subject(&contract_subjects[i]);
    for (size_t i = 0; count < 2 && i < ALPHABETS; i++)
        failed += run_alphabet(&alphabets[i]);
    return failed == 0 ? 0 : 1;
}
