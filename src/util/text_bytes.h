/* Whether bytes may stand in a line of memcached's: none is a control, looked at eight at a time.
 * Compilers don't do that by themselves at -O2, and every key and every reply passes here. */
#ifndef UTIL_TEXT_BYTES_H
#define UTIL_TEXT_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A borrow or carry can only make a byte above an invalid one look invalid too. */
static inline int larder__text_word_valid(const unsigned char *bytes, unsigned least)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones * 0x80;
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    uint64_t deleted = word ^ ones * 0x7f;
    uint64_t low = (word - ones * least) & ~word & high;
    return (low | ((deleted - ones) & ~deleted & high)) == 0;
}

/** 1 when no byte is below `least`, and none is 0x7f. Bytes with the high bit set are fine.
 * @param least  0x20 for the text of a line, 0x21 for a word of it; 0x80 at the most */
static inline int larder__text_bytes_valid(const void *text, size_t length, unsigned least)
{
    const unsigned char *bytes = text;
    size_t i = 0;
    for (; i + sizeof(uint64_t) <= length; i += sizeof(uint64_t))
        if (!larder__text_word_valid(bytes + i, least))
            return 0;
    if (i < length && length >= sizeof(uint64_t)) /* the last eight, some of them again */
        return larder__text_word_valid(bytes + length - sizeof(uint64_t), least);
    for (; i < length; i++)
        if (bytes[i] < least || bytes[i] == 0x7f)
            return 0;
    return 1;
}

#endif
