/* Comparing and copying bytes, quickly for the lengths that keys and values have, and asking for
 * them. */
#ifndef LARDER_MEMORY_BYTES_H
#define LARDER_MEMORY_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <larder/util/epoch.h>

#include "hash.h"

/* Whether AddressSanitizer watches. */
#if defined(__SANITIZE_ADDRESS__)
#define LARDER_WATCHED_ADDRESSES 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LARDER_WATCHED_ADDRESSES 1
#endif
#endif
#ifndef LARDER_WATCHED_ADDRESSES
#define LARDER_WATCHED_ADDRESSES 0
#endif

/* Whether atomics that lie side by side are loaded at once. Each is loaded whole: x86 never tears
 * an aligned 8 bytes, and orders loads as acquire asks; what the compiler may not do is said to it
 * where that matters. ThreadSanitizer would not see it. */
#if defined(__SSE2__) && !LARDER_EPOCH_SYMMETRIC
#define LARDER_MATCHES_AT_ONCE 1
#else
#define LARDER_MATCHES_AT_ONCE 0
#endif

/** Asks for a line that is to be written: so that it need not be asked for again then, as another
 * processor may have it too. (Without its own option the compiler asks for it as if to read.) */
ALWAYS_INLINE void larder__ask_to_write(const void *place)
{
#if defined(__x86_64__)
    __asm__ volatile("prefetchw %0" : : "m"(*(const unsigned char *)place));
#else
    __builtin_prefetch(place, 1);
#endif
}

#if defined(__SSE2__)
ALWAYS_INLINE __m128i larder__equal16(const unsigned char *one, const unsigned char *other)
{
    return _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)one),
                          _mm_loadu_si128((const __m128i *)(const void *)other));
}
#endif

static inline bool larder__equal4(const unsigned char *one, const unsigned char *other)
{
    uint32_t first, second;
    memcpy(&first, one, sizeof(first));
    memcpy(&second, other, sizeof(second));
    return first == second;
}

/** Whether they are equal. */
ALWAYS_INLINE bool larder__bytes_equal(const unsigned char *one, const unsigned char *other,
                                       size_t length)
{
#if defined(__SSE2__)
    if (__builtin_expect(length >= 16, 1)) {
        __m128i equal = _mm_and_si128(larder__equal16(one, other),
                                      larder__equal16(one + length - 16, other + length - 16));
        for (size_t i = 16; __builtin_expect(i + 16 < length, 0); i += 16)
            equal = _mm_and_si128(equal, larder__equal16(one + i, other + i));
        return _mm_movemask_epi8(equal) == 0xffff;
    }
#endif
    if (length < 4)
        return memcmp(one, other, length) == 0;
    if (length < 8)
        return larder__equal4(one, other) && larder__equal4(one + length - 4, other + length - 4);
    const unsigned char *end = one + length - 8;
    uint64_t difference = 0;
    size_t i = 0;
    for (; one + i < end; i += 8)
        difference |= larder__hash_load(one + i) ^ larder__hash_load(other + i);
    difference |= larder__hash_load(end) ^ larder__hash_load(other + length - 8);
    return difference == 0;
}

/* So many bytes at any address in one register, as the file that includes this is compiled for. The
 * registers from 16 on need no vzeroupper after them, which takes as long as four copies. */
#if LARDER_WIDTH == LARDER_WIDEST
#define PIECE_BYTES 64u
#define PIECE_REGISTER "xmm16"
#define PIECE_COPY "vmovdqu64 %1, %%zmm16\n\tvmovdqu64 %%zmm16, %0"
#elif defined(__AVX2__)
#define PIECE_BYTES 32u
#define PIECE_REGISTER "xmm5"
#define PIECE_COPY "vmovdqu %1, %%ymm5\n\tvmovdqu %%ymm5, %0"
#else
#define PIECE_BYTES 16u
#endif
typedef long long piece __attribute__((vector_size(PIECE_BYTES), aligned(1), may_alias));
struct piece_bytes {
    unsigned char bytes[PIECE_BYTES];
} __attribute__((may_alias));

ALWAYS_INLINE void larder__copy_piece(unsigned char *to, const unsigned char *from)
{
#if defined(PIECE_COPY) && !LARDER_WATCHED_ADDRESSES && !LARDER_EPOCH_SYMMETRIC
    /* else gcc aligns the whole stack frame, in case that such a register has to be put there */
    __asm__ volatile(PIECE_COPY
                     : "=m"(*(struct piece_bytes *)(void *)to)
                     : "m"(*(const struct piece_bytes *)(const void *)from)
                     : PIECE_REGISTER);
#else
    *(piece *)(void *)to = *(const piece *)(const void *)from;
#endif
}

/* Written out: a loop would stay one. */
ALWAYS_INLINE void larder__copy_64(unsigned char *to, const unsigned char *from)
{
    larder__copy_piece(to, from);
    if (PIECE_BYTES < 64)
        larder__copy_piece(to + PIECE_BYTES, from + PIECE_BYTES);
    if (PIECE_BYTES < 32) {
        larder__copy_piece(to + 32, from + 32);
        larder__copy_piece(to + 48, from + 48);
    }
}

/* 64 to 128 bytes, as most values have: two pieces that may overlap. */
ALWAYS_INLINE bool larder__copies_at_once(size_t length)
{
    return length - 64 <= 64;
}

ALWAYS_INLINE void larder__copy_at_once(unsigned char *to, const unsigned char *from, size_t length)
{
    larder__copy_64(to, from);
    to += length;
    from += length;
    larder__copy_64(to - 64, from - 64);
#if defined(__AVX2__) && LARDER_WIDTH != LARDER_WIDEST
    _mm256_zeroupper();
#endif
}

/* Like memcpy(), without the call for lengths that most values have. */
ALWAYS_INLINE void larder__copy_bytes(unsigned char *to, const unsigned char *from, size_t length)
{
    if (__builtin_expect(larder__copies_at_once(length), 1)) {
        larder__copy_at_once(to, from, length);
    } else if (length - 16 < 48) { /* 16 to 63 */
        memcpy(to, from, 16);
        memcpy(to + length - 16, from + length - 16, 16);
        if (length > 32) {
            memcpy(to + 16, from + 16, 16);
            memcpy(to + length - 32, from + length - 32, 16);
        }
    } else if (length > 0) { /* to is NULL for some that ask only whether it is there */
        memcpy(to, from, length);
    }
}

#endif
