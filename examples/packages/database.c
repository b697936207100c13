/* Every question is a statement prepared once per connection. */
#include "database.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema.h"

enum question {
    /* the lists come first, with the numbers of enum list */
    ASK_PACKAGE = LISTS,
    ASK_CLOSURE,
    ASK_COUNTS,
    ASK_TOTALS,
    ASK_LAST_EDIT,
    ASK_EDITS_AFTER,
    EDIT_SYNOPSIS,
    NOTE_EDIT,
    BEGIN_READ,
    BEGIN_WRITE,
    COMMIT,
    ROLLBACK,
    QUESTIONS
};

static const char *const questions[QUESTIONS] = {
    [LIST_DEPENDENCIES] =
        "SELECT name.id, name.text, package.synopsis, relation.kind, relation.place, restriction,"
        " dependents FROM relation JOIN name ON name.id = target"
        " LEFT JOIN package ON package.id = target WHERE relation.package = ?1"
        " ORDER BY relation.kind, relation.place, relation.alternative LIMIT ?3 OFFSET ?4",
    [LIST_DEPENDENTS] =
        "SELECT name.id, name.text, package.synopsis, min(relation.kind), 0, NULL, dependents"
        " FROM relation JOIN package ON package.id = relation.package"
        " JOIN name ON name.id = package.id WHERE target = ?1 GROUP BY package.id"
        " ORDER BY dependents DESC, name.text LIMIT ?3 OFFSET ?4",
    [LIST_PROVIDERS] = "SELECT name.id, name.text, package.synopsis, 0, 0, NULL, dependents"
                       " FROM provide JOIN package ON package.id = provide.package"
                       " JOIN name ON name.id = package.id WHERE provide.target = ?1"
                       " ORDER BY dependents DESC, name.text LIMIT ?3 OFFSET ?4",
    [LIST_PROVIDED] = "SELECT name.id, name.text, package.synopsis, 0, 0, NULL, dependents"
                      " FROM provide JOIN name ON name.id = provide.target"
                      " LEFT JOIN package ON package.id = name.id WHERE provide.package = ?1"
                      " ORDER BY name.text LIMIT ?3 OFFSET ?4",
    [LIST_POPULAR] = "SELECT name.id, name.text, package.synopsis, 0, 0, NULL, dependents"
                     " FROM package JOIN name ON name.id = package.id"
                     " ORDER BY dependents DESC LIMIT ?3 OFFSET ?4",
    [LIST_PREFIX] = "SELECT name.id, name.text, package.synopsis, 0, 0, NULL, dependents"
                    " FROM name JOIN package ON package.id = name.id"
                    " WHERE name.text >= ?2 AND name.text < ?2 || '~'" /* '~' is in no name */
                    " ORDER BY dependents DESC, name.text LIMIT ?3 OFFSET ?4",
    [ASK_PACKAGE] = "SELECT name.id, name.text, package.id IS NOT NULL, version, architecture,"
                    " section, priority, maintainer, homepage, synopsis, description,"
                    " installed_kib, download_bytes"
                    " FROM name LEFT JOIN package ON package.id = name.id WHERE name.text = ?1",
    [ASK_CLOSURE] =
        "WITH RECURSIVE needed (id) AS (SELECT ?1 UNION SELECT target FROM needed"
        "  JOIN relation ON relation.package = needed.id WHERE kind < 2 AND alternative = 0)"
        " SELECT count(*), coalesce(sum(installed_kib), 0)"
        " FROM needed JOIN package ON package.id = needed.id",
    /* Each dependent once, under the strongest of its kinds. */
    [ASK_COUNTS] = "SELECT strongest, count(*) FROM (SELECT min(kind) AS strongest FROM relation"
                   " WHERE target = ?1 GROUP BY package) GROUP BY strongest",
    [ASK_TOTALS] = "SELECT (SELECT count(*) FROM package), (SELECT count(*) FROM name),"
                   " (SELECT count(*) FROM relation), (SELECT count(*) FROM edit)",
    [ASK_LAST_EDIT] = "SELECT coalesce(max(sequence), 0) FROM edit",
    [ASK_EDITS_AFTER] = "SELECT package FROM edit WHERE sequence > ?1",
    [EDIT_SYNOPSIS] = "UPDATE package SET synopsis = ?2 WHERE id = ?1",
    [NOTE_EDIT] = "INSERT INTO edit (package) VALUES (?1)",
    [BEGIN_READ] = "BEGIN",
    [BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
};

struct database {
    sqlite3 *connection;
    sqlite3_stmt *statements[QUESTIONS];
    enum list list; /* which one is being read */
    uint64_t asked;
    bool failed;
};

static bool complain(const char *path, const char *what)
{
    fprintf(stderr, "packages: %s: %s\n", path, what);
    return false;
}

static bool is_ours(sqlite3 *connection)
{
    sqlite3_stmt *version = NULL;
    bool ours = sqlite3_prepare_v2(connection, "PRAGMA user_version", -1, &version, NULL) == 0 &&
                sqlite3_step(version) == SQLITE_ROW &&
                sqlite3_column_int(version, 0) == SCHEMA_VERSION;
    sqlite3_finalize(version);
    return ours;
}

static bool prepare(struct database *database, const char *path)
{
    sqlite3 *connection = database->connection;
    sqlite3_busy_timeout(connection, 5000);
    if (!is_ours(connection))
        return complain(path, "is no database of this program and version; remove it and it is"
                              " built again");
    if (sqlite3_exec(connection,
                     "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                     "PRAGMA mmap_size = 268435456; PRAGMA cache_size = -8192;",
                     NULL, NULL, NULL) != SQLITE_OK)
        return complain(path, sqlite3_errmsg(connection));
    for (int i = 0; i < QUESTIONS; i++)
        if (sqlite3_prepare_v3(connection, questions[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &database->statements[i], NULL) != SQLITE_OK)
            return complain(path, sqlite3_errmsg(connection));
    return true;
}

struct database *database_open(const char *path)
{
    struct database *database = calloc(1, sizeof(*database));
    if (database == NULL)
        return NULL;
    bool opened = sqlite3_open_v2(path, &database->connection,
                                  SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK;
    if (!opened)
        complain(path, sqlite3_errmsg(database->connection));
    if (opened && prepare(database, path))
        return database;
    database_close(database);
    return NULL;
}

void database_close(struct database *database)
{
    if (database == NULL)
        return;
    for (int i = 0; i < QUESTIONS; i++)
        sqlite3_finalize(database->statements[i]);
    sqlite3_close(database->connection);
    free(database);
}

bool database_copy(struct database *database, const char *path)
{
    sqlite3_stmt *copy = NULL;
    if (sqlite3_prepare_v2(database->connection, "VACUUM INTO ?1", -1, &copy, NULL) != SQLITE_OK)
        return complain(path, sqlite3_errmsg(database->connection));
    sqlite3_bind_text(copy, 1, path, -1, SQLITE_STATIC);
    bool copied = sqlite3_step(copy) == SQLITE_DONE;
    if (!copied)
        complain(path, sqlite3_errmsg(database->connection));
    sqlite3_finalize(copy);
    return copied;
}

/* A statement ready for its arguments. Resetting ends whatever was read from it before. */
static sqlite3_stmt *ask(struct database *database, int question)
{
    database->asked++;
    sqlite3_reset(database->statements[question]);
    return database->statements[question];
}

static bool step(struct database *database, sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        return true;
    if (code != SQLITE_DONE)
        database->failed = true;
    sqlite3_reset(statement);
    return false;
}

static const char *column_text(sqlite3_stmt *statement, int column)
{
    return (const char *)sqlite3_column_text(statement, column);
}

/* BEGIN and its like are no questions: they are not counted. */
static bool run(struct database *database, enum question question)
{
    step(database, database->statements[question]);
    return !database->failed;
}

/* A statement that was not read to its end keeps its state of the database open, and with it every
 * later question in the past. */
static void forget_past(struct database *database)
{
    for (int i = 0; i < QUESTIONS; i++)
        sqlite3_reset(database->statements[i]);
}

void database_begin(struct database *database)
{
    forget_past(database);
    database->failed = false;
    run(database, BEGIN_READ);
}

void database_end(struct database *database)
{
    forget_past(database);
    if (!sqlite3_get_autocommit(database->connection))
        run(database, COMMIT);
}

bool database_failed(const struct database *database)
{
    return database->failed;
}

uint64_t database_questions(const struct database *database)
{
    return database->asked;
}

bool database_package(struct database *database, const char *name, struct package *package)
{
    sqlite3_stmt *statement = ask(database, ASK_PACKAGE);
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_TRANSIENT);
    if (!step(database, statement))
        return false;
    *package = (struct package){
        .id = sqlite3_column_int64(statement, 0),
        .name = column_text(statement, 1),
        .real = sqlite3_column_int(statement, 2) != 0,
        .version = column_text(statement, 3),
        .architecture = column_text(statement, 4),
        .section = column_text(statement, 5),
        .priority = column_text(statement, 6),
        .maintainer = column_text(statement, 7),
        .homepage = column_text(statement, 8),
        .synopsis = column_text(statement, 9),
        .description = column_text(statement, 10),
        .installed_kib = sqlite3_column_int64(statement, 11),
        .download_bytes = sqlite3_column_int64(statement, 12),
    };
    return true;
}

struct closure database_closure(struct database *database, int64_t package)
{
    sqlite3_stmt *statement = ask(database, ASK_CLOSURE);
    struct closure closure = {0};
    sqlite3_bind_int64(statement, 1, package);
    if (step(database, statement)) {
        closure.packages = sqlite3_column_int64(statement, 0);
        closure.installed_kib = sqlite3_column_int64(statement, 1);
    }
    sqlite3_reset(statement);
    return closure;
}

void database_count_dependents(struct database *database, int64_t package,
                               int64_t counts[RELATION_KINDS])
{
    memset(counts, 0, RELATION_KINDS * sizeof(*counts));
    sqlite3_stmt *statement = ask(database, ASK_COUNTS);
    sqlite3_bind_int64(statement, 1, package);
    while (step(database, statement)) {
        int kind = sqlite3_column_int(statement, 0);
        if (kind >= 0 && kind < RELATION_KINDS)
            counts[kind] = sqlite3_column_int64(statement, 1);
    }
}

struct totals database_totals(struct database *database)
{
    sqlite3_stmt *statement = ask(database, ASK_TOTALS);
    struct totals totals = {0};
    if (step(database, statement))
        totals =
            (struct totals){sqlite3_column_int64(statement, 0), sqlite3_column_int64(statement, 1),
                            sqlite3_column_int64(statement, 2), sqlite3_column_int64(statement, 3)};
    sqlite3_reset(statement);
    return totals;
}

void database_list(struct database *database, enum list list, int64_t id, const char *text,
                   int64_t limit, int64_t offset)
{
    sqlite3_stmt *statement = ask(database, (int)list);
    database->list = list;
    /* A list that names ?3 has a ?1 and a ?2, used or not. */
    sqlite3_bind_int64(statement, 1, id);
    if (text != NULL)
        sqlite3_bind_text(statement, 2, text, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(statement, 3, limit);
    sqlite3_bind_int64(statement, 4, offset);
}

bool database_next(struct database *database, struct mention *mention)
{
    sqlite3_stmt *statement = database->statements[database->list];
    if (!step(database, statement))
        return false;
    *mention = (struct mention){
        .id = sqlite3_column_int64(statement, 0),
        .name = column_text(statement, 1),
        .synopsis = column_text(statement, 2),
        .kind = sqlite3_column_int(statement, 3),
        .place = sqlite3_column_int64(statement, 4),
        .restriction = column_text(statement, 5),
        .dependents = sqlite3_column_int64(statement, 6),
    };
    return true;
}

static bool write_edit(struct database *database, int64_t package, const char *synopsis)
{
    sqlite3_stmt *edit = ask(database, EDIT_SYNOPSIS);
    sqlite3_bind_int64(edit, 1, package);
    sqlite3_bind_text(edit, 2, synopsis, -1, SQLITE_TRANSIENT);
    step(database, edit);
    if (database->failed || sqlite3_changes(database->connection) != 1)
        return false;
    sqlite3_stmt *note = ask(database, NOTE_EDIT);
    sqlite3_bind_int64(note, 1, package);
    step(database, note);
    return !database->failed;
}

bool database_edit(struct database *database, int64_t package, const char *synopsis)
{
    forget_past(database);
    database->failed = false;
    if (!run(database, BEGIN_WRITE))
        return false;
    bool written = write_edit(database, package, synopsis) && run(database, COMMIT);
    if (!written && !sqlite3_get_autocommit(database->connection))
        run(database, ROLLBACK);
    return written;
}

int64_t database_last_edit(struct database *database)
{
    sqlite3_stmt *statement = ask(database, ASK_LAST_EDIT);
    int64_t last = step(database, statement) ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    return last;
}

void database_edits_after(struct database *database, int64_t after)
{
    sqlite3_bind_int64(ask(database, ASK_EDITS_AFTER), 1, after);
}

bool database_next_edit(struct database *database, int64_t *package)
{
    sqlite3_stmt *statement = database->statements[ASK_EDITS_AFTER];
    if (!step(database, statement))
        return false;
    *package = sqlite3_column_int64(statement, 0);
    return true;
}
