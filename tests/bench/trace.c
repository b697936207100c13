#include "trace.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "workload.h"

#define RECORD_BYTES 24

/* ---- from a file --------------------------------------------------------------------------- */

/* Numbers of objects by what the file calls them: open addressing, at most half full. */
struct numbers {
    uint64_t *names;
    uint32_t *numbers; /* plus 1; 0: free */
    size_t size;       /* a power of two */
};

struct reader {
    struct trace *trace;
    struct numbers numbers;
    size_t request_room, object_room;
};

static size_t place_of(const struct numbers *numbers, uint64_t name)
{
    uint64_t state = name;
    size_t place = (size_t)workload_random(&state) & (numbers->size - 1);
    while (numbers->numbers[place] != 0 && numbers->names[place] != name)
        place = (place + 1) & (numbers->size - 1);
    return place;
}

static int numbers_grow(struct numbers *numbers)
{
    struct numbers wider = {.size = numbers->size > 0 ? numbers->size * 2 : 1024};
    wider.names = calloc(wider.size, sizeof(*wider.names));
    wider.numbers = calloc(wider.size, sizeof(*wider.numbers));
    if (wider.names == NULL || wider.numbers == NULL) {
        free(wider.names);
        free(wider.numbers);
        return 0;
    }
    for (size_t i = 0; i < numbers->size; i++)
        if (numbers->numbers[i] != 0) {
            size_t place = place_of(&wider, numbers->names[i]);
            wider.names[place] = numbers->names[i];
            wider.numbers[place] = numbers->numbers[i];
        }
    free(numbers->names);
    free(numbers->numbers);
    *numbers = wider;
    return 1;
}

/* Doubles an array when it is full. */
static int make_room(uint32_t **array, size_t count, size_t *room)
{
    if (count < *room)
        return 1;
    size_t wider = *room > 0 ? *room * 2 : 4096;
    uint32_t *moved = realloc(*array, wider * sizeof(*moved));
    if (moved == NULL)
        return 0;
    *array = moved;
    *room = wider;
    return 1;
}

static int add_object(struct reader *reader, size_t place, uint64_t name, uint32_t weight)
{
    struct trace *trace = reader->trace;
    if (!make_room(&trace->weights, trace->objects, &reader->object_room))
        return 0;
    trace->weights[trace->objects] = weight > 0 ? weight : 1;
    reader->numbers.names[place] = name;
    reader->numbers.numbers[place] = ++trace->objects;
    return 1;
}

static int add_request(struct reader *reader, uint64_t name, uint32_t weight)
{
    struct trace *trace = reader->trace;
    if ((size_t)trace->objects * 2 >= reader->numbers.size && !numbers_grow(&reader->numbers))
        return 0;
    size_t place = place_of(&reader->numbers, name);
    if (reader->numbers.numbers[place] == 0 && !add_object(reader, place, name, weight))
        return 0;
    if (!make_room(&trace->object, trace->requests, &reader->request_room))
        return 0;
    trace->object[trace->requests++] = reader->numbers.numbers[place] - 1;
    return 1;
}

static uint64_t little_endian(const unsigned char *bytes, unsigned count)
{
    uint64_t value = 0;
    while (count-- > 0)
        value = value << 8 | bytes[count];
    return value;
}

static const char *read_all(struct reader *reader, FILE *file, int sized)
{
    unsigned char record[RECORD_BYTES];
    size_t length;
    while ((length = fread(record, 1, sizeof(record), file)) == sizeof(record)) {
        uint32_t size = (uint32_t)little_endian(record + 12, 4);
        if (reader->trace->requests >= TRACE_REQUESTS_MAX)
            return "too many requests";
        if (!add_request(reader, little_endian(record + 4, 8), sized ? size : 1))
            return "no memory";
    }
    if (length > 0 || ferror(file))
        return "the file ends within a record";
    return reader->trace->requests > 0 ? NULL : "there is no request in the file";
}

int trace_read(struct trace *trace, FILE *file, int sized, const char **message)
{
    struct reader reader = {.trace = trace};
    *trace = (struct trace){0};
    *message = read_all(&reader, file, sized);
    free(reader.numbers.names);
    free(reader.numbers.numbers);
    if (*message == NULL && !trace_link(trace))
        *message = "no memory";
    return *message == NULL;
}

