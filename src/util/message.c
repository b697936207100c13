/* Messages: cut to the buffer, cleaned of control characters. */
#include <larder/util/message.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A key or a file's line may carry escape sequences; a message ends in somebody's terminal. */
static void replace_control_characters(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

static void message_write(const struct larder_message *message, const char *format,
                          va_list arguments)
{
    if (message == NULL || message->text == NULL || message->size == 0)
        return;
    vsnprintf(message->text, message->size, format, arguments);
    replace_control_characters(message->text);
}

void larder_message_set(const struct larder_message *message, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    message_write(message, format, arguments);
    va_end(arguments);
}

enum larder_status larder_fail(const struct larder_message *message, enum larder_status status,
                               const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    message_write(message, format, arguments);
    va_end(arguments);
    return status;
}

#define NEAREST_LENGTH_MAX 63

/* Levenshtein's distance of two short words, two rows of his table at a time. */
static size_t distance(const char *left, const char *right)
{
    size_t row[NEAREST_LENGTH_MAX + 1];
    size_t right_length = strlen(right);
    for (size_t j = 0; j <= right_length; j++)
        row[j] = j;
    for (size_t i = 1; left[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= right_length; j++) {
            size_t replaced = diagonal + (left[i - 1] != right[j - 1]);
            diagonal = row[j];
            size_t shorter = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = replaced < shorter ? replaced : shorter;
        }
    }
    return row[right_length];
}

const char *larder_nearest(const char *word, const char *const *names, size_t count)
{
    const char *nearest = NULL;
    size_t least = strlen(word) / 3 + 2; /* further off than this is another word */
    if (strlen(word) > NEAREST_LENGTH_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        if (strlen(names[i]) > NEAREST_LENGTH_MAX)
            continue;
        size_t steps = distance(word, names[i]);
        if (steps < least) {
            least = steps;
            nearest = names[i];
        }
    }
    return nearest;
}
