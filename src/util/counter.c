/* Counters as text. */
#include <larder/util/counter.h>

int larder_counter_parse(struct larder_slice text, uint64_t *number)
{
    const unsigned char *digits = text.data;
    uint64_t sum = 0;
    size_t i = 0;
    for (; i < text.length && digits[i] >= '0' && digits[i] <= '9'; i++) {
        uint64_t digit = (uint64_t)(digits[i] - '0');
        if (i >= LARDER_COUNTER_BYTES_MAX || sum > (UINT64_MAX - digit) / 10)
            return 0;
        sum = sum * 10 + digit;
    }
    if (i == 0)
        return 0;
    for (; i < text.length; i++)
        if (digits[i] != ' ')
            return 0;
    *number = sum;
    return 1;
}

size_t larder_counter_format(uint64_t number, char text[LARDER_COUNTER_BYTES_MAX])
{
    char reversed[LARDER_COUNTER_BYTES_MAX];
    size_t length = 0;
    do {
        reversed[length++] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    for (size_t i = 0; i < length; i++)
        text[i] = reversed[length - 1 - i];
    return length;
}

uint64_t larder_counter_step(uint64_t number, enum larder_direction direction, uint64_t delta)
{
    if (direction == LARDER_UP)
        return number + delta;
    return number > delta ? number - delta : 0;
}
