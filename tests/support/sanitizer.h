/* What a sanitizer can't bear. */
#ifndef TESTS_SANITIZER_H
#define TESTS_SANITIZER_H

#include <stdio.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ADDRESS_SANITIZER 1
#endif
#endif
#ifndef HAS_ADDRESS_SANITIZER
#define HAS_ADDRESS_SANITIZER 0
#endif

#if defined(__SANITIZE_THREAD__)
#define HAS_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_THREAD_SANITIZER 1
#endif
#endif
#ifndef HAS_THREAD_SANITIZER
#define HAS_THREAD_SANITIZER 0
#endif

#define SANITIZED (HAS_ADDRESS_SANITIZER || HAS_THREAD_SANITIZER)
/* Work that is merely long is divided by this. */
#define SLOWDOWN (HAS_THREAD_SANITIZER ? 40u : HAS_ADDRESS_SANITIZER ? 8u : 1u)

/* A child that is forked while another thread allocates may find AddressSanitizer's allocator
 * locked for ever, where glibc's is not. */
#define LEAVE_OUT_WHERE_FORK_LOCKS_THE_ALLOCATOR()                                              \
    do {                                                                                        \
        if (HAS_ADDRESS_SANITIZER) {                                                            \
            printf("left out: %s: AddressSanitizer's allocator does not survive a fork beside " \
                   "other threads\n",                                                           \
                   __func__);                                                                   \
            return;                                                                             \
        }                                                                                       \
    } while (0)

#endif
