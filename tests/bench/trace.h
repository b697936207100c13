/*
 * What is asked for, in order: read from a file, or made from a seed. Set once, then only read.
 */
#ifndef BENCH_TRACE_H
#define BENCH_TRACE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TRACE_REQUESTS_MAX (UINT32_MAX - 1) /* positions are 32 bits, one of which means never */

struct trace {
    size_t requests;
    size_t warm_up;    /* this many are not counted */
    uint32_t objects;  /* numbered in the order in which they are first asked for */
    uint32_t *object;  /* of each request */
    uint32_t *next;    /* of each request, the one that asks for its object again, or UINT32_MAX */
    uint32_t *weights; /* of each object, from 1 */
    uint64_t weight;   /* of all objects */
};

/**
 * Reads records of 24 bytes, little-endian, packed: uint32 time, uint64 object, uint32 size, int64
 * next request for it, which is worked out anew instead, so that a cut trace is right as well.
 * @param sized  1: an object weighs the size that its first request states; 0: each weighs 1
 * @return 0 when the file ends within a record, holds none or too many, or memory ran out; message
 *         says which. trace_clean_up() is due in any case.
 *
 * Source: the layout is libCacheSim's oracleGeneral.
 */
int trace_read(struct trace *trace, FILE *file, int sized, const char **message);

/** The names of what can be made, NULL last: zipf, scan, loop, drift. */
extern const char *const trace_workloads[];

/** Makes a workload. @return 0 for an unknown name, or when memory ran out */
int trace_make(struct trace *trace, const char *workload, uint64_t seed);

/** Works out objects' next requests and the weight of all. @return 0 when memory ran out */
int trace_link(struct trace *trace);

void trace_clean_up(struct trace *trace);

#endif
