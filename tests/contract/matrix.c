/*
 * What each cache says it can do, against the checked-in matrix.txt: a cell that the file has and
 * the cache has not, or the other way round, fails; so does a cell that is stepped or absent
 * without a reason.
 *
 * In the file, "cache" lines name a column and the subjects it stands for; "row" lines give one
 * cell per column, in the order of the "cache" lines: native, steps/NOTE, absent/NOTE for what a
 * cache can, yes or no/NOTE for what it promises and for the options that its calls take. "note"
 * lines give the reasons.
 */
#include "contract.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 48
#define LINE_BYTES 2048
#define WORDS_MAX 64

struct matrix {
    char *text;
    int column; /* of this subject; -1: none */
    int columns;
};

/* ---- reading ------------------------------------------------------------------------------- */

static char *read_matrix(struct fixture *fixture)
{
    FILE *file = fopen(CONTRACT_MATRIX, "r");
    char *text = calloc(1, 65536);
    expect_that(fixture, file != NULL && text != NULL);
    size_t length = fread(text, 1, 65535, file);
    fclose(file);
    expect_that(fixture, length > 0 && length < 65535);
    return text;
}

/* Splits one line in place. @return how many words */
static int split(char *line, char *words[WORDS_MAX])
{
    int count = 0;
    for (char *word = strtok(line, " \t"); word != NULL && count < WORDS_MAX;
         word = strtok(NULL, " \t"))
        words[count++] = word;
    return count;
}

/* Copies the line at *at, and moves on. @return 0 at the end */
static int next_line(const char **at, char line[LINE_BYTES])
{
    if (**at == '\0')
        return 0;
    size_t length = strcspn(*at, "\n");
    size_t kept = length < LINE_BYTES - 1 ? length : LINE_BYTES - 1;
    memcpy(line, *at, kept);
    line[kept] = '\0';
    *at += length + ((*at)[length] == '\n');
    return 1;
}

static void find_column(struct fixture *fixture, struct matrix *matrix)
{
    char line[LINE_BYTES];
    char *words[WORDS_MAX];
    const char *at = matrix->text;
    matrix->column = -1;
    while (next_line(&at, line)) {
        int count = split(line, words);
        if (count < 3 || strcmp(words[0], "cache") != 0)
            continue;
        for (int i = 2; i < count; i++)
            if (strcmp(words[i], fixture->subject->name) == 0)
                matrix->column = matrix->columns;
        matrix->columns++;
    }
}

static int has_note(const struct matrix *matrix, const char *note)
{
    char line[LINE_BYTES];
    char *words[WORDS_MAX];
    const char *at = matrix->text;
    while (next_line(&at, line))
        if (split(line, words) > 2 && strcmp(words[0], "note") == 0 && strcmp(words[1], note) == 0)
            return 1;
    return 0;
}

/* The cell of this subject in the row of that name; empty when there is none. */
static void find_cell(const struct matrix *matrix, const char *row, char cell[32])
{
    char line[LINE_BYTES];
    char *words[WORDS_MAX];
    const char *at = matrix->text;
    cell[0] = '\0';
    while (next_line(&at, line))
        if (split(line, words) == matrix->columns + 2 && strcmp(words[0], "row") == 0 &&
            strcmp(words[1], row) == 0)
            snprintf(cell, 32, "%s", words[matrix->column + 2]);
}

static unsigned count_rows(const struct matrix *matrix)
{
    char line[LINE_BYTES];
    char *words[WORDS_MAX];
    const char *at = matrix->text;
    unsigned rows = 0;
    while (next_line(&at, line))
        rows += split(line, words) > 0 && strcmp(words[0], "row") == 0;
    return rows;
}

/* ---- comparing ----------------------------------------------------------------------------- */

/* A cell is its word, then, unless it is the best one can say, a slash and a note's name. */
static int cell_is(const struct matrix *matrix, const char *cell, const char *word, int is_plain)
{
    size_t length = strlen(word);
    if (strncmp(cell, word, length) != 0)
        return 0;
    if (is_plain)
        return cell[length] == '\0';
    return cell[length] == '/' && has_note(matrix, cell + length + 1);
}

static unsigned differing, compared;

static void compare_row(const struct matrix *matrix, const char *kind, const char *name,
                        const char *word, int is_plain)
{
    char row[64], cell[32];
    snprintf(row, sizeof(row), "%s.%s", kind, name);
    for (char *letter = row; *letter != '\0'; letter++)
        *letter = (char)tolower((unsigned char)*letter);
    find_cell(matrix, row, cell);
    int same = cell_is(matrix, cell, word, is_plain);
    printf("    %-26s %-8s%s%s\n", row, word, same ? "" : "  but matrix.txt says ",
           same              ? ""
           : cell[0] != '\0' ? cell
                             : "nothing");
    differing += same ? 0 : 1;
    compared++;
}

static const char *can_word(const struct larder_traits *traits, uint64_t bit)
{
    return (traits->can & bit) != 0 ? "native" : (traits->steps & bit) != 0 ? "steps" : "absent";
}

static void compare(const struct larder_traits *traits, const struct matrix *matrix)
{
#define ROW(name, bit, text)                                                \
    compare_row(matrix, "can", #name, can_word(traits, UINT64_C(1) << bit), \
                (traits->can & UINT64_C(1) << bit) != 0);
    LARDER_CAN_TABLE(ROW)
#undef ROW
#define ROW(name, bit, text)                                                 \
    compare_row(matrix, "promises", #name,                                   \
                (traits->promises & UINT64_C(1) << bit) != 0 ? "yes" : "no", \
                (traits->promises & UINT64_C(1) << bit) != 0);
    LARDER_PROMISE_TABLE(ROW)
#undef ROW
#define ROW(name, bit, text)                                                \
    compare_row(matrix, "takes", #name,                                     \
                (traits->options & UINT64_C(1) << bit) != 0 ? "yes" : "no", \
                (traits->options & UINT64_C(1) << bit) != 0);
    LARDER_TAKES_TABLE(ROW)
#undef ROW
}

static void the_traits_are_those_of_the_matrix(struct fixture *fixture)
{
    struct matrix matrix = {read_matrix(fixture), -1, 0};
    differing = compared = 0;
    find_column(fixture, &matrix);
    expect_that(fixture, matrix.column >= 0 && matrix.columns <= COLUMNS_MAX);
    compare(fixture->traits, &matrix);
    unsigned rows = count_rows(&matrix);
    free(matrix.text);
    expect_number(fixture, 0, differing);
    expect_number(fixture, compared, rows);
}

static void the_traits_are_well_formed(struct fixture *fixture)
{
    const struct larder_traits *traits = fixture->traits;
    expect_that(fixture, traits != NULL && traits->size >= sizeof(*traits));
    expect_that(fixture, traits == larder_describe(fixture->cache));
    expect_number(fixture, 0, traits->can & traits->steps);
    expect_that(fixture, traits->consistency <= LARDER_LINEARIZABLE);
    expect_that(fixture, traits->value_max >= 65536);
    expect_that(fixture, traits->delta_max >= 65536);
    expect_that(fixture, traits->ttl_max_ms >= 0);
    expect_that(fixture, traits->key_max >= 1);
    expect_that(fixture, traits->ttl_late_ms <= 2000);
}

const struct contract_test matrix_tests[] = {
    CONTRACT_TEST(the_traits_are_those_of_the_matrix),
    CONTRACT_TEST(the_traits_are_well_formed),
    CONTRACT_TESTS_END,
};
