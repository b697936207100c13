/* The database is built beside its place and moved there when it is whole, so a half-built one is
 * never used. */
#include "import.h"

#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control.h"
#include "index.h"
#include "progress.h"
#include "relation.h"
#include "schema.h"
#include "signals.h"

enum { FIND_NAME, ADD_NAME, ADD_PACKAGE, ADD_RELATION, ADD_PROVIDE, STATEMENTS };

static const char *const statements[STATEMENTS] = {
    [FIND_NAME] = "SELECT id FROM name WHERE text = ?1",
    [ADD_NAME] = "INSERT INTO name (text) VALUES (?1)",
    /* The first stanza of a name wins: apt lists the candidate version first. */
    [ADD_PACKAGE] = "INSERT OR IGNORE INTO package (id, version, architecture, section, priority,"
                    " maintainer, homepage, installed_kib, download_bytes, synopsis, description)"
                    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    [ADD_RELATION] = "INSERT OR IGNORE INTO relation VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [ADD_PROVIDE] = "INSERT OR IGNORE INTO provide VALUES (?1, ?2)",
};

struct import {
    sqlite3 *connection;
    sqlite3_stmt *statements[STATEMENTS];
    uint64_t packages, relations, malformed;
    bool failed, interrupted;
};

static void run(struct import *import, int number)
{
    if (sqlite3_step(import->statements[number]) != SQLITE_DONE)
        import->failed = true;
    sqlite3_reset(import->statements[number]);
}

static void bind_text(struct import *import, int number, int place, const char *text)
{
    sqlite3_bind_text(import->statements[number], place, text, -1, SQLITE_STATIC);
}

static sqlite3_int64 name_id(struct import *import, const char *name)
{
    sqlite3_stmt *find = import->statements[FIND_NAME];
    bind_text(import, FIND_NAME, 1, name);
    sqlite3_int64 id = 0;
    if (sqlite3_step(find) == SQLITE_ROW)
        id = sqlite3_column_int64(find, 0);
    sqlite3_reset(find);
    if (id != 0)
        return id;
    bind_text(import, ADD_NAME, 1, name);
    run(import, ADD_NAME);
    return sqlite3_last_insert_rowid(import->connection);
}

static void add_relations(struct import *import, sqlite3_int64 package, enum relation_kind kind,
                          const char *value)
{
    struct relation_reader reader = relation_reader(value);
    struct relation relation;
    while (relation_read(&reader, &relation)) {
        sqlite3_int64 target = name_id(import, relation.name);
        sqlite3_stmt *add = import->statements[ADD_RELATION];
        sqlite3_bind_int64(add, 1, package);
        sqlite3_bind_int(add, 2, (int)kind);
        sqlite3_bind_int64(add, 3, relation.group);
        sqlite3_bind_int64(add, 4, relation.alternative);
        sqlite3_bind_int64(add, 5, target);
        bind_text(import, ADD_RELATION, 6, relation.version[0] != '\0' ? relation.version : NULL);
        run(import, ADD_RELATION);
        import->relations++;
    }
    import->malformed += reader.malformed;
}

static void add_provides(struct import *import, sqlite3_int64 package, const char *value)
{
    struct relation_reader reader = relation_reader(value);
    struct relation relation;
    while (relation_read(&reader, &relation)) {
        sqlite3_bind_int64(import->statements[ADD_PROVIDE], 1, name_id(import, relation.name));
        sqlite3_bind_int64(import->statements[ADD_PROVIDE], 2, package);
        run(import, ADD_PROVIDE);
    }
    import->malformed += reader.malformed;
}

/* The first line of a description is its synopsis, the rest is the text. */
static void bind_description(struct import *import, const struct stanza *stanza)
{
    const char *description = stanza_get(stanza, "Description");
    if (description == NULL)
        description = stanza_get(stanza, "Description-en");
    if (description == NULL)
        description = "";
    size_t synopsis = strcspn(description, "\n");
    sqlite3_bind_text(import->statements[ADD_PACKAGE], 10, description, (int)synopsis,
                      SQLITE_STATIC);
    bind_text(import, ADD_PACKAGE, 11,
              description[synopsis] == '\n' ? description + synopsis + 1 : NULL);
}

static void bind_number(struct import *import, int place, const char *digits)
{
    if (digits == NULL)
        sqlite3_bind_null(import->statements[ADD_PACKAGE], place);
    else
        sqlite3_bind_int64(import->statements[ADD_PACKAGE], place, strtoll(digits, NULL, 10));
}

