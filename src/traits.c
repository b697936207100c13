/* The traits descriptor as text. */
#include <larder/traits.h>

#include <ctype.h>
#include <stdio.h>

struct name {
    uint64_t bit;
    const char *text;
};

#define CAN_NAME(name, bit, text) {LARDER_CAN_##name, #name},
#define PROMISE_NAME(name, bit, text) {LARDER_##name, #name},
#define TAKES_NAME(name, bit, text) {LARDER_TAKES_##name, #name},

static const struct name can_names[] = {LARDER_CAN_TABLE(CAN_NAME){0, NULL}};
static const struct name promise_names[] = {LARDER_PROMISE_TABLE(PROMISE_NAME){0, NULL}};
static const struct name takes_names[] = {LARDER_TAKES_TABLE(TAKES_NAME){0, NULL}};

struct writer {
    char *text;
    size_t size;
    size_t length; /* of the whole, whatever fits */
};

static void put(struct writer *writer, char character)
{
    if (writer->length + 1 < writer->size) {
        writer->text[writer->length] = character;
        writer->text[writer->length + 1] = '\0';
    }
    writer->length++;
}

static void put_text(struct writer *writer, const char *text)
{
    for (; *text != '\0'; text++)
        put(writer, *text);
}

static void put_number(struct writer *writer, const char *name, uint64_t number)
{
    char line[64];
    snprintf(line, sizeof(line), "%s: %llu\n", name, (unsigned long long)number);
    put_text(writer, line);
}

static void put_names(struct writer *writer, const char *title, uint64_t bits,
                      const struct name *names)
{
    put_text(writer, title);
    put(writer, ':');
    for (; names->text != NULL; names++) {
        if ((bits & names->bit) == 0)
            continue;
        put(writer, ' ');
        for (const char *letter = names->text; *letter != '\0'; letter++)
            put(writer, (char)tolower((unsigned char)*letter));
    }
    put(writer, '\n');
}

static const char *consistency_name(uint32_t consistency)
{
    switch (consistency) {
    case LARDER_EVENTUAL:
        return "eventual";
    case LARDER_OWN_WRITES:
        return "own writes";
    case LARDER_LINEARIZABLE:
        return "linearizable";
    }
    return "?";
}

size_t larder_traits_format(const struct larder_traits *traits, char *text, size_t size)
{
    struct writer writer = {text, size, 0};
    if (size > 0)
        text[0] = '\0';
    put_text(&writer, "consistency: ");
    put_text(&writer, consistency_name(traits->consistency));
    put(&writer, '\n');
    put_names(&writer, "can", traits->can, can_names);
    put_names(&writer, "steps", traits->steps, can_names);
    put_names(&writer, "promises", traits->promises, promise_names);
    put_names(&writer, "options", traits->options, takes_names);
    put_number(&writer, "value_max", traits->value_max);
    put_number(&writer, "delta_max", traits->delta_max);
    put_number(&writer, "ttl_max_ms", (uint64_t)traits->ttl_max_ms);
    put_number(&writer, "ttl_step_ms", traits->ttl_step_ms);
    put_number(&writer, "ttl_late_ms", traits->ttl_late_ms);
    put_number(&writer, "key_max", traits->key_max);
    put_number(&writer, "timeout_ms", traits->timeout_ms);
    return writer.length;
}
