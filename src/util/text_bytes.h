/* Whether bytes may stand in a line of memcached's: none is a control, looked at eight at a time.
 * Compilers don't do that by themselves at -O2, and every key and every reply passes here. */
#ifndef UTIL_TEXT_BYTES_H
#define UTIL_TEXT_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LARDER__BYTES_OF(byte) (UINT64_C(0x0101010101010101) * (byte))

/* The high bit of each byte that is no text; the other bits mean nothing. A borrow can only make a
 * byte above such a one look as if it were none either. */
static inline uint64_t larder__text_word_faults(const unsigned char *bytes, unsigned least)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    return ((word - LARDER__BYTES_OF(least)) |
            ((word ^ LARDER__BYTES_OF(0x7f)) - LARDER__BYTES_OF(1))) &
           ~word;
}

/** 1 when no byte is below `least`, and none is 0x7f. Bytes with the high bit set are fine.
 * @param least  0x20 for the text of a line, 0x21 for a word of it; 0x80 at the most */
static inline int larder__text_bytes_valid(const void *text, size_t length, unsigned least)
{
    const unsigned char *bytes = text;
    uint64_t faults = 0;
    size_t i = 0;
    for (; i + sizeof(uint64_t) <= length; i += sizeof(uint64_t))
        faults |= larder__text_word_faults(bytes + i, least);
    if (i < length && length >= sizeof(uint64_t)) /* the last eight, some of them again */
        faults |= larder__text_word_faults(bytes + length - sizeof(uint64_t), least);
    for (; length < sizeof(uint64_t) && i < length; i++)
        if (bytes[i] < least || bytes[i] == 0x7f)
            return 0;
    return (faults & LARDER__BYTES_OF(0x80)) == 0;
}

#endif