static bool add_package_row(struct import *import, sqlite3_int64 id, const struct stanza *stanza)
{
    static const char *const fields[] = {"Version",  "Architecture", "Section",
                                         "Priority", "Maintainer",   "Homepage"};
    sqlite3_bind_int64(import->statements[ADD_PACKAGE], 1, id);
    for (int i = 0; i < (int)(sizeof(fields) / sizeof(*fields)); i++)
        bind_text(import, ADD_PACKAGE, 2 + i, stanza_get(stanza, fields[i]));
    bind_number(import, 8, stanza_get(stanza, "Installed-Size"));
    bind_number(import, 9, stanza_get(stanza, "Size"));
    bind_description(import, stanza);
    run(import, ADD_PACKAGE);
    return sqlite3_changes(import->connection) == 1;
}

static void add_package(struct import *import, const struct stanza *stanza)
{
    const char *name = stanza_get(stanza, "Package");
    if (name == NULL || !package_name_valid(name)) {
        import->malformed++;
        return;
    }
    sqlite3_int64 id = name_id(import, name);
    if (!add_package_row(import, id, stanza))
        return;
    add_relations(import, id, PRE_DEPENDS, stanza_get(stanza, "Pre-Depends"));
    add_relations(import, id, DEPENDS, stanza_get(stanza, "Depends"));
    add_relations(import, id, RECOMMENDS, stanza_get(stanza, "Recommends"));
    add_provides(import, id, stanza_get(stanza, "Provides"));
    import->packages++;
}

static void execute(struct import *import, const char *statement)
{
    if (!import->failed && sqlite3_exec(import->connection, statement, NULL, NULL, NULL) != 0)
        import->failed = true;
}

static void read_index(struct import *import, const struct index *index, struct progress *progress)
{
    struct stanza stanza = {0};
    while (!import->failed && stanza_read(&stanza, index->file)) {
        add_package(import, &stanza);
        if (import->packages % 256 != 0)
            continue;
        if (signals_pending()) {
            import->interrupted = import->failed = true;
            break;
        }
        char note[64];
        snprintf(note, sizeof(note), "%" PRIu64 " packages", import->packages);
        progress_show(progress, (double)ftello(index->file) / (double)(index->bytes + 1), note);
    }
    import->failed = import->failed || stanza.bytes.failed || ferror(index->file);
    stanza_free(&stanza);
}

static bool prepare(struct import *import, const char *path)
{
    if (sqlite3_open(path, &import->connection) != SQLITE_OK)
        return false;
    /* Nothing to lose: whoever is interrupted builds it again. */
    execute(import, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;");
    execute(import, schema_tables);
    for (int i = 0; i < STATEMENTS && !import->failed; i++)
        if (sqlite3_prepare_v2(import->connection, statements[i], -1, &import->statements[i],
                               NULL) != SQLITE_OK)
            import->failed = true;
    return !import->failed;
}

static void finish(struct import *import)
{
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(import->statements[i]);
    if (import->failed && !import->interrupted)
        fprintf(stderr, "packages: building the database: %s\n",
                sqlite3_errmsg(import->connection));
    sqlite3_close(import->connection);
}

static void import_all(struct import *import, const struct index *index, struct progress *progress)
{
    read_index(import, index, progress);
    progress_show(progress, 1, "indexes");
    execute(import, schema_indexes);
    char version[64];
    snprintf(version, sizeof(version),
             "COMMIT; PRAGMA user_version = %d; PRAGMA journal_mode = WAL;", SCHEMA_VERSION);
    execute(import, version);
    if (import->packages == 0 && !import->failed) {
        fprintf(stderr, "packages: the index lists no package%s\n",
                import->malformed > 0 ? " that could be read" : "; try `apt-get update`");
        import->failed = true;
    }
}

static int build(const char *path, const struct index *index)
{
    struct progress progress;
    progress_begin(&progress, "reading the package index");
    struct import import = {0};
    if (prepare(&import, path))
        import_all(&import, index, &progress);
    bool failed = import.failed;
    char result[160];
    snprintf(result, sizeof(result),
             "%" PRIu64 " packages, %" PRIu64 " relations, %" PRIu64 " malformed, in %.1f s",
             import.packages, import.relations, import.malformed,
             (double)(monotonic_ns() - progress.begun_ns) / 1e9);
    progress_end(&progress, import.interrupted ? "interrupted" : failed ? "failed" : result);
    finish(&import);
    return failed ? -1 : 0;
}

int import_if_absent(const char *path, const char *index_path)
{
    if (access(path, F_OK) == 0)
        return 0;
    struct text beside = {0};
    text_format(&beside, "%s.%d", path, (int)getpid());
    struct index index;
    if (beside.failed || index_open(&index, index_path) != 0) {
        text_free(&beside);
        return -1;
    }
    int result = build(beside.data, &index);
    index_close(&index);
    if (result == 0 && rename(beside.data, path) != 0) {
        fprintf(stderr, "packages: %s: %s\n", path, strerror(errno));
        result = -1;
    }
    if (result != 0)
        unlink(beside.data);
    text_free(&beside);
    return result;
}
