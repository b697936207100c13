/* The figures as a table for people and as JSON for programs. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "results.h"

void report_table(const struct results *results, FILE *out);
void report_json(const struct results *results, FILE *out);

#endif
