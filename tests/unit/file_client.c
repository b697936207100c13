#include "file_client.h"

#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

char file_path[] = "/tmp/larder-file-XXXXXX";
char message[512];

int file_make(void **state)
{
    (void)state;
    int descriptor = mkstemp(file_path);
    if (descriptor >= 0)
        close(descriptor);
    return descriptor >= 0 ? 0 : 1;
}

int file_remove(void **state)
{
    (void)state;
    return unlink(file_path);
}

void write_file(const char *text)
{
    FILE *file = fopen(file_path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    fclose(file);
}

struct larder_cache *open_file(const char *text, const struct larder_clock *clock)
{
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    struct larder_cache *client = NULL;
    if (clock != NULL)
        options.clock = *clock;
    write_file(text);
    if (larder_open_file(file_path, &options, &client, message, sizeof(message)) != LARDER_OK)
        fail_msg("%s", message);
    return client;
}

void reload(struct larder_cache *client, const char *text)
{
    write_file(text);
    if (larder_reload(client, NULL, message, sizeof(message)) != LARDER_OK)
        fail_msg("%s", message);
}

struct larder_cache *bind(struct larder_cache *client, const char *name)
{
    struct larder_cache *view = NULL;
    assert_status(LARDER_OK, larder_bind(client, name, &view));
    return view;
}

enum larder_status look(struct larder_cache *cache, const char *key)
{
    char buffer[64];
    return larder_read(cache, larder_text(key), buffer, sizeof(buffer), NULL);
}

void assert_says(const char *what)
{
    if (strstr(message, what) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", message, what);
}
