/*
 * Widths of processors. What a hit takes is written once and compiled for each of them, since how
 * few instructions that is counts more than that it is there three times: see variant.h.
 */
#ifndef LARDER_MEMORY_WIDTH_H
#define LARDER_MEMORY_WIDTH_H

/* As the files are named: any processor; x86-64 with registers of 32 bytes and with AES (AVX2);
 * x86-64 with 32 registers of 64 bytes (AVX-512, as of 2019). */
#define LARDER_NARROW 0
#define LARDER_WIDE 1
#define LARDER_WIDEST 2

/* Which one the file is compiled for that includes this. */
#ifndef LARDER_WIDTH
#define LARDER_WIDTH LARDER_NARROW
#endif

enum width { NARROW = LARDER_NARROW, WIDE = LARDER_WIDE, WIDEST = LARDER_WIDEST };

/** The processor's. */
enum width larder__width(void);

/** Of several functions of a name the one for a width, when it runs. */
#if defined(__x86_64__)
#define PICK_BY_WIDTH(width, name) \
    ((width) == WIDEST ? name##_widest : (width) == WIDE ? name##_wide : name##_narrow)
#else
#define PICK_BY_WIDTH(width, name) ((void)(width), name##_narrow)
#endif

#endif
