/* MD5, for placing keys as others do, where nothing hangs on its being secure. Own, so that placing
 * allocates nothing and works where libcrypto is told to refuse it. */
#ifndef UTIL_MD5_H
#define UTIL_MD5_H

#include <stddef.h>

#define MD5_BYTES 16u

/** Source: RFC 1321. */
void larder__md5(const void *data, size_t length, unsigned char digest[MD5_BYTES]);

#endif
