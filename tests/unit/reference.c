/*
 * Writes docs/options.md from the tables that URIs and files are read by, and as a test says
 * whether the page that is checked in is the one it would write:
 *
 *     reference                    the page, to standard output
 *     reference docs/options.md    exits with 1 when the file differs, with 77 when this build
 * lacks a component whose options the page has
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "layers.h"
#include "registry.h"

#define SKIPPED 77

static const char *const components[] = {
    "memory", "null",      "gutter",           "hot", "tracker", "ephemeral", "migration",
    "shadow", "memcached", "pooled-memcached", "meta"};

static void write_cell(FILE *page, const char *text)
{
    for (; *text != '\0'; text++)
        fprintf(page, *text == '|' ? "\\%c" : "%c", *text);
}

static void write_default(FILE *page, const struct larder_option *option)
{
    char number[64];
    if (larder__option_is_number(option->type)) {
        larder__option_format(option->type, option->number_default, number, sizeof(number));
        fprintf(page, "`%s`", number);
    } else if (option->text_default != NULL && option->text_default[0] != '\0') {
        fprintf(page, "`%s`", option->text_default);
    }
}

static const char *type_name(enum larder_option_type type)
{
    static const char *const names[] = {"size",   "duration", "count", "switch", "text",
                                        "secret", "servers",  "list",  "cache"};
    return names[type];
}

static void write_head(FILE *page)
{
    fprintf(page, "| option | type | default | may be | meaning |\n|---|---|---|---|---|\n");
}

/* @param name  that it is written by */
static void write_row(FILE *page, const struct larder_option *option, const char *name)
{
    char range[256];
    larder__option_range(option, range, sizeof(range));
    if (option->type == LARDER_OPTION_SERVERS)
        fprintf(page, "| before `?` | %s | ", type_name(option->type));
    else
        fprintf(page, "| `%s` | %s | ", name, type_name(option->type));
    write_default(page, option);
    fprintf(page, " | ");
    write_cell(page, range);
    fprintf(page, " | ");
    write_cell(page, option->sentence);
    fprintf(page, " |\n");
}

static void write_table(FILE *page, struct larder__options options)
{
    write_head(page);
    for (size_t i = 0; i < options.count; i++)
        write_row(page, &options.rows[i], options.rows[i].name);
}

static void write_layers(FILE *page)
{
    const struct larder__layer_option *option;
    fprintf(page, "\n## Layers over every cache\n\n"
                  "A section that has them stands for the whole ([configuration.md]"
                  "(configuration.md)). `of` is what is below.\n\n");
    write_head(page);
    for (size_t i = 0; (option = larder__layer_option(i)) != NULL; i++)
        if (option->option != NULL)
            write_row(page, larder__layer_option_row(option), option->name);
        else
            fprintf(page, "| `%s` | switch | `off` | on or off | on: `%s:` is over this cache |\n",
                    option->name, larder__layer_backend(option)->scheme);
}

static void write_backend(FILE *page, const struct larder_backend *backend)
{
    fprintf(page, "\n## %s\n\n`%s:`, ", backend->scheme, backend->scheme);
    fprintf(page, "%s.\n\n", backend->sentence);
    if (backend->option_count == 0)
        fprintf(page, "It has only the options of every cache.\n");
    else
        write_table(page, (struct larder__options){backend->options, backend->option_count});
}

static void write_page(FILE *page)
{
    fprintf(
        page,
        "# Options\n"
        "\n"
        "Written by `tests/unit/reference.c` from the tables that the library itself reads by; a\n"
        "test fails when this page differs. How URIs and files are written is in\n"
        "[configuration.md](configuration.md).\n"
        "\n"
        "- **size**: bytes, or `k`, `M`, `G`, `T` for powers of 1024 (`K` is taken for `k`), as in "
        "`64M`.\n"
        "- **duration**: with its unit: `ms`, `s`, `m`, `h`, `d`, as in `15s`; only `0` needs "
        "none.\n"
        "- **count**: a whole number. Nothing has fractions.\n"
        "- **switch**: `on` or `off`.\n"
        "- **secret**: where the secret is, never the secret: `env:NAME` or "
        "`file:/absolute/path`.\n"
        "- **servers**: what stands between the scheme and `?` in a URI.\n"
        "- **list**: words with commas between, as in `leases,negative`.\n"
        "- **cache**: `@` and the name of another section of the file.\n"
        "\n"
        "## Every cache\n\n");
    write_table(page, larder__common_options);
    write_layers(page);
    for (size_t i = 0; i < sizeof(components) / sizeof(components[0]); i++) {
        const struct larder_backend *backend =
            larder__backend_find(components[i], strlen(components[i]));
        if (backend != NULL)
            write_backend(page, backend);
    }
    fprintf(page, "\n## Section [client] of a file\n\n"
                  "Beside the options of every cache:\n\n");
    write_table(page, larder__client_options);
    fprintf(page, "\n## A line of [namespaces]\n\n"
                  "After the cache: `default_ttl` and `max_ttl`, as above, for that namespace "
                  "alone.\n");
}

static const char *missing_component(void)
{
    for (size_t i = 0; i < sizeof(components) / sizeof(components[0]); i++)
        if (larder__backend_find(components[i], strlen(components[i])) == NULL)
            return components[i];
    return NULL;
}

static char *read_page(const char *path, size_t *length)
{
    const size_t size = 1 << 20;
    char *bytes = calloc(1, size);
    FILE *page = fopen(path, "r");
    if (page != NULL && bytes != NULL)
        *length = fread(bytes, 1, size - 1, page);
    if (page != NULL)
        fclose(page);
    return bytes;
}

static int compare(const char *path)
{
    char *wanted = NULL;
    size_t wanted_length = 0, length = 0;
    FILE *page = open_memstream(&wanted, &wanted_length);
    if (page == NULL)
        return EXIT_FAILURE;
    write_page(page);
    fclose(page);
    char *there = read_page(path, &length);
    int same = there != NULL && length == wanted_length && memcmp(there, wanted, length) == 0;
    if (!same)
        printf("%s differs from the tables; `reference > %s` writes it anew\n", path, path);
    free(there);
    free(wanted);
    return same ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    const char *missing = missing_component();
    if (missing != NULL) {
        fprintf(stderr, "skipped: options_reference: %s is not part of this build\n", missing);
        return SKIPPED;
    }
    if (argc > 1)
        return compare(argv[1]);
    write_page(stdout);
    return EXIT_SUCCESS;
}