int trace_link(struct trace *trace)
{
    uint32_t *later = malloc(trace->objects * sizeof(*later));
    trace->next = malloc(trace->requests * sizeof(*trace->next));
    if (later == NULL || trace->next == NULL) {
        free(later);
        return 0;
    }
    memset(later, 0xff, trace->objects * sizeof(*later)); /* UINT32_MAX: never */
    for (size_t i = trace->requests; i-- > 0;) {
        trace->next[i] = later[trace->object[i]];
        later[trace->object[i]] = (uint32_t)i;
    }
    free(later);
    for (uint32_t i = 0; i < trace->objects; i++)
        trace->weight += trace->weights[i];
    return 1;
}

void trace_clean_up(struct trace *trace)
{
    free(trace->object);
    free(trace->next);
    free(trace->weights);
    *trace = (struct trace){0};
}

/* ---- from a seed --------------------------------------------------------------------------- */

#define MILLION UINT32_C(1000000)
#define WINDOW ((size_t)2 << 20)

/* Popularity falls as (rank + 1)^-theta. */
struct ranks {
    uint32_t count;
    double *cumulated;
};

static int ranks_init(struct ranks *ranks, uint32_t count, double theta)
{
    double sum = 0;
    *ranks = (struct ranks){count, malloc(count * sizeof(*ranks->cumulated))};
    for (uint32_t i = 0; ranks->cumulated != NULL && i < count; i++)
        ranks->cumulated[i] = sum += pow(i + 1.0, -theta);
    return ranks->cumulated != NULL;
}

static uint32_t draw(const struct ranks *ranks, uint64_t *state)
{
    double share =
        (double)(workload_random(state) >> 11) * 0x1p-53 * ranks->cumulated[ranks->count - 1];
    uint32_t low = 0, high = ranks->count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (ranks->cumulated[middle] < share)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The draws of a workload; state that lasts from one to the next. */
struct maker {
    struct ranks ranks;
    uint64_t state;
    uint32_t scanned;
    size_t request;
};

static uint32_t make_zipf(struct maker *maker)
{
    return draw(&maker->ranks, &maker->state);
}

/* Every other 32,768 requests half of them go through half a million objects in order. */
static uint32_t make_scan(struct maker *maker)
{
    if ((maker->request >> 15 & 1) == 0 || workload_random(&maker->state) & 1)
        return draw(&maker->ranks, &maker->state);
    return maker->ranks.count + maker->scanned++ % (MILLION / 2);
}

static uint32_t make_loop(struct maker *maker)
{
    return (uint32_t)(maker->request % (MILLION / 10));
}

/* Every 256 requests each object takes the next one's popularity. */
static uint32_t make_drift(struct maker *maker)
{
    return (uint32_t)((draw(&maker->ranks, &maker->state) + maker->request / 256) %
                      maker->ranks.count);
}

static const struct recipe {
    const char *name;
    uint32_t (*make)(struct maker *maker);
    uint32_t objects, ranks;
    double theta;
    size_t requests, warm_up;
} recipes[] = {
    {"zipf", make_zipf, MILLION, MILLION, 0.99, 3 * WINDOW, 2 * WINDOW},
    {"scan", make_scan, MILLION, MILLION / 2, 0.9, 3 * WINDOW, WINDOW},
    {"loop", make_loop, MILLION / 10, 1, 1, 3 * MILLION, 0},
    {"drift", make_drift, MILLION, MILLION, 0.99, 3 * WINDOW, WINDOW},
};

const char *const trace_workloads[] = {"zipf", "scan", "loop", "drift", NULL};

static int fill(struct trace *trace, const struct recipe *recipe, uint64_t seed)
{
    struct maker maker = {.state = seed};
    *trace = (struct trace){.requests = recipe->requests,
                            .warm_up = recipe->warm_up,
                            .objects = recipe->objects,
                            .object = malloc(recipe->requests * sizeof(*trace->object)),
                            .weights = malloc(recipe->objects * sizeof(*trace->weights))};
    int right = ranks_init(&maker.ranks, recipe->ranks, recipe->theta) && trace->object != NULL &&
                trace->weights != NULL;
    for (uint32_t i = 0; right && i < trace->objects; i++)
        trace->weights[i] = 1;
    for (size_t i = 0; right && i < trace->requests; i++) {
        maker.request = i;
        trace->object[i] = recipe->make(&maker);
    }
    free(maker.ranks.cumulated);
    return right && trace_link(trace);
}

int trace_make(struct trace *trace, const char *workload, uint64_t seed)
{
    *trace = (struct trace){0};
    for (size_t i = 0; i < sizeof(recipes) / sizeof(*recipes); i++)
        if (strcmp(recipes[i].name, workload) == 0)
            return fill(trace, &recipes[i], seed);
    return 0;
}
