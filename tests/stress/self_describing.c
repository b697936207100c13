#include "self_describing.h"

#include <string.h>

#define WORD sizeof(uint64_t)

/* words of a record; the rest is filled */
enum { CHECKSUM, KEY_AND_LENGTH, VERSION, EXPIRY, FILLED };

#define MIX_ONE UINT64_C(0x9e3779b97f4a7c15)
#define MIX_TWO UINT64_C(0xbf58476d1ce4e5b9)

static uint64_t word_at(const unsigned char *bytes, size_t number)
{
    uint64_t word;
    memcpy(&word, bytes + number * WORD, sizeof(word));
    return word;
}

/* Of all words but the first. Four sums, so that the processor needn't wait for each
 * multiplication; every word is multiplied by what its place makes odd, so that exchanged words are
 * seen. */
static uint64_t checksum_of(const unsigned char *bytes, size_t words)
{
    uint64_t sums[4] = {MIX_ONE, MIX_TWO, ~MIX_ONE, ~MIX_TWO};
    size_t i = 1;
    for (; i + 4 <= words; i += 4)
        for (size_t lane = 0; lane < 4; lane++)
            sums[lane] = (sums[lane] ^ word_at(bytes, i + lane)) * MIX_ONE;
    for (; i < words; i++)
        sums[0] = (sums[0] ^ word_at(bytes, i)) * MIX_TWO;
    uint64_t sum = sums[0] ^ sums[1] << 1 ^ sums[2] << 2 ^ sums[3] << 3;
    return (sum ^ sum >> 29) * MIX_TWO;
}

void record_write(const struct record *record, void *room)
{
    uint64_t *words = room;
    size_t count = record->length / WORD;
    words[KEY_AND_LENGTH] = (uint64_t)record->key << 32 | record->length;
    words[VERSION] = record->version;
    words[EXPIRY] = record->expiry_ms;
    uint64_t filler = (record->version + 1) * MIX_TWO ^ record->key;
    for (size_t i = FILLED; i < count; i++)
        words[i] = filler += MIX_ONE;
    words[CHECKSUM] = checksum_of(room, count);
}

/* @return its length; 0 and *wrong when it is none */
static size_t check_record(struct larder_slice rest, const struct expectation *expected,
                           uint64_t *newest, const char **wrong)
{
    const unsigned char *bytes = rest.data;
    if (rest.length < RECORD_BYTES_MIN) {
        *wrong = "a value is cut short";
        return 0;
    }
    uint64_t version = word_at(bytes, VERSION), expiry_ms = word_at(bytes, EXPIRY);
    size_t length = word_at(bytes, KEY_AND_LENGTH) & UINT32_MAX;
    if (length < RECORD_BYTES_MIN || length > rest.length || length % WORD != 0)
        *wrong = "a value has another length than it says";
    else if (word_at(bytes, CHECKSUM) != checksum_of(bytes, length / WORD))
        *wrong = "a value is torn";
    else if (word_at(bytes, KEY_AND_LENGTH) >> 32 != expected->key)
        *wrong = "a value is another key's";
    else if (version < expected->oldest)
        *wrong = "a value was overwritten, deleted or flushed before it was read";
    else if (expiry_ms != RECORD_EXPIRY_UNKNOWN && expiry_ms <= expected->now_ms)
        *wrong = "a value was dead before it was read";
    *newest = version > *newest ? version : *newest;
    return *wrong == NULL ? length : 0;
}

const char *value_is_wrong(struct larder_slice value, const struct expectation *expected)
{
    const char *wrong = NULL;
    uint64_t newest = 0;
    struct larder_slice rest = value;
    do {
        size_t length = check_record(rest, expected, &newest, &wrong);
        rest.data = (const unsigned char *)rest.data + length;
        rest.length -= length;
    } while (wrong == NULL && rest.length > 0);
    if (wrong == NULL && newest < expected->reached)
        wrong = "a value lacks what was appended before it was read";
    return wrong;
}
