/* Rings of points, as libmemcached and uhashring make them. Not a point may differ: where keys are
 * found depends on it. */
#include "placement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "md5.h"

#define KETAMA_POINTS 100u
#define WEIGHTED_POINTS 160u /* per server of average weight; four to a digest */
#define UHASHRING_POINTS 160u

/* ---- names --------------------------------------------------------------------------------- */

static size_t name_address(enum larder_placement_method method,
                           const struct larder_placement_server *server, char name[NAME_BYTES])
{
    const char *host = server->host;
    int length;
    if (method == LARDER_PLACEMENT_KETAMA || method == LARDER_PLACEMENT_KETAMA_WEIGHTED) {
        if (server->port == LARDER_SERVER_PORT_DEFAULT) /* libmemcached leaves it out */
            length = snprintf(name, NAME_BYTES, "%s", host);
        else
            length = snprintf(name, NAME_BYTES, "%s:%u", host, server->port);
    } else if (server->port == 0) {
        length = snprintf(name, NAME_BYTES, "%s", host);
    } else if (strchr(host, ':') != NULL) {
        length = snprintf(name, NAME_BYTES, "[%s]:%u", host, server->port);
    } else {
        length = snprintf(name, NAME_BYTES, "%s:%u", host, server->port);
    }
    return (size_t)length;
}

size_t larder__placement_name(enum larder_placement_method method,
                              const struct larder_placement_server *server, char name[NAME_BYTES])
{
    if (server->identity.length == 0)
        return name_address(method, server, name);
    memcpy(name, server->identity.data, server->identity.length);
    name[server->identity.length] = '\0';
    return server->identity.length;
}

/* "name-number". @return the length */
static size_t name_point(const char *name, size_t length, uint32_t number, char *text, size_t size)
{
    memcpy(text, name, length);
    return length + (size_t)snprintf(text + length, size - length, "-%u", number);
}

/* ---- hashes -------------------------------------------------------------------------------- */

/* Source: Jenkins' one-at-a-time hash, as libmemcached has it: bytes are signed. */
static uint32_t hash_byte_by_byte(const void *data, size_t length)
{
    const signed char *bytes = data;
    uint32_t hash = 0;
    for (size_t i = 0; i < length; i++) {
        uint32_t byte = (uint32_t)(int32_t)bytes[i];
        hash += byte;
        hash += hash << 10;
        hash ^= hash >> 6;
    }
    hash += hash << 3;
    hash ^= hash >> 11;
    return hash + (hash << 15);
}

static uint32_t little_endian(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

static uint64_t big_endian(const unsigned char *bytes)
{
    uint64_t word = 0;
    for (unsigned i = 0; i < 8; i++)
        word = word << 8 | bytes[i];
    return word;
}

static struct point hash_key(enum larder_placement_method method, struct larder_slice key)
{
    unsigned char digest[MD5_BYTES];
    struct point point = {0, 0, 0};
    if (method == LARDER_PLACEMENT_KETAMA) {
        point.high = (uint64_t)hash_byte_by_byte(key.data, key.length) << 32;
        return point;
    }
    larder__md5(key.data, key.length, digest);
    point.high = (uint64_t)little_endian(digest) << 32;
    if (method == LARDER_PLACEMENT_UHASHRING) {
        point.high = big_endian(digest);
        point.low = big_endian(digest + 8);
    }
    return point;
}

/* ---- making -------------------------------------------------------------------------------- */

/* libmemcached's own arithmetic, in single precision. */
static uint32_t ketama_points(uint32_t weight, uint32_t total, uint32_t servers)
{
    float share = (float)weight / (float)total;
    float groups = (float)(share * (float)WEIGHTED_POINTS / 4.0F * (float)servers + 0.0000000001);
    return (uint32_t)groups * 4;
}

/* How many points a server has. */
static uint64_t points_of(const struct larder_placement *placement, uint32_t server)
{
    uint32_t weight = placement->seats[server].weight, total = 0;
    if (placement->method == LARDER_PLACEMENT_UHASHRING)
        return (uint64_t)UHASHRING_POINTS * weight;
    if (placement->method == LARDER_PLACEMENT_KETAMA && !placement->weighted)
        return KETAMA_POINTS;
    for (uint32_t i = 0; i < placement->count; i++)
        total += placement->seats[i].weight;
    return ketama_points(weight, total, placement->count);
}

static void add_point(struct larder_placement *placement, uint64_t high, uint64_t low,
                      uint32_t server)
{
    placement->points[placement->point_count++] = (struct point){high, low, server};
}

static void add_server(struct larder_placement *placement,
                       const struct larder_placement_options *options, uint32_t server)
{
    char name[NAME_BYTES], text[NAME_BYTES + 16];
    unsigned char digest[MD5_BYTES];
    size_t name_length = larder__placement_name(options->method, &options->servers[server], name);
    int plain = placement->method == LARDER_PLACEMENT_KETAMA && !placement->weighted;
    int whole = placement->method == LARDER_PLACEMENT_UHASHRING;
    uint32_t names = (uint32_t)points_of(placement, server) / (plain || whole ? 1 : 4);
    for (uint32_t i = 0; i < names; i++) {
        size_t length = name_point(name, name_length, i, text, sizeof(text));
        if (plain) {
            add_point(placement, (uint64_t)hash_byte_by_byte(text, length) << 32, 0, server);
            continue;
        }
        larder__md5(text, length, digest);
        if (whole)
            add_point(placement, big_endian(digest), big_endian(digest + 8), server);
        for (unsigned j = 0; j < 4 && !whole; j++)
            add_point(placement, (uint64_t)little_endian(digest + 4 * j) << 32, 0, server);
    }
}

static int point_order(const struct point *a, const struct point *b)
{
    if (a->high != b->high)
        return a->high < b->high ? -1 : 1;
    return a->low < b->low ? -1 : a->low > b->low;
}

/* Of equal points that of the first server in the list comes first. */
static int compare_points(const void *first, const void *second)
{
    const struct point *a = first, *b = second;
    int order = point_order(a, b);
    return order != 0 ? order : a->server < b->server ? -1 : a->server > b->server;
}

enum larder_status larder__ring_make(struct larder_placement *placement,
                                     const struct larder_placement_options *options)
{
    uint64_t points = 0;
    for (uint32_t i = 0; i < placement->count; i++)
        points += points_of(placement, i);
    if (points > LARDER_PLACEMENT_POINTS_MAX)
        return LARDER_TOO_LARGE;
    placement->points = malloc(points * sizeof(*placement->points));
    if (placement->points == NULL)
        return LARDER_NO_MEMORY;
    for (uint32_t i = 0; i < placement->count; i++)
        add_server(placement, options, i);
    qsort(placement->points, placement->point_count, sizeof(*placement->points), compare_points);
    return LARDER_OK;
}

/* ---- placing ------------------------------------------------------------------------------- */

/* The first point at or behind the key's; of uhashring behind it. */
uint32_t larder__ring_place(const struct larder_placement *placement, struct larder_slice key)
{
    const struct point wanted = hash_key(placement->method, key);
    int behind = placement->method == LARDER_PLACEMENT_UHASHRING;
    size_t low = 0, high = placement->point_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = point_order(&placement->points[middle], &wanted);
        if (order < 0 || (behind && order == 0))
            low = middle + 1;
        else
            high = middle;
    }
    return placement->points[low < placement->point_count ? low : 0].server;
}
